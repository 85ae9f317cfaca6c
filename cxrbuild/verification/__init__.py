"""Check a release, a build or a folder of images against what they say of themselves."""

from cxrbuild.verification.finding import Finding
from cxrbuild.verification.verify import Verified, refuse_faults, verify

__all__ = ["Finding", "Verified", "refuse_faults", "verify"]
