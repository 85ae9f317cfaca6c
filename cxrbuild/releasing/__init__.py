"""Make a versioned release from a build, for others to load, check, cite and rebuild."""

from cxrbuild.releasing.forecast import foresee_kept_texts, foresee_old_ages, foresee_refusals
from cxrbuild.releasing.pack import ReleaseResult, default_folder, release
from cxrbuild.releasing.signing import SigningResult, sign

__all__ = [
    "ReleaseResult",
    "SigningResult",
    "default_folder",
    "foresee_kept_texts",
    "foresee_old_ages",
    "foresee_refusals",
    "release",
    "sign",
]
