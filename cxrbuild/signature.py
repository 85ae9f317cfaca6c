"""Sign a file with an SSH key, and check such a signature: the format of ``ssh-keygen -Y sign``.

People who publish on GitHub have an Ed25519 key already, with its public part at
``https://github.com/USER.keys``, and OpenSSH checks a signature where there is no cxrbuild. OpenSSH's
PROTOCOL.sshsig describes the format. The library ``cryptography`` reads keys, signs and checks. Ed25519 gives
the same bytes for the same file and key.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MAGIC, _VERSION = b"SSHSIG", 1
# What `ssh-keygen` recommends for files; a signature for another purpose is not accepted.
_NAMESPACE = b"file"
_HASHES = (b"sha256", b"sha512")
_KIND = b"ssh-ed25519"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE = 70
_PUBLIC_KEY = re.compile(r"\b(ssh-ed25519)\s+([A-Za-z0-9+/=]+)")


class SignatureError(ValueError):
    """A signature that cannot be read or does not fit its file."""


@dataclass(frozen=True)
class Signature:
    """A signature.

    Attributes
    ----------
    public_key
        The public key, as OpenSSH encodes it.
    hash_name
        The hash of the file that was signed: ``sha256`` or ``sha512``.
    signature
        The signature itself.
    """

    public_key: bytes
    hash_name: str
    signature: bytes

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key, as ``ssh-keygen -l`` shows it."""
        return fingerprint_of(self.public_key)

    def check(self, data: bytes) -> None:
        """Check the signature of a file's bytes.

        Raises
        ------
        SignatureError
            The signature is of other bytes, or was not made with the key.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        _, raw = _split(self.public_key, 2)
        try:
            key = Ed25519PublicKey.from_public_bytes(raw)
            key.verify(self.signature, _signed(data, self.hash_name))
        except (InvalidSignature, ValueError):
            raise SignatureError("the signature is not one of this file with this key") from None

    def to_text(self) -> str:
        """Return the signature as ``ssh-keygen`` writes it."""
        blob = (
            _MAGIC
            + struct.pack(">I", _VERSION)
            + _joined(
                self.public_key, _NAMESPACE, b"", self.hash_name.encode(), _joined(_KIND, self.signature)
            )
        )
        text = base64.b64encode(blob).decode()
        lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
        return "\n".join([_BEGIN, *lines, _END, ""])


def sign(data: bytes, key: Path, passphrase: str | None = None) -> Signature:
    """Sign the bytes of a file.

    Parameters
    ----------
    data
        The bytes.
    key
        A private Ed25519 key in OpenSSH's format.
    passphrase
        The passphrase of the key, ``None`` for a key without one.

    Raises
    ------
    CxrbuildError
        There is no such file, the key cannot be read, has another passphrase or is of another kind;
        or the library is not installed.
    """
    private = _read_private_key(key, passphrase)
    public = _joined(_KIND, private.public_key().public_bytes_raw())
    return Signature(public, "sha512", private.sign(_signed(data, "sha512")))


def parse_signature(text: str) -> Signature:
    """Read a signature.

    Raises
    ------
    SignatureError
        The text is no signature of a file with an Ed25519 key.
    """
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise SignatureError("not an SSH signature")
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
        magic, version = blob[: len(_MAGIC)], struct.unpack_from(">I", blob, len(_MAGIC))[0]
        public, namespace, _, hash_name, signature = _split(blob[len(_MAGIC) + 4 :], 5)
        kind, raw = _split(signature, 2)
        key_kind, key = _split(public, 2)
    except (ValueError, struct.error):
        raise SignatureError("not an SSH signature") from None
    if magic != _MAGIC or version != _VERSION:
        raise SignatureError("not an SSH signature of version 1")
    if namespace != _NAMESPACE:
        raise SignatureError(f"a signature for {namespace!r}, not for files")
    if kind != _KIND or key_kind != _KIND or len(key) != 32 or hash_name not in _HASHES:
        raise SignatureError("a signature of another kind than Ed25519")
    return Signature(public, hash_name.decode(), raw)


def read_public_keys(path: Path) -> set[bytes]:
    """Return the Ed25519 keys of a file: a ``.pub`` file, ``authorized_keys`` or ``allowed_signers``.

    Raises
    ------
    CxrbuildError
        There is no such file, or it has no such key.
    """
    keys = set()
    text = _read_key_file(path, "Name the public key of the signer, such as ~/.ssh/id_ed25519.pub")
    for line in text.decode(errors="replace").splitlines():
        if not line.lstrip().startswith("#") and (match := _PUBLIC_KEY.search(line)):
            try:
                keys.add(base64.b64decode(match[2], validate=True))
            except ValueError:
                continue
    if not keys:
        raise CxrbuildError(
            "no Ed25519 key in this file", where=path, expected="lines with `ssh-ed25519 AAAA...`",
            todo="Name the public key of the signer, such as a file with https://github.com/USER.keys",
        )  # fmt: skip
    return keys


def fingerprint_of(public_key: bytes) -> str:
    """Return the fingerprint of a public key, as ``ssh-keygen -l`` shows it."""
    digest = base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def require_library() -> None:
    """Require the library that signs and checks.

    Raises
    ------
    CxrbuildError
        It is not installed.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise CxrbuildError(
            "cryptography is not installed", todo='Run `pip install "cxrbuild[sign]"`'
        ) from None


def _read_private_key(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    require_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    data = _read_key_file(path, "Name your private key, such as ~/.ssh/id_ed25519")
    try:
        key = load_ssh_private_key(data, None if passphrase is None else passphrase.encode())
    except TypeError:
        # The library's messages can quote the key.
        raise CxrbuildError(
            "the key has a passphrase" if passphrase is None else "the key has no passphrase", where=path,
            todo="Set CXRBUILD_KEY_PASSPHRASE to it" if passphrase is None
            else "Unset CXRBUILD_KEY_PASSPHRASE",
        ) from None  # fmt: skip
    except (ValueError, UnsupportedAlgorithm):
        raise CxrbuildError(
            "the key cannot be read", where=path,
            expected="a private key in OpenSSH's format" + (", and its passphrase" if passphrase else ""),
            todo="Name the private key, not the `.pub` file; `ssh-keygen -t ed25519` makes one",
        ) from None  # fmt: skip
    if not isinstance(key, Ed25519PrivateKey):
        raise CxrbuildError(
            "the key is not an Ed25519 key", where=path, expected="ssh-ed25519",
            todo="Make one with `ssh-keygen -t ed25519`",
        )  # fmt: skip
    return key


def _read_key_file(path: Path, todo: str) -> bytes:
    if not path.exists() or path.is_dir():
        found = "a folder" if path.is_dir() else "no such file"
        raise CxrbuildError("no key", where=path, expected="a file", found=found, todo=todo)
    return path.read_bytes()


def _signed(data: bytes, hash_name: str) -> bytes:
    digest = hashlib.new(hash_name, data).digest()
    return _MAGIC + _joined(_NAMESPACE, b"", hash_name.encode(), digest)


def _joined(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _split(data: bytes, count: int) -> list[bytes]:
    """Return the strings of a blob, each after its length.

    Raises
    ------
    ValueError
        There are more or fewer.
    """
    parts, position = [], 0
    for _ in range(count):
        if position + 4 > len(data):
            raise ValueError
        (length,) = struct.unpack_from(">I", data, position)
        parts.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    if position != len(data):
        raise ValueError
    return parts
