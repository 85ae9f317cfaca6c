"""The `fetch` commands that messages advise: with the origin and the options that a source needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cxrbuild.catalog.source import Source
from cxrbuild.lockfile import LockedSource, fetch_command, read_lock, source_folder


def advise_fetch(data: Path, sources: Sequence[Source]) -> str:
    """Return the advice for sources whose files are not those that ``fetch`` put in place."""
    commands = fetch_commands(data, sources)
    move = "it moves the present files aside and keeps them"
    if len(commands) > 1:
        move = "they move the present files aside and keep them"
    return f"Run {' and '.join(commands)} again: {move}"


def fetch_commands(data: Path, sources: Sequence[Source]) -> list[str]:
    """Return the commands that fetch the files of sources, as a message names them.

    They have the recorded origin of a source without an address, and ``--allow-unpinned`` where the lock says
    that other files than the pinned ones were accepted.

    Parameters
    ----------
    data
        The data folder.
    sources
        The sources.
    """
    lock = read_lock(data)
    accepted = [source for source in sources if _is_accepted(source, lock)]
    # `--allow-unpinned` is for every source of its command.
    groups = [group for group in ([one for one in sources if one not in accepted], accepted) if group]
    commands = [
        fetch_command(
            [source.address for source in group], data,
            options=[word for source in group for word in _recorded_origin(source, lock)]
            + ["--allow-unpinned"] * (group is accepted),
        )
        for group in groups
    ]  # fmt: skip
    return [f"`{command}`" for command in commands]


def record_command(data: Path, sources: Sequence[Source]) -> str:
    """Return the command that records files that are present in the data folder, as a message names it.

    Files of a git tree are compared with the pin where they are; others without an entry in the lock are
    fetched again.

    Parameters
    ----------
    data
        The data folder.
    sources
        The sources.
    """
    lock = read_lock(data)
    bring = [
        source.name
        for source in sources
        if source.name not in lock and source.download.url is None and source.pin.tree is None
    ]
    accept = any(_is_accepted(source, lock) for source in sources)
    options = ["--allow-unpinned"] if accept else []
    return fetch_command([source.address for source in sources], data, bring=bring, options=options)


def _is_accepted(source: Source, lock: Mapping[str, LockedSource]) -> bool:
    """Return whether a source's files were accepted although they are not the pinned ones."""
    return source.pinned and source.name in lock and lock[source.name].unpinned


def _recorded_origin(source: Source, lock: Mapping[str, LockedSource]) -> list[str]:
    """Return the option that names the recorded origin; empty where the declared address has the files."""
    url = source.download.url
    if url is not None and not _is_accepted(source, lock):
        return []
    origin = lock[source.name].origin if source.name in lock else "..."
    if "://" not in origin and not Path(origin).exists():
        origin = "..."
    return ["--from", f"{source.name}={origin}"]


def describe_another_pin(source: Source, data: Path, lock: LockedSource) -> str:
    """Return a note on files that were fetched for another pin of their source."""
    bring = [] if source.download.url else [source.name]
    expected = f"git tree {source.pin.tree}" if source.pin.tree else f"archive SHA-256 {source.pin.sha256}"
    return (
        f"{source_folder(data, source.name)}: these files were fetched for another pin of {source.name}; "
        f"expected {expected}; found git tree {lock.tree}. To have the pinned version, run "
        f"`{fetch_command([source.address], data, bring=bring)}`, or name another data folder with --data"
    )
