"""What each JSON document has, typed: the files of builds and releases, and what commands print.

The files have models in the package. What a command prints is made of its result's ``to_dict``; the models
here describe it, and a test compares both. A command's document has the key ``schema``: the name of its
schema with a number, which increases when a key is removed or changes its meaning.
"""

from __future__ import annotations

from pydantic import BaseModel

from cxrbuild.artifact import AuditDocument, BuildDocument, ReleaseDocument
from cxrbuild.artifact.baseline import BaselineDocument, HistoryDocument, TimingDocument, TrainedOnDocument
from cxrbuild.artifact.comparison import ComparisonDocument
from cxrbuild.artifact.correction import PlannedCorrections
from cxrbuild.artifact.explanation import ExplanationDocument
from cxrbuild.artifact.plan import PlanDocument, PlannedExactness
from cxrbuild.exporting.document import ExportDocument
from cxrbuild.overlapping import FingerprintDocument
from json_models.base import Failed
from json_models.curation import Audit, AuditList, Curate, Plan, Why, WhyExcluded
from json_models.models import Explain, TrainBaseline, TrainBaselineComparison
from json_models.releases import Diff, Export, Fingerprint, Overlap, Publish, Release, Sign, Verify
from json_models.reviews import Review, ReviewComparison, ReviewMerge, ReviewWithoutConflict
from json_models.sources import (
    Completion,
    Copy,
    Doctor,
    Fetch,
    FetchProposedPin,
    Init,
    Recipes,
    SourceDiff,
    Sources,
    SourcesLock,
    SourcesOf,
)

FILES: dict[str, tuple[str, type[BaseModel]]] = {
    "build": ("`build.json` of a build", BuildDocument),
    "release": ("`build.json` of a release", ReleaseDocument),
    "plan": ("`plan.json` of a plan", PlanDocument),
    "corrections": ("`corrections.json` of a plan", PlannedCorrections),
    "exactness": ("`exactness.json` of a plan", PlannedExactness),
    "audit": ("`audit.json`", AuditDocument),
    "metrics": ("`metrics.json` of a baseline", BaselineDocument),
    "history": ("`history.json` of a training", HistoryDocument),
    "timing": ("`timing.json` of a training", TimingDocument),
    "trained-on": ("The metadata of `trained_on.parquet`", TrainedOnDocument),
    "comparison": ("`comparison.json`", ComparisonDocument),
    "explanation": ("`explanation.json`", ExplanationDocument),
    "export": ("`export.json`", ExportDocument),
    "fingerprint": ("The metadata of a fingerprint", FingerprintDocument),
    "sources-lock": ("`sources.lock.json`", SourcesLock),
}
"""The files, by the name of their schema."""

PRINTED: dict[str, tuple[type[BaseModel], ...]] = {
    "fetch-1": (Fetch,),
    "fetch-proposed-pin-1": (FetchProposedPin,),
    "plan-1": (Plan,),
    "curate-1": (Curate, BuildDocument),
    "audit-1": (Audit, AuditDocument),
    "audit-list-1": (AuditList,),
    "review-1": (Review,),
    "review-comparison-1": (ReviewComparison,),
    "review-merge-1": (ReviewMerge,),
    "review-without-conflict-1": (ReviewWithoutConflict,),
    "train-baseline-1": (TrainBaseline, BaselineDocument),
    "train-baseline-comparison-1": (TrainBaselineComparison, ComparisonDocument),
    "explain-1": (Explain, ExplanationDocument),
    "release-1": (Release, ReleaseDocument),
    "sign-1": (Sign,),
    "verify-1": (Verify,),
    "why-1": (Why,),
    "why-excluded-1": (WhyExcluded,),
    "diff-1": (Diff,),
    "diff-source-1": (SourceDiff,),
    "export-1": (Export, ExportDocument),
    "fingerprint-1": (Fingerprint, FingerprintDocument),
    "overlap-1": (Overlap,),
    "publish-1": (Publish,),
    "init-1": (Init,),
    "sources-1": (Sources,),
    "sources-of-1": (SourcesOf,),
    "recipes-1": (Recipes,),
    "copy-1": (Copy,),
    "doctor-1": (Doctor,),
    "completion-1": (Completion,),
    "error-1": (Failed,),
}
"""What commands print, by the name of the schema: keys of the command's own, and those of a file."""
