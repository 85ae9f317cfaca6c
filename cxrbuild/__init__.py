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
        compare_reviews,
        copy_recipe,
        copy_source,
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
        merge_reviews,
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
        write_review_page,
    )
    from cxrbuild.artifact import Build, Release, open_artifact, open_build, open_release
    from cxrbuild.auditing.audit import AuditResult
    from cxrbuild.baseline import BaselineResult, ComparisonResult
    from cxrbuild.catalog import Recipe, Source
    from cxrbuild.catalog.column import Column
    from cxrbuild.catalog.copying import CopiedDeclaration
    from cxrbuild.catalog.reader import Inventory, Reader
    from cxrbuild.checks import Check, Finding, Measurement, NotApplicable
    from cxrbuild.comparison import Diff
    from cxrbuild.curation import CurationResult, Plan
    from cxrbuild.dataset_sources import DatasetSources
    from cxrbuild.demo import DemoResult
    from cxrbuild.environment import Environment
    from cxrbuild.errors import CheckError, CxrbuildError, DeclarationError
    from cxrbuild.explanation import ExplanationResult
    from cxrbuild.exporting import ExportResult
    from cxrbuild.fetching.sources import FetchResult
    from cxrbuild.image_decision import DecisionResult, ExcludedImages
    from cxrbuild.lists import ListAuditResult
    from cxrbuild.loading import Dataset, MissingPixelsWarning, load
    from cxrbuild.overlapping import FingerprintResult, OverlapResult
    from cxrbuild.pins import PinDiff, PinProposal
    from cxrbuild.proposing import Proposal
    from cxrbuild.publishing import PublicationResult
    from cxrbuild.releasing import ReleaseResult, SigningResult
    from cxrbuild.review.agreement import ReviewAgreement
    from cxrbuild.review.merging import MergedReviews
    from cxrbuild.review.page import ReviewPage
    from cxrbuild.shipped import ShippedRecipe, ShippedSource
    from cxrbuild.verification import VerificationResult

__all__ = [
    "AuditResult",
    "BaselineResult",
    "Build",
    "Check",
    "CheckError",
    "Column",
    "ComparisonResult",
    "CopiedDeclaration",
    "CurationResult",
    "CxrbuildError",
    "Dataset",
    "DatasetSources",
    "DecisionResult",
    "DeclarationError",
    "DemoResult",
    "Diff",
    "Environment",
    "ExcludedImages",
    "ExplanationResult",
    "ExportResult",
    "FetchResult",
    "Finding",
    "FingerprintResult",
    "Inventory",
    "ListAuditResult",
    "Measurement",
    "MergedReviews",
    "MissingPixelsWarning",
    "NotApplicable",
    "OverlapResult",
    "PinDiff",
    "PinProposal",
    "Plan",
    "Proposal",
    "PublicationResult",
    "Reader",
    "Recipe",
    "Release",
    "ReleaseResult",
    "ReviewAgreement",
    "ReviewPage",
    "ShippedRecipe",
    "ShippedSource",
    "SigningResult",
    "Source",
    "VerificationResult",
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
    "load",
    "merge_reviews",
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
    "write_review_page",
]

# Where the public names are defined that are not functions of `api`. A module is imported when one of its
# names is first used, so that `import cxrbuild` and `cxrbuild --help` are instant.
_MODULES = {
    "artifact": ("Build", "Release", "open_artifact", "open_build", "open_release"),
    "auditing.audit": ("AuditResult",),
    "baseline": ("BaselineResult", "ComparisonResult"),
    "catalog": ("Recipe", "Source"),
    "catalog.column": ("Column",),
    "catalog.copying": ("CopiedDeclaration",),
    "catalog.reader": ("Inventory", "Reader"),
    "checks": ("Check", "Finding", "Measurement", "NotApplicable"),
    "comparison": ("Diff",),
    "curation": ("CurationResult", "Plan"),
    "dataset_sources": ("DatasetSources",),
    "demo": ("DemoResult",),
    "environment": ("Environment",),
    "errors": ("CheckError", "CxrbuildError", "DeclarationError"),
    "explanation": ("ExplanationResult",),
    "exporting": ("ExportResult",),
    "fetching.sources": ("FetchResult",),
    "image_decision": ("DecisionResult", "ExcludedImages"),
    "lists": ("ListAuditResult",),
    "loading": ("Dataset", "MissingPixelsWarning", "load"),
    "overlapping": ("FingerprintResult", "OverlapResult"),
    "pins": ("PinDiff", "PinProposal"),
    "proposing": ("Proposal",),
    "publishing": ("PublicationResult",),
    "releasing": ("ReleaseResult", "SigningResult"),
    "review.agreement": ("ReviewAgreement",),
    "review.merging": ("MergedReviews",),
    "review.page": ("ReviewPage",),
    "shipped": ("ShippedRecipe", "ShippedSource"),
    "verification": ("VerificationResult",),
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
