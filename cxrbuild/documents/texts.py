"""The documents of a release that are generated from its data alone, by file name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.artifact.stored_images import list_shards
from cxrbuild.contents import Contents
from cxrbuild.documents.attribution import attribution, citation, citation_bibtex, image_list
from cxrbuild.documents.card import card
from cxrbuild.records import SPLITS


def texts(
    folder: Path,
    contents: Contents,
    splits: Mapping[str, Mapping[str, int]],
    results: Collection[str],
    manifest_sha256: str,
) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each document; the lists of a large release take much memory.

    Parameters
    ----------
    folder
        The release, with its shards.
    contents
        Its content.
    splits
        The num_examples and num_bytes of each split of the Parquet shards.
    results
        Which of ``audit``, ``baseline`` and ``explanation`` it has.
    manifest_sha256
        The hash of its manifest.
    """
    tfds = sorted((folder / names.TFRECORD).glob("*/*/"))
    yield (
        names.CARD,
        card(
            contents,
            splits={split: splits[split] for split in SPLITS if split in splits},
            download_size=sum(path.stat().st_size for path in list_shards(folder)),
            tfds=tfds[0].relative_to(folder).as_posix() if tfds else None,
            results=results,
        ),
    )
    yield names.ATTRIBUTION, attribution(contents)
    yield names.IMAGE_LIST, image_list(contents)
    yield names.CITATION, citation(contents, manifest_sha256)
    yield names.BIBTEX, citation_bibtex(contents, manifest_sha256)
