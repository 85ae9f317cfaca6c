"""Convert a plan's films in many processes, doing nothing again that is there and matches."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from cxrbuild.convert import Settings
from cxrbuild.convert.batch import CHANGED, GONE, Converted, Film, Piece, convert_piece
from cxrbuild.curation.journal import Journal
from cxrbuild.curation.plan import Plan
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.executors import run_batches
from cxrbuild.fetching.record import advise_fetch
from cxrbuild.files import differing, sweep
from cxrbuild.lockfile import source_folder
from cxrbuild.progress import Progress
from cxrbuild.records import is_image_id

# Enough films to make the message to a worker cheap, few enough that a killed run loses little.
_PIECE = 24


def convert_images(
    plan: Plan,
    data: Path,
    build: Path,
    journal: Journal,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[Converted]:
    """Convert the kept films to ``images/<split>/<label>/<image_id>.jpg``.

    A film whose bytes, settings and JPEG are as the journal says is not converted again; a JPEG whose part
    changed is moved. Files there that have an image's name and are no such JPEG are removed, others never.

    Parameters
    ----------
    plan
        What to convert.
    data
        The folder that ``fetch`` filled.
    build
        The build's folder.
    journal
        What was converted before.
    executor, workers
        Where to convert, and how many work there.
    progress
        Told how many films are done.

    Returns
    -------
    list of Converted
        What became of each film, in the order of ``plan.kept``.

    Raises
    ------
    CxrbuildError
        A film was changed since it was fetched or is gone since it was planned, or a worker died.
    OSError
        A JPEG or the journal cannot be written.
    """
    kept = plan.kept
    places = zip(kept["image_id"], kept["split"], kept["label"], strict=True)
    targets = {name: f"images/{split}/{label}/{name}.jpg" for name, split, label in places}
    before = {name: _moved(build, entry, targets.get(name)) for name, entry in journal.read().items()}
    journal.begin(before)
    roots = _roots(plan, data)
    paths = zip(kept["image_id"], kept["source"], kept["source_path"], strict=True)
    films = [
        Film(
            source=f"{roots[source]}/{path}",
            blob=plan.fetched.get(source, {}).get(path),
            jpeg_path=targets[name],
            before=before.get(name, Converted(name)),
        )
        for name, source, path in paths
    ]
    for name in {target.rpartition("/")[0] for target in targets.values()}:
        (build / name).mkdir(parents=True, exist_ok=True)
    done: dict[str, Converted] = {}
    settings = Settings(plan.declared.recipe.conversion.quality, plan.declared.recipe.conversion.max_pixels)
    place = str(build.absolute())
    # Neighbours lie in one folder, in which only one process at a time can make a file: deal them out.
    count = -(-len(films) // _PIECE)
    pieces = (Piece(settings, place, tuple(films[i::count])) for i in range(count))
    with progress("converting", len(films), "image") as bar:
        for piece, results in run_batches(executor, convert_piece, pieces, ahead=3 * workers):
            journal.add([result for result in results if result.exclusion not in (CHANGED, GONE)])
            done |= {result.image_id: result for result in results}
            bar.update(len(piece.films))
    _refuse_changed(plan, data, [name for name, result in done.items() if result.exclusion == CHANGED])
    _refuse_gone(plan, data, [name for name, result in done.items() if result.exclusion == GONE])
    _clear(build, set(targets.values()))
    journal.finish()
    return [done[film.before.image_id] for film in films]


def compare_unconverted(
    plan: Plan, data: Path, executor: Executor, *, workers: int, progress: Progress
) -> None:
    """Compare DICOM films that are left out with what was fetched.

    What left them out is their own header; those that are kept are compared when they are converted.

    Raises
    ------
    CxrbuildError
        A film was changed since it was fetched, or a worker died.
    """
    read = {source.name for source in plan.declared.sources if source.reader.reads_images}
    rows = plan.records[plan.records["exclusion"].notna() & plan.records["source"].isin(read)]
    roots = _roots(plan, data)
    films = {
        (f"{roots[source]}/{path}", plan.fetched[source][path]): name
        for name, source, path, reason in rows[["image_id", "source", "source_path", "exclusion"]].itertuples(
            index=False
        )
        if reason != "missing_file" and source in plan.fetched
    }
    listed = list(films)
    pieces = (listed[i : i + _PIECE] for i in range(0, len(listed), _PIECE))
    changed: set[str] = set()
    with progress("comparing", len(films), "image") as bar:
        for piece, others in run_batches(executor, differing, pieces, ahead=3 * workers):
            changed |= set(others)
            bar.update(len(piece))
    _refuse_changed(plan, data, [name for (path, _), name in films.items() if path in changed])


def _refuse_changed(plan: Plan, data: Path, names: Iterable[str]) -> None:
    paths, sources = _told(plan, names)
    if paths:
        again = [source for source in plan.declared.sources if source.name in sources]
        raise CxrbuildError(
            "films were changed since they were fetched", where=source_folder(data, ""),
            found=name_some(paths), todo=advise_fetch(data, again),
        )  # fmt: skip


def _refuse_gone(plan: Plan, data: Path, names: Iterable[str]) -> None:
    paths, _ = _told(plan, names)
    if paths:
        raise CxrbuildError(
            "films that were there when the dataset was planned are not found where it is converted",
            where=source_folder(data, ""), found=name_some(paths),
            todo="Let nothing else write there; the workers of a cluster must see the same folders under the "
            "same paths",
        )  # fmt: skip


def _told(plan: Plan, names: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return the paths of films, each with its source, and the sources."""
    rows = plan.records.set_index("image_id").loc[sorted(names)]
    return (rows["source"] + "/" + rows["source_path"]).tolist(), set(rows["source"])


def _roots(plan: Plan, data: Path) -> dict[str, str]:
    # A cluster's workers have another folder as their current one.
    return {source.name: str(source_folder(data, source.name).absolute()) for source in plan.declared.sources}


def _moved(build: Path, entry: Converted, target: str | None) -> Converted:
    """Move a JPEG whose part or class changed to where it now belongs."""
    if target is None or entry.jpeg_path is None or entry.jpeg_path == target:
        return entry
    old = build / entry.jpeg_path
    if old.is_file() and not old.is_symlink():
        (build / target).parent.mkdir(parents=True, exist_ok=True)
        old.replace(build / target)
    return entry._replace(jpeg_path=target)


def _clear(build: Path, targets: set[str]) -> None:
    """Remove JPEGs of former runs that have no place in this one, and what killed runs were writing."""
    for split in _folders(build / "images"):
        for label in _folders(split):
            sweep(label)
            start = f"images/{split.name}/{label.name}/"
            for path in list(label.iterdir()):
                if path.suffix == ".jpg" and is_image_id(path.stem) and start + path.name not in targets:
                    path.unlink()
            _remove_if_empty(label)
        _remove_if_empty(split)


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
