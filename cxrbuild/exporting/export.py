"""Export a build or release: write the files of a format, and record them with their hashes."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cxrbuild import __version__
from cxrbuild.artifact import Build, Release, names
from cxrbuild.artifact.build import FileEntry
from cxrbuild.curation import require_not_withdrawn_since
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.exporting.card import card
from cxrbuild.exporting.document import EXPORT, ExportDocument
from cxrbuild.exporting.images import ExportImages, title_of
from cxrbuild.exporting.registry import FORMATS, ExportFormat
from cxrbuild.files import files_under, locked_until_removed, naming, sha256_of, write_bytes
from cxrbuild.loading import Dataset, Resampling, open_dataset, require_size
from cxrbuild.notebook import result_html
from cxrbuild.progress import Progress, silent
from cxrbuild.records import read_records
from cxrbuild.spreadsheets import safe_csv

_logger = logging.getLogger(__name__)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# The libraries that decide pixels and bytes.
_LIBRARIES = ("numpy", "pillow")
_CARD, _TABLE = "README.md", "images.csv"
_HASHING = "hashing"


@dataclass(frozen=True)
class ExportResult:
    """An export.

    Attributes
    ----------
    folder
        Its folder.
    document
        Its ``export.json``.
    written
        Whether it was written; false if the folder already holds it with the same bytes.
    """

    folder: Path
    document: ExportDocument
    written: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the folder, ``written``, and the content of ``export.json``."""
        return {"export": str(self.folder), "written": self.written} | self.document.to_dict()

    def _repr_html_(self) -> str:
        document = self.document
        withheld = f"{count_of(document.withheld, 'image')} withheld." if document.withheld else ""
        return result_html(
            f"{document.dataset.name} {document.dataset.version} as {document.to}",
            [f"{'Written to' if self.written else 'Already in'} {self.folder}.", withheld],
            ["class", *document.counts],
            [
                [label, *(counts.get(label, 0) for counts in document.counts.values())]
                for label in document.classes
            ],
        )


def default_folder(folder: Path, to: str, size: int | None) -> Path:
    """Return the default folder of an export: ``export/NAME-VERSION-FORMAT``, with the size at the end.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release.
    """
    dataset = open_dataset(folder)
    name = "-".join([dataset.name, dataset.version, to, *([str(size)] if size else [])])
    return Path("export") / name


def export(
    folder: Path,
    to: str,
    out: Path,
    *,
    size: int | None = None,
    resampling: Resampling = "bicubic",
    progress: Progress = silent,
) -> ExportResult:
    """Export the images of a build or release.

    The same build, format and size give the same bytes, with the same versions of the libraries. Images are
    read and written one after another, so that memory does not grow with their number.

    Parameters
    ----------
    folder
        A build or a release.
    to
        The format.
    out
        The folder of the export: a new one, or one that holds the same export.
    size
        The side to which images are resized, in pixels; ``None`` for their own sizes.
    resampling
        Pillow's filter.
    progress
        Opens a progress bar for each split.

    Raises
    ------
    CxrbuildError
        The format needs a size, the size is not valid, the dataset has no pixels, ``out`` holds something
        else, or the disk is full.
    CheckError
        An image of the build was withdrawn since it was made.
    """
    export_format = _format(to)
    require_size(size, resampling)
    if export_format.needs_size and size is None:
        raise CxrbuildError(
            f"the format {to} needs images of one size", todo="Name a size, such as --size 64 or --size 224"
        )
    dataset = open_dataset(folder)
    _require_not_withdrawn(dataset)
    images = ExportImages(dataset, size, resampling, progress)
    _require_outside(out, folder)
    wanted = _document(images, to)
    if (found := _find_existing(out, wanted)) is not None:
        _logger.info("unchanged: %s", out)
        return ExportResult(out, found, written=False)
    # Next to the export, so that one rename moves it into place.
    workshop = out.parent / f".{out.name}.part"
    staging = workshop / out.name
    with (
        _explaining_full_disk(out),
        naming(out, workshop),
        naming(out, staging),
        locked_until_removed(workshop),
    ):
        # A killed run may have left files.
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        progress.plan(*map(title_of, images.splits), _HASHING)
        document = _write(export_format, images, wanted, staging, progress)
        if out.exists():
            out.rmdir()
        staging.replace(out)
    _logger.info("exported %d images to %s", len(images.rows), out)
    return ExportResult(out, document, written=True)


