"""The checks of `audit --list`, in the order in which they are listed."""

from __future__ import annotations

from cxrbuild.checks import Check
from cxrbuild.lists import checks, dataset_checks
from cxrbuild.lists.context import ListContext

CHECKS: tuple[Check[ListContext], ...] = (*checks.CHECKS, *dataset_checks.CHECKS)
