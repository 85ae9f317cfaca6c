"""Curate a dataset: plan, convert, write tables and shards, seal."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.artifact import Build, BuildDocument, names, open_build
from cxrbuild.artifact.build import FileEntry
from cxrbuild.convert import Settings
from cxrbuild.convert.batch import Batch, Converted, convert_batch
from cxrbuild.curation.conversion import BATCH_SIZE, compare_unconverted, convert_images, source_states
from cxrbuild.curation.declaration_files import curate_options, write_declaration_files
from cxrbuild.curation.declared import Declared
from cxrbuild.curation.document import build_document
from cxrbuild.curation.expectation import check_expectation
from cxrbuild.curation.findings import OtherFindings, find_other_findings
from cxrbuild.curation.folder import clear_shards, require_build_folder, require_same_version
from cxrbuild.curation.holder import WithdrawnHolder, describe_holders, describe_other_images
from cxrbuild.curation.journal import Journal
from cxrbuild.curation.plan import STAGES, Plan, make_plan, sources_to_bring
from cxrbuild.curation.previous import require_other_folder
from cxrbuild.curation.seal import inputs_hash, remove_seal, sealed_build, sources_state, write_seal
from cxrbuild.curation.states import write_states
from cxrbuild.curation.withdrawn import describe_kept_duplicates, find_holders, remove_descriptors
from cxrbuild.errors import CxrbuildError
from cxrbuild.executors import open_executor, require_executor
from cxrbuild.files import locked, remove_temporary_files, sha256_of, write_bytes
from cxrbuild.lockfile import LockedSource, read_lock
from cxrbuild.patient_key import require_same_key
from cxrbuild.progress import Progress, silent
from cxrbuild.records import write_records
from cxrbuild.shards import Description, ShardRecord, lay_out, write_shards
from cxrbuild.versions import converting_libraries

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)
_TABLES = "writing tables"


@dataclass(frozen=True)
class CurationResult:
    """A build, and whether anything had to be done for it.

    Attributes
    ----------
    build
        The build.
    changed
        Whether the build was made or updated; false where it was already finished and unchanged.
    withdrawn_still_in
        The places that are known to hold withdrawn images.
    separators
        The text between several findings of an image, by source.
    """

    build: Build
    changed: bool
    withdrawn_still_in: tuple[WithdrawnHolder, ...] = ()
    separators: Mapping[str, str | None] = field(default_factory=dict)

    @cached_property
    def other_findings(self) -> OtherFindings:
        """The findings without a class that kept images have next to the finding of their class."""
        separated = {source: separator for source, separator in self.separators.items() if separator}
        if not separated:  # the ledger of a million images is not read for nothing
            return OtherFindings()
        return find_other_findings(self.build.ledger, self.build.document.recipe, separated)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: the build's folder, ``changed``, places and ``build.json``."""
        return {
            "build": str(self.build.folder),
            "changed": self.changed,
            "withdrawn_still_in": [one.to_dict() for one in self.withdrawn_still_in],
            "other_findings": asdict(self.other_findings),
        } | self.build.document.to_dict()

    def _repr_html_(self) -> str:
        return self.build._repr_html_()


