def page(result, shipped):
    return "<html></html>"
