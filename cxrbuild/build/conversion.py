"""Convert a plan's films in many processes, doing nothing again that is there and matches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.build.fetched import FETCH_AGAIN
from cxrbuild.catalog.recipe import Conversion
from cxrbuild.convert import Settings
from cxrbuild.convert.films import CHANGED, Converted, Film, Piece, convert_piece
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.executors import run_pieces
from cxrbuild.files import PART, write_bytes
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

# Enough films to make the message to a worker cheap, few enough that a killed run loses little.
_PIECE = 24


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
        """Return what stands there, by image id; nothing if it was made with other settings."""
        if not self.path.exists():
            return {}
        header, *lines = self.path.read_text(encoding="utf-8").splitlines() or [""]
        if header != self.header:
            return {}
        entries = {}
        for line in lines:
            try:
                entry = Converted(**json.loads(line))
            except (ValueError, TypeError):
                break  # the line that a killed run was writing
            entries[entry.image_id] = entry
        return entries

    def begin(self, entries: Mapping[str, Converted]) -> None:
        """Write it anew with what stood there before."""
        self._write(json.dumps(entry._asdict()) for entry in entries.values())

    def add(self, entries: list[Converted]) -> None:
        """Write some more lines."""
        lines = {entry.image_id: json.dumps(entry._asdict()) for entry in entries}
        self._added |= lines
        with self.path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines.values())

    def finish(self) -> None:
        """Write it anew with what was added, in order."""
        self._write(self._added[name] for name in sorted(self._added))

    def _write(self, lines: Iterable[str]) -> None:
        write_bytes(self.path, ("\n".join([self.header, *lines]) + "\n").encode())


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
    changed is moved. JPEGs of earlier runs that are no longer kept are removed, files of others never.

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
        A film was changed since it was fetched, a worker died, or the build's disk is full.
    """
    before = journal.read()
    places = zip(kept["image_id"], kept["split"], kept["label"], strict=True)
    targets = {name: f"images/{split}/{label}/{name}.jpg" for name, split, label in places}
    before = {name: _moved(build, entry, targets.get(name)) for name, entry in before.items()}
    journal.begin(before)
    paths = zip(kept["image_id"], kept["source"], kept["source_path"], strict=True)
    films = [
        Film(
            source=f"{sources[source]}/{path}",
            blob=fetched.get(source, {}).get(path),
            jpeg_path=targets[name],
            before=before.get(name, Converted(name)),
        )
        for name, source, path in paths
    ]
    for name in {target.rpartition("/")[0] for target in targets.values()}:
        folder = build / name
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".*{PART}"):
            left.unlink()  # what a killed run was writing
    done: dict[str, Converted] = {}
    changed: list[str] = []
    settings = Settings(conversion.quality, conversion.max_pixels)
    pieces = (Piece(settings, str(build), tuple(films[i : i + _PIECE])) for i in range(0, len(films), _PIECE))
    with progress("converting", len(films), "image") as bar:
        for piece, results in run_pieces(executor, convert_piece, pieces, ahead=3 * workers):
            changed += [result.image_id for result in results if result.exclusion == CHANGED]
            results = [result for result in results if result.exclusion != CHANGED]
            journal.add(results)
            done |= {result.image_id: result for result in results}
            bar.update(len(piece.films))
    if changed:
        rows = kept.set_index("image_id").loc[sorted(changed)]
        raise CxrbuildError(
            f"{len(changed)} of the films were changed since they were fetched",
            where=sources[rows["source"].iloc[0]].parent,
            found=name_some(
                f"{s}/{path}" for s, path in zip(rows["source"], rows["source_path"], strict=True)
            ),
            todo=FETCH_AGAIN,
        )
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
