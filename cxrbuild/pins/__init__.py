"""Versions of a source: compare two of them without pixels, and propose the pin of a newer one."""

from cxrbuild.pins.changes import PinDiff, compare_versions
from cxrbuild.pins.proposal import PinProposal, find_released, propose_pin
from cxrbuild.pins.version import SourceVersion, is_source, read_source_version

__all__ = [
    "PinDiff",
    "PinProposal",
    "SourceVersion",
    "compare_versions",
    "find_released",
    "is_source",
    "propose_pin",
    "read_source_version",
]
