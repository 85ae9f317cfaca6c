"""Check a build for leakage, duplicates, label conflicts and confounding."""
