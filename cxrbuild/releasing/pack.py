"""Make a release from a build."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import RESULTS, Release, names, open_build, read_sums
from cxrbuild.comparison import DatasetVersion, Declarations, Diff, ledger_columns
from cxrbuild.curation import read_declaration_files, require_not_withdrawn_since
from cxrbuild.documents import describe_citations, measured_contents
from cxrbuild.errors import CheckError, CxrbuildError, name_some
from cxrbuild.executors import default_workers, require_executor
from cxrbuild.files import locked_until_removed, naming
from cxrbuild.policy import (
    Policy,
    confidential_sources,
    describe_old_ages,
    old_ages,
    withheld,
    without_identities,
    without_unlisted,
)
from cxrbuild.progress import Progress, silent
from cxrbuild.records import read_records
from cxrbuild.releasing.changelog import changelog, check_version, find_previous
from cxrbuild.releasing.declared_since import (
    describe_changed,
    describe_unknown,
    read_descriptions,
    require_no_identifier_since,
    require_not_corrected_since,
)
from cxrbuild.releasing.document import release_document
from cxrbuild.releasing.files import DESCRIBING, write_files
from cxrbuild.releasing.identities import (
    require_no_identities_in_recipe,
    require_no_metadata,
    require_no_numbers,
)
from cxrbuild.releasing.removed import find_removed
from cxrbuild.releasing.requirements import (
    describe_kept_datasheet,
    require_attribution,
    require_classes,
    require_images,
    require_own_text,
    require_public_previous,
    require_same_key,
    require_tables,
    require_version,
)
from cxrbuild.releasing.results import read_results, with_groups, with_manifest
from cxrbuild.releasing.sizes import RESIZING, ready_sizes
from cxrbuild.verification import require_verified, verify
from cxrbuild.verification.files import changed_files
from cxrbuild.version_numbers import parse_version, versioned_name

if TYPE_CHECKING:
    import pandas as pd

# The results of a build that a release has.
_RESULTS = tuple(file.in_release for file in RESULTS)
_logger = logging.getLogger(__name__)
CHECKING, VERIFYING = "checking the build", "verifying the release"


@dataclass(frozen=True)
class ReleaseResult:
    """A release.

    Attributes
    ----------
    release
        The release.
    written
        Whether it was written; false if the folder already holds it with the same bytes.
    changes
        What changed since the previous release; ``None`` for the first.
    """

    release: Release
    written: bool
    changes: Diff | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: the release's folder, ``written`` and ``build.json``."""
        document = self.release.document.to_dict()
        return {"release": str(self.release.folder), "written": self.written} | document

    def _repr_html_(self) -> str:
        return self.release._repr_html_()


