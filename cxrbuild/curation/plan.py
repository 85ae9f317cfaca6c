"""Decide which images a build keeps, and why, from metadata and declared lists, without reading pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import FunnelStep
from cxrbuild.artifact.build import PreviousSplit, SourceExactness
from cxrbuild.artifact.correction import Corrections
from cxrbuild.catalog import Source
from cxrbuild.curation.decision import decide_rows
from cxrbuild.curation.decision_log import log_decisions
from cxrbuild.curation.declared import Declared
from cxrbuild.curation.findings import (
    JoinedRows,
    OtherFindings,
    find_joined_rows,
    find_other_findings,
    findings_without_class,
)  # fmt: skip
from cxrbuild.curation.holder import OtherImages, WithdrawnHolder, find_other_images
from cxrbuild.curation.recorded_key import advise_to_lock, hashes_numbers, require_recorded_key
from cxrbuild.exactness import count_exactness
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.fetch_advice import describe_another_pin
from cxrbuild.fetching.pin import is_for_another_pin, locked_against
from cxrbuild.fetching.record import fetched_blobs, require_fetched
from cxrbuild.ingest import ingest, record_corrections, take_inventory, without_withdrawn_values
from cxrbuild.lists import read_declared_list
from cxrbuild.lockfile import LockedSource, read_lock, source_folder
from cxrbuild.notebook import result_html
from cxrbuild.patient_key import key_fingerprint, read_key
from cxrbuild.patients import SharedId, find_shared_ids
from cxrbuild.previous_split import groups_joined
from cxrbuild.progress import Progress, silent
from cxrbuild.records import SPLITS, conform

if TYPE_CHECKING:
    import pandas as pd

# The columns of a published manifest: membership alone, which does not depend on the program's version.
MEMBERSHIP = ("image_id", "source", "source_path", "source_blob", "label", "split")
READING, DECIDING = STAGES = ("reading metadata", "applying rules")
"""The stages of a plan, as a person sees them."""


@dataclass(frozen=True)
class Plan:
    """What a build keeps, and why.

    Attributes
    ----------
    declared
        What was declared.
    locked
        What the lock states about each source's files, by name.
    as_pinned
        Whether every pinned file is assumed to be present.
    fetched
        The git blob hash of every fetched file, by source and path; empty with ``as_pinned``.
    records
        A row for every upstream image, with its label, exclusion and split. A missing image has its split
        too, so that the splits of other images do not depend on it.
    to_bring
        The sources that are not there, and that a user has to bring.
    data
        The folder that ``fetch`` filled.
    withdrawn_still_in
        The places that `plan` of the API found to hold withdrawn images.
    of_withdrawn_patients
        The kept images of patients of whom another image is withdrawn.
    """

    declared: Declared
    locked: dict[str, LockedSource]
    as_pinned: bool
    fetched: dict[str, dict[str, str]]
    records: pd.DataFrame
    to_bring: tuple[str, ...] = ()
    data: Path = Path("data")
    withdrawn_still_in: tuple[WithdrawnHolder, ...] = ()
    of_withdrawn_patients: OtherImages = field(default_factory=OtherImages)

    @property
    def unpinned(self) -> list[str]:
        """The sources that are not verified to be the pinned version."""
        if self.as_pinned:
            return []
        return unpinned_sources(self.declared, self.locked)

    @property
    def unlocked(self) -> list[Source]:
        """The sources that the lock has no entry of, so it is not known how their files were verified."""
        brought = {*self.locked, *self.to_bring}
        return [] if self.as_pinned else [s for s in self.declared.sources if s.name not in brought]

    @property
    def exactness(self) -> dict[str, SourceExactness]:
        """How many of the dataset's images are those of the pins, by source; empty with ``as_pinned``."""
        return dict(self._exactness)

    @property
    def patient_key(self) -> str | None:
        """Fingerprint of the key that patient numbers are hashed with; ``None`` where none is hashed."""
        by_source = dict(iter(self.records.groupby("source")))
        hashed = [
            s for s in self.declared.sources if s.name in by_source and hashes_numbers(s, by_source[s.name])
        ]
        return key_fingerprint() if hashed else None

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The rows that are kept."""
        return self.records[self.records["exclusion"].isna()]

    @property
    def funnel(self) -> pd.DataFrame:
        """The flow chart: how many images each rule excludes, by source.

        Rows ``upstream``, then each exclusion in order, then ``kept``; a column for each source, and ``all``.
        Every enabled rule has a row; other exclusions have one if they occur.
        """
        return self._funnel.copy()

    @property
    def funnel_steps(self) -> list[FunnelStep]:
        """The flow chart as ``build.json`` has it."""
        by_source = self._funnel.drop(columns="all").astype("int64")
        return [
            FunnelStep(step=str(step), images=sum(row.values()), by_source=row)
            for step, row in by_source.to_dict("index").items()
        ]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of kept images by split and class."""
        return {split: dict(of_classes) for split, of_classes in self._counts.items()}

    # Computed once; the properties return copies, which a caller can change.
    @cached_property
    def _exactness(self) -> dict[str, SourceExactness]:
        return {} if self.as_pinned else count_exactness(self.records, self.locked)

    @cached_property
    def _funnel(self) -> pd.DataFrame:
        import pandas as pd

        recipe = self.declared.recipe
        names = [source.name for source in self.declared.sources]
        table = pd.crosstab(self.records["exclusion"].fillna("kept"), self.records["source"])
        always = [rule.name for rule in recipe.rules if rule.enabled]
        order = [code for code in exclusion_reasons(recipe.rules) if code in table.index or code in always]
        table = table.reindex(index=[*order, "kept"], columns=names, fill_value=0)
        table = pd.concat([table.sum().to_frame("upstream").T, table])
        table["all"] = table.sum(axis=1)
        return table.rename_axis("step").rename_axis(None, axis=1)

    @cached_property
    def _counts(self) -> dict[str, dict[str, int]]:
        import pandas as pd

        table = pd.crosstab(self.kept["label"], self.kept["split"])
        splits = [split for split in SPLITS if split in table.columns]
        table = table.reindex(index=self.declared.recipe.classes, columns=splits, fill_value=0)
        found: dict[str, dict[str, int]] = table.to_dict()  # type: ignore[assignment]
        return found

    @property
    def listed(self) -> dict[str, int]:
        """The rows of the published list: those kept, and those with each exclusion; none without a list."""
        rows = self.records[self.records["listed"].notna()]
        counts = rows["exclusion"].fillna("kept").value_counts()
        order = ["kept", *exclusion_reasons(self.declared.recipe.rules)]
        return {code: int(counts[code]) for code in order if code in counts}

    @cached_property
    def corrections(self) -> Corrections:
        """The values that the recipe corrects."""
        declared = self.declared
        return record_corrections(
            self.records, declared.corrections, declared.sources, declared.correction_files
        )

    @cached_property
    def other_findings(self) -> OtherFindings:
        """The findings without a class that kept images have next to the finding of their class."""
        return find_other_findings(self.records, self.declared.recipe, self.declared.separators)

    @cached_property
    def joined_rows(self) -> list[JoinedRows]:
        """The images whose rows have different findings, of sources that join them."""
        return find_joined_rows(self.records, self.declared.sources, self.declared.corrections)

    @cached_property
    def shared_ids(self) -> list[SharedId]:
        """The patient ids of several sources that do not declare whether they are one patient."""
        return find_shared_ids(self.records, self.declared.namespaces)

    @cached_property
    def previous(self) -> PreviousSplit | None:
        """What is recorded of the former version whose split is held; ``None`` where there is none."""
        version = self.declared.previous
        if version is None:
            return None
        held = self.records["split"].notna() & self.records["previous_split"].notna()
        joined = groups_joined(self.records, self.declared.recipe.split)
        return PreviousSplit(
            name=version.name, sha256=version.sha256, images=len(version.rows), held=int(held.sum()),
            groups_in_several_splits=joined.to_dict(),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe, the overrides, the flow chart and the counts as JSON has them."""
        return {
            "recipe": self.declared.recipe.name,
            "version": self.declared.recipe.version,
            "overrides": self.declared.overrides.model_dump(mode="json"),
            "corrections": self.corrections.model_dump(mode="json"),
            "unpinned": self.unpinned,
            "exactness": {name: one.model_dump() for name, one in self.exactness.items()},
            "funnel": [step.model_dump() for step in self.funnel_steps],
            "counts": self.counts,
            "listed": self.listed,
            "findings_without_class": findings_without_class(self.records, self.declared.recipe),
            "other_findings": asdict(self.other_findings),
            "joined_rows": [asdict(one) for one in self.joined_rows],
            "shared_patient_ids": [one.to_dict() for one in self.shared_ids],
            "previous": self.previous and self.previous.model_dump(),
            "withdrawn_still_in": [one.to_dict() for one in self.withdrawn_still_in],
            "of_withdrawn_patients": [
                {"source": source, "path": path} for source, path in self.of_withdrawn_patients.images
            ],
        }

    def _repr_html_(self) -> str:
        recipe, chart = self.declared.recipe, self.funnel.reset_index()
        title = f"Plan of {recipe.name} {recipe.version}"
        return result_html(title, header=list(chart.columns), rows=chart.to_numpy().tolist())

    def with_records(self, records: pd.DataFrame) -> Plan:
        """Return the plan with other records."""
        return replace(self, records=records)


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
        Opens a progress bar for each of ``STAGES``, and for DICOM headers.

    Raises
    ------
    CxrbuildError
        A source was not fetched, its metadata is not as declared or changed since it was fetched, or no split
        has the declared counts.
    """
    import pandas as pd

    locked = read_lock(data)
    absent = sources_to_bring(declared, data)
    tables, available, fetched = [], dict.fromkeys(absent, frozenset[str]()), {}
    listed = None if declared.image_list is None else read_declared_list(declared.image_list, data)
    there = [source for source in declared.sources if source.name not in absent]
    with progress(READING, len(there), "source") as bar:
        for source in there:
            # A source that a user brings has no pin: what is there is what it has.
            pinned = as_pinned and (listed is None or source.listing is not None)
            lock, root = locked.get(source.name), source_folder(data, source.name)
            if lock is not None and not pinned:
                lock = locked[source.name] = locked_against(source, data, lock)
                if lock.unpinned and source.pinned and is_for_another_pin(source, lock):
                    progress.note(describe_another_pin(source, data, lock))
            if lock is not None and not pinned and root.is_dir():
                fetched[source.name] = fetched_blobs(source, data, lock)
            inventory = take_inventory(
                source,
                root,
                different=lock.different if lock else None,
                fetched=fetched.get(source.name, {}),
                as_pinned=pinned,
            )
            available[source.name] = inventory.available
            if not pinned and source.hashes_patients and (lock is None or lock.patient_key is None):
                # One error for both: without the key nothing can be read, and without the record nothing is.
                read_key(then=f"Then {advise_to_lock(source, data)}")
            table = ingest(source, inventory, progress, declared.sources)
            if source.name in fetched:
                images = inventory.available & set(table["source_path"])
                require_fetched(images, fetched[source.name], source, data)
            corrected = any(
                c.source == source.name and c.column == "patient_id" for c in declared.corrections
            )
            if not pinned and (hashes_numbers(source, table) or (corrected and source.hashes_patients)):
                require_recorded_key(source, lock, data)
            tables.append(table)
            bar.update()
    with progress(DECIDING, None, ""):
        records = pd.concat(tables, ignore_index=True) if tables else conform(pd.DataFrame())
        tables.clear()  # a million rows are a third of a gigabyte
        records = records.sort_values("image_id", ignore_index=True)
        records = decide_rows(declared, records, listed, fetched, progress)
        kept = records.loc[records["exclusion"].isna(), ["source", "source_path"]]
        for name, paths in kept.groupby("source")["source_path"]:
            missing = paths.index[~paths.isin(list(available[str(name)]))]
            if len(missing):
                records.loc[missing, "exclusion"] = "missing_file"
        # Afterwards nothing says of which patient a withdrawn image is.
        others = find_other_images(records)
        records = without_withdrawn_values(records)
    log_decisions(declared, records, absent)
    return Plan(declared, {s.name: locked[s.name] for s in declared.sources if s.name in locked},
                as_pinned, fetched, records, tuple(absent), data, of_withdrawn_patients=others)  # fmt: skip


def sources_to_bring(declared: Declared, data: Path) -> list[str]:
    """Return the sources that are not there and that no address is known of: a user has to bring them.

    A published list says which images they have, so that a plan is complete without them.
    """
    if declared.image_list is None:
        return []
    unknown = [source.name for source in declared.sources if source.download.url is None]
    return [name for name in unknown if not source_folder(data, name).is_dir()]
