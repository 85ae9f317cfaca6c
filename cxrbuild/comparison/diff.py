"""The changes between two versions of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.notebook import result_html
from cxrbuild.version_numbers import Bump, needed_version, parse_version

if TYPE_CHECKING:
    import pandas as pd

# The causes of another class that is the finding's: the metadata has another one, at another pin or not.
BY_FINDING = ("another finding", "relabelled upstream")
# The cause of rows that one version lacks with their whole source.
OTHER_SOURCE = "source not in both"
# The cause of another split of an image whose group changed.
ANOTHER_GROUP = "another group"
Kind = Literal[
    "removed", "relabelled", "moved", "added", "pixels_changed", "metadata_changed", "exclusion_changed",
    "missing", "other_bytes",
]  # fmt: skip
# Rows of both versions first: they would be lost below the many rows of a source that one of them lacks.
KINDS: dict[Kind, str] = {
    "relabelled": "rows with another class",
    "moved": "rows in another split",
    "removed": "removed rows",
    "added": "added rows",
    "pixels_changed": "rows with other pixels",
    "metadata_changed": "rows with other metadata",
    "exclusion_changed": "excluded rows with another reason",
    "missing": "rows missing on one side",
    "other_bytes": "rows with other bytes on the unpinned side",
}
# Kinds that describe the files that one side was built from.
OF_FILES: tuple[Kind, ...] = ("missing", "other_bytes")
# Kinds that each part of a version must increase for.
BUMPS: dict[Bump, tuple[Kind, ...]] = {
    "major": ("removed", "relabelled", "moved"),
    "minor": ("added",),
    "patch": ("pixels_changed", "metadata_changed"),
}
# Kinds that are no change of the dataset.
NOT_CHANGES: tuple[Kind, ...] = ("exclusion_changed", *OF_FILES)
# Changes of a source that count images: ``new`` is the number, ``old`` is ``None``.
IMAGE_COUNTS = ("images removed upstream", "images added upstream", "images with other bytes")
# The causes that name the change of a column: the kind of their rows, the cause, and the column.
CAUSES_BY_COLUMN: tuple[tuple[Kind, str, str], ...] = (
    *(("relabelled", cause, "finding") for cause in BY_FINDING),
    ("moved", ANOTHER_GROUP, "group"),
)
# Whether the version made the step that the changes need; ``backwards``: the new one is lower.
Step = Literal["needed", "made", "too_small", "backwards"]
TotalOf = Literal["upstream", "dataset", "class", "source", "exclusion", "finding", "exactness"]


@dataclass(frozen=True)
class Total:
    """The number of images in both versions.

    Attributes
    ----------
    of
        What is counted: all ``upstream`` images, the images of the ``dataset``, those of a ``class`` and
        split, those of a ``source``, those with an ``exclusion``, those with a ``finding`` without a class
        that one version alone has, or those with a state of ``exactness``, unless all are verified.
    name
        The class, source, exclusion, finding or state (``verified``, ``other_bytes``, ``name_only``,
        ``missing``, ``not_pinned``); empty where all are counted.
    split
        The split, of a class alone.
    old, new
        The numbers; ``None`` where the version has none.
    """

    of: TotalOf
    name: str
    split: str | None
    old: int | None
    new: int | None


@dataclass(frozen=True)
class ChangeCount:
    """The number of rows of a source and class with a kind of change."""

    kind: Kind
    source: str
    label: str
    rows: int


@dataclass(frozen=True)
class CauseCount:
    """The number of rows with a kind of change and a cause of it."""

    kind: Kind
    cause: str
    rows: int


@dataclass(frozen=True)
class DeclaredChange:
    """A change of what the versions were built from.

    Attributes
    ----------
    of
        ``recipe``, ``overrides``, or the name of a source.
    key
        What changed: ``rules.lateral``, ``split.test.count.Normal``, ``commit``.
    old, new
        What one version has and the other does not; ``None`` where that is nothing.
    """

    of: str
    key: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Diff:
    """The changes between two versions of a dataset.

    Attributes
    ----------
    old, new
        The versions.
    totals
        The number of images in both.
    rows
        The rows of each of ``KINDS``: image_id, source, label, split; the ``change`` of values as text; the
        ``reason`` as text, and its ``cause``, which several rows share. They are empty where the versions do
        not record why.
    columns_added, columns_removed
        Columns of one version alone; none where one is a published manifest, which has membership alone.
    classes_changed
        Whether a class has another number in the new version.
    declared
        Changes of the recipe, its overrides and the sources, where both versions record them.
    silent
        Which versions do not record why an image is not in them: they have no ledger.
    datasets
        Name and version of the dataset of both, where both are known: ``demo-cxr 1.0.0``.
    shared
        The number of images that are in both datasets, kept there and here.
    held_otherwise
        The number of them with another ``previous_split``, which is no change of the dataset.
    """

    old: str
    new: str
    rows: dict[Kind, pd.DataFrame]
    columns_added: list[str]
    columns_removed: list[str]
    classes_changed: bool
    declared: Sequence[DeclaredChange] = ()
    silent: Sequence[str] = ()
    datasets: tuple[str, str] | None = None
    totals: Sequence[Total] = ()
    shared: int = 0
    held_otherwise: int = 0

    @property
    def titles(self) -> tuple[str, str]:
        """What a page calls the versions: the datasets; ``old`` and ``new`` where these are equal."""
        if self.datasets is None or self.datasets[0] == self.datasets[1]:
            return self.old, self.new
        return self.datasets

    @property
    def of_two_datasets(self) -> bool:
        """Whether the versions are of datasets with different names, so that neither follows the other."""
        names = {title.rpartition(" ")[0] for title in self.datasets or ()}
        return len(names) > 1

    @property
    def other_totals(self) -> bool:
        """Whether a number of images differs, where both versions have it."""
        known = (one for one in self.totals if one.old is not None and one.new is not None)
        return any(one.old != one.new for one in known)

    @property
    def versions(self) -> tuple[str, str] | None:
        """The versions of both, such as ``1.0.0``; ``None`` where the dataset of one is not known."""
        if self.datasets is None:
            return None
        old, new = (title.rpartition(" ")[2] for title in self.datasets)
        return old, new

    @property
    def before_first(self) -> bool:
        """Whether the old version is below 1.0.0, after which every version may have any change."""
        return self.versions is not None and self.versions[0].startswith("0.")

    @property
    def bump(self) -> Bump | None:
        """The part of the version that must increase, ``None`` where nothing changed.

        As TensorFlow Datasets defines versions: https://www.tensorflow.org/datasets/datasets_versioning
        """
        other = {"major": self.columns_removed or self.classes_changed, "minor": self.columns_added}
        for bump, kinds in BUMPS.items():
            if other.get(bump) or any(len(self.rows[kind]) for kind in kinds):
                return bump
        return None

    @property
    def step(self) -> Step | None:
        """Whether the version made the step that the changes need.

        ``needed``: both have the same version, as two builds before the release. ``None`` where nothing
        changed, a version is not known, or the two are of different datasets.
        """
        if self.bump is None or self.versions is None or self.of_two_datasets:
            return None
        old, new = map(parse_version, self.versions)
        if new == old:
            return "needed"
        if new < old:
            return "backwards"
        return "too_small" if new < parse_version(needed_version(self.versions[0], self.bump)) else "made"

    def counts(self) -> list[ChangeCount]:
        """Return the number of rows of each kind, by source and class, without zeros."""
        return [
            ChangeCount(kind, source=str(source), label=str(label), rows=len(rows))
            for kind in KINDS
            for (source, label), rows in self.rows[kind].groupby(["source", "label"])
        ]

    def causes(self) -> list[CauseCount]:
        """Return the number of rows of each kind by cause, most first; rows without a cause are omitted."""
        return [
            CauseCount(kind, str(cause), int(rows))
            for kind in KINDS
            for cause, rows in sorted(
                self.rows[kind].loc[self.rows[kind]["cause"] != "", "cause"].value_counts().items(),
                key=lambda counted: (-counted[1], str(counted[0])),
            )
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the changes as JSON has them."""
        return {
            "old": self.old,
            "new": self.new,
            "bump": self.bump,
            "step": self.step,
            "shared": self.shared,
            "totals": [asdict(total) for total in self.totals],
            "counts": [asdict(count) for count in self.counts()],
            "causes": [asdict(count) for count in self.causes()],
            "declared": [asdict(change) for change in self.declared],
            "silent": list(self.silent),
            "columns_added": self.columns_added,
            "columns_removed": self.columns_removed,
            "classes_changed": self.classes_changed,
            "held_otherwise": self.held_otherwise,
            **{kind: self.rows[kind].to_dict("records") for kind in KINDS},
        }

    def to_markdown(self) -> str:
        """Return the changes as a Markdown document, with every row and its reason."""
        from cxrbuild.comparison.text import markdown_page

        return markdown_page(self)

    def to_html(self) -> str:
        """Return the changes as an HTML page that loads nothing from elsewhere."""
        from cxrbuild.comparison.page import html_page

        return html_page(self)

    def _repr_html_(self) -> str:
        from cxrbuild.comparison.text import conclusion

        return result_html(
            f"{self.old} \u2192 {self.new}",
            [conclusion(self)],
            rows=[[title, len(self.rows[kind])] for kind, title in KINDS.items() if len(self.rows[kind])],
        )
