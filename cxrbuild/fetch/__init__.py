"""Fetch the sources: download, prove against the pin, put in place."""

from cxrbuild.fetch.sources import fetch
from cxrbuild.fetch.tree import Fetched

__all__ = ["Fetched", "fetch"]
