"""Speed of layers, networks and searches on this machine."""
