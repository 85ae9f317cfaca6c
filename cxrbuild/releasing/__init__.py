"""Make a versioned release from a build, for others to load, check, cite and rebuild."""

from cxrbuild.releasing.forecast import Forecast, foresee
from cxrbuild.releasing.pack import ReleaseResult, default_folder, release
from cxrbuild.releasing.signing import SigningResult, sign

__all__ = [
    "Forecast",
    "ReleaseResult",
    "SigningResult",
    "default_folder",
    "foresee",
    "release",
    "sign",
]
