"""Convert a plan's films in many processes, doing nothing again that is there and matches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.build.fetched import FETCH_AGAIN
from cxrbuild.catalog.recipe import Conversion
from cxrbuild.convert import Settings
from cxrbuild.convert.films import CHANGED, GONE, Converted, Film, Piece, convert_piece
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.executors import run_pieces
from cxrbuild.files import naming, sweep, write_bytes
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

# Enough films to make the message to a worker cheap, few enough that a killed run loses little.
_PIECE = 24
_NUMBERS = {"jpeg_bytes", "width", "height"}
# What ends a build, in the words of its error.
_STOPS = {
    CHANGED: ("were changed since they were fetched", FETCH_AGAIN),
    GONE: (
        "were there when the dataset was planned, and are not found where it is converted",
        "Let nothing else write there; the workers of a cluster must see the same folders under the same "
        "paths",
    ),
}


class Journal:
    """What was converted with which settings, line by line as it happens: ``.cxrbuild/converted.jsonl``.

    A killed run's next one goes on from here. When a build is finished its lines stand in the order of the
    image ids, so that the same build has the same bytes.
    """

    def __init__(self, build: Path, settings: Mapping[str, object]) -> None:
        self.path = build / ".cxrbuild" / "converted.jsonl"
        self.header = json.dumps(settings, sort_keys=True)
        self._added: dict[str, str] = {}

    def read(self) -> dict[str, Converted]:
        """Return what stands there, by image id; of what was made with other settings only where it is."""
        if not self.path.exists():
            return {}
        header, *lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        # A line that says nothing is the one that a killed run was writing.
        entries = [entry for entry in map(_entry, lines) if entry is not None]
        if header != self.header:
            entries = [Converted(entry.image_id, jpeg_path=entry.jpeg_path) for entry in entries]
        return {entry.image_id: entry for entry in entries}

    def begin(self, entries: Mapping[str, Converted]) -> None:
        """Write it anew with what stood there before."""
        self._write(json.dumps(entry._asdict()) for entry in entries.values())

    def add(self, entries: list[Converted]) -> None:
        """Write some more lines."""
        lines = {entry.image_id: json.dumps(entry._asdict()) for entry in entries}
        self._added |= lines
        with naming(self.path), self.path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines.values())

    def finish(self) -> None:
        """Write it anew with what was added, in order."""
        self._write(self._added[name] for name in sorted(self._added))

    def _write(self, lines: Iterable[str]) -> None:
        write_bytes(self.path, ("\n".join([self.header, *lines]) + "\n").encode())


def _entry(line: str) -> Converted | None:
    """Return what a line of the journal says, ``None`` where no journal of ours says it."""
    try:
        entry = Converted(**json.loads(line))
    except (ValueError, TypeError):
        return None
    if not isinstance(entry.image_id, str) or not all(map(_is_typed, Converted._fields, entry)):
        return None
    # A JPEG may be moved or removed for what stands here: it must be one of the build's.
    if entry.jpeg_path is not None:
        parts = Path(entry.jpeg_path).parts
        if len(parts) != 4 or parts[0] != "images" or ".." in parts or parts[3] != f"{entry.image_id}.jpg":
            return None
    return entry


def _is_typed(name: str, value: Any) -> bool:
    return value is None or type(value) is (int if name in _NUMBERS else str)


def convert_images(
    kept: pd.DataFrame,
    sources: Mapping[str, Path],
    fetched: Mapping[str, Mapping[str, str]],
    build: Path,
    conversion: Conversion,
    journal: Journal,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[Converted]:
    """Convert the kept films to ``images/<split>/<label>/<image_id>.jpg``.

    A film whose bytes, settings and JPEG are as the journal says is not converted again; a JPEG whose part
    changed is moved. JPEGs that the journal names and that are no longer kept are removed, files of others
    never.

    Parameters
    ----------
    kept
        The rows to convert.
    sources
        The sources' folders by name.
    fetched
        The git blob hash that each file must have, by source and path, where it is known.
    build
        The build's folder.
    conversion
        How to convert.
    journal
        What was converted before.
    executor, workers
        Where to convert, and how many work there.
    progress
        Told how many films are done.

    Returns
    -------
    list of Converted
        What became of each film, in the order of the rows.

    Raises
    ------
    CxrbuildError
        A film was changed since it was fetched or is gone since it was planned, or a worker died.
    OSError
        A JPEG or the journal cannot be written.
    """
    before = journal.read()
    places = zip(kept["image_id"], kept["split"], kept["label"], strict=True)
    targets = {name: f"images/{split}/{label}/{name}.jpg" for name, split, label in places}
    before = {name: _moved(build, entry, targets.get(name)) for name, entry in before.items()}
    journal.begin(before)
    paths = zip(kept["image_id"], kept["source"], kept["source_path"], strict=True)
    # A cluster's workers have another folder as their current one.
    roots = {name: folder.absolute() for name, folder in sources.items()}
    films = [
        Film(
            source=f"{roots[source]}/{path}",
            blob=fetched.get(source, {}).get(path),
            jpeg_path=targets[name],
            before=before.get(name, Converted(name)),
        )
        for name, source, path in paths
    ]
    folders = [build / name for name in {target.rpartition("/")[0] for target in targets.values()}]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    done: dict[str, Converted] = {}
    settings, place = Settings(conversion.quality, conversion.max_pixels), str(build.absolute())
    pieces = (Piece(settings, place, tuple(films[i : i + _PIECE])) for i in range(0, len(films), _PIECE))
    with progress("converting", len(films), "image") as bar:
        for piece, results in run_pieces(executor, convert_piece, pieces, ahead=3 * workers):
            journal.add([result for result in results if result.exclusion not in _STOPS])
            done |= {result.image_id: result for result in results}
            bar.update(len(piece.films))
    for stop, (what, todo) in _STOPS.items():
        if stopped := sorted(name for name, result in done.items() if result.exclusion == stop):
            rows = kept.set_index("image_id").loc[stopped]
            raise CxrbuildError(
                f"{len(stopped)} of the films {what}",
                where=sources[rows["source"].iloc[0]].parent,
                found=name_some(
                    f"{s}/{path}" for s, path in zip(rows["source"], rows["source_path"], strict=True)
                ),
                todo=todo,
            )
    for folder in folders:
        sweep(folder)  # a cluster may do a piece twice, and end a worker in the middle of one
    for name in set(before) - set(targets):
        _remove(build, before[name].jpeg_path)
    journal.finish()
    return [done[film.before.image_id] for film in films]


def _moved(build: Path, entry: Converted, target: str | None) -> Converted:
    """Move a JPEG whose part or class changed to where it now belongs."""
    if target is None or entry.jpeg_path is None or entry.jpeg_path == target:
        return entry
    if (build / entry.jpeg_path).exists():
        (build / target).parent.mkdir(parents=True, exist_ok=True)
        (build / entry.jpeg_path).replace(build / target)
        _remove(build, entry.jpeg_path)
    return entry._replace(jpeg_path=target)


def _remove(build: Path, jpeg_path: str | None) -> None:
    if jpeg_path is None:
        return
    path = build / jpeg_path
    path.unlink(missing_ok=True)
    for folder in list(path.parents)[:2]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
