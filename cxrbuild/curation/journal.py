"""Record what a build has converted, line by line, so that a killed run is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.convert.batch import Converted
from cxrbuild.files import naming, write_bytes


class Journal:
    """Hold the results of a build's conversion in ``.cxrbuild/journal``.

    A run that follows a killed one resumes from here. When the build is finished, the lines are in the order
    of the image ids, so that the same build has the same bytes. A line is a JSON document after its digest:
    an edited or half-written line is ignored.

    Parameters
    ----------
    build
        The build's folder.
    settings
        What the results depend on; a journal of other settings is ignored.
    """

    def __init__(self, build: Path, settings: Mapping[str, object]) -> None:
        self.path = build / names.STATE / "journal"
        self.header = json.dumps(settings, sort_keys=True)
        self._added: dict[str, str] = {}
        # The lines of the last entries, which are not made again.
        self._lines: dict[str, tuple[Converted, str]] = {}

    def read(self) -> dict[str, Converted]:
        """Return the recorded results by image id; none if the settings differ."""
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
                self._lines[entry.image_id] = entry, line
        return entries

    def begin(self, entries: Mapping[str, Converted]) -> None:
        """Replace the journal by the results of previous runs."""
        self._write(map(self._line_of, entries.values()))

    def add(self, entries: list[Converted]) -> None:
        """Append results of this run."""
        lines = {entry.image_id: self._line_of(entry) for entry in entries}
        self._added |= lines
        with naming(self.path), self.path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.writelines(f"{line}\n" for line in lines.values())

    def finish(self) -> None:
        """Replace the journal by the results of this run, in order."""
        self._write(self._added[name] for name in sorted(self._added))

    def digest_of(self, entry: Converted) -> str:
        """Return the digest with which the line of a result begins."""
        return self._line_of(entry).partition(" ")[0]

    def _line_of(self, entry: Converted) -> str:
        known, line = self._lines.get(entry.image_id, (None, ""))
        if known is not entry:
            line = _format_line(entry)
            self._lines[entry.image_id] = entry, line
        return line

    def _write(self, lines: Iterable[str]) -> None:
        write_bytes(self.path, ("\n".join([self.header, *lines]) + "\n").encode())


def _format_line(entry: Converted) -> str:
    document = json.dumps(entry._asdict())
    return f"{_digest(document)} {document}"


def _digest(document: str) -> str:
    return hashlib.sha256(document.encode(errors="replace")).hexdigest()[:16]
