"""The public functions: what the commands do, for a notebook or a program.

Import them from ``cxrbuild``. Each takes paths as text or ``Path``, and a recipe by name, by path or as an
object; each returns a frozen result with ``to_dict()``. A library is imported when a function needs it.
"""

from cxrbuild.api.building import check_environment, curate, fetch, phantom, plan, run_demo
from cxrbuild.api.checking import audit, list_excluded, verify, why
from cxrbuild.api.declarations import (
    copy_recipe,
    copy_source,
    list_recipes,
    list_sources,
    list_sources_of,
    propose,
    read_recipe,
    read_source,
)
from cxrbuild.api.models import compare_baselines, explain, train_baseline
from cxrbuild.api.overlaps import audit_lists, fingerprint, overlap
from cxrbuild.api.pins import diff_sources, propose_pin
from cxrbuild.api.publication import diff, export, publish, release, sign
from cxrbuild.api.reviewing import compare_reviews, merge_reviews, write_review_page

__all__ = [
    "audit",
    "audit_lists",
    "check_environment",
    "compare_baselines",
    "compare_reviews",
    "copy_recipe",
    "copy_source",
    "curate",
    "diff",
    "diff_sources",
    "explain",
    "export",
    "fetch",
    "fingerprint",
    "list_excluded",
    "list_recipes",
    "list_sources",
    "list_sources_of",
    "merge_reviews",
    "overlap",
    "phantom",
    "plan",
    "propose",
    "propose_pin",
    "publish",
    "read_recipe",
    "read_source",
    "release",
    "run_demo",
    "sign",
    "train_baseline",
    "verify",
    "why",
    "write_review_page",
]
