"""Make the fingerprint of a build or a release."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cxrbuild import __version__
from cxrbuild.artifact import Build, DocumentError, Release, names
from cxrbuild.auditing import stages
from cxrbuild.auditing.descriptors import VERSION
from cxrbuild.auditing.images import BATCH, ImageProblem, SourceImage, describe_images, read_images
from cxrbuild.auditing.store import DescriptorStore
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.executors import open_executor, require_executor
from cxrbuild.files import locked, naming, require_file_place, sha256_of
from cxrbuild.loading import Dataset, open_dataset
from cxrbuild.notebook import result_html
from cxrbuild.overlapping.fingerprint import (
    Fingerprint,
    FingerprintDocument,
    Level,
    read_fingerprint,
    write_fingerprint,
)
from cxrbuild.progress import Progress, silent
from cxrbuild.version_numbers import versioned_name

_logger = logging.getLogger(__name__)
_WRITING = "writing the fingerprint"
# The libraries that decide the descriptors.
_LIBRARIES = ("numpy", "pillow", "scipy")
_COLUMNS = ["image_id", "split", "group", "source_sha256", "jpeg_sha256"]


@dataclass(frozen=True)
class FingerprintResult:
    """A fingerprint that was written.

    Attributes
    ----------
    path
        Its file.
    document
        What it is of.
    bytes
        Its size.
    """

    path: Path
    document: FingerprintDocument
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the file, its size, and what it is of."""
        return {"fingerprint": str(self.path), "bytes": self.bytes} | self.document.to_dict()

    def _repr_html_(self) -> str:
        document = self.document
        described = f"{document.described:,} of {count_of(document.images, 'image')}"
        return result_html(
            f"Fingerprint of {document.dataset.name} {document.dataset.version}",
            [f"{self.path}: {described}, {document.level}, {self.bytes / 1e6:,.1f} MB"],
        )


def fingerprint(
    folder: Path,
    out: Path | None = None,
    *,
    level: Level = "keypoints",
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> FingerprintResult:
    """Write the fingerprint of a build or release.

    Parameters
    ----------
    folder
        The build or release.
    out
        The file; default ``NAME-VERSION.fingerprint.parquet``. An earlier fingerprint of the same dataset is
        replaced.
    level
        ``keypoints``, or ``thumbnails``.
    workers, executor
        The number of local processes, or the address of a cluster.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release, images are missing or changed, or ``out`` is another
        file.
    """
    require_executor(executor)
    dataset = open_dataset(folder)
    path = (
        Path(f"{versioned_name(dataset.name, dataset.version)}.fingerprint.parquet") if out is None else out
    )
    require_file_place(path)
    _require_own(path, dataset)
    progress.plan(stages.READING, _WRITING)
    written = describe(dataset, path, level, workers=workers, executor=executor, progress=progress)
    _logger.info("wrote %s: %d images, %s", path, written.document.described, level)
    return FingerprintResult(path, written.document, path.stat().st_size)


def describe(
    dataset: Dataset,
    out: Path,
    level: Level,
    *,
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> Fingerprint:
    """Write the fingerprint of a dataset, and return it.

    Descriptors of a build are kept where its audit keeps them, and are not computed again.

    Parameters
    ----------
    dataset
        All images of a build or release.
    out
        The file.
    level
        ``keypoints``, or ``thumbnails``.
    workers, executor
        The number of local processes, or the address of a cluster.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        Images are missing or changed, or another command uses the build.
    """
    artifact = dataset.artifact
    manifest = artifact.manifest.sort_values("image_id").reset_index(drop=True)
    rows = manifest[_COLUMNS].copy()
    rows["described"] = manifest["image_id"].isin(set(dataset.rows["image_id"])).to_numpy()
    # The number says which images are of one patient, and not of which. A number follows from the order of
    # the ids, not from the name of the patient.
    rows["group"] = manifest["group"].fillna(manifest["image_id"]).factorize()[0]
    with (
        _opened_store(dataset, out) as store,
        open_executor(executor, workers, batches=-(-len(rows) // BATCH), reads=[artifact.folder]) as pool,
    ):
        problems = _read(dataset, store, pool, workers, progress)
        if problems:
            raise CxrbuildError(
                "images are missing or changed", where=artifact.folder,
                found=name_some((f"{one.image_id} ({one.problem})" for one in problems), 3),
                todo="Check the folder with `cxrbuild verify`",
            )  # fmt: skip
        policy = artifact.document.policy if isinstance(artifact, Release) else "build"
        is_public = policy == "public" or all(
            one.public for one in artifact.document.declared_sources.values()
        )
        document = FingerprintDocument(
            descriptors=VERSION, level=level, dataset=artifact.document.dataset,
            artifact=policy,
            manifest_sha256=sha256_of(artifact.folder / names.MANIFEST) if is_public else None,
            images=len(rows), described=int(rows["described"].sum()),
            cxrbuild=__version__, libraries={name: version(name) for name in _LIBRARIES},
        )  # fmt: skip
        described = store.table(rows.loc[rows["described"], "jpeg_sha256"].tolist())
        with progress(_WRITING, None, ""):
            write_fingerprint(out, document, rows, described)
    return Fingerprint(out, document, rows)


@contextmanager
def _opened_store(dataset: Dataset, out: Path) -> Iterator[DescriptorStore]:
    """Give the store of a build's audit, or a temporary one: a release never changes."""
    folder = dataset.artifact.folder
    if isinstance(dataset.artifact, Build):
        with locked(folder):
            yield DescriptorStore(folder / names.STATE / "audit")
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        with naming(out), tempfile.TemporaryDirectory(dir=out.parent) as temporary:
            yield DescriptorStore(Path(temporary))


def _read(
    dataset: Dataset, store: DescriptorStore, pool: Executor, workers: int, progress: Progress
) -> list[ImageProblem]:
    rows = dataset.rows
    if isinstance(dataset.artifact, Build):
        folder = dataset.artifact.folder
        return read_images(rows, folder, store, pool, workers=workers, progress=progress)
    digests = rows["jpeg_sha256"].tolist()
    images = (
        SourceImage(image_id, digest, data)
        for image_id, digest, (data, _) in zip(
            rows["image_id"], digests, dataset.iterate_bytes(), strict=True
        )
    )
    return describe_images(images, digests, store, pool, workers=workers, progress=progress)


def _require_own(path: Path, dataset: Dataset) -> None:
    """Require that a path is free, or has an earlier fingerprint of the dataset."""
    if not path.exists():
        return
    try:
        found = read_fingerprint(path).document.dataset.name
    except DocumentError:
        found = "a file that is no fingerprint"
    if found != dataset.name:
        raise CxrbuildError(
            "the file holds something else", where=path, expected=f"a fingerprint of {dataset.name}",
            found=found, todo="Name another file with --out",
        )  # fmt: skip
