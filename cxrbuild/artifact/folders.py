"""Builds and releases as folders: recognise one, and open it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.arguments import checked
from cxrbuild.artifact import names
from cxrbuild.artifact.audit import AuditDocument
from cxrbuild.artifact.build import BuildDocument, DatasetDocument, ReleaseDocument
from cxrbuild.artifact.pixels import PixelCount, count_pixels, describe_absent, tabulate
from cxrbuild.artifact.plan import PlanDocument
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import read_json
from cxrbuild.notebook import result_html
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["build", "release"]


@dataclass(frozen=True)
class Artifact:
    """A build or a release.

    Attributes
    ----------
    folder
        Its folder.
    document
        Its ``build.json``.
    """

    folder: Path
    document: DatasetDocument

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.document.dataset.name

    @property
    def version(self) -> str:
        """The dataset's version."""
        return self.document.dataset.version

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of their numbers."""
        return self.document.recipe.classes

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """A row for every upstream image, kept or excluded.

        A public release lists no excluded image of a source that is not public.
        """
        return read_records(self.folder / names.LEDGER)

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """A row for every image of the dataset."""
        return read_records(self.folder / names.MANIFEST)

    @cached_property
    def audit(self) -> AuditDocument | None:
        """The audit result, ``None`` where there is none."""
        path = self.folder / names.AUDIT
        return AuditDocument.read(path) if path.is_file() else None

    @property
    def manifest_sha256(self) -> str | None:
        """The hash of the build's manifest, to which results refer; ``None`` where there is no build."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the folder and the content of ``build.json``."""
        return {"folder": str(self.folder)} | self.document.to_dict()

    @property
    def withheld_images(self) -> int:
        """The number of its images whose pixels are withheld: 0 but for public releases."""
        return 0

    def count_pixels(self) -> list[PixelCount]:
        """Return by class and split how many images have pixels, are withheld or are missing."""
        if not self.withheld_images and not self.document.missing_images:
            # No table is read for it.
            return [
                PixelCount(label, split, n, n, 0)
                for split, classes in self.document.counts.items()
                for label, n in classes.items()
                if n
            ]
        # The ledger has more rows than the manifest; without missing images it is not needed.
        ledger = None
        if self.document.missing_images:
            ledger = read_records(self.folder / names.LEDGER, ["exclusion", "split", "label"])
        return count_pixels(self.manifest, ledger, self.classes)

    def __repr__(self) -> str:
        # A dataclass would print the whole of build.json, tens of thousands of characters.
        absent = {"withheld": self.withheld_images, "missing": self.document.missing_images}
        counts = "".join(f", {name}={n}" for name, n in absent.items() if n)
        return f"{type(self).__name__}({self.name} {self.version}, folder={str(self.folder)!r}{counts})"

    def _repr_html_(self) -> str:
        header, rows = tabulate(self.count_pixels(), self.classes)
        return result_html(
            f"{type(self).__name__} {self.name} {self.version}",
            [describe_absent(self.withheld_images, self.document.missing_images)],
            header,
            rows,
        )


@dataclass(frozen=True, repr=False)
class Build(Artifact):
    """A finished build, as ``cxrbuild curate`` leaves it."""

    document: BuildDocument

    @property
    def manifest_sha256(self) -> str:
        """The hash of its manifest."""
        return self.document.files[names.MANIFEST].sha256


@dataclass(frozen=True, repr=False)
class Release(Artifact):
    """A release, as ``cxrbuild release`` leaves it."""

    document: ReleaseDocument

    @property
    def manifest_sha256(self) -> str:
        """The hash of the manifest of the build that it was made from."""
        return self.document.packaging.manifest_sha256

    @property
    def withheld_images(self) -> int:
        """The number of its images whose pixels are withheld."""
        return sum(self.document.withheld.values())

    def count_withheld(self) -> dict[str, dict[str, int]]:
        """Return the number of images whose pixels are withheld, by reason and class."""
        rows = self.manifest
        sizes = rows.groupby(["withheld", "label"]).size()
        return {
            reason: {label: int(sizes.get((reason, label), 0)) for label in self.classes}
            for reason in self.document.withheld
        }


def kind_of(folder: Path) -> Kind | None:
    """Return whether a folder is a build or a release, even a damaged one; ``None`` where it is neither."""
    if (folder / names.SUMS).is_file():
        return "release"
    path = folder / names.BUILD
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except (CxrbuildError, OSError):
        return "build"
    return "release" if isinstance(content, dict) and "policy" in content else "build"


def is_plan(folder: Path) -> bool:
    """Return whether a folder holds a plan: a ledger without a build."""
    return kind_of(folder) is None and (folder / names.LEDGER).is_file()


def dataset_name(folder: Path) -> str | None:
    """Return the name of the dataset of a build, a release or a plan; ``None`` where a folder has none.

    Raises
    ------
    DocumentError
        Its ``build.json`` or ``plan.json`` cannot be read.
    """
    if kind_of(folder) is not None:
        return open_artifact(folder).name
    plan = folder / names.PLAN
    return PlanDocument.read(plan).recipe.name if plan.is_file() else None


def find_artifacts(folder: Path) -> list[Path]:
    """Return the builds and releases within a folder, at most two levels down."""
    return sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{names.BUILD}"))


@checked
def open_build(folder: Path | str) -> Build:
    """Open a finished build.

    Parameters
    ----------
    folder
        A folder that ``cxrbuild curate`` left.

    Returns
    -------
    Build
        ``manifest`` and ``ledger``: its tables; ``document``: its ``build.json``.

    Raises
    ------
    CxrbuildError
        The folder holds no finished build, or its ``build.json`` does not fit.
    """
    folder = Path(folder)
    kind = kind_of(folder)
    if kind == "release":
        raise CxrbuildError(
            "this folder holds a release", where=folder, expected="a build, as `cxrbuild curate` leaves it",
            todo="Name the build that the release was made from",
        )  # fmt: skip
    if kind is None:
        inside = find_artifacts(folder)
        raise CxrbuildError(
            "no finished build in this folder", where=folder, expected=f"a folder with {names.BUILD}",
            found=name_some(inside) if inside else None if folder.is_dir() else "no such folder",
            todo="Name one of these folders" if inside
            else "Run `cxrbuild curate`, or name the folder of a build",
        )  # fmt: skip
    return Build(folder, BuildDocument.read(folder / names.BUILD))


@checked
def open_release(folder: Path | str) -> Release:
    """Open a release.

    Parameters
    ----------
    folder
        A folder that ``cxrbuild release`` left.

    Returns
    -------
    Release
        ``manifest`` and ``ledger``: its tables; ``document``: its ``build.json``.

    Raises
    ------
    CxrbuildError
        The folder holds no release, or its ``build.json`` does not fit.
    """
    folder = Path(folder)
    for name in (names.SUMS, names.BUILD):
        if not (folder / name).is_file():
            raise CxrbuildError(
                "no release in this folder", where=folder, expected=f"a folder with {name}",
                found=None if folder.is_dir() else "no such folder",
                todo="Make one with `cxrbuild release VERSION`",
            )  # fmt: skip
    return Release(folder, ReleaseDocument.read(folder / names.BUILD))


@checked
def open_artifact(folder: Path | str) -> Build | Release:
    """Open a build or a release, whichever the folder holds.

    Parameters
    ----------
    folder
        The folder of a build or a release.

    Returns
    -------
    Build or Release
        Which of them the folder holds.

    Raises
    ------
    CxrbuildError
        The folder holds neither, or its ``build.json`` does not fit.
    """
    return open_release(folder) if kind_of(Path(folder)) == "release" else open_build(folder)
