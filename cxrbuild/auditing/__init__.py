"""Checks on a build: what would make it less than it says."""
