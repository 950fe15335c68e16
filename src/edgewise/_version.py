"""The version: read here by the build and by the files that `save` writes."""

__version__ = "0.1.0"