def curate(
    declared: Declared,
    data: Path,
    out: Path,
    *,
    formats: Sequence[str],
    allow_missing: bool = False,
    replace: bool = False,
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> CurationResult:
    """Build a dataset.

    Parameters
    ----------
    declared
        The recipe with everything that it names.
    data
        The folder that ``fetch`` filled.
    out
        The folder of the build: a new one, or a build to update.
    formats
        ``parquet``, ``tfrecord`` or both.
    allow_missing
        Continue without images that are missing or cannot be converted, and record them.
    replace
        Replace a build of another dataset or version that is in the folder.
    workers, executor
        The number of local processes, or the address of a cluster.
    progress
        Opens a progress bar for each stage.

    Raises
    ------
    CxrbuildError
        A source was not fetched, the folder is not a build, it is one of another dataset or version, or the
        former version of the dataset is in it.
    CheckError
        The result is not what the recipe expects.
    """
    require_executor(executor)
    require_build_folder(out, data, [source.name for source in declared.sources])
    require_other_folder(out, None if declared.previous is None else declared.previous.place)
    with locked(out):
        if not replace:
            require_same_version(out, declared.recipe)
        for folder in (out, out / names.STATE):
            remove_temporary_files(folder)
        absent = sources_to_bring(declared, data)
        present = [source.name for source in declared.sources if source.name not in absent]
        state = sources_state(data, present)
        lock = read_lock(data)
        inputs = inputs_hash(declared, lock, formats)
        options = curate_options(declared, data, formats, allow_missing=allow_missing)
        _logger.info("read %s %s: inputs %s", declared.recipe.name, declared.recipe.version, inputs)
        # A source without a lock is known by its bytes alone: its folder may have changed.
        if all(name in lock for name in present):
            document = sealed_build(out, inputs, state.digest)
            if document is not None and (allow_missing or not document.missing):
                _logger.info("unchanged: %s has the same inputs and files as when it was sealed", out)
                write_declaration_files(out, declared, options)
                build = Build(out, document)
                holders = []
                if any(source.withdrawn for source in declared.sources):
                    holders = _warn_of_holders(build.ledger, data, lock, declared, out, progress)
                return CurationResult(
                    build,
                    changed=False,
                    withdrawn_still_in=tuple(holders),
                    separators=declared.separators,
                )

        progress.plan(*STAGES, "converting", "writing shards", _TABLES)
        # The plan is not made yet: a source has at most as many images as files.
        batches = -(-len(state.files) // BATCH_SIZE) or None
        with open_executor(
            executor, workers, batches=batches, reads=[data], writes=[out / names.STATE]
        ) as pool:
            # The processes import their libraries while the plan is made.
            for _ in range(workers):
                pool.submit(convert_batch, Batch(Settings(0, 0), str(out), ()))
            plan = make_plan(declared, data, progress=progress)
            if kept := describe_kept_duplicates(plan.records, out):
                progress.warn(kept)
            if others := describe_other_images(plan.of_withdrawn_patients, declared.sources):
                progress.warn(others)
            holders = _warn_of_holders(plan.records, data, plan.locked, declared, out, progress)
            _require_same_key(plan, out)
            compare_unconverted(plan, data, pool, workers=workers, progress=progress)
            check_expectation(plan, allow_missing=allow_missing)
            remove_seal(out)
            remove_descriptors(plan.records, out)
            sources = source_states(plan, data, state.files)
            journal = _open_journal(plan, out)
            results = convert_images(
                plan, data, out, journal, pool, workers=workers, progress=progress, sources=sources
            )
            converted = _with_results(plan, results)
            _log_conversion(plan, converted)
            pool.shutdown(wait=False)  # the processes end while the shards are written
            # Conversion can only exclude images.
            if len(converted.kept) != len(plan.kept):
                check_expectation(converted, allow_missing=allow_missing)
            document = _packed(converted, inputs, out, formats, progress)
            write_declaration_files(out, declared, options)
            if files := write_seal(out, document, state.digest):
                write_states(out, journal, results, sources, files)
            _logger.info("wrote %s: %s", out, document.counts)
        return CurationResult(
            Build(out, document),
            changed=True,
            withdrawn_still_in=tuple(holders),
            separators=declared.separators,
        )


def _warn_of_holders(
    records: pd.DataFrame,
    data: Path,
    locked: Mapping[str, LockedSource],
    declared: Declared,
    out: Path,
    progress: Progress,
) -> list[WithdrawnHolder]:
    """Return the places that still hold withdrawn images, and warn of them."""
    holders = find_holders(records, data, locked, declared, out)
    if holders:
        progress.warn(describe_holders(holders, out))
    return holders


def _require_same_key(plan: Plan, out: Path) -> None:
    """Refuse a key of patient numbers that is not the one of the build that is brought up to date."""
    if plan.patient_key is None:
        return
    try:
        recorded = open_build(out).document.patient_key
    except CxrbuildError:
        return  # no build yet, or one that this version cannot read and makes again
    require_same_key({str(out): recorded})


def _open_journal(plan: Plan, out: Path) -> Journal:
    # Other versions of these libraries may write other bytes.
    settings = plan.declared.recipe.conversion.model_dump(mode="json") | converting_libraries()
    # The metadata of their JPEGs is not copied; it was if a source was public before.
    confidential = sorted(source.name for source in plan.declared.sources if not source.public)
    if confidential:
        settings |= {"without_metadata": confidential}
    return Journal(out, settings | {"cxrbuild": __version__})


def _with_results(plan: Plan, results: list[Converted]) -> Plan:
    import pandas as pd

    table = pd.DataFrame(results, columns=list(Converted._fields))
    records = plan.records.set_index("image_id")
    table = table.set_index("image_id").astype(records.dtypes[table.columns[1:]].to_dict())
    for column in table.columns:
        records.loc[table.index, column] = table[column]
    return plan.with_records(records.reset_index()[list(plan.records.columns)])


def _log_conversion(plan: Plan, converted: Plan) -> None:
    """Log how many images were copied, encoded, and excluded for which reason."""
    how = converted.kept["conversion"].value_counts().sort_index()
    _logger.info(
        "converted: %d of %d images%s", len(converted.kept), len(plan.kept),
        "".join(f", {count} {name}" for name, count in how.items()),
    )  # fmt: skip
    failed = converted.records.loc[plan.kept.index, "exclusion"].dropna()
    for code, count in failed.value_counts().items():
        _logger.info("excluded in conversion, %s: %d images", code, count)


def _packed(plan: Plan, inputs: str, out: Path, formats: Sequence[str], progress: Progress) -> BuildDocument:
    """Write tables and shards, and return the content of ``build.json``."""
    files = _write_shards(plan, out, formats, progress)
    with progress(_TABLES, None, ""):
        for path in _write_tables(plan, out):
            files[path.name] = FileEntry(bytes=path.stat().st_size, sha256=sha256_of(path))
    return build_document(plan, inputs, formats, {name: files[name] for name in sorted(files, key=Path)})


def _write_tables(plan: Plan, out: Path) -> list[Path]:
    paths = [out / names.LEDGER, out / names.MANIFEST, out / names.FUNNEL]
    write_records(paths[0], plan.records)
    write_records(paths[1], plan.kept)
    write_bytes(paths[2], plan.funnel.to_csv(lineterminator="\n").encode())
    return paths


def _write_shards(plan: Plan, out: Path, formats: Sequence[str], progress: Progress) -> dict[str, FileEntry]:
    recipe = plan.declared.recipe
    dataset = Description(recipe.name, recipe.version, recipe.description.strip(), recipe.citation or "")
    record = ShardRecord(out / names.STATE / "shards", out)
    files = write_shards(
        lay_out(plan.kept), out, recipe.classes, formats, dataset, progress=progress, record=record
    )
    clear_shards(out, {out / name for name in files})
    return files
