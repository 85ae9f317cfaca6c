"""Rebuild, check and publish chest X-ray datasets from their public sources."""

__version__ = "0.1.0"
