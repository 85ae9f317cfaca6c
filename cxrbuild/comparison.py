"""Compare two versions of a dataset, and decide which part of its version must increase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.artifact import BuildDocument, DatasetDocument, ReleaseDocument, kind_of, names
from cxrbuild.catalog.published import published_manifest, published_names
from cxrbuild.curation.plan import MEMBERSHIP
from cxrbuild.errors import CxrbuildError, name_some, nearest
from cxrbuild.records import differs, read_records
from cxrbuild.version_numbers import Bump

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

Kind = Literal[
    "removed", "relabelled", "moved", "added", "pixels_changed", "metadata_changed", "missing", "unverified"
]
KINDS: dict[Kind, str] = {
    "removed": "removed rows",
    "relabelled": "rows with another class",
    "moved": "rows in another split",
    "added": "added rows",
    "pixels_changed": "rows with other pixels",
    "metadata_changed": "rows with other metadata",
    "missing": "rows that are missing on one side",
    "unverified": "rows whose file is not verified on one side",
}
# Kinds that describe the files that one side was built from, and no change of the dataset.
NOT_CHANGES: tuple[Kind, ...] = ("missing", "unverified")
_PIXELS = ("jpeg_sha256", "jpeg_bytes", "width", "height", "conversion")
# Columns that follow from the bytes of the upstream file.
_BYTES = ("source_blob", "source_sha256", "source_format", "jpeg_sha256")
# Columns that are compared as another kind, or follow from others.
_NOT_METADATA = ("image_id", "label", "split", "jpeg_path", *_PIXELS)


@dataclass(frozen=True)
class DatasetVersion:
    """A version of a dataset.

    Attributes
    ----------
    name
        The folder, file or published name.
    manifest
        Its rows, with the columns that its file has.
    classes
        Its classes in the order of their numbers, ``None`` where only the manifest is known.
    released
        Whether it is a release: only releases withhold pixels.
    missing
        The images that belong to it and are missing, with their exclusion.
    unpinned
        Its sources that are not verified to be the pinned version.
    exclusions
        For each excluded upstream image why it is excluded, by ``image_id``; ``None`` where the ledger is
        not known.
    """

    name: str
    manifest: pd.DataFrame
    classes: list[str] | None
    released: bool
    missing: Mapping[str, str] = field(default_factory=dict)
    unpinned: Sequence[str] = ()
    exclusions: pd.Series | None = None


@dataclass(frozen=True)
class ChangeCount:
    """The number of rows of a source and class with a kind of change."""

    kind: Kind
    source: str
    label: str
    rows: int


@dataclass(frozen=True)
class Diff:
    """The changes between two versions of a dataset.

    Attributes
    ----------
    old, new
        The versions.
    rows
        The rows of each of ``KINDS``: image_id, source, label, split, and the ``change`` as text.
    columns_added, columns_removed
        Columns of one version alone; none where one is a published manifest, which has membership alone.
    classes_changed
        Whether a class has another number in the new version.
    """

    old: str
    new: str
    rows: dict[Kind, pd.DataFrame]
    columns_added: list[str]
    columns_removed: list[str]
    classes_changed: bool

    @property
    def bump(self) -> Bump | None:
        """The part of the version that must increase, ``None`` where nothing changed.

        As TensorFlow Datasets defines versions: https://www.tensorflow.org/datasets/datasets_versioning
        """
        kinds: tuple[Kind, ...] = ("removed", "relabelled", "moved")
        if any(len(self.rows[kind]) for kind in kinds) or self.columns_removed or self.classes_changed:
            return "major"
        if len(self.rows["added"]) or self.columns_added:
            return "minor"
        changed = (len(rows) for kind, rows in self.rows.items() if kind not in NOT_CHANGES)
        return "patch" if any(changed) else None

    def counts(self) -> list[ChangeCount]:
        """Return the number of rows of each kind, by source and class, without zeros."""
        return [
            ChangeCount(kind, source=str(source), label=str(label), rows=len(rows))
            for kind in KINDS
            for (source, label), rows in self.rows[kind].groupby(["source", "label"])
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the changes as JSON has them."""
        return {
            "old": self.old,
            "new": self.new,
            "bump": self.bump,
            "counts": [asdict(count) for count in self.counts()],
            "columns_added": self.columns_added,
            "columns_removed": self.columns_removed,
            "classes_changed": self.classes_changed,
            **{kind: self.rows[kind].to_dict("records") for kind in KINDS},
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(title)}</td><td>{len(self.rows[kind]):,}</td></tr>"
            for kind, title in KINDS.items()
            if len(self.rows[kind])
        )
        bump = f"needs a {self.bump} version" if self.bump else "the same dataset"
        return f"<p><b>{escape(self.old)} &rarr; {escape(self.new)}</b>: {bump}</p><table>{rows}</table>"


