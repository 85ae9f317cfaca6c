"""Convert a plan's images in many processes, without repeating what exists and matches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.convert import Settings
from cxrbuild.convert.batch import (
    CHANGED,
    MISSING,
    UNCHANGED,
    Batch,
    Converted,
    ImageTask,
    keeps_state,
    state_digest,
)
from cxrbuild.curation.journal import Journal
from cxrbuild.curation.plan import Plan
from cxrbuild.curation.recovery import convert_batches
from cxrbuild.curation.states import ImageState, read_states
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.executors import run_batches
from cxrbuild.fetch_advice import advise_fetch
from cxrbuild.files import find_changed, remove_temporary_files
from cxrbuild.ingest import find_dicom
from cxrbuild.lockfile import source_folder
from cxrbuild.progress import Progress
from cxrbuild.records import is_image_id

# Large enough that the message to a worker is cheap, small enough that a killed run loses little.
BATCH_SIZE = 24


def convert_images(
    plan: Plan,
    data: Path,
    build: Path,
    journal: Journal,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
    sources: Mapping[str, tuple[str, str]] | None = None,
) -> list[Converted]:
    """Convert the kept images to ``images/<split>/<label>/<image_id>.jpg``.

    An image is not converted again if its bytes, settings and JPEG match the journal. If its files are in the
    states that the last build left them in, they are not read either. A JPEG whose split or label changed is
    moved. Other files with the name of an image are removed; no other file is.

    Parameters
    ----------
    plan
        What to convert.
    data
        The folder that ``fetch`` filled.
    build
        The build's folder.
    journal
        The results of previous runs.
    executor, workers
        Where to convert, and the number of workers there.
    sources
        The state of each image's source from before any was read, with its git blob hash, by image id; see
        `source_states`.
    progress
        Shows how many images are done.

    Returns
    -------
    list of Converted
        The result of each image, in the order of ``plan.kept``.

    Raises
    ------
    CxrbuildError
        An image was changed since it was fetched, or is missing since it was planned, or no worker is left.
    OSError
        A JPEG or the journal cannot be written.
    """
    kept = plan.kept
    folders = zip(kept["image_id"], kept["split"], kept["label"], strict=True)
    targets = {name: f"images/{split}/{label}/{name}.jpg" for name, split, label in folders}
    previous = {name: _move(build, entry, targets.get(name)) for name, entry in journal.read().items()}
    confidential = {source.name for source in plan.declared.sources if not source.public}
    journal.begin(previous)
    roots = _roots(plan, data)
    # A state is of the result that it was written with, which a later run may have replaced.
    states = {
        name: state
        for name, state in read_states(build).items()
        if name in previous and journal.digest_of(previous[name]) == state.result
    }
    paths = zip(kept["image_id"], kept["source"], kept["source_path"], strict=True)
    tasks = [
        ImageTask(
            source_file=f"{roots[source]}/{path}",
            blob=plan.fetched.get(source, {}).get(path),
            jpeg_path=targets[name],
            previous=previous.get(name, Converted(name)),
            previous_blob=states[name].blob if name in states else None,
            jpeg_state=states[name].jpeg if name in states else None,
            keep_metadata=source not in confidential,
        )
        for name, source, path in paths
    ]
    for name in {target.rpartition("/")[0] for target in targets.values()}:
        (build / name).mkdir(parents=True, exist_ok=True)
    done: dict[str, Converted] = {}
    settings = Settings(plan.declared.recipe.conversion.quality, plan.declared.recipe.conversion.max_pixels)
    root = str(build.absolute())
    unchanged = [task for task in tasks if _is_unchanged(task, root, states, sources or {})]
    done |= {task.previous.image_id: task.previous for task in unchanged}
    journal.add(list(done.values()))
    rest = [task for task in tasks if task.previous.image_id not in done]
    # Consecutive images share a folder, in which one process at a time can create a file: distribute them.
    count = -(-len(rest) // BATCH_SIZE)
    batches = (Batch(settings, root, tuple(rest[i::count])) for i in range(count))
    if known := sum(task.previous.image_id in previous for task in tasks):
        progress.note(_describe_known(known, len(done), len(tasks)))
    again: list[Converted] = []
    with progress("converting", len(tasks), "image", done=len(done)) as bar:
        for results, is_final in convert_batches(executor, batches, workers=workers):
            again += [result for result in results if result.exclusion != UNCHANGED]
            results = [
                previous[result.image_id] if result.exclusion == UNCHANGED else result for result in results
            ]
            if is_final:
                journal.add([result for result in results if result.exclusion not in (CHANGED, MISSING)])
            done |= {result.image_id: result for result in results}
            bar.update(len(results))
    _require_unchanged(plan, data, [name for name, result in done.items() if result.exclusion == CHANGED])
    _require_present(plan, data, [name for name, result in done.items() if result.exclusion == MISSING])
    if repaired := _count_repaired(again, previous):
        progress.note(
            f"Converted again: {count_of(repaired, 'image')} whose JPEG in the build was damaged or missing."
        )
    _remove_others(build, set(targets.values()))
    journal.finish()
    return [done[task.previous.image_id] for task in tasks]


def _describe_known(known: int, unchanged: int, total: int) -> str:
    """Describe what an earlier run converted, and how much of it is checked: what has another state."""
    text = f"Converted by an earlier run: {known:,} of {count_of(total, 'image')}"
    if known == unchanged:
        return f"{text}."
    whose = "their files" if not unchanged else f"the files of {known - unchanged:,} of these"
    return f"{text}; {whose} are checked, and converted again if damaged or missing."


def _count_repaired(converted: Iterable[Converted], previous: Mapping[str, Converted]) -> int:
    """Return how many images were converted again from the same bytes, since their JPEG was not as before."""
    before = {name: one.source_sha256 for name, one in previous.items() if one.jpeg_sha256 is not None}
    return sum(
        one.source_sha256 is not None and before.get(one.image_id) == one.source_sha256 for one in converted
    )


def source_states(plan: Plan, data: Path, files: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the state and the git blob hash of the source of each image that ``fetch`` put in place, by id.

    Parameters
    ----------
    plan
        What to convert.
    data
        The folder that ``fetch`` filled.
    files
        The states of the sources' files by path, from before any of them was read.
    """
    kept, found = plan.kept, {}
    folders = {one.name: source_folder(data, one.name).as_posix() for one in plan.declared.sources}
    for name, source, path in zip(kept["image_id"], kept["source"], kept["source_path"], strict=True):
        state = files.get(f"{folders[source]}/{path}")
        blob = plan.fetched.get(source, {}).get(path)
        if state is not None and blob is not None:
            found[name] = state, blob
    return found


