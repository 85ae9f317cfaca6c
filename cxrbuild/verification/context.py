"""What the checks of `verify` share: the folder, and everything read from it, each read once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from cxrbuild import __version__
from cxrbuild.artifact import (
    RESULTS,
    BuildDocument,
    DatasetDocument,
    DocumentError,
    ReleaseDocument,
    Result,
    Results,
    names,
    parse_sums,
)
from cxrbuild.artifact.stored_images import list_shards
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.contents import Contents
from cxrbuild.documents import measured_contents
from cxrbuild.errors import is_of_memory
from cxrbuild.files import files_under, sha256_of
from cxrbuild.parsing import parse_json
from cxrbuild.progress import Progress, silent
from cxrbuild.records import COLUMNS, read_columns, schema
from cxrbuild.shards import lay_out

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

HASHING = "hashing"

Kind = Literal["release", "build", "images"]
T = TypeVar("T")


@dataclass(frozen=True)
class Read(Generic[T]):
    """Something read from a file: its value, ``None`` where it cannot be used, and what is wrong with it."""

    name: str
    value: T | None
    findings: tuple[Finding, ...] = ()

    def require(self) -> T:
        """Return the value.

        Raises
        ------
        NotApplicable
            It cannot be used; the check that reads it reports why.
        """
        if self.value is None:
            raise NotApplicable(f"{self.name} cannot be used")
        return self.value


@dataclass(frozen=True)
class ShardFiles:
    """The files of a shard in either format and at each ready size, and the ids of its images in order."""

    split: str
    parquet: str
    tfrecord: str
    sized: dict[int, str]
    images: list[str]


class Context:
    """A release, a build or a folder of images that is verified.

    Parameters
    ----------
    folder
        The folder.
    kind
        What it is.
    images_of
        For a folder of images, the manifest's rows to compare it with.
    progress
        Shows how far the reading of large files is.
    executor
        Where image files are checked: ``local``, or the address of a cluster.
    signers
        The public keys of those who may have signed a release; ``None`` where it need not be signed.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        *,
        images_of: pd.DataFrame | None = None,
        progress: Progress = silent,
        executor: str = "local",
        signers: frozenset[bytes] | None = None,
    ) -> None:
        self.folder = folder
        self.kind = kind
        self.progress = progress
        self.executor = executor
        self.signers = signers
        self._images_of = images_of

    def read_text(self, name: str) -> str | None:
        """Return the text of a file as it is, carriage returns included; ``None`` where there is no file."""
        path = self.folder / name
        if not path.is_file():
            return None
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            return stream.read()

    # build.json

    @cached_property
    def document_read(self) -> Read[DatasetDocument]:
        """``build.json``, and what is wrong with it."""
        path = self.folder / names.BUILD
        if not path.is_file():
            return Read(names.BUILD, None, (Finding("is missing", names.BUILD),))
        model = ReleaseDocument if self.kind == "release" else BuildDocument
        try:
            return Read(names.BUILD, model.read(path))
        except DocumentError as error:
            return Read(names.BUILD, None, document_findings(names.BUILD, error))

    @property
    def document(self) -> DatasetDocument:
        """``build.json``."""
        return self.document_read.require()

    @property
    def release(self) -> ReleaseDocument:
        """``build.json`` of a release."""
        document = self.document
        if not isinstance(document, ReleaseDocument):
            raise NotApplicable("the folder is not a release")
        return document

    @property
    def packaged_here(self) -> bool:
        """Whether this version of cxrbuild made the release: the same data then give the same documents."""
        return self.release.packaging.cxrbuild == __version__

    @property
    def made_here(self) -> bool:
        """Whether this version of cxrbuild wrote the folder: the same data then give the same files."""
        return self.packaged_here if self.kind == "release" else self.document.cxrbuild == __version__

    # Files and their hashes

    @cached_property
    def files(self) -> dict[str, os.DirEntry[str]]:
        """The files by path, without hidden ones at the top, as `.gitattributes`, which hubs add."""
        found = ((Path(entry.path).relative_to(self.folder), entry) for entry in files_under(self.folder))
        return {path.as_posix(): entry for path, entry in found if not path.parts[0].startswith(".")}

    @cached_property
    def sums_read(self) -> Read[dict[str, str]]:
        """The hash that each file has by ``SHA256SUMS`` or a build's ``build.json``."""
        if self.kind == "build":
            document = self.document_read.value
            files = document.files if isinstance(document, BuildDocument) else {}
            return Read(names.BUILD, {name: entry.sha256 for name, entry in files.items()})
        path = self.folder / names.SUMS
        if not path.is_file():
            return Read(names.SUMS, {}, (Finding("is missing", names.SUMS),))
        sums, problems = parse_sums(path.read_text(encoding="utf-8", errors="replace"))
        return Read(names.SUMS, sums, tuple(Finding(p.message, names.SUMS, p.key) for p in problems))

    @property
    def sums(self) -> dict[str, str]:
        """The hash that each file has by ``SHA256SUMS`` or a build's ``build.json``."""
        return self.sums_read.require()

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file that should be there and is."""
        # A hub's cache has links to the files: the files that they lead to count.
        available = [n for n in sorted(self.sums) if n in self.files and (self.folder / n).is_file()]
        total = sum((self.folder / name).stat().st_size for name in available)
        hashes = {}
        with self.progress(HASHING, total, "B") as bar:
            for name in available:
                hashes[name] = sha256_of(self.folder / name)
                bar.update((self.folder / name).stat().st_size)
        return hashes

    # Tables

    @cached_property
    def ledger_read(self) -> Read[pd.DataFrame]:
        """The ledger, and what is wrong with its columns."""
        return _read_table(self.folder, names.LEDGER)

    @cached_property
    def manifest_read(self) -> Read[pd.DataFrame]:
        """The manifest, and what is wrong with its columns."""
        return _read_table(self.folder, names.MANIFEST)

    @property
    def ledger(self) -> pd.DataFrame:
        """A row for every upstream image."""
        return self.ledger_read.require()

    @property
    def manifest(self) -> pd.DataFrame:
        """A row for every image of the dataset."""
        return self.manifest_read.require() if self._images_of is None else self._images_of

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The manifest by image id, each id once."""
        return self.manifest.drop_duplicates("image_id").set_index("image_id", drop=False)

    @cached_property
    def manifest_is_kept(self) -> bool:
        """Whether the manifest is the kept rows of the ledger, in their order."""
        if self.ledger_read.value is None or self.manifest_read.value is None:
            return False
        kept = self.ledger.index[self.ledger["exclusion"].isna()]
        # Column by column: the kept rows of a large ledger are not copied.
        return len(kept) == len(self.manifest) and all(
            self.manifest[column].equals(self.ledger[column].loc[kept].reset_index(drop=True))
            for column in self.manifest.columns
        )

    @cached_property
    def embedded(self) -> pd.DataFrame:
        """The rows whose pixels should be in the shards, by image id."""
        return self.rows[self.rows["withheld"].isna()]

    @cached_property
    def classes(self) -> list[str]:
        """The classes in the order of their numbers; those of the shards where `build.json` has none."""
        if self.kind == "images":
            return sorted(set(self.manifest["label"].dropna()))
        document = self.document_read.value
        return self._classes_of_shards() if document is None else document.recipe.classes

    # Shards

    @cached_property
    def shards(self) -> list[ShardFiles]:
        """The shards that this version writes for the manifest's rows, in order."""
        dataset = self.document.dataset
        return [
            ShardFiles(
                shard.split,
                names.parquet_shard(shard.split, shard.number, shard.of),
                names.tfrecord_shard(dataset.name, dataset.version, shard.split, shard.number, shard.of),
                {size: names.sized_shard(size, shard.split, shard.number, shard.of) for size in self.sizes},
                shard.rows["image_id"].tolist(),
            )
            for shard in lay_out(self.embedded)
        ]

    @property
    def sizes(self) -> list[int]:
        """The ready sizes that a release should have."""
        document = self.document
        return document.sizes if isinstance(document, ReleaseDocument) else []

    @property
    def parquet_paths(self) -> list[Path]:
        """The Parquet shards."""
        return list_shards(self.folder)

    @cached_property
    def split_sizes(self) -> dict[str, dict[str, int]]:
        """For each split the number of rows in its Parquet shards and of their uncompressed bytes."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sizes: dict[str, dict[str, int]] = {}
        for path in self.parquet_paths:
            try:
                metadata = pq.read_metadata(path)
            except (pa.ArrowException, OSError):
                continue  # reported by the check of the shards
            split = sizes.setdefault(path.name.split("-")[0], {"num_bytes": 0, "num_examples": 0})
            groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
            split["num_bytes"] += sum(group.total_byte_size for group in groups)
            split["num_examples"] += metadata.num_rows
        return sizes

    def _classes_of_shards(self) -> list[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in self.parquet_paths:
            try:
                if found := class_names(pq.read_schema(path)):
                    return found
            except (pa.ArrowException, OSError):
                continue  # reported by the check of the shards
        for path in sorted((self.folder / names.TFRECORD).glob("*/*/label.labels.txt")):
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        return []

    # Results and contents

    @cached_property
    def result_reads(self) -> dict[str, Read[Result]]:
        """The results of audit, baseline and explanation, where there are any, by their file's name."""
        reads: dict[str, Read[Result]] = {}
        for file in RESULTS:
            name = file.in_release
            if (self.folder / name).is_file():
                try:
                    reads[name] = Read(name, file.read(self.folder / name))
                except DocumentError as error:
                    reads[name] = Read(name, None, document_findings(name, error))
        return reads

    @property
    def results(self) -> Results:
        """The results of audit, baseline and explanation that the release has."""
        found = []
        for file in RESULTS:
            if file.in_release in self.result_reads:
                found.append(self.result_reads[file.in_release].require())
            elif file.in_release in self.release.packaging.files:
                raise NotApplicable(f"{file.in_release} is missing")
        return Results.of(found)

    @cached_property
    def contents(self) -> Contents:
        """What the release's tables and results state it holds."""
        results = self.results
        try:
            contents = measured_contents(self.release, self.ledger, results.audit, results.explanation)
            return replace(contents, known_kept=self.manifest) if self.manifest_is_kept else contents
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise NotApplicable(f"the results cannot be described: {error!r}") from error


