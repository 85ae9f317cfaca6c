"""Sign a release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names, open_release
from cxrbuild.errors import CheckError
from cxrbuild.files import write_bytes
from cxrbuild.notebook import result_html
from cxrbuild.signature import sign as sign_bytes
from cxrbuild.verification.files import changed_files


@dataclass(frozen=True)
class SigningResult:
    """A release that was signed.

    Attributes
    ----------
    folder
        Its folder.
    fingerprint
        The fingerprint of the key.
    """

    folder: Path
    fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """Return the release, the signature's file and the fingerprint of the key."""
        return {
            "release": str(self.folder),
            "signature": str(self.folder / names.SIGNATURE),
            "key": self.fingerprint,
        }

    def _repr_html_(self) -> str:
        return result_html("Signed release", [f"{self.folder / names.SIGNATURE}, by {self.fingerprint}"])


def sign(folder: Path, key: Path, passphrase: str | None = None) -> SigningResult:
    """Sign ``SHA256SUMS`` of a release, which has the hash of every other file: see `cxrbuild.sign`.

    A signature that is there is replaced. The same release and key give the same bytes.
    """
    open_release(folder)
    signature = sign_bytes((folder / names.SUMS).read_bytes(), key, passphrase)
    if findings := changed_files(folder):
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise CheckError(
            f"the files of the release have changed\n{lines}", where=folder,
            todo="Check it with `cxrbuild verify`, and make the release again",
        )  # fmt: skip
    write_bytes(folder / names.SIGNATURE, signature.to_text().encode())
    return SigningResult(folder, signature.fingerprint)
