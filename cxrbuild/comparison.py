"""What changed between two versions of a dataset, and how large a step of its version that needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.artifact import BuildDocument, DatasetDocument, ReleaseDocument, kind_of, names
from cxrbuild.catalog.published import published_manifest
from cxrbuild.curation.plan import MEMBERSHIP
from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    import pandas as pd

Bump = Literal["major", "minor", "patch"]
KINDS = {
    "removed": "rows that left",
    "relabelled": "rows with another class",
    "moved": "rows in another part",
    "added": "rows that came",
    "repixelled": "rows with other pixels",
    "changed": "rows with other metadata",
    "missing": "rows that one side could not have",
    "unverified": "rows whose file is not the pinned one on one side",
}
# Kinds that tell what one side could be built from, and no change of the dataset.
CIRCUMSTANCES = ("missing", "unverified")
_PIXELS = ("jpeg_sha256", "jpeg_bytes", "width", "height", "conversion")
# What of a row follows from the bytes of its file upstream.
_BYTES = ("source_blob", "source_sha256", "source_format", "jpeg_sha256")
# Told by other kinds: what decides the row, and where its JPEG is.
_TOLD = ("image_id", "label", "split", "jpeg_path", *_PIXELS)


@dataclass(frozen=True)
class DatasetVersion:
    """A dataset as one of its versions has it.

    Attributes
    ----------
    name
        What it was asked for by.
    manifest
        Its rows, with the columns that its file has.
    classes
        Its classes in the order of their numbers, ``None`` where only the manifest is known.
    released
        Whether it is a release's: only these withhold pixels.
    missing
        The rows that belong to it and could not be had, each with the step that says so.
    unpinned
        Its sources that are not proven to be the pinned version.
    """

    name: str
    manifest: pd.DataFrame
    classes: list[str] | None
    released: bool
    missing: Mapping[str, str] = field(default_factory=dict)
    unpinned: Sequence[str] = ()


@dataclass(frozen=True)
class Diff:
    """What changed.

    Attributes
    ----------
    old, new
        What was compared.
    rows
        For each of ``KINDS`` its rows: image_id, source, label, split and ``change`` in words.
    columns_added, columns_removed
        Columns that came and left; none where one side is a published manifest, which has membership alone.
    classes_changed
        Whether a class has another number now.
    """

    old: str
    new: str
    rows: dict[str, pd.DataFrame]
    columns_added: list[str]
    columns_removed: list[str]
    classes_changed: bool

    @property
    def bump(self) -> Bump | None:
        """The least step of the version that this needs, ``None`` where nothing changed.

        As TensorFlow Datasets means versions: https://www.tensorflow.org/datasets/datasets_versioning
        """
        left = any(len(self.rows[kind]) for kind in ("removed", "relabelled", "moved"))
        if left or self.columns_removed or self.classes_changed:
            return "major"
        if len(self.rows["added"]) or self.columns_added:
            return "minor"
        changed = (len(rows) for kind, rows in self.rows.items() if kind not in CIRCUMSTANCES)
        return "patch" if any(changed) else None

    def counts(self) -> list[dict[str, Any]]:
        """Return how many rows each kind has, by source and class, those with none left out."""
        return [
            {"kind": kind, "source": source, "label": label, "rows": len(rows)}
            for kind in KINDS
            for (source, label), rows in self.rows[kind].groupby(["source", "label"])
        ]

    def document(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "old": self.old,
            "new": self.new,
            "bump": self.bump,
            "counts": self.counts(),
            "columns_added": self.columns_added,
            "columns_removed": self.columns_removed,
            "classes_changed": self.classes_changed,
            **{kind: self.rows[kind].to_dict("records") for kind in KINDS},
        }


def read_version(name: str) -> DatasetVersion:
    """Read what is to be compared.

    Parameters
    ----------
    name
        The folder of a release or build, a ``manifest.parquet``, or a published name such as
        ``covid19-cxr/1.0.0``.

    Raises
    ------
    CxrbuildError
        There is no such thing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(name)
    if path.is_dir():
        file = path / names.MANIFEST
    elif path.is_file():
        file = path
    else:
        file = published_manifest(name)
    if not file.is_file():
        raise CxrbuildError(
            "nothing to compare is called so", where=name,
            expected="the folder of a release or build, a manifest.parquet, or a published name",
            found=f"no {file.name} in it" if path.is_dir() else None,
        )  # fmt: skip
    try:
        manifest = pq.read_table(file).to_pandas()
    except pa.ArrowInvalid as error:
        raise CxrbuildError("not a Parquet file", where=file, found=error) from None
    lacking = [column for column in ("image_id", "source", "label", "split") if column not in manifest]
    if lacking:
        raise CxrbuildError("not a manifest", where=file, expected="columns " + ", ".join(lacking))
    twice = manifest.loc[manifest["image_id"].duplicated(), "image_id"]
    if len(twice):
        raise CxrbuildError("an image stands here twice", where=file, found=twice.iloc[0])
    document = _document(file.parent)
    return DatasetVersion(
        name,
        manifest,
        None if document is None else document.recipe.classes,
        released=isinstance(document, ReleaseDocument),
        missing={} if document is None else document.missing,
        unpinned=() if document is None else document.unpinned,
    )


