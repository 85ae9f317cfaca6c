"""Check a release, a build or a folder of images against what they say of themselves."""

from cxrbuild.verify.fault import Fault
from cxrbuild.verify.verify import Verified, refuse_faults, verify

__all__ = ["Fault", "Verified", "refuse_faults", "verify"]
