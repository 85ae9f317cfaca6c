"""Fetch the sources: download them, verify them against their pins, move them into place."""
