"""A file that is being downloaded: the bytes received so far, and the version that they are of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, write_json
from cxrbuild.http import redact_address


@dataclass(frozen=True)
class Version:
    """The version of a file that a download began with.

    Attributes
    ----------
    url
        The address, without credentials.
    validator
        Its ETag or date, see `cxrbuild.fetching.validator`.
    total
        Its size in bytes, ``None`` where the server does not say.
    """

    url: str
    validator: str
    total: int | None = None


class PartialFile:
    """The bytes of a download in ``path``, and their version in ``path``.json.

    Parameters
    ----------
    path
        Where the bytes go.
    url
        The address of the download.
    """

    def __init__(self, path: Path, url: str = "") -> None:
        self.path = path
        self.url = redact_address(url)
        self._note = path.with_name(f"{path.name}.json")

    def version(self) -> Version | None:
        """Return the version of the bytes, ``None`` where they cannot be resumed from this address."""
        if not (self._note.is_file() and self.path.is_file()):
            return None
        try:
            version = Version(**read_json(self._note))
        except (CxrbuildError, TypeError):
            return None
        return version if version.url == self.url and isinstance(version.validator, str) else None

    def size(self) -> int:
        """Return the number of bytes that can be resumed."""
        return self.path.stat().st_size if self.version() else 0

    def begin(self, validator: str | None, total: int | None) -> None:
        """Start again, with a version that has this validator and size."""
        self.remove()
        if validator:
            write_json(self._note, asdict(Version(self.url, validator, total)))

    def remove(self) -> None:
        """Remove the bytes and their version."""
        # The bytes go first: a validator must never be next to bytes of another version.
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def rename(self, path: Path) -> None:
        """Keep the bytes under another name, so that no download resumes them."""
        self.path.replace(path)
        self._note.unlink(missing_ok=True)
