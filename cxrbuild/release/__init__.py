"""Pack a build as a versioned directory that others can load, check, cite and rebuild."""

from cxrbuild.release.pack import release

__all__ = ["release"]