def _document(folder: Path) -> DatasetDocument | None:
    path = folder / names.BUILD
    match kind_of(folder):
        case "release" if path.is_file():
            return ReleaseDocument.read(path)
        case "build":
            return BuildDocument.read(path)
        case _:
            return None


def compare(old: DatasetVersion, new: DatasetVersion) -> Diff:
    """Return what changed between two versions of a dataset.

    Pixels and metadata are compared where both sides have them. What one side could not be built from is told
    apart from what changed: rows that its ``build.json`` calls missing, and files of a source that is pinned
    on the other side alone.
    """
    import pandas as pd

    a, b = old.manifest.set_index("image_id"), new.manifest.set_index("image_id")
    if not (old.released and new.released):
        a, b = (side.drop(columns="withheld", errors="ignore") for side in (a, b))
    both = a.index.intersection(b.index).sort_values()
    before, after = a.loc[both], b.loc[both]
    shared = [column for column in a.columns if column in b.columns]
    metadata = [column for column in shared if column not in _TOLD]
    pixels = [column for column in shared if column == "jpeg_sha256"]
    removed, lacking = _parted(a.loc[a.index.difference(b.index)], new, "new")
    added, restored = _parted(b.loc[b.index.difference(a.index)], old, "old")
    of_bytes = [column for column in shared if column in _BYTES]
    apart = before["source"].isin(set(old.unpinned) ^ set(new.unpinned))
    files = [column for column in of_bytes if column.startswith("source_")]
    unverified = _changes(before[apart], after[apart], files)["image_id"]
    settled = before.copy()
    settled.loc[unverified, of_bytes] = after.loc[unverified, of_bytes]
    rows = {
        "removed": removed,
        "relabelled": _changes(before, after, ["label"]),
        "moved": _changes(before, after, ["split"]),
        "added": added,
        "repixelled": _changes(settled, after, pixels),
        "changed": _changes(settled, after, metadata),
        "missing": pd.concat([lacking, restored], ignore_index=True),
        "unverified": _changes(before.loc[unverified], after.loc[unverified], of_bytes),
    }
    membership = any(set(side.columns) < set(MEMBERSHIP) for side in (a, b))
    return Diff(
        old=old.name,
        new=new.name,
        rows=rows,
        columns_added=[] if membership else [c for c in b.columns if c not in a.columns],
        columns_removed=[] if membership else [c for c in a.columns if c not in b.columns],
        classes_changed=bool(old.classes and new.classes and old.classes != new.classes[: len(old.classes)]),
    )


def needed_version(old: str, bump: Bump | None) -> str:
    """Return the least version that may follow.

    Before 1.0.0 anything may change at any step: https://semver.org/#spec-item-4

    Examples
    --------
    >>> needed_version("1.4.2", "minor")
    '1.5.0'
    >>> needed_version("0.1.0", "major")
    '0.1.1'
    """
    major, minor, patch = parse_version(old)
    if major == 0 and bump:
        return f"0.{minor}.{patch + 1}"
    following = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }
    return ".".join(str(n) for n in (following[bump] if bump else (major, minor, patch)))


def parse_version(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version.

    Raises
    ------
    CxrbuildError
        It is not MAJOR.MINOR.PATCH.
    """
    match = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", version)
    if match is None:
        raise CxrbuildError("not a version", expected="MAJOR.MINOR.PATCH, such as 1.0.0", found=version)
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def _told(rows: pd.DataFrame, change: Sequence[str] | str = "") -> pd.DataFrame:
    told = rows.reset_index()[["image_id", "source", "label", "split"]]
    return told.assign(change=change).sort_values("image_id", ignore_index=True)


def _parted(rows: pd.DataFrame, without: DatasetVersion, side: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part rows that an edition does not have into those it decided against and those it could not have."""
    missing = rows.index.isin(list(without.missing))
    lacking = _told(rows[missing])
    reasons = lacking["image_id"].map(dict(without.missing)).astype("str")
    words = lacking["split"] + " " + lacking["label"] + ", " + reasons + f" in the {side}"
    return _told(rows[~missing]), lacking.assign(change=words)


def _changes(before: pd.DataFrame, after: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows where one of some columns differs, and how; two nulls are the same."""
    import pandas as pd

    words = pd.Series("", index=after.index)
    for column in columns:
        was, now = before[column], after[column]
        differs = ~((was == now).fillna(value=False).astype(bool) | (was.isna() & now.isna()))
        change = f"{column} " + was.astype("str").fillna("null") + " -> " + now.astype("str").fillna("null")
        words = words.mask(differs, words + "; " + change)
    words = words[words != ""].str.removeprefix("; ")
    return _told(after.loc[words.index], words.tolist())
