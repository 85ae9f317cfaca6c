"""What changed between two versions of a dataset, and how large a step of its version that needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.build.plan import MEMBERSHIP
from cxrbuild.catalog.published import published_manifest
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json

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
}
_PIXELS = ("jpeg_sha256", "jpeg_bytes", "width", "height", "conversion")
# Told by other kinds: what decides the row, and where its JPEG is.
_TOLD = ("image_id", "label", "split", "jpeg_path", *_PIXELS)


@dataclass(frozen=True)
class Edition:
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
    """

    name: str
    manifest: pd.DataFrame
    classes: list[str] | None
    released: bool


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
        return "patch" if any(len(rows) for rows in self.rows.values()) else None

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


def read_edition(name: str) -> Edition:
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
        file = path / "manifest.parquet"
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
    build = file.with_name("build.json")
    document = read_json(build) if build.is_file() else {}
    classes = list(document["recipe"]["labels"]) if "recipe" in document else None
    return Edition(name, manifest, classes, released="policy" in document)


def compare(old: Edition, new: Edition) -> Diff:
    """Return what changed between two versions of a dataset.

    Pixels and metadata are compared where both sides have them.
    """
    a, b = old.manifest.set_index("image_id"), new.manifest.set_index("image_id")
    if not (old.released and new.released):
        a, b = (side.drop(columns="withheld", errors="ignore") for side in (a, b))
    both = a.index.intersection(b.index).sort_values()
    before, after = a.loc[both], b.loc[both]
    shared = [column for column in a.columns if column in b.columns]
    metadata = [column for column in shared if column not in _TOLD]
    pixels = [column for column in shared if column == "jpeg_sha256"]
    rows = {
        "removed": _told(a.loc[a.index.difference(b.index)]),
        "relabelled": _changes(before, after, ["label"]),
        "moved": _changes(before, after, ["split"]),
        "added": _told(b.loc[b.index.difference(a.index)]),
        "repixelled": _changes(before, after, pixels),
        "changed": _changes(before, after, metadata),
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

    Examples
    --------
    >>> needed_version("1.4.2", "minor")
    '1.5.0'
    """
    major, minor, patch = parse_version(old)
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
