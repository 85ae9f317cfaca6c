"""Every text of a release that follows from its data, by the name of its file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from cxrbuild.contents import Contents
from cxrbuild.documents.attribution import attribution, citation, film_list
from cxrbuild.documents.card import card
from cxrbuild.records import SPLITS


def texts(
    folder: Path, contents: Contents, splits: Mapping[str, Mapping[str, int]], outcomes: Collection[str]
) -> dict[str, str]:
    """Return the texts.

    Parameters
    ----------
    folder
        The release, whose shards are there.
    contents
        What it holds.
    splits
        For each part in the Parquet shards its num_examples and num_bytes.
    outcomes
        Of ``audit`` and ``baseline`` those that it has.
    """
    tfds = sorted((folder / "tfds").glob("*/*/"))
    return {
        "README.md": card(
            contents,
            splits={part: splits[part] for part in SPLITS if part in splits},
            download_size=sum(path.stat().st_size for path in (folder / "data").glob("*.parquet")),
            tfds=tfds[0].relative_to(folder).as_posix() if tfds else None,
            audit="audit" in outcomes,
            baseline="baseline" in outcomes,
        ),
        "ATTRIBUTION.csv": attribution(contents),
        "images.csv": film_list(contents),
        "CITATION.cff": citation(contents),
    }
