"""Find duplicates among files of sources, which no build has converted."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.auditing.images import describe_files
from cxrbuild.auditing.store import DescriptorStore
from cxrbuild.executors import run_batches
from cxrbuild.progress import Progress

_BATCH = 16


@dataclass(frozen=True)
class SourceDuplicates:
    """The duplicates among some files.

    Attributes
    ----------
    matches
        Pairs of files that are duplicates or near-duplicates, by their numbers.
    unreadable
        The numbers of the files that cannot be read as images.
    """

    matches: list[Match]
    unreadable: list[int]


def find_source_duplicates(
    paths: Sequence[Path], executor: Executor, *, workers: int, progress: Progress
) -> SourceDuplicates:
    """Find duplicates and near-duplicates among image files, as the audit of a build finds them.

    Nothing is kept: the descriptors are in a temporary folder.

    Parameters
    ----------
    paths
        PNG, JPEG or DICOM files.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens progress bars.
    """
    with tempfile.TemporaryDirectory(prefix="cxrbuild-") as name:
        store = DescriptorStore(Path(name))
        known: dict[Path, str | None] = {}
        stored: set[str] = set()
        batches = (tuple(paths[i : i + _BATCH]) for i in range(0, len(paths), _BATCH))
        with progress("reading images", len(paths), "image") as bar:
            for batch, found in run_batches(executor, describe_files, batches, ahead=3 * workers):
                known |= {path: one and one[0] for path, one in zip(batch, found, strict=True)}
                new = {one[0]: one[1] for one in found if one is not None and one[0] not in stored}
                store.add(list(new), list(new.values()))
                stored |= new.keys()
                bar.update(len(batch))
        digests = [known[path] for path in paths]
        first: dict[str, int] = {}
        matches = []
        for number, digest in enumerate(digests):
            if digest is not None and (other := first.setdefault(digest, number)) != number:
                matches.append(Match(other, number, "same bytes", 1.0))
        distinct = np.array(sorted(first.values()), np.int64)
        found_matches, _ = find_matches(
            store.table([str(digests[number]) for number in distinct]),
            [paths[number] for number in distinct],
            Path(name),
            executor,
            workers=workers,
            progress=progress,
        )
    matches += [
        replace(match, a=int(distinct[match.a]), b=int(distinct[match.b]))
        for match in found_matches
        if match.kind != "similar"
    ]
    unreadable = [number for number, digest in enumerate(digests) if digest is None]
    return SourceDuplicates(sorted(matches, key=lambda match: (match.a, match.b)), unreadable)
