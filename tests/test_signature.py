"""Signatures of releases: made and checked here, and by OpenSSH."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import run
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cxrbuild.signature import SignatureError, parse_signature, read_public_keys, sign
from cxrbuild.verification.context import Context
from cxrbuild.verification.signature import check_signature

needs_openssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")


def write_key(folder: Path, seed: int = 1, passphrase: str | None = None) -> Path:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    path = folder / f"key{seed}"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption))
    path.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public + b" me@example.org\n")
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_key(tmp_path)


@pytest.fixture
def release(known_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(known_release, tmp_path / "release"))


def findings(release: Path, signers: Path | None = None) -> list[str]:
    """Return what the check of the signature finds, without the time of the other checks of `verify`."""
    keys = None if signers is None else frozenset(read_public_keys(signers))
    return [str(finding) for finding in check_signature(Context(release, "release", signers=keys))]


def test_release_is_signed_and_verified(release: Path, key: Path, tmp_path: Path) -> None:
    ran = run("sign", release, "--key", key, "--json")
    assert ran.status == 0, ran.err
    fingerprint = json.loads(ran.out)["key"]
    signature = (release / "SHA256SUMS.sig").read_bytes()

    ran = run("verify", release)
    assert ran.status == 0, ran.err
    assert f"Signed by {fingerprint}, a key that was not compared" in " ".join(ran.out.split())
    ran = run("verify", release, "--signers", key.with_suffix(".pub"))
    assert ran.status == 0, ran.err
    assert "a named signer" in " ".join(ran.out.split())

    ran = run("verify", release, "--signers", write_key(tmp_path, 2).with_suffix(".pub"))
    assert ran.status == 3
    assert f"SHA256SUMS.sig: is by {fingerprint}, which is no named signer" in " ".join(ran.err.split())

    # The same release and key give the same bytes.
    assert run("sign", release, "--key", key).status == 0
    assert (release / "SHA256SUMS.sig").read_bytes() == signature


def test_changed_sums_and_missing_signatures_are_found(release: Path, key: Path) -> None:
    signers = key.with_suffix(".pub")
    assert any("SHA256SUMS.sig: is missing" in found for found in findings(release, signers))
    assert run("sign", release, "--key", key).status == 0
    sums = release / "SHA256SUMS"
    # Without a trace for `sha256sum`, which ignores the order of the lines.
    sums.write_text("".join(reversed(sums.read_text().splitlines(keepends=True))))
    assert any("the signature is not one of this file with this key" in one for one in findings(release))


def test_publish_sends_the_signature(release: Path, key: Path, tmp_path: Path) -> None:
    target = tmp_path / "published"
    assert run("publish", release, target).status == 0
    assert not (target / "SHA256SUMS.sig").exists()
    assert run("sign", release, "--key", key).status == 0
    ran = run("publish", release, target)
    assert ran.status == 0, ran.err
    assert findings(target, key.with_suffix(".pub")) == []


def test_changed_release_is_not_signed(release: Path, key: Path) -> None:
    (release / "images.csv").write_text("changed")
    ran = run("sign", release, "--key", key)
    assert ran.status == 3
    assert "images.csv: its SHA-256 is" in ran.err
    assert not (release / "SHA256SUMS.sig").exists()


@needs_openssh
def test_openssh_checks_the_signature(release: Path, key: Path, tmp_path: Path) -> None:
    assert run("sign", release, "--key", key).status == 0
    public = key.with_suffix(".pub").read_text()
    (tmp_path / "allowed_signers").write_text(f"me@example.org {public}")
    with (release / "SHA256SUMS").open("rb") as sums:
        ran = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed_signers", "-I", "me@example.org",
             "-n", "file", "-s", release / "SHA256SUMS.sig"],
            stdin=sums, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert findings(release, tmp_path / "allowed_signers") == []


@needs_openssh
def test_signature_of_openssh_is_checked(release: Path, key: Path) -> None:
    sums = release / "SHA256SUMS"
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "file", sums], check=True, capture_output=True
    )
    assert (release / "SHA256SUMS.sig").is_file()
    assert findings(release, key.with_suffix(".pub")) == []
    # Both give the same bytes.
    assert sign(sums.read_bytes(), key).to_text() == (release / "SHA256SUMS.sig").read_text()


def test_keys_that_cannot_be_used(release: Path, tmp_path: Path) -> None:
    def error(path: Path, **env: str) -> str:
        ran = run("sign", release, "--key", path, **env)
        assert ran.status == 1
        assert not (release / "SHA256SUMS.sig").exists()
        return " ".join(ran.err.split())

    locked = write_key(tmp_path, 3, "open sesame")
    assert "the key has a passphrase. Set CXRBUILD_KEY_PASSPHRASE" in error(locked)
    assert "the key cannot be read" in error(locked, CXRBUILD_KEY_PASSPHRASE="wrong")
    assert "Name the private key, not the `.pub` file" in error(locked.with_suffix(".pub"))
    other = tmp_path / "ecdsa"
    encoded = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    other.write_bytes(encoded)
    assert "the key is not an Ed25519 key" in error(other)
    assert "Found: no such file. Name your private key" in error(tmp_path / "none")
    ran = run("sign", release, "--key", locked, CXRBUILD_KEY_PASSPHRASE="open sesame")
    assert ran.status == 0, ran.err
    assert "open sesame" not in ran.out + ran.err


def test_signers_that_cannot_be_used(release: Path, tmp_path: Path, demo: Path) -> None:
    (tmp_path / "empty").write_text("# nobody\nssh-rsa AAAA\n")
    ran = run("verify", release, "--signers", tmp_path / "empty")
    assert ran.status == 1
    assert "no Ed25519 key in this file" in ran.err
    ran = run("verify", demo / "build", "--signers", tmp_path / "empty")
    assert "only a release is signed" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: "", "not an SSH signature"),
        (lambda text: text.replace("SSH", "PGP"), "not an SSH signature"),
        (lambda text: text.replace("\n", "\n!", 1), "not an SSH signature"),
        (lambda text: reencoded(text, lambda blob: blob[:-1]), "not an SSH signature"),
        (lambda text: reencoded(text, lambda blob: blob[:9] + b"\2" + blob[10:]), "of version 1"),
        (lambda text: reencoded(text, lambda blob: blob.replace(b"file", b"mail")), "not for files"),
        (lambda text: reencoded(text, lambda blob: blob.replace(b"ed25519", b"ed25518")), "another kind"),
        (lambda text: reencoded(text, lambda blob: blob.replace(b"sha512", b"sha384")), "another kind"),
    ],
)
def test_signatures_that_are_none(key: Path, change: Callable[[str], str], message: str) -> None:
    text = sign(b"data", key).to_text()
    with pytest.raises(SignatureError, match=message):
        parse_signature(change(text)).check(b"data")


def reencoded(text: str, change: Callable[[bytes], bytes]) -> str:
    begin, *lines, end = text.splitlines()
    blob = base64.b64decode("".join(lines))
    return "\n".join([begin, base64.b64encode(change(blob)).decode(), end, ""])
