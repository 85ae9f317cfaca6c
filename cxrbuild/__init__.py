"""Rebuild, check and publish chest X-ray datasets from their public sources.

The functions do what the commands do. Everything that is not listed in ``__all__`` is private.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cxrbuild.api import (
        audit,
        audit_lists,
        check_environment,
        compare_baselines,
        curate,
        diff,
        diff_sources,
        explain,
        export,
        fetch,
        fingerprint,
        list_excluded,
        list_recipes,
        list_sources,
        list_sources_of,
        overlap,
        phantom,
        plan,
        propose,
        propose_pin,
        publish,
        read_recipe,
        read_source,
        release,
        run_demo,
        sign,
        train_baseline,
        verify,
        why,
    )
    from cxrbuild.artifact import Build, Release, open_artifact, open_build, open_release
    from cxrbuild.catalog.column import Column
    from cxrbuild.catalog.reader import Inventory, Reader
    from cxrbuild.checks import Check, Finding, Measurement, NotApplicable
    from cxrbuild.errors import CheckError, CxrbuildError, DeclarationError
    from cxrbuild.loading import Dataset, MissingPixelsWarning, load

__all__ = [
    "Build",
    "Check",
    "CheckError",
    "Column",
    "CxrbuildError",
    "Dataset",
    "DeclarationError",
    "Finding",
    "Inventory",
    "Measurement",
    "MissingPixelsWarning",
    "NotApplicable",
    "Reader",
    "Release",
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
    "load",
    "open_artifact",
    "open_build",
    "open_release",
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

# Where the public names are defined that are not functions of `api`. A module is imported when one of its
# names is first used, so that `import cxrbuild` and `cxrbuild --help` are instant.
_MODULES = {
    "artifact": ("Build", "Release", "open_artifact", "open_build", "open_release"),
    "catalog.column": ("Column",),
    "catalog.reader": ("Inventory", "Reader"),
    "checks": ("Check", "Finding", "Measurement", "NotApplicable"),
    "errors": ("CheckError", "CxrbuildError", "DeclarationError"),
    "loading": ("Dataset", "MissingPixelsWarning", "load"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'cxrbuild' has no attribute {name!r}")
    value: object = getattr(import_module(f"cxrbuild.{_MODULE_OF.get(name, 'api')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
