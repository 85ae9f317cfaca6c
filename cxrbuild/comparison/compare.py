"""Compare two versions of a dataset, row by row."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.comparison.causes import Causes, with_causes
from cxrbuild.comparison.corrections import CorrectionChanges
from cxrbuild.comparison.declared import declared_changes
from cxrbuild.comparison.diff import Diff, Kind
from cxrbuild.comparison.excluded import changed_exclusions
from cxrbuild.comparison.totals import count_totals
from cxrbuild.comparison.version import DatasetVersion, read_version
from cxrbuild.policy import MOST_AGE
from cxrbuild.progress import Progress, silent
from cxrbuild.records import COLUMNS, differs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_logger = logging.getLogger(__name__)
_PIXELS = ("jpeg_sha256", "jpeg_bytes", "width", "height", "conversion")
# Columns that follow from the bytes of the upstream file.
_BYTES = ("source_blob", "source_sha256", "source_format", "jpeg_sha256")
# Columns that are compared as another kind, or follow from others.
_NOT_METADATA = ("image_id", "label", "split", "jpeg_path", "previous_split", *_PIXELS)


def diff(old: str | Path, new: str | Path, *, progress: Progress = silent) -> Diff:
    """Return the changes between two versions of a dataset.

    Parameters
    ----------
    old, new
        The folder of a release or build, a ``manifest.parquet``, or a published name such as
        ``covid19-cxr/1.0.0``.
    progress
        Opens a progress bar for each step.

    Raises
    ------
    CxrbuildError
        There is no such version, or its files do not fit.
    """
    with progress(f"reading {old}", None, ""):
        before = read_version(old)
    with progress(f"reading {new}", None, ""):
        after = read_version(new)
    with progress("comparing", None, ""):
        found = compare(before, after)
    _logger.info("compared %s (%d images) with %s (%d images): %d of both", before.name,
                 len(before.manifest), after.name, len(after.manifest), found.shared)  # fmt: skip
    for kind, rows in found.rows.items():
        if len(rows):
            _logger.info("%s: %d images", kind, len(rows))
    _logger.info("the version must increase: %s", found.bump or "not at all")
    return found


def compare(old: DatasetVersion, new: DatasetVersion) -> Diff:
    """Return the changes between two versions of a dataset.

    Pixels and metadata are compared where both versions have them. Two kinds are no changes of the dataset:
    rows whose image is missing on one side by its ``build.json``, and other files of a source that is pinned
    on the other side alone. A third one is images that both exclude, for another reason.
    """
    import pandas as pd

    a, b = old.manifest.set_index("image_id"), new.manifest.set_index("image_id")
    if not (old.released and new.released):
        a, b = (side.drop(columns="withheld", errors="ignore") for side in (a, b))
    common = _CommonRows.of(a, b)
    shared = [column for column in a.columns if column in b.columns]
    metadata = [column for column in shared if column not in _NOT_METADATA]
    pixels = [column for column in shared if column == "jpeg_sha256"]
    removed, missing = _separate_missing(a.loc[a.index.difference(b.index)], new)
    added, restored = _separate_missing(b.loc[b.index.difference(a.index)], old)
    causes = Causes(old, new, a, b)
    of_bytes = [column for column in shared if column in _BYTES]
    of_file = [column for column in of_bytes if column.startswith("source_")]
    source, _ = common.pair("source")
    unpinned_once = source.isin(set(old.unpinned) ^ set(new.unpinned))
    other_bytes = unpinned_once & common.ids.isin(common.changes(of_file, unpinned_once)["image_id"])
    # What follows from another file of an unpinned source is no change of the dataset.
    masks = dict.fromkeys(of_bytes, ~other_bytes)
    # A public release has ids for the paths of a source that is not public, and groups are named after them.
    masks |= dict.fromkeys(("source_path", "group"), ~source.isin(set(old.unlisted) ^ set(new.unlisted)))
    if "patient_age" in shared:
        # A public release has no text of ages over 89; one of an earlier version had that of exactly 90.
        was, now = common.pair("patient_age")
        old_age = (was.ge(MOST_AGE) | now.ge(MOST_AGE)).fillna(value=False).astype("bool")
        masks["patient_age_text"] = ~(old_age & source.isin({*old.unlisted, *new.unlisted}))
    rows: dict[Kind, pd.DataFrame] = {
        "removed": causes.of_removed(removed),
        "relabelled": causes.of_relabelled(common.changes(["label"])),
        "moved": causes.of_moved(common.changes(["split"])),
        "added": causes.of_added(added),
        "pixels_changed": common.changes(pixels, masks),
        "metadata_changed": causes.of_metadata(common.changes(metadata, masks)),
        "exclusion_changed": changed_exclusions(old, new),
        "missing": pd.concat(
            [causes.of_missing(missing, new, "new"), causes.of_missing(restored, old, "old")],
            ignore_index=True,
        ),
        "other_bytes": common.changes(of_bytes, other_bytes),
    }
    corrections = CorrectionChanges(old, new)
    explained = {kind: corrections.explain(with_causes(of_kind), kind) for kind, of_kind in rows.items()}
    # A plan and a published manifest have no columns of the conversion.
    membership = any("jpeg_sha256" not in side for side in (a, b))
    return Diff(
        old=old.name,
        new=new.name,
        rows=explained,
        columns_added=[] if membership else _only_in(b, a),
        columns_removed=[] if membership else _only_in(a, b),
        classes_changed=bool(old.classes and new.classes and old.classes != new.classes[: len(old.classes)]),
        declared=declared_changes(old, new, list(rows.values())),
        datasets=_datasets(old, new),
        totals=count_totals(old, new),
        shared=len(common.ids),
        held_otherwise=0 if membership else common.count_held_otherwise(),
        silent=[
            side.name
            for side, lacking in ((old, rows["added"]), (new, rows["removed"]))
            if side.ledger is None and len(lacking)
        ],
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

    def count_held_otherwise(self) -> int:
        """Return the number of rows with another ``previous_split``; null where there is no such column."""
        columns = (
            side.reindex(columns=["previous_split"])["previous_split"] for side in (self.old, self.new)
        )
        old, new = (column.iloc[at] for column, at in zip(columns, self.places, strict=True))
        return int(differs(old, new).sum())

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
            if column == "source_blob":
                # The hashes of a listing: another kind of pin has none, and the image is the same.
                different &= before.notna() & after.notna()
            mask = masks.get(column) if isinstance(masks, Mapping) else masks
            if mask is not None:
                different &= mask
            if not different.any():
                continue
            was, now = (side[different].astype("str").fillna("null") for side in (before, after))
            texts.append(f"{column} " + was + " -> " + now)
        found = pd.concat([pd.Series(dtype="str"), *texts])
        text = found.groupby(found.index, sort=False).agg("; ".join)
        return _described(self.new.loc[text.index, ["source", "label", "split"]], text.tolist())


def _only_in(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Return the columns of one table alone, but for optional ones."""
    optional = {column.name for column in COLUMNS if column.optional}
    return [name for name in a.columns if name not in b.columns and name not in optional]


def _datasets(old: DatasetVersion, new: DatasetVersion) -> tuple[str, str] | None:
    """Return name and version of both datasets, ``None`` where one has no recipe."""
    if old.recipe is None or new.recipe is None:
        return None
    return f"{old.recipe.name} {old.recipe.version}", f"{new.recipe.name} {new.recipe.version}"


def _described(rows: pd.DataFrame, change: Sequence[str] | pd.Series | str = "") -> pd.DataFrame:
    described = rows.reset_index()[["image_id", "source", "label", "split"]]
    return described.assign(change=change).sort_values("image_id", ignore_index=True)


def _separate_missing(rows: pd.DataFrame, other: DatasetVersion) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate rows that the other version lacks: those that it does not hold, and those missing there."""
    is_missing = rows.index.isin(list(other.missing))
    return _described(rows[~is_missing]), _described(rows[is_missing])