def release(
    build: Path,
    version: str,
    out: Path,
    *,
    policy: Policy = "public",
    previous: Path | None = None,
    sizes: Sequence[int] = (),
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> ReleaseResult:
    """Make a release from a build.

    The same build, version and previous release give the same bytes. The date is ``SOURCE_DATE_EPOCH``,
    else the recipe's.

    Parameters
    ----------
    build
        A finished build.
    version
        The release's version, MAJOR.MINOR.PATCH: that of the build's recipe.
    out
        The folder of the release: a new one, or one that holds the same release.
    policy
        ``public`` includes pixels whose licence allows it, ``private`` all pixels.
    previous
        The previous release; default the newest older one next to ``out``, or a published manifest.
    sizes
        The ready sizes that it has in addition to the images' own: the sides of squares, in pixels.
    workers
        The number of local processes that resize images; default one for each processor.
    executor
        Where images are resized, and the resized ones checked: ``local``, or the address of a cluster.
    progress
        Opens a progress bar for each stage.

    Raises
    ------
    CxrbuildError
        The folder holds no build, ``out`` holds another release, or the cluster cannot do the work.
    CheckError
        The version is too small or not that of the build, or the build's files have changed.
    """
    import pyarrow as pa

    parse_version(version)
    require_executor(executor)
    _require_place(out)
    ready = ready_sizes(sizes)
    document = open_build(build).document
    require_version(build, document, version)
    require_tables(build, document)
    require_classes(build, document)
    name = document.dataset.name
    progress.plan(CHECKING, *([RESIZING] if ready else []), "writing shards", DESCRIBING, VERIFYING)
    records = read_records(build / names.LEDGER)
    unknown = require_not_withdrawn_since(build, document, records)
    unknown += require_no_identifier_since(build, document, records, policy)
    unknown += require_not_corrected_since(build, document)
    if note := describe_unknown(unknown):
        progress.note(note)
    require_no_numbers(build, document, records, policy)
    require_no_identities_in_recipe(build, document, records, policy)
    if note := describe_old_ages(old_ages(records, document, policy)):
        progress.note(note)
    changed = read_descriptions(build, document)
    if note := describe_changed(changed, document):
        progress.note(note)
    # That a source has no citation is no news to a user who has just declared one.
    described_now = document.declared_sources | changed
    cited = {source: one.citation for source, one in described_now.items()}
    for note in describe_citations(document.recipe.citation, cited):
        progress.note(note)
    groups = records["group"]
    records = without_identities(records, document, policy)
    renamed = groups.notna() & (groups != records["group"])
    names_of_groups = dict(zip(groups[renamed], records.loc[renamed, "group"], strict=True))
    del groups
    # Why an image left is looked up here, also where the release does not list it.
    explaining = records[ledger_columns(document.recipe)]
    unlisted = confidential_sources(document, policy)
    records = _with_withheld(without_unlisted(records, unlisted), policy)
    results = with_groups(read_results(build, document), names_of_groups)
    # A release that already exists may be older than the newest one.
    before = previous or find_previous(name, version, policy, out, back=(out / names.SUMS).is_file())
    require_public_previous(policy, before)
    require_same_key(document, before)
    removed = find_removed(before, version, explaining, unlisted)
    described = release_document(document, version, policy, records, ready, removed)
    results = with_manifest(
        results, document.files[names.MANIFEST].sha256, described.packaging.manifest_sha256
    )
    files = read_declaration_files(build)
    contents = measured_contents(described, records, results.documents.audit, results.documents.explanation)
    new = DatasetVersion(
        str(build),
        contents.kept,
        contents.recipe.classes,
        released=True,
        missing=document.missing,
        unpinned=document.unpinned,
        ledger=explaining,
        unlisted=unlisted,
        funnel={step.step: step.images for step in document.funnel},
        declarations=Declarations.of(contents.document, files),
        corrections=contents.document.corrections.values,
        removed={one.image_id: one.cause for one in removed},
    )
    require_own_text(build, document, new, files)
    if warning := describe_kept_datasheet(document, new, files):
        progress.note(warning)
    changes = check_version(name, version, new, before)
    _logger.info(
        "%s %s (%s) of %s; previous version: %s, changes: %s", name, version, policy, build,
        before or "none", "none to compare" if changes is None else changes.bump or "none",
    )  # fmt: skip
    why = records["withheld"].dropna().value_counts()
    _logger.info("pixels of %d images, withheld of %d", len(contents.embedded), int(why.sum()))
    for reason, count in why.items():
        _logger.info("withheld, %s: %d images", reason, count)
    withdrawn = set(explaining.loc[explaining["exclusion"].eq("withdrawn"), "image_id"])
    del new, explaining
    with progress(CHECKING, None, ""):
        require_attribution(build, document, contents.embedded, policy)
        require_images(build, contents.embedded)
        require_no_metadata(build, document, contents.embedded, policy)
    # Next to the release, so that one rename moves it into place.
    workshop = out.parent / f".{out.name}.part"
    with naming(out, workshop), naming(out, workshop / out.name), locked_until_removed(workshop):
        staging = workshop / out.name
        # A killed run may have left files.
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        began = time.monotonic()
        text = changelog(contents, before, changes, withdrawn)
        written = write_files(
            build, staging, contents, results, text, workers=workers or default_workers(),
            executor=executor, progress=progress,
        )  # fmt: skip
        _logger.info(
            "wrote %d files in %.1f s, which are verified before they are moved to %s",
            len(read_sums(staging)), time.monotonic() - began, out,
        )  # fmt: skip
        # They take as much memory as the verification, which reads the tables again. Arrow would keep
        # what is freed.
        del records, contents
        pa.default_memory_pool().release_unused()
        with progress(VERIFYING, None, ""):
            require_verified(verify(staging, executor=executor, progress=progress), build)
        moved = _put(staging, out)
        _logger.info("%s %s", "released" if moved else "unchanged:", out)
        return ReleaseResult(Release(out, written), written=moved, changes=changes)


def default_folder(build: Path, version: str, policy: Policy) -> Path:
    """Return the default folder of a release: ``release/NAME-VERSION``, with ``-private`` for a private one.

    Raises
    ------
    CxrbuildError
        The folder holds no build.
    """
    name = versioned_name(open_build(build).name, version)
    return Path("release") / f"{name}{'-private' if policy == 'private' else ''}"


def _with_withheld(ledger: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    kept = ledger["exclusion"].isna()
    why = withheld(ledger.loc[kept, ["license", "review"]], policy)
    # The other columns are not copied.
    return ledger.assign(withheld=ledger["withheld"].where(~kept, why))


def _require_place(out: Path) -> None:
    """Require a place for the release: nothing, an empty folder, or a release.

    Raises
    ------
    CxrbuildError
        The folder holds something else.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / names.SUMS).is_file())):
        raise CxrbuildError(
            "the folder holds something else", where=out, todo="Name another folder with --out"
        )


def _put(staging: Path, out: Path) -> bool:
    """Move the release into place; the same release may already be there.

    Raises
    ------
    CheckError
        The same release is there, and its files have changed.
    CxrbuildError
        The folder holds something else.
    """
    _require_place(out)
    if out.exists():
        there = out / names.SUMS
        if there.is_file():
            _require_unchanged(out)
            if there.read_bytes() == (staging / names.SUMS).read_bytes():
                return False
            raise _refuse_another(out, staging)
        out.rmdir()
    staging.replace(out)
    return True


def _refuse_another(out: Path, staging: Path) -> CxrbuildError:
    """Return the error that a folder holds another release, with the files that differ."""
    there, here = read_sums(out), read_sums(staging)
    differing = sorted(name for name in there.keys() | here if there.get(name) != here.get(name))
    results = [name for name in _RESULTS if name in differing]
    todo = "Name a later version or another folder, or remove the release if it is not published"
    if results and names.LEDGER not in differing:
        todo = (
            f"The images and tables are the same: {' and '.join(results)} of the build is newer than the "
            f"release. Keep the release; to publish the newer result, name a later version, or remove the "
            "release if it is not published"
        )
    return CxrbuildError(
        "the folder holds another release, and a release never changes", where=out,
        found=f"other bytes in {name_some([*results, *(one for one in differing if one not in results)], 5)}",
        todo=todo,
    )  # fmt: skip


def _require_unchanged(out: Path) -> None:
    if findings := changed_files(out):
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise CheckError(
            f"the release already exists, and its files have changed\n{lines}", where=out,
            todo="Move it away and run `cxrbuild release` again",
        )  # fmt: skip
