"""Write the pin of a user's own source into its declaration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cxrbuild.catalog import Source, read_source
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.errors import CxrbuildError, DeclarationError, name_some, verb_of
from cxrbuild.fetching.record import format_listing, read_record
from cxrbuild.files import write_bytes
from cxrbuild.http import redact_address
from cxrbuild.lockfile import LockedSource, source_folder

# The keys of a pin that describe the version before.
_KEYS = re.compile(r"^(tree|listing|sha256|bytes|commit|date)\s*=")
_TABLE = re.compile(r"^\s*\[pin\]\s*(#.*)?$")
_NEXT_TABLE = re.compile(r"^\s*\[")


def require_own(source: Source) -> None:
    """Refuse to pin a shipped source.

    Raises
    ------
    CxrbuildError
        The source is shipped, and so has its pin.
    """
    if source.file.parent == CATALOG / "sources":
        raise CxrbuildError(
            f"the shipped source {source.name} has its pin already",
            expected="the .toml file of your own source",
            todo="Omit --pin",
        )  # fmt: skip


def write_pin(source: Source, data: Path, lock: LockedSource) -> list[Path]:
    """Pin a source to the files that were fetched: their git tree hash, and a listing of their hashes.

    The listing is written next to the declaration, and the table ``[pin]`` into it. Every other line of the
    declaration, comments too, stays as it is.

    Parameters
    ----------
    source
        The source.
    data
        The folder that ``fetch`` filled.
    lock
        The source's entry in the lock.

    Returns
    -------
    list of Path
        The files that were written; none where the source has this pin already.

    Raises
    ------
    CxrbuildError
        The source is shipped, another file has the listing's name, or the pin is written in another form.
    OSError
        A file cannot be read or written.
    """
    require_own(source)
    if source.pin.tree == lock.tree and source.pin.listing:
        return []
    listing = source.file.parent / f"{source.name}.tsv"
    if listing.exists() and listing.name != source.pin.listing:
        raise CxrbuildError(
            "a file has the name of the pin's listing, and it is not overwritten", where=listing,
            todo="Move it away and run the command again",
        )  # fmt: skip
    before = source.file.read_text(encoding="utf-8")
    pin = {"tree": lock.tree, "listing": listing.name}
    text = with_pin(before, pin)
    previous = listing.read_bytes() if listing.exists() else None
    # The declaration is of the pin before: its listing has what is no longer there.
    text_of_listing = format_listing(read_record(source_folder(data, source.name)), source)
    write_bytes(listing, text_of_listing.encode())
    write_bytes(source.file, text.encode())
    problem = _problem(source, lock.tree)
    if problem is not None:
        write_bytes(source.file, before.encode())
        if previous is None:
            listing.unlink()
        else:
            write_bytes(listing, previous)
        raise CxrbuildError(
            "the pin cannot be written into this declaration, which stays as it was", where=source.file,
            found=problem, todo="Remove its keys of `pin`, and run the command again",
        )  # fmt: skip
    return [source.file, listing]


def describe_old_addresses(source: Source, lock: LockedSource) -> list[str]:
    """Return notes on what a written pin leaves in the declaration, or removes, of the version before.

    Parameters
    ----------
    source
        The source as it was declared.
    lock
        The lock's entry of the files that it was pinned to.
    """
    notes = []
    addresses = {"download.url": source.download.url or ""}
    addresses |= {f"download.mirrors.{name}": url for name, url in source.download.mirrors.items()}
    # As the lock has them.
    addresses = {key: redact_address(address) for key, address in addresses.items()}
    # Files that came from the declared address are what it has.
    if lock.origin != addresses["download.url"] and (
        old := [key for key, address in addresses.items() if address and address != lock.origin]
    ):
        notes.append(
            f"{source.file}: {name_some(old)} {verb_of(len(old), 'is')} as before, and the pinned "
            f"files came from {lock.origin}. If the address has other files, `fetch` refuses them on another "
            "machine: write the address of these files there, or remove the line and name them with --from."
        )
    if removed := [f"pin.{key}" for key in ("commit", "date") if getattr(source.pin, key) is not None]:
        notes.append(
            f"{source.file}: removed {name_some(removed)} of the version before. Write those of the pinned "
            "files, if they have any."
        )
    return notes


def _problem(source: Source, tree: str) -> object:
    """Return why a written declaration is not the source with another pin, ``None`` where it is."""
    try:
        found = read_source(str(source.file))
    except DeclarationError as error:
        return error
    same = found.model_copy(update={"pin": source.pin}) == source
    return None if same and found.pin.tree == tree else "`pin` is not a table of its own"


def with_pin(text: str, pin: Mapping[str, str]) -> str:
    """Return a declaration with other keys in its table ``[pin]``, which is added where there is none."""
    lines = text.splitlines()
    keys = [f'{key} = "{value}"' for key, value in pin.items()]
    start = next((i for i, line in enumerate(lines) if _TABLE.match(line)), None)
    if start is None:
        return "\n".join([*lines, "", "[pin]", *keys, ""])
    rest = lines[start + 1 :]
    end = next((i for i, line in enumerate(rest) if _NEXT_TABLE.match(line)), len(rest))
    kept = [line for line in rest[:end] if not _KEYS.match(line.strip())]
    return "\n".join([*lines[: start + 1], *keys, *kept, *rest[end:], ""])
