"""What a build has converted, written as it happens, so that a run that was killed can be gone on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cxrbuild.convert.batch import Converted
from cxrbuild.files import naming, write_bytes


class Journal:
    """What was converted with which settings, line by line as it happens: ``.cxrbuild/journal``.

    A killed run's next one goes on from here. When a build is finished its lines stand in the order of the
    image ids, so that the same build has the same bytes. A line is the digest of a JSON document and the
    document: one that was edited or half written says nothing.
    """

    def __init__(self, build: Path, settings: Mapping[str, object]) -> None:
        self.path = build / ".cxrbuild" / "journal"
        self.header = json.dumps(settings, sort_keys=True)
        self._added: dict[str, str] = {}

    def read(self) -> dict[str, Converted]:
        """Return what stands there, by image id; nothing if it was made with other settings."""
        if not self.path.exists():
            return {}
        header, *lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if header != self.header:
            return {}
        entries = {}
        for line in lines:
            digest, _, document = line.partition(" ")
            if digest == _digest(document):
                entry = Converted(**json.loads(document))
                entries[entry.image_id] = entry
        return entries

    def begin(self, entries: Mapping[str, Converted]) -> None:
        """Write it anew with what stood there before."""
        self._write(map(_line, entries.values()))

    def add(self, entries: list[Converted]) -> None:
        """Write some more lines."""
        lines = {entry.image_id: _line(entry) for entry in entries}
        self._added |= lines
        with naming(self.path), self.path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines.values())

    def finish(self) -> None:
        """Write it anew with what was added, in order."""
        self._write(self._added[name] for name in sorted(self._added))

    def _write(self, lines: Iterable[str]) -> None:
        write_bytes(self.path, ("\n".join([self.header, *lines]) + "\n").encode())


def _line(entry: Converted) -> str:
    document = json.dumps(entry._asdict())
    return f"{_digest(document)} {document}"


def _digest(document: str) -> str:
    return hashlib.sha256(document.encode(errors="replace")).hexdigest()[:16]
