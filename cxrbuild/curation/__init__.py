"""The stages in order: plan what a dataset holds, and curate it."""

from cxrbuild.curation.curate import curate
from cxrbuild.curation.expectation import check_expectation
from cxrbuild.curation.plan import Declared, Plan, counts, funnel, make_plan, read_declared, write_plan

__all__ = [
    "Declared",
    "Plan",
    "check_expectation",
    "counts",
    "curate",
    "funnel",
    "make_plan",
    "read_declared",
    "write_plan",
]
