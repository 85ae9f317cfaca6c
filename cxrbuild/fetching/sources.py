"""Fetch several sources at a time and update the lock."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, is_of_memory, name_some, of_memory, of_system
from cxrbuild.fetching.lists import FetchedList
from cxrbuild.fetching.refusal import accept_together
from cxrbuild.fetching.tree import Fetched, clean_up, fetch_tree
from cxrbuild.files import locked
from cxrbuild.lockfile import LockedSource, read_lock, write_lock
from cxrbuild.notebook import result_html
from cxrbuild.patient_key import KEY_ADVICE, KEY_VARIABLE, key_fingerprint, require_long_key
from cxrbuild.progress import Progress, silent
from cxrbuild.remote import is_supported, reading
from cxrbuild.threads import Cancellation, open_threads

_logger = logging.getLogger(__name__)

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class FetchResult:
    """The data folder and what was fetched into it, by source.

    Attributes
    ----------
    data
        The data folder.
    sources
        For each source what the lock records, and whether it was downloaded.
    lists
        For each published list its files.
    to_bring
        Sources that no address is known of, and that are not there.
    """

    data: Path
    sources: dict[str, Fetched]
    lists: dict[str, FetchedList] = field(default_factory=dict)
    to_bring: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        fetched = {
            name: source.locked.to_dict()
            | {
                "downloaded": source.downloaded,
                "exactness": source.exactness.model_dump(),
                "notes": source.notes,
            }
            for name, source in self.sources.items()
        }
        return {
            "data": str(self.data),
            "sources": fetched,
            "lists": {name: one.to_dict() for name, one in self.lists.items()},
            "to_bring": list(self.to_bring),
        }

    def _repr_html_(self) -> str:
        to_bring = f"To bring: {', '.join(self.to_bring)}." if self.to_bring else ""
        return result_html(
            f"Fetched into {self.data}",
            [to_bring],
            ["source", "verified by", "files", "downloaded"],
            [
                [name, source.locked.proof, source.locked.files, source.downloaded]
                for name, source in self.sources.items()
            ],
        )


def fetch(
    sources: Sequence[Source],
    data: Path,
    *,
    origins: Mapping[str, str] = _NONE,
    allow_unpinned: bool = False,
    jobs: int = 4,
    progress: Progress = silent,
) -> FetchResult:
    """Fetch sources to ``data``/sources, verify them against their pins and lock them.

    A source that is present is verified again and not downloaded. If one source fails, the others are still
    fetched and locked.

    Parameters
    ----------
    sources
        The sources, each name once.
    data
        The data folder.
    origins
        By source name the origin to use instead of the declared address: a folder, an archive, an http or
        https address, ``s3://BUCKET/PREFIX`` of a folder or an archive, or the name of a mirror that the
        source declares.
    allow_unpinned
        Whether to accept files that are not the pinned version; the lock then lists the differences.
    jobs
        The number of sources to fetch at a time.
    progress
        Opens the progress bars, in bytes.

    Returns
    -------
    FetchResult
        The sources by name, in the order of ``sources``.

    Raises
    ------
    CxrbuildError
        Some sources could not be fetched; the error has every reason, and as ``partial`` the others.
    """
    names = [source.name for source in sources]
    if unknown := sorted(set(origins) - set(names)):
        raise CxrbuildError(
            "--from names a source that is not fetched", where=name_some(unknown),
            expected=f"one of {', '.join(names)}",
            todo="Correct the name before `=`, or name the source to fetch too",
        )  # fmt: skip
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CxrbuildError(
            "two sources have the same name", where=name_some(twice), todo="Rename one of them"
        )

    if any(source.hashes_patients for source in sources):
        require_long_key()  # and not only when a plan hashes the first number

    cancellation = Cancellation()
    done: dict[str, Fetched] = {}
    errors: dict[str, CxrbuildError] = {}
    _logger.info("fetching %s into %s, %d at a time", name_some(names), data, min(jobs, len(names)))
    with locked(data):
        clean_up(data)
        lock = read_lock(data)
        with open_threads(jobs, cancellation) as pool:
            running = {
                pool.submit(
                    _fetch_from_place, source, data, given=origins.get(source.name),
                    entry=lock.get(source.name), allow_unpinned=allow_unpinned,
                    progress=cancellation.checked(progress), cancellation=cancellation,
                ): source
                for source in sources
            }  # fmt: skip
            for future in as_completed(running):
                source = running[future]
                name = source.name
                try:
                    done[name] = _with_key(source, future.result(), lock.get(name))
                except CxrbuildError as error:
                    errors[name] = error
                except OSError as error:
                    errors[name] = of_system(error)
                except Exception as error:
                    # The others are locked: a tree without an entry in the lock would be kept aside.
                    if not is_of_memory(error):
                        raise
                    errors[name] = of_memory()
                else:
                    for note in done[name].notes:
                        _logger.info("%s", note)
                    lock[name] = done[name].locked
                    write_lock(data, lock)
                    _log(name, done[name])
    for name, reason in errors.items():
        _logger.error("%s was not fetched: %s", name, reason)
    for source in sources:
        # A mirror has the same files; an origin that was given is the user's choice.
        if source.name in errors and source.name not in origins and source.download.mirrors:
            failed = errors[source.name]
            options = " or ".join(f"--from {source.name}={mirror}" for mirror in source.download.mirrors)
            failed.todo = "; ".join(filter(None, [failed.todo, f"or fetch it from a mirror with {options}"]))
    result = FetchResult(data, {name: done[name] for name in names if name in done})
    if errors:
        refused = _together(errors, names, data)
        refused.partial = result
        raise refused
    return result


def _fetch_from_place(
    source: Source,
    data: Path,
    *,
    given: str | None,
    entry: LockedSource | None,
    progress: Progress,
    **more: Any,
) -> Fetched:
    """Fetch a source, through a copy on this machine where it is in object storage."""
    if given is None or not is_supported(given):
        return fetch_tree(source, data, given=given, entry=entry, progress=progress, **more)
    with reading(given, progress) as copy:
        if entry is not None and entry.origin == given:
            entry = replace(entry, origin=str(copy))
        fetched = fetch_tree(source, data, given=str(copy), entry=entry, progress=progress, **more)
    if fetched.locked.origin != str(copy):
        return fetched
    return replace(fetched, locked=replace(fetched.locked, origin=given))


def _with_key(source: Source, fetched: Fetched, entry: LockedSource | None) -> Fetched:
    """Record the fingerprint of the key that patient numbers are hashed with, if the environment has one.

    A recorded one stays while the files stay: planning refuses another key, if the source has numbers.
    """
    if source.reader.patient_id == "keep":
        return fetched
    recorded = entry.patient_key if entry is not None and not fetched.downloaded else None
    key = recorded or key_fingerprint()
    if key is None and source.hashes_patients:
        fetched.notes.append(
            f"{source.name}: `plan` needs a secret of yours to hash its patient numbers with. Set "
            f"{KEY_VARIABLE} {KEY_ADVICE}. Then run this command again: it records which key it is."
        )
    if key is not None and key != recorded and source.hashes_patients:
        fetched.notes.append(
            f"{source.name}: recorded that its patient numbers are hashed with the key of {KEY_VARIABLE}, by "
            f"the key's fingerprint {key}."
        )
    return replace(fetched, locked=replace(fetched.locked, patient_key=key))


def _log(name: str, fetched: Fetched) -> None:
    lock = fetched.locked
    _logger.info(
        "%s %s from %s: verified by %s, %d files, %d bytes%s",
        "fetched" if fetched.downloaded else "present:",
        name,
        lock.origin,
        lock.proof,
        lock.files,
        lock.bytes,
        ", unpinned" if lock.unpinned else "",
    )


def _together(errors: Mapping[str, CxrbuildError], names: Sequence[str], data: Path) -> CxrbuildError:
    for name, error in errors.items():
        if not str(error.where).startswith(name):
            error.where = name if error.where is None else f"{name}: {error.where}"
    if len(errors) == 1:
        return next(iter(errors.values()))
    failed = [errors[name] for name in names if name in errors]
    reasons = "\n".join(map(str, failed))
    return CxrbuildError(
        f"{len(errors)} of {len(names)} sources were not fetched\n{reasons}",
        todo=accept_together(failed, data),
    )