def _is_unchanged(
    task: ImageTask,
    build: str,
    states: Mapping[str, ImageState],
    sources: Mapping[str, tuple[str, str]],
) -> bool:
    """Return whether an image is as the last build left it, without reading its files."""
    name = task.previous.image_id
    if name not in states or name not in sources:
        return False
    (source, blob), before, previous = sources[name], states[name], task.previous
    is_same = (state_digest(source), blob) == (before.source, before.blob)
    # A file that could not be read has no hash: the folders above it decide too.
    if not is_same or previous.source_sha256 is None:
        return False
    return keeps_state(previous, f"{build}/{task.jpeg_path}", before.jpeg)


def compare_unconverted(
    plan: Plan, data: Path, executor: Executor, *, workers: int, progress: Progress
) -> None:
    """Compare excluded DICOM files with what was fetched.

    Their own headers decide about their exclusion; kept files are compared when they are converted.

    Raises
    ------
    CxrbuildError
        An image was changed since it was fetched, or a worker died.
    """
    files: dict[tuple[str, str], str] = {}
    roots = _roots(plan, data)
    excluded = plan.records[plan.records["exclusion"].notna() & (plan.records["exclusion"] != "missing_file")]
    for source in plan.declared.sources:
        blobs = plan.fetched.get(source.name, {})
        rows = excluded[(excluded["source"] == source.name) & excluded["source_path"].isin(list(blobs))]
        if not source.reader.images_are_dicom:
            rows = rows[rows["source_path"].isin(find_dicom(Path(roots[source.name]), rows["source_path"]))]
        for name, path in zip(rows["image_id"], rows["source_path"], strict=True):
            files[f"{roots[source.name]}/{path}", blobs[path]] = name
    listed = list(files)
    batches = (listed[i : i + BATCH_SIZE] for i in range(0, len(listed), BATCH_SIZE))
    changed: set[str] = set()
    with progress("comparing excluded DICOM files", len(files), "file") as bar:
        for batch, others in run_batches(executor, find_changed, batches, ahead=3 * workers):
            changed |= set(others)
            bar.update(len(batch))
    _require_unchanged(plan, data, [name for (path, _), name in files.items() if path in changed])


def _require_unchanged(plan: Plan, data: Path, names: Iterable[str]) -> None:
    paths, sources = _paths_and_sources(plan, names)
    if paths:
        again = [source for source in plan.declared.sources if source.name in sources]
        raise CxrbuildError(
            "images were changed since they were fetched", where=source_folder(data, ""),
            found=name_some(paths), todo=advise_fetch(data, again),
        )  # fmt: skip


def _require_present(plan: Plan, data: Path, names: Iterable[str]) -> None:
    paths, _ = _paths_and_sources(plan, names)
    if paths:
        raise CxrbuildError(
            "images that existed when the dataset was planned are missing where it is converted",
            where=source_folder(data, ""), found=name_some(paths),
            todo="Let nothing else write there; the workers of a cluster must see the same folders under the "
            "same paths",
        )  # fmt: skip


def _paths_and_sources(plan: Plan, names: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return the paths of images, each after its source, and the sources."""
    rows = plan.records.set_index("image_id").loc[sorted(names)]
    return (rows["source"] + "/" + rows["source_path"]).tolist(), set(rows["source"])


def _roots(plan: Plan, data: Path) -> dict[str, str]:
    # The workers of a cluster have another current folder.
    return {source.name: str(source_folder(data, source.name).absolute()) for source in plan.declared.sources}


def _move(build: Path, entry: Converted, target: str | None) -> Converted:
    """Move a JPEG whose split or label changed."""
    if target is None or entry.jpeg_path is None or entry.jpeg_path == target:
        return entry
    old = build / entry.jpeg_path
    if old.is_file() and not old.is_symlink():
        (build / target).parent.mkdir(parents=True, exist_ok=True)
        old.replace(build / target)
    return entry._replace(jpeg_path=target)


def _remove_others(build: Path, targets: set[str]) -> None:
    """Remove JPEGs of previous runs that this one does not have, and the temporary files of killed runs."""
    for split in _folders(build / names.IMAGES):
        for label in _folders(split):
            remove_temporary_files(label)
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
