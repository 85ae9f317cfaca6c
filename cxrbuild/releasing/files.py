"""Write the files of a release."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cxrbuild.artifact import ReleaseDocument, names, write_sums
from cxrbuild.artifact.build import FileEntry
from cxrbuild.contents import Contents
from cxrbuild.documents import croissant, ro_crate, texts
from cxrbuild.files import files_under, sha256_of, write_bytes, write_json
from cxrbuild.progress import Progress
from cxrbuild.records import write_records
from cxrbuild.releasing.results import ReleasedResults
from cxrbuild.releasing.sizes import write_sizes
from cxrbuild.report import write_report
from cxrbuild.shards import Description, lay_out, write_shards

DESCRIBING = "writing documents"


def write_files(
    build: Path,
    root: Path,
    contents: Contents,
    results: ReleasedResults,
    changes: str,
    *,
    workers: int,
    executor: str,
    progress: Progress,
) -> ReleaseDocument:
    """Write every file of the release, ``SHA256SUMS`` last; return its ``build.json``."""
    write_records(root / names.LEDGER, contents.records)
    write_records(root / names.MANIFEST, contents.kept)
    # First, so that a cluster that cannot do the work is an error before the shards are copied.
    write_sizes(build, root, contents, workers=workers, executor=executor, progress=progress)
    shards = _write_shards(build, root, contents, progress)
    with progress(DESCRIBING, None, ""):
        return _write_documents(build, root, contents, results, changes, shards)


def _write_documents(
    build: Path,
    root: Path,
    contents: Contents,
    results: ReleasedResults,
    changes: str,
    shards: Iterable[str],
) -> ReleaseDocument:
    write_bytes(root / names.CHANGELOG, changes.encode())
    for name, content in results.files.items():
        write_bytes(root / name, content)
    write_report(root / names.REPORT, contents, build, results.documents)
    # Files that do not follow from the data are recorded with their hashes; others can be generated again.
    recorded = [names.CHANGELOG, names.REPORT, *results.files]
    packaging = contents.document.packaging.model_copy(
        update={"files": {name: sha256_of(root / name) for name in recorded}}
    )
    document = contents.document.model_copy(update={"packaging": packaging})
    document.write(root / names.BUILD)
    splits = _splits([root / name for name in shards if name.endswith(".parquet")])
    manifest = sha256_of(root / names.MANIFEST)
    for name, text in texts(root, contents, splits, results.documents.kinds, manifest):
        write_bytes(root / name, text.encode())
    hashes = _hashes(root)
    for name, describe in ((names.CROISSANT, croissant), (names.RO_CRATE, ro_crate)):
        write_json(root / name, describe(root, contents, hashes))
        hashes[name] = sha256_of(root / name)
    write_sums(root, hashes)
    return document


def _hashes(root: Path) -> dict[str, str]:
    names = (Path(entry.path).relative_to(root).as_posix() for entry in files_under(root))
    return {name: sha256_of(root / name) for name in names}


def _write_shards(build: Path, root: Path, contents: Contents, progress: Progress) -> dict[str, FileEntry]:
    recipe = contents.recipe
    # A release always has Parquet: its documents name it.
    formats = {"parquet", *contents.document.formats}
    dataset = Description(recipe.name, contents.version, contents.description, recipe.citation or "")
    shards = lay_out(contents.embedded)
    return write_shards(shards, build, recipe.classes, formats, dataset, progress=progress, out=root)


def _splits(parquet: list[Path]) -> dict[str, dict[str, int]]:
    """Return the rows and uncompressed bytes of the Parquet shards by split."""
    import pyarrow.parquet as pq

    splits: dict[str, dict[str, int]] = {}
    for path in parquet:
        split = splits.setdefault(path.name.split("-")[0], {"num_bytes": 0, "num_examples": 0})
        metadata = pq.read_metadata(path)
        split["num_bytes"] += sum(
            metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)
        )
        split["num_examples"] += metadata.num_rows
    return splits
