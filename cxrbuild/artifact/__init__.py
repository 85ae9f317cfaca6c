"""What a build and a release are: the names of their files, their documents, and how to open them."""

from cxrbuild.artifact import names
from cxrbuild.artifact.audit import AuditDocument, CheckDescription, CheckResult, ImagePair, ResultIdentity
from cxrbuild.artifact.baseline import BaselineDocument
from cxrbuild.artifact.build import BuildDocument, DatasetDocument, FunnelStep, ReleaseDocument
from cxrbuild.artifact.document import Document, DocumentError, Part, Problem
from cxrbuild.artifact.explanation import ExplanationDocument
from cxrbuild.artifact.folders import (
    Artifact,
    Build,
    Release,
    dataset_name,
    find_artifacts,
    is_plan,
    kind_of,
    open_artifact,
    open_build,
    open_release,
)
from cxrbuild.artifact.only_build import only_build
from cxrbuild.artifact.results import RESULTS, Result, ResultFile, ResultKind, Results
from cxrbuild.artifact.sums import parse_sums, read_sums, write_sums

__all__ = [
    "RESULTS",
    "Artifact",
    "AuditDocument",
    "BaselineDocument",
    "Build",
    "BuildDocument",
    "CheckDescription",
    "CheckResult",
    "DatasetDocument",
    "Document",
    "DocumentError",
    "ExplanationDocument",
    "FunnelStep",
    "ImagePair",
    "Part",
    "Problem",
    "Release",
    "ReleaseDocument",
    "Result",
    "ResultFile",
    "ResultIdentity",
    "ResultKind",
    "Results",
    "dataset_name",
    "find_artifacts",
    "is_plan",
    "kind_of",
    "names",
    "only_build",
    "open_artifact",
    "open_build",
    "open_release",
    "parse_sums",
    "read_sums",
    "write_sums",
]
