"""Decide which images a build keeps, and why, from metadata and declared lists, without reading pixels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import FunnelStep, names
from cxrbuild.catalog import (
    Link,
    Recipe,
    Review,
    Source,
    find_contradictions,
    read_links,
    read_recipe,
    read_reviews,
    read_source,
    source_names,
)
from cxrbuild.catalog.override import Overrides, ReviewOverride
from cxrbuild.errors import CxrbuildError, DeclarationError, name_some, suggest
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.fetching.record import fetched_blobs, require_fetched
from cxrbuild.files import write_bytes
from cxrbuild.folds import add_folds
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.lockfile import LockedSource, lock_path, read_lock, source_folder
from cxrbuild.patient_key import key_fingerprint, require_same_key
from cxrbuild.progress import Progress, silent
from cxrbuild.records import SPLITS, write_records
from cxrbuild.rules import add_labels, add_reviews, apply_rules, require_values, switch_rules
from cxrbuild.split import split_records

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)
# The columns of a published manifest: membership alone, which does not depend on the program's version.
MEMBERSHIP = ("image_id", "source", "source_path", "source_blob", "label", "split")


@dataclass(frozen=True)
class Declared:
    """A recipe with everything that it names, read from its files.

    Attributes
    ----------
    recipe
        The recipe, its rules switched.
    overrides
        How the switches and added reviews differ from what the recipe declares.
    sources, reviews, links
        What the recipe names.
    """

    recipe: Recipe
    overrides: Overrides
    sources: list[Source]
    reviews: list[Review]
    links: list[Link]


@dataclass(frozen=True)
class Plan:
    """What a build keeps, and why.

    Attributes
    ----------
    declared
        What was declared.
    locked
        What the lock says about each source's files, by name.
    as_pinned
        Whether every pinned file is assumed to be present.
    fetched
        The git blob hash of every fetched file, by source and path; empty with ``as_pinned``.
    records
        A row for every upstream image, with its label, exclusion and split. A missing image has its split
        too, so that the splits of other images do not depend on it.
    """

    declared: Declared
    locked: dict[str, LockedSource]
    as_pinned: bool
    fetched: dict[str, dict[str, str]]
    records: pd.DataFrame

    @property
    def unpinned(self) -> list[str]:
        """The sources that are not verified to be the pinned version."""
        if self.as_pinned:
            return []
        return unpinned_sources(self.declared, self.locked)

    @property
    def patient_key(self) -> str | None:
        """Fingerprint of the key that patient numbers are hashed with; ``None`` where none is hashed."""
        by_source = dict(iter(self.records.groupby("source")))
        hashed = [s for s in self.declared.sources if s.name in by_source and _hashes(s, by_source[s.name])]
        return key_fingerprint() if hashed else None

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The rows that are kept."""
        return self.records[self.records["exclusion"].isna()]

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe, the overrides, the flow chart and the counts as JSON has them."""
        return {
            "recipe": self.declared.recipe.name,
            "version": self.declared.recipe.version,
            "overrides": self.declared.overrides.model_dump(mode="json"),
            "unpinned": self.unpinned,
            "funnel": [step.model_dump() for step in funnel_steps(self)],
            "counts": counts(self),
        }

    def _repr_html_(self) -> str:
        recipe = self.declared.recipe
        return f"<p><b>Plan of {recipe.name} {recipe.version}</b></p>{funnel(self).to_html()}"

    def with_records(self, records: pd.DataFrame) -> Plan:
        """Return the plan with other records."""
        return replace(self, records=records)


def read_declared(
    recipe: str | Path | Recipe, switches: Mapping[str, bool], reviews: Sequence[str] = ()
) -> Declared:
    """Read a recipe with everything that it names.

    Parameters
    ----------
    recipe
        A recipe, the name of a shipped one, or the path of a TOML file.
    switches
        For each switch whether such images are dropped.
    reviews
        Additional review files, by name or path; they override the recipe's reviews of the same images.

    Raises
    ------
    DeclarationError
        A file has problems, or two of ``reviews`` contradict each other.
    """
    read = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    recipe, overrides = switch_rules(read, switches)
    sources = [read_source(name, recipe.folder) for name in recipe.sources]
    recipe.check_sources(sources)
    declared = Declared(
        recipe=recipe,
        overrides=Overrides(rules=tuple(overrides)),
        sources=sources,
        reviews=_reviews(recipe, {source.name for source in sources}),
        links=_links(recipe, {source.name for source in sources}),
    )
    return _with_reviews(declared, reviews) if reviews else declared


def _with_reviews(declared: Declared, names: Sequence[str]) -> Declared:
    """Add review files, which override the recipe's reviews."""
    added: dict[tuple[str, str], tuple[str, Review]] = {}
    problems = []
    known = {source.name for source in declared.sources} | set(source_names())
    for name in names:
        for review in read_reviews(name, Path()):
            if review.source not in known:
                problems.append(
                    f"{name}: no source {review.source!r}; {suggest(review.source, sorted(known), 'source')}"
                )
            other, first = added.setdefault((review.source, review.path), (name, review))
            if (first.mark, first.marks_finding) != (review.mark, review.marks_finding):
                problems.append(
                    f"{review.source} {review.path}: {first.mark} in {other}, {review.mark} in {name}"
                )
    if problems:
        raise DeclarationError(
            "these reviews cannot be added\n  " + "\n  ".join(dict.fromkeys(problems)),
            todo="Resolve conflicts between reviewers; `cxrbuild review --compare` lists them",
        )
    reviews = {(review.source, review.path): review for review in declared.reviews}
    of_file = {name: [image for image, (file, _) in added.items() if file == name] for name in names}
    overrides = tuple(
        ReviewOverride(file=name, reviews=len(images), replaced=sum(image in reviews for image in images))
        for name, images in of_file.items()
    )
    return replace(
        declared,
        reviews=list((reviews | {image: review for image, (_, review) in added.items()}).values()),
        overrides=declared.overrides.model_copy(update={"reviews": overrides}),
    )