def _format(to: str) -> ExportFormat:
    if to not in FORMATS:
        raise CxrbuildError(
            f"no export format is called {to!r}", expected=f"one of {', '.join(FORMATS)}",
            todo=f"Name one of {', '.join(FORMATS)} with --to",
        )  # fmt: skip
    return FORMATS[to]


def _require_not_withdrawn(dataset: Dataset) -> None:
    """Refuse a build of which an image was withdrawn since; of a release no declaration is known."""
    build = dataset.artifact
    if isinstance(build, Build):
        ledger = read_records(build.folder / names.LEDGER, ["source", "source_path", "exclusion"])
        require_not_withdrawn_since(build.folder, build.document, ledger)


def _require_outside(out: Path, folder: Path) -> None:
    if out.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(out.resolve()):
        raise CxrbuildError(
            "the export's folder and the dataset's folder contain one another", where=out,
            expected=f"a folder that is neither in {folder} nor contains it",
            todo="Name another folder with --out",
        )  # fmt: skip


def _document(images: ExportImages, to: str) -> ExportDocument:
    """Return the document of an export, without its files."""
    dataset = images.dataset
    if images.rows.empty:
        raise CxrbuildError(
            "there are no images to export", where=dataset.artifact.folder,
            found="a release without pixels" if isinstance(dataset.artifact, Release) else "an empty build",
            todo="Export the build that the release was made from",
        )  # fmt: skip
    sizes = images.rows.groupby(["split", "label"]).size()
    return ExportDocument(
        dataset=dataset.artifact.document.dataset,
        artifact=_kind(dataset),
        manifest_sha256=sha256_of(dataset.artifact.folder / names.MANIFEST),
        to=to,
        size=images.size,
        resampling=None if images.size is None else images.resampling,
        classes=images.classes,
        counts={
            split: {label: int(sizes.get((split, label), 0)) for label in images.classes}
            for split in images.splits
        },
        withheld=len(dataset.artifact.manifest) - len(images.rows),
        cxrbuild=__version__,
        libraries={name: version(name) for name in _LIBRARIES},
        files={},
    )


def _kind(dataset: Dataset) -> Any:
    artifact = dataset.artifact
    return artifact.document.policy if isinstance(artifact, Release) else "build"


def _write(
    export_format: ExportFormat,
    images: ExportImages,
    wanted: ExportDocument,
    staging: Path,
    progress: Progress,
) -> ExportDocument:
    """Write every file of the export, ``export.json`` last; return that document."""
    places = export_format.write(images, staging)
    rows = images.rows.drop(columns=["width", "height"])
    rows.insert(0, "file", places)
    write_bytes(staging / _TABLE, safe_csv(rows).encode())
    write_bytes(staging / _CARD, card(export_format, wanted, images).encode())
    with progress(_HASHING, None, ""):
        document = wanted.model_copy(update={"files": _hash_files(staging)})
    document.write(staging / EXPORT)
    return document


def _hash_files(folder: Path) -> dict[str, FileEntry]:
    paths = sorted(Path(entry.path).relative_to(folder).as_posix() for entry in files_under(folder))
    return {
        path: FileEntry(bytes=(folder / path).stat().st_size, sha256=sha256_of(folder / path))
        for path in paths
        if path != EXPORT
    }


def _find_existing(out: Path, wanted: ExportDocument) -> ExportDocument | None:
    """Return the same export where ``out`` holds it; ``None`` where ``out`` is free.

    Raises
    ------
    CxrbuildError
        The folder holds something else, or the export that it holds has changed.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / EXPORT).is_file():
        raise CxrbuildError(
            "the folder holds something else", where=out, todo="Name another folder with --out"
        )
    found = ExportDocument.read(out / EXPORT)
    if different := [
        name
        for name in ExportDocument.model_fields
        if name != "files" and getattr(found, name) != getattr(wanted, name)
    ]:
        raise CxrbuildError(
            "the folder holds another export", where=out, found=f"another {name_some(different)}",
            todo="Name another folder with --out, or remove this one",
        )  # fmt: skip
    files = _hash_files(out)
    if changed := [
        name for name in sorted({*found.files, *files}) if found.files.get(name) != files.get(name)
    ]:
        raise CxrbuildError(
            "the export already exists, and its files have changed", where=out, found=name_some(changed),
            todo="Move it away and run `cxrbuild export` again",
        )  # fmt: skip
    return found


@contextmanager
def _explaining_full_disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise CxrbuildError(
            "the export cannot be written", where=out, found=error.strerror,
            todo="Make room, or name a folder on another disk with --out, and run the command again",
        ) from error  # fmt: skip
