"""The stages in order: plan what a dataset holds, and curate it."""

from cxrbuild.build.curate import curate
from cxrbuild.build.expectation import check_expectation
from cxrbuild.build.plan import Declared, Plan, counts, funnel, make_plan, read_declared, write_plan

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