def _reviews(recipe: Recipe, sources: set[str]) -> list[Review]:
    """Return the recipe's reviews; a file may have reviews of other sources."""
    reviews = [review for name in recipe.reviews for review in read_reviews(name, recipe.folder)]
    known = sources | set(source_names())
    if unknown := sorted({review.source for review in reviews} - known):
        raise DeclarationError(
            "reviews name unknown sources", where=", ".join(recipe.reviews),
            expected=name_some(sorted(sources)),
            found="; ".join(f"{name!r}: {suggest(name, known, 'source')}" for name in unknown),
            todo="Correct the column `source`: these reviews would have no effect",
        )  # fmt: skip
    return reviews


def _links(recipe: Recipe, sources: set[str]) -> list[Link]:
    """Return the links between images of the recipe's sources; a file may have links of other sources."""
    links = [link for name in recipe.split.links for link in read_links(name, recipe.folder)]
    named = {source for link in links for source, _ in (link.a, link.b)}
    if unknown := sorted(named - sources - set(source_names())):
        raise DeclarationError(
            "links name unknown sources", where=", ".join(recipe.split.links),
            expected=name_some(sorted(sources)),
            found="; ".join(f"{name!r}: {suggest(name, sources, 'source')}" for name in unknown),
            todo="Correct the columns `source_a` and `source_b`",
        )  # fmt: skip
    if problems := find_contradictions(links):
        raise DeclarationError(
            "links contradict each other\n  " + "\n  ".join(problems), where=", ".join(recipe.split.links)
        )
    return [link for link in links if {link.a[0], link.b[0]} <= sources]


def unpinned_sources(declared: Declared, locked: Mapping[str, LockedSource]) -> list[str]:
    """Return the sources that are not verified to be the pinned version."""
    names = [source.name for source in declared.sources]
    return [name for name in names if name not in locked or locked[name].unpinned]


