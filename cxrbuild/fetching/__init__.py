"""Fetch the sources: download, prove against the pin, put in place."""
