"""Whether ``build.json`` has what the other checks compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cxrbuild.catalog import Recipe
from cxrbuild.catalog.override import Overrides
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json
from cxrbuild.verification.finding import Finding

NAME = "build.json"


class _Dataset(BaseModel):
    name: str
    version: str
    title: str


class _Pin(BaseModel):
    commit: str | None
    sha256: str | None


class _Source(BaseModel):
    title: str
    homepage: str | None
    description: str
    citation: str | None
    pin: _Pin


class _Step(BaseModel):
    model_config = ConfigDict(extra="allow")

    step: str
    all: int


class _Build(BaseModel):
    dataset: _Dataset
    cxrbuild: str
    libraries: dict[str, str]
    recipe: dict[str, Any]
    declared_sources: dict[str, _Source]
    overrides: Overrides
    missing: dict[str, str]
    counts: dict[str, dict[str, int]]
    funnel: list[_Step]
    groups_in_several_splits: dict[str, str]
    unpinned: list[str]
    sources: dict[str, dict[str, Any]]


class _File(BaseModel):
    sha256: str


class _Finished(_Build):
    files: dict[str, _File]
    formats: list[str]


class _Packed(BaseModel):
    cxrbuild: str
    manifest_sha256: str
    files: dict[str, str]


class _Release(_Build):
    policy: Literal["public", "private"]
    date: str
    withheld: dict[str, int]
    # A release of an older cxrbuild has none.
    packed: _Packed | None = None


def is_release(folder: Path) -> bool:
    """Tell a release, even a damaged one, from a build: a release has sums, and says its policy."""
    if (folder / "SHA256SUMS").is_file():
        return True
    try:
        return "policy" in read_json(folder / NAME)
    except (CxrbuildError, OSError, TypeError):
        return False


def read_document(folder: Path, faults: list[Finding], *, released: bool) -> dict[str, Any] | None:
    """Read ``build.json``; ``None`` where it cannot be used."""
    if not (folder / NAME).is_file():
        faults.append(Finding(NAME, None, "is missing"))
        return None
    try:
        document: dict[str, Any] = read_json(folder / NAME)
        if not isinstance(document, dict):
            faults.append(Finding(NAME, None, "is no JSON object"))
            return None
        (_Release if released else _Finished).model_validate(document)
        Recipe.model_validate(document["recipe"] | {"folder": folder})
    except CxrbuildError as error:
        faults.append(Finding(NAME, None, f"cannot be read: {error.found}"))
        return None
    except ValidationError as error:
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"])
            faults.append(Finding(NAME, key or None, fault["msg"]))
        return None
    tables = [] if released else ["ledger.parquet", "manifest.parquet"]
    if lacking := [name for name in tables if name not in document["files"]]:
        faults += [Finding(NAME, f"files.{name}", "is missing") for name in lacking]
        return None
    return document
