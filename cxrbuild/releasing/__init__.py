"""Pack a build as a versioned directory that others can load, check, cite and rebuild."""

from cxrbuild.releasing.pack import ReleaseResult, default_folder, release

__all__ = ["ReleaseResult", "default_folder", "release"]
