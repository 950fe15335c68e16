import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from edgewise._version import __version__

project = "edgewise"
author = "the edgewise developers"
version = release = __version__

extensions = [
    "myst_parser",
    "markdown_docstrings",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # pages load nothing from other sites
    "sphinx.ext.viewcode",
    "public_names",
    "executed_pages",
    "gallery",
]
exclude_patterns = ["_build", "results/notes"]  # the notes are part of the pages of results
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_mock_imports = ["peft", "transformers"]
napoleon_use_ivar = True  # an attribute in a docstring and the same attribute as a member are one description
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["edgewise.css"]
html_favicon = "_static/favicon.svg"
html_show_copyright = False
html_title = f"edgewise {__version__}"

linkcheck_ignore = [r"http://127\.0\.0\.1"]
linkcheck_timeout = 20
linkcheck_retries = 3

METADATA_ROUTING = re.compile(r"set_\w+_request")


def skip_generated(app, kind, name, obj, skip, options):
    """scikit-learn generates these methods, with references to its own documentation."""
    return True if METADATA_ROUTING.fullmatch(name) else None


def level_of_captions(app, page, template, context, doctree):
    """Captions of the navigation say that they are headings; screen readers need to know of which level."""
    for part in ("furo_navigation_tree", "body"):
        if isinstance(context.get(part), str):
            context[part] = context[part].replace('role="heading">', 'role="heading" aria-level="2">')


def setup(app):
    app.connect("autodoc-skip-member", skip_generated)
    app.connect("html-page-context", level_of_captions, priority=900)  # after the theme has made its part
