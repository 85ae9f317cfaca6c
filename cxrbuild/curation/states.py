"""Remember in which states the files of an image were, so that an unchanged image is not read again.

``.cxrbuild/states`` has a line for each image of the last finished build: digests of the states of its source
and of its JPEG (`cxrbuild.files.tree_state`), the git blob of the source, and a digest of its line in the
journal. The state of a source is from before it was read, the state of a JPEG from after it was written. The
file is no part of what a build promises: without it every image is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cxrbuild.artifact import names
from cxrbuild.convert.batch import Converted, state_digest
from cxrbuild.curation.journal import Journal
from cxrbuild.files import write_bytes


class ImageState(NamedTuple):
    """Hold the digests of the states of an image's files, and what was converted.

    Parameters
    ----------
    source, jpeg
        Digests of the states; of a JPEG that does not exist, of an empty state.
    blob
        The git blob hash of the source.
    result
        The digest of the journal's line.
    """

    source: str
    jpeg: str
    blob: str
    result: str


def read_states(build: Path) -> dict[str, ImageState]:
    """Read the states of the last finished build, by image id; none where the file is missing or damaged."""
    try:
        lines = _path(build).read_text(encoding="ascii").split("\n")
        return {name: ImageState(*fields) for name, *fields in (line.split(" ") for line in lines if line)}
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def write_states(
    build: Path,
    journal: Journal,
    results: Iterable[Converted],
    sources: Mapping[str, tuple[str, str]],
    jpegs: Mapping[str, str],
) -> None:
    """Write the states of a build that is complete.

    Parameters
    ----------
    build
        The build's folder.
    journal, results
        The journal, and the result of each image.
    sources
        The state and the git blob hash of each image's source by image id, where they are known.
    jpegs
        The states of the build's files, by path.
    """
    lines = []
    for result in results:
        if result.image_id in sources:
            source, blob = sources[result.image_id]
            path = None if result.jpeg_path is None else (build / result.jpeg_path).as_posix()
            jpeg = "" if path is None else jpegs.get(path, "")
            fields = state_digest(source), state_digest(jpeg), blob, journal.digest_of(result)
            lines.append(" ".join([result.image_id, *fields]) + "\n")
    write_bytes(_path(build), "".join(lines).encode())


def _path(build: Path) -> Path:
    return build / names.STATE / "states"