def make_plan(
    declared: Declared, data: Path, *, as_pinned: bool = False, progress: Progress = silent
) -> Plan:
    """Plan a dataset.

    Parameters
    ----------
    declared
        The recipe with everything that it names.
    data
        The folder that ``fetch`` filled.
    as_pinned
        Assume that every pinned file is present; only metadata is read.
    progress
        Opens a progress bar for reading DICOM headers.

    Raises
    ------
    CxrbuildError
        A source was not fetched, its metadata is not as declared or changed since it was fetched, or no split
        has the declared counts.
    """
    import pandas as pd

    locked = read_lock(data)
    tables, available, fetched = [], {}, {}
    for source in declared.sources:
        lock, root = locked.get(source.name), source_folder(data, source.name)
        if lock is not None and not as_pinned and root.is_dir():
            fetched[source.name] = fetched_blobs(source, data, lock)
        inventory = take_inventory(
            source,
            root,
            different=lock.different if lock else None,
            fetched=fetched.get(source.name, {}),
            as_pinned=as_pinned,
        )
        available[source.name] = inventory.available
        table = ingest(source, inventory, progress)
        if source.name in fetched:
            images = inventory.available & set(table["source_path"])
            require_fetched(images, fetched[source.name], source, data)
        if lock is not None and _hashes(source, table):
            require_same_key({f"{lock_path(data)}, source {source.name}": lock.patient_key})
        tables.append(table)
    records = pd.concat(tables, ignore_index=True)
    tables.clear()  # a million rows are a third of a gigabyte
    records = records.sort_values("image_id", ignore_index=True)
    records = add_reviews(records, declared.reviews)
    records = add_labels(records, declared.recipe, declared.sources)
    require_values(records, declared.recipe, declared.sources)
    records = apply_rules(records, declared.recipe.rules, declared.links)
    try:
        records = split_records(records, declared.recipe.split, declared.links)
        records = add_folds(records, declared.recipe.split)
    except CxrbuildError as error:
        # A DICOM file has its class in its header: missing files explain why a class has too few images.
        absent = records.loc[records["exclusion"] == "missing_file", "source_path"]
        if not absent.empty:
            error.todo = f"First fetch the missing images: {name_some(absent)}"
        raise
    kept = records.loc[records["exclusion"].isna(), ["source", "source_path"]]
    for name, paths in kept.groupby("source")["source_path"]:
        missing = paths.index[~paths.isin(list(available[str(name)]))]
        if len(missing):
            records.loc[missing, "exclusion"] = "missing_file"
    for code, count in records["exclusion"].value_counts().items():
        _logger.debug("excluded by %s: %d images", code, count)
    return Plan(declared, {s.name: locked[s.name] for s in declared.sources if s.name in locked},
                as_pinned, fetched, records)  # fmt: skip


def _hashes(source: Source, records: pd.DataFrame) -> bool:
    return source.reader.patient_id == "hash" and bool(records["patient_id"].notna().any())


def funnel(plan: Plan) -> pd.DataFrame:
    """Return the flow chart: how many images each rule excludes, by source.

    Returns
    -------
    pandas.DataFrame
        Rows ``upstream``, then each exclusion in order, then ``kept``; a column for each source, and ``all``.
        Every enabled rule has a row; other exclusions have one if they occur.
    """
    import pandas as pd

    records, recipe = plan.records, plan.declared.recipe
    names = [source.name for source in plan.declared.sources]
    table = pd.crosstab(records["exclusion"].fillna("kept"), records["source"])
    always = [rule.name for rule in recipe.rules if rule.enabled]
    order = [code for code in exclusion_reasons(recipe.rules) if code in table.index or code in always]
    table = table.reindex(index=[*order, "kept"], columns=names, fill_value=0)
    table = pd.concat([table.sum().to_frame("upstream").T, table])
    table["all"] = table.sum(axis=1)
    return table.rename_axis("step").rename_axis(None, axis=1)


def funnel_steps(plan: Plan) -> list[FunnelStep]:
    """Return the flow chart as ``build.json`` has it."""
    table = funnel(plan)
    by_source = table.drop(columns="all").astype("int64")
    return [
        FunnelStep(step=str(step), images=sum(row.values()), by_source=row)
        for step, row in by_source.to_dict("index").items()
    ]


def counts(plan: Plan) -> dict[str, dict[str, int]]:
    """Return the number of kept images by split and class."""
    import pandas as pd

    table = pd.crosstab(plan.kept["label"], plan.kept["split"])
    splits = [split for split in SPLITS if split in table.columns]
    table = table.reindex(index=plan.declared.recipe.classes, columns=splits, fill_value=0)
    found: dict[str, dict[str, int]] = table.to_dict()  # type: ignore[assignment]
    return found


def write_plan(plan: Plan, out: Path) -> list[Path]:
    """Write ``ledger.parquet``, ``manifest.parquet`` (membership alone) and ``funnel.csv`` into a folder.

    Raises
    ------
    CxrbuildError
        The folder holds a build, which the plan would overwrite.
    """
    if (out / names.BUILD).exists():
        raise CxrbuildError("the folder holds a build", where=out, todo="Name another folder for the plan")
    paths = [out / names.LEDGER, out / names.MANIFEST, out / names.FUNNEL]
    write_records(paths[0], plan.records)
    write_records(paths[1], plan.kept, MEMBERSHIP)
    write_bytes(paths[2], funnel(plan).to_csv(lineterminator="\n").encode())
    return paths
