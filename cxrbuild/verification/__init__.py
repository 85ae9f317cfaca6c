"""Verify a release, a build or a folder of images: compare everything in it with everything else."""

from cxrbuild.verification.result import VerificationResult, require_verified
from cxrbuild.verification.verify import verify

__all__ = ["VerificationResult", "require_verified", "verify"]