def diff(old: str | Path, new: str | Path) -> Diff:
    """Return the changes between two versions of a dataset.

    Parameters
    ----------
    old, new
        The folder of a release or build, a ``manifest.parquet``, or a published name such as
        ``covid19-cxr/1.0.0``.

    Raises
    ------
    CxrbuildError
        There is no such version, or its files do not fit.
    """
    return compare(read_version(old), read_version(new))


def read_version(name: str | Path) -> DatasetVersion:
    """Read a version of a dataset.

    Parameters
    ----------
    name
        The folder of a release or build, a ``manifest.parquet``, or a published name such as
        ``covid19-cxr/1.0.0``.

    Raises
    ------
    CxrbuildError
        There is no such version, or its files do not fit.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(name)
    if path.is_dir():
        file = path / names.MANIFEST
    elif path.is_file():
        file = path
    else:
        file = published_manifest(str(name))
    if not file.is_file():
        raise CxrbuildError(
            "no such release, build or manifest", where=name,
            expected="the folder of a release or build, a manifest.parquet, or a published name",
            found=f"a folder without {file.name}" if path.is_dir() else None,
            todo=_advise(path),
        )  # fmt: skip
    try:
        manifest = pq.read_table(file).to_pandas()
    except pa.ArrowInvalid as error:
        raise CxrbuildError(
            "not a Parquet file", where=file, found=error,
            todo="Name the folder of a build or release, a manifest.parquet, or a published name",
        ) from None  # fmt: skip
    lacking = [column for column in ("image_id", "source", "label", "split") if column not in manifest]
    if lacking:
        raise CxrbuildError("not a manifest", where=file, expected="columns " + ", ".join(lacking))
    duplicated = manifest.loc[manifest["image_id"].duplicated(), "image_id"]
    if len(duplicated):
        raise CxrbuildError("an image_id occurs twice", where=file, found=duplicated.iloc[0])
    document = _document(file.parent)
    return DatasetVersion(
        str(name),
        manifest,
        None if document is None else document.recipe.classes,
        released=isinstance(document, ReleaseDocument),
        missing={} if document is None else document.missing,
        unpinned=() if document is None else document.unpinned,
        exclusions=None if document is None else _read_exclusions(file.with_name(names.LEDGER)),
    )


def _advise(path: Path) -> str:
    """Return advice for a path that holds no version: the nearest one there or among the published names."""
    beside = path.parent if path.parent.is_dir() else Path()
    there = [other for other in sorted(beside.iterdir()) if kind_of(other) or other.suffix == ".parquet"]
    near = nearest(str(path), [*published_names(), *map(str, there)])
    if near is not None:
        return f"Write {near}, the nearest name"
    published = name_some(published_names())
    return (
        f"Make one with `cxrbuild curate` or `cxrbuild release VERSION`, or name a published one: {published}"
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


def _read_exclusions(ledger: Path) -> pd.Series | None:
    columns = ["image_id", "exclusion", "exclusion_detail"]
    return exclusions_of(read_records(ledger, columns)) if ledger.is_file() else None


def exclusions_of(ledger: pd.DataFrame) -> pd.Series:
    """Return for each excluded image its exclusion, with the detail that the ledger has of it, by its id."""
    columns = ["image_id", "exclusion", "exclusion_detail"]
    excluded = ledger.loc[ledger["exclusion"].notna(), columns].drop_duplicates("image_id", keep="last")
    detail = " (" + excluded["exclusion_detail"] + ")"
    return (excluded["exclusion"] + detail.fillna("")).set_axis(excluded["image_id"])


def compare(old: DatasetVersion, new: DatasetVersion) -> Diff:
    """Return the changes between two versions of a dataset.

    Pixels and metadata are compared where both versions have them. Two kinds are no changes of the dataset:
    rows whose image is missing on one side by its ``build.json``, and other files of a source that is pinned
    on the other side alone.
    """
    import pandas as pd

    a, b = old.manifest.set_index("image_id"), new.manifest.set_index("image_id")
    if not (old.released and new.released):
        a, b = (side.drop(columns="withheld", errors="ignore") for side in (a, b))
    common = _CommonRows.of(a, b)
    shared = [column for column in a.columns if column in b.columns]
    metadata = [column for column in shared if column not in _NOT_METADATA]
    pixels = [column for column in shared if column == "jpeg_sha256"]
    removed, missing = _separate_missing(a.loc[a.index.difference(b.index)], new, "new")
    added, restored = _separate_missing(b.loc[b.index.difference(a.index)], old, "old")
    of_bytes = [column for column in shared if column in _BYTES]
    of_file = [column for column in of_bytes if column.startswith("source_")]
    source, _ = common.pair("source")
    unpinned_once = source.isin(set(old.unpinned) ^ set(new.unpinned))
    unverified = unpinned_once & common.ids.isin(common.changes(of_file, unpinned_once)["image_id"])
    # What follows from another file of an unverified source is no change of the dataset.
    masks = dict.fromkeys(of_bytes, ~unverified)
    rows: dict[Kind, pd.DataFrame] = {
        "removed": removed,
        "relabelled": common.changes(["label"]),
        "moved": common.changes(["split"]),
        "added": added,
        "pixels_changed": common.changes(pixels, masks),
        "metadata_changed": common.changes(metadata, masks),
        "missing": pd.concat([missing, restored], ignore_index=True),
        "unverified": common.changes(of_bytes, unverified),
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


@dataclass(frozen=True)
class _CommonRows:
    """The rows that two versions have in common, one column at a time: copies of large tables take memory.

    Attributes
    ----------
    old, new
        The tables of the versions, indexed by ``image_id``.
    ids
        The ids that both have, sorted.
    places
        The places of these rows in each table.
    """

    old: pd.DataFrame
    new: pd.DataFrame
    ids: pd.Index
    places: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

    @classmethod
    def of(cls, old: pd.DataFrame, new: pd.DataFrame) -> _CommonRows:
        """Find the rows that two tables have in common."""
        ids = old.index.intersection(new.index).sort_values()
        return cls(old, new, ids, (old.index.get_indexer(ids), new.index.get_indexer(ids)))

    def pair(self, column: str) -> tuple[pd.Series, pd.Series]:
        """Return the old and the new values of a column, by id."""
        old, new = self.places
        return self.old[column].iloc[old], self.new[column].iloc[new]

    def changes(
        self, columns: Sequence[str], masks: pd.Series | Mapping[str, pd.Series] | None = None
    ) -> pd.DataFrame:
        """Return the rows where one of some columns differs, with old and new value; two nulls are equal.

        Parameters
        ----------
        columns
            The columns.
        masks
            The rows to look at: for all columns, or by column where not all rows.
        """
        import pandas as pd

        texts = []
        for column in columns:
            before, after = self.pair(column)
            different = differs(before, after)
            mask = masks.get(column) if isinstance(masks, Mapping) else masks
            if mask is not None:
                different &= mask
            was, now = (side[different].astype("str").fillna("null") for side in (before, after))
            texts.append(f"{column} " + was + " -> " + now)
        found = pd.concat([pd.Series(dtype="str"), *texts])
        text = found.groupby(found.index, sort=False).agg("; ".join)
        return _described(self.new.loc[text.index, ["source", "label", "split"]], text.tolist())


def _described(rows: pd.DataFrame, change: Sequence[str] | pd.Series | str = "") -> pd.DataFrame:
    described = rows.reset_index()[["image_id", "source", "label", "split"]]
    return described.assign(change=change).sort_values("image_id", ignore_index=True)


def _separate_missing(
    rows: pd.DataFrame, other: DatasetVersion, side: Literal["old", "new"]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate rows that the other version lacks: those that it does not hold, and those missing there."""
    is_missing = rows.index.isin(list(other.missing))
    absent, missing = _described(rows[~is_missing]), _described(rows[is_missing])
    if other.exclusions is not None:
        reasons = absent["image_id"].map(other.exclusions).astype("str")
        absent["change"] = _with_reason(absent, side, reasons.fillna("no such image upstream"))
    reasons = missing["image_id"].map(dict(other.missing)).astype("str")
    return absent, missing.assign(change=_with_reason(missing, side, reasons))


def _with_reason(rows: pd.DataFrame, side: str, reasons: pd.Series) -> pd.Series:
    return rows["split"] + " " + rows["label"] + f"; {side}: " + reasons
