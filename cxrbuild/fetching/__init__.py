"""Fetch the sources: download them, verify them against their pins, move them into place."""

from cxrbuild.fetching.sources import FetchResult, fetch
from cxrbuild.fetching.tree import Fetched

__all__ = ["FetchResult", "Fetched", "fetch"]
