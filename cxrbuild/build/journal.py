"""What a build has converted, written as it happens, so that a run that was killed can be gone on from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cxrbuild.convert import REASONS
from cxrbuild.convert.films import Converted
from cxrbuild.files import naming, write_bytes
from cxrbuild.records import is_image_id

_NUMBERS = {"jpeg_bytes", "width", "height"}
_MOST = 1 << 40
_OF_A_JPEG = {
    "source_format", "jpeg_path", "jpeg_sha256", "jpeg_bytes", "width", "height", "conversion",
}  # fmt: skip


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
        header, *lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if header != self.header:
            return {}
        # A line that says nothing is the one that a killed run was writing.
        entries = [entry for entry in map(_entry, lines) if entry is not None]
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
        said = {name: value for name, value in entry._asdict().items() if value is not None}
        "".join(value for name, value in said.items() if name not in _NUMBERS).encode()
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = [said[name] for name in _NUMBERS if name in said]
    if not all(type(n) is int and 0 < n < _MOST for n in numbers) or not is_image_id(entry.image_id):
        return None
    if entry.exclusion is not None:
        return None if entry.exclusion not in REASONS or said.keys() & _OF_A_JPEG else entry
    # A JPEG may be moved for what stands here: it must be one of the build's.
    parts = Path(entry.jpeg_path or "").parts
    if len(parts) != 4 or parts[0] != "images" or ".." in parts or parts[3] != f"{entry.image_id}.jpg":
        return None
    return entry if said.keys() >= {"source_sha256", *_OF_A_JPEG} else None
