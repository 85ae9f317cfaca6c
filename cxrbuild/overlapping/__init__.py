"""Compare datasets of two parties without an exchange of images: fingerprints, and their overlap."""

from cxrbuild.overlapping.describing import FingerprintResult, describe, fingerprint
from cxrbuild.overlapping.fingerprint import (
    Fingerprint,
    FingerprintDocument,
    Level,
    read_fingerprint,
    refuse_list,
)
from cxrbuild.overlapping.overlap import STAGES, OverlapResult, SharedImage, find_overlap
from cxrbuild.overlapping.tables import LEAK_FREE, PAIRS, require_folder_place, write_tables

__all__ = [
    "LEAK_FREE",
    "PAIRS",
    "STAGES",
    "Fingerprint",
    "FingerprintDocument",
    "FingerprintResult",
    "Level",
    "OverlapResult",
    "SharedImage",
    "describe",
    "find_overlap",
    "fingerprint",
    "read_fingerprint",
    "refuse_list",
    "require_folder_place",
    "write_tables",
]
