"""The public functions: what the commands do, for a notebook or a program.

Import them from ``cxrbuild``. Each takes paths as text or ``Path``, and a recipe by name, by path or as an
object; each returns a frozen result with ``to_dict()``. A library is imported when a function needs it.
"""

from cxrbuild.api.building import check_environment, curate, fetch, phantom, plan, run_demo
from cxrbuild.api.checking import audit, audit_lists, fingerprint, list_excluded, overlap, verify, why
from cxrbuild.api.declarations import (
    diff_sources,
    list_recipes,
    list_sources,
    list_sources_of,
    propose,
    propose_pin,
    read_recipe,
    read_source,
)
from cxrbuild.api.models import compare_baselines, explain, train_baseline
from cxrbuild.api.publication import diff, export, publish, release, sign

__all__ = [
    "audit",
    "audit_lists",
    "check_environment",
    "compare_baselines",
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
]
