"""Make a versioned release from a build, for others to load, check, cite and rebuild."""

from cxrbuild.releasing.pack import ReleaseResult, default_folder, release

__all__ = ["ReleaseResult", "default_folder", "release"]