def document_findings(file: str, error: DocumentError) -> tuple[Finding, ...]:
    """Return what is wrong with a document as findings."""
    return tuple(Finding(problem.message, file, problem.key or None) for problem in error.problems)


def class_names(arrow: Any) -> list[str] | None:
    """Return the classes that a Parquet shard's schema names for Hugging Face datasets."""
    try:
        found: list[str] = parse_json(arrow.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return found


def _read_table(folder: Path, name: str) -> Read[pd.DataFrame]:
    """Read the ledger or the manifest; it is used where it has exactly the declared columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / name
    if not path.is_file():
        return Read(name, None, (Finding("is missing", name),))
    try:
        with pq.ParquetFile(path) as file:
            findings = tuple(_column_findings(name, file.schema_arrow))
            return Read(name, None if findings else read_columns(file), findings)
    except (pa.ArrowException, OSError) as error:
        if is_of_memory(error):
            raise
        return Read(name, None, (Finding(f"cannot be read: {error}", name),))


def _column_findings(name: str, found: pa.Schema) -> Iterator[Finding]:
    expected = schema()
    optional = {column.name for column in COLUMNS if column.optional}
    for field in expected:
        if field.name not in found.names:
            if field.name in optional:
                continue
            yield Finding("the column is missing", name, field.name)
        elif found.field(field.name).type != field.type:
            kind = found.field(field.name).type
            yield Finding(f"the column is of type {kind}, not {field.type}", name, field.name)
    for column in found.names:
        if column not in expected.names:
            yield Finding("is no column of this table", name, column)
