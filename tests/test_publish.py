"""Publishing to folders, S3 and SFTP: refused releases and targets, uploads, and interrupted uploads."""

from __future__ import annotations

import errno
import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run, run_process
from publishing import (
    KEY,
    SECRET,
    Sshd,
    kill_when_stalled,
    limited_proxy,
    s3_env,
    s3_server,
    ssh_server,
)
from releasing import sum_again
from systems import COVERAGE, needs_mounts, needs_shell

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked_in_place
from cxrbuild.publishing import publish
from cxrbuild.redaction import advice_on, redacted_message


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def edit_build(folder: Path, **changes: object) -> None:
    path = folder / "build.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    sum_again(folder)


@pytest.fixture
def release(known_release: Path) -> Path:
    return known_release


@pytest.fixture
def copy(public_release: Path, tmp_path: Path) -> Path:
    """A copy of the release, for tests that damage it."""
    return Path(shutil.copytree(public_release, tmp_path / public_release.name))


# Releases that are refused


def test_publish_refuses_a_folder_without_release(tmp_path: Path) -> None:
    with pytest.raises(
        CxrbuildError, match=r"no release in this folder\. Expected: a folder with SHA256SUMS"
    ):
        publish(tmp_path, str(tmp_path / "out"))


def test_publish_refuses_a_release_that_verify_refuses(copy: Path, tmp_path: Path) -> None:
    path = next((copy / "data").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    ran = run("publish", copy, tmp_path / "out")
    assert ran.status == 3
    assert path.name in ran.err
    assert not (tmp_path / "out").exists()


def test_publish_refuses_an_unpinned_release(copy: Path, tmp_path: Path) -> None:
    edit_build(copy, unpinned=["mooney"])
    message = (
        r"unpinned release is not published\. Found: fetched files that do not match the pin, of mooney\."
    )
    with pytest.raises(CxrbuildError, match=message):
        publish(copy, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_refused_release_needs_no_library_of_its_target(copy: Path, tmp_path: Path) -> None:
    edit_build(copy, unpinned=["mooney"])
    (tmp_path / "s3fs.py").write_text("raise ImportError('no s3fs')")
    ran = run_process("publish", copy, "s3://bucket/a", "--dry-run", PYTHONPATH=str(tmp_path))
    assert ran.status == 1
    assert "an unpinned release is not published" in ran.err


def test_publish_refuses_an_incomplete_release(copy: Path, tmp_path: Path) -> None:
    edit_build(copy, missing={"cohen_a_0123456789": "missing_file"})
    with pytest.raises(
        CxrbuildError,
        match=r"an incomplete release is not published\. Found: 1 missing image: cohen_a_0",
    ):
        publish(copy, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_publish_refuses_a_private_release(copy: Path, tmp_path: Path) -> None:
    edit_build(copy, policy="private")
    with pytest.raises(
        CxrbuildError, match=r"not a public release, so it is not published\. .*Found: the policy private"
    ):
        publish(copy, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# Folders


def test_publish_copies_the_release_and_nothing_else_to_a_folder(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = publish(release, str(out))
    assert contents(out) == contents(release)
    assert [step.held for step in done.steps] == [False] * len(contents(release))
    assert done.steps[-1].name == "SHA256SUMS"
    again = publish(release, str(out))
    assert all(step.held for step in again.steps)


def test_dry_run_lists_files_and_sends_nothing(release: Path, tmp_path: Path) -> None:
    ran = run("publish", release, tmp_path / "out", "--dry-run", "--json")
    document = json.loads(ran.out)
    assert not (tmp_path / "out").exists()
    assert document["dry_run"] is True
    assert {step["name"]: step["bytes"] for step in document["steps"]} == {
        name: len(data) for name, data in contents(release).items()
    }
    assert document["steps"][0]["to"] == f"{tmp_path}/out/{document['steps'][0]['name']}"
    assert "would be sent to" in ran.err


def test_publish_replaces_files_of_another_hash_in_a_folder(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(release, str(out))
    (out / "SHA256SUMS").rename(out / "SHA256SUMS.sending")
    path = next((out / "data").glob("*.parquet"))
    path.write_bytes(bytes(path.stat().st_size))
    (out / "data" / ".remains.sending").write_bytes(b"half")
    done = publish(release, str(out))
    assert [step.name for step in done.steps if not step.held] == [f"data/{path.name}", "SHA256SUMS"]
    assert contents(out) == contents(release)


@pytest.mark.parametrize("name", ["SHA256SUMS", "SHA256SUMS.sending"])
def test_publish_refuses_a_folder_with_another_release(release: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(f"{'0' * 64}  README.md\n")
    with pytest.raises(CxrbuildError, match="the target holds another") as error:
        publish(release, str(out))
    assert ("incomplete release" in str(error.value)) == name.endswith(".sending")
    assert list(contents(out)) == [name]


def test_publish_refuses_a_folder_with_other_files(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(CxrbuildError, match=r"not of this release\. Found: thesis\.txt"):
        publish(release, str(out))
    publish(release, str(tmp_path / "whole"))
    (tmp_path / "whole" / "data" / "train-00001-of-00002.parquet").write_text("not ours")
    with pytest.raises(CxrbuildError, match=r"not of this release\. Found: data/train-00001"):
        publish(release, str(tmp_path / "whole"))


@pytest.mark.usefixtures("known_release")
def test_publish_refuses_the_release_itself_as_target(copy: Path) -> None:
    before = contents(copy)
    with pytest.raises(CxrbuildError, match="the target is the release itself"):
        publish(copy, str(copy / "out"))
    assert contents(copy) == before


@needs_mounts
def test_full_disk_leaves_no_incomplete_file(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", out], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    try:
        ran = run("publish", release, out)
        left = contents(out)
    finally:
        subprocess.run(["umount", out], check=True)
    assert ran.status == 1
    assert "No space left" in ran.err
    assert "SHA256SUMS" not in left
    expected = contents(release)
    assert {name: data for name, data in left.items() if not name.endswith(".sending")} == {
        name: expected[name] for name in left if not name.endswith(".sending")
    }


@pytest.mark.slow
@needs_shell
def test_message_about_a_file_size_limit_advises_on_the_limit(release: Path, tmp_path: Path) -> None:
    largest = max(map(len, contents(release).values()))
    command = [sys.executable, "-m", "cxrbuild", "publish", str(release), str(tmp_path / "out")]
    ran = subprocess.run(
        ["sh", "-c", f'ulimit -f {largest // 2048} && exec "$@"', "sh", *command],
        capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != COVERAGE},
    )  # fmt: skip
    message = " ".join(ran.stderr.split())
    assert ran.returncode == 1
    assert "File too large" in message
    assert "`ulimit -f`" in message
    assert "Check the address" not in message
    assert "Traceback" not in message
    assert not (tmp_path / "out" / "SHA256SUMS").exists()


def test_advice_on_a_full_disk_follows_the_causes_of_an_error() -> None:
    error = RuntimeError("upload failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    advice = advice_on(error)
    assert advice
    assert advice.startswith("Make room")
    assert advice_on(RuntimeError("upload failed")) is None


def test_publish_refuses_a_release_that_another_command_uses(release: Path, tmp_path: Path) -> None:
    with (
        locked_in_place(release),
        pytest.raises(CxrbuildError, match="another cxrbuild command uses this folder"),
    ):
        publish(release, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# Addresses


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("floppy://a", "unknown protocol: floppy. Expected: a folder, s3://"),
        ("hf://models/a/b", "not the address of a dataset. Expected: hf://datasets/OWNER/NAME"),
        ("https://127.0.0.1:1/x", "cannot be "),
    ],
)
def test_publish_refuses_an_address(release: Path, address: str, message: str) -> None:
    ran = run("publish", release, address)
    assert ran.status == 1
    assert message in " ".join(ran.err.split())


def test_final_needs_a_deposit(release: Path, tmp_path: Path) -> None:
    ran = run("publish", release, tmp_path / "out", "--final")
    assert ran.status == 2
    assert "--final needs a zenodo: target" in ran.err


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [
        ("s3://bucket/a", "s3fs", "s3"),
        pytest.param("gs://bucket/a", "gcsfs", "gcs", marks=pytest.mark.slow),
        pytest.param("sftp://host/a", "paramiko", "sftp", marks=pytest.mark.slow),
        pytest.param("hf://datasets/a/b", "huggingface_hub", "hub", marks=pytest.mark.slow),
    ],
)
def test_message_names_a_missing_package_with_its_extra(
    release: Path, tmp_path: Path, address: str, package: str, extra: str
) -> None:
    # A package that cannot be imported, found before the one that is installed.
    (tmp_path / f"{package}.py").write_text(f"raise ImportError('no {package}')")
    ran = run_process("publish", release, address, PYTHONPATH=str(tmp_path))
    assert ran.status == 1
    assert f'{package} is not installed. Run `pip install "cxrbuild[{extra}]"`.' in " ".join(ran.err.split())


# S3


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    folder = tmp_path_factory.mktemp("s3") / "buckets"
    with s3_server(folder) as port:
        yield port, folder / "bucket"


def objects(folder: Path) -> dict[str, bytes]:
    """Return the objects of the server; the file of an interrupted upload stays until it is noticed."""
    files = contents(folder).items()
    return {name: data for name, data in files if not name.startswith(".rclone_temp_put_")}


@pytest.mark.slow
def test_publish_resumes_a_killed_upload_to_s3(release: Path, s3: tuple[int, Path], tmp_path: Path) -> None:
    port, bucket = s3
    expected = contents(release)
    largest = max(map(len, expected.values()))
    total = sum(map(len, expected.values()))
    out = bucket / "a" / "1.0.0"
    with limited_proxy(port, limit=(largest + total) // 2) as slow:
        kill_when_stalled(slow, "publish", release, "s3://bucket/a/1.0.0", "--jobs", 1, **s3_env(slow.port))
    left = objects(out)
    assert "SHA256SUMS" not in left
    assert left.pop("SHA256SUMS.sending") == expected["SHA256SUMS"]
    assert left
    assert left == {name: expected[name] for name in left}

    log = tmp_path / "log.txt"
    with limited_proxy(port) as counted:
        words = ("publish", release, "s3://bucket/a/1.0.0", "--json", "--log-file", log)
        ran = run_process(*words, **s3_env(counted.port))
        sent = counted.passed
    assert ran.status == 0, ran.err
    assert objects(out) == expected
    held = {step["name"] for step in json.loads(ran.out)["steps"] if step["held"]}
    assert held == set(left)
    # A connection, and some packets for each file in addition to its bytes.
    assert sent < total - sum(len(expected[name]) for name in held) + 100_000
    assert "s3://bucket/a/1.0.0 holds" in log.read_text()
    assert not any(secret in log.read_text() for secret in (KEY, SECRET))

    ran = run_process("publish", release, "s3://bucket/a/1.0.0", **s3_env(port))
    assert "is already complete at" in ran.err + ran.out


@pytest.mark.slow
def test_publish_replaces_objects_of_another_hash_in_s3(release: Path, s3: tuple[int, Path]) -> None:
    port, bucket = s3
    ran = run_process("publish", release, "s3://bucket/c", **s3_env(port))
    assert ran.status == 0, ran.err
    name, data = max(contents(release).items(), key=lambda file: len(file[1]))
    code = f"import fsspec; fsspec.filesystem('s3').pipe_file('bucket/c/{name}', bytes({len(data)}))"
    subprocess.run([sys.executable, "-c", code], env=os.environ | s3_env(port), check=True)
    assert contents(bucket / "c")[name] == bytes(len(data))
    ran = run_process("publish", release, "s3://bucket/c", "--json", **s3_env(port))
    assert [step["name"] for step in json.loads(ran.out)["steps"] if not step["held"]] == [name]
    assert contents(bucket / "c") == contents(release)


@pytest.mark.parametrize(
    ("bucket", "env", "message"),
    [
        ("bucket", {"AWS_SECRET_ACCESS_KEY": SECRET[::-1]}, "signature"),
        pytest.param(
            "bucket",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "credentials",
            marks=pytest.mark.slow,
        ),
        pytest.param("elsewhere", {}, "bucket does not exist", marks=pytest.mark.slow),
    ],
)
def test_s3_messages_contain_no_credentials(
    release: Path, s3: tuple[int, Path], bucket: str, env: dict[str, str], message: str
) -> None:
    port, _ = s3
    ran = run_process("publish", release, f"s3://{bucket}/b", **s3_env(port, **env))
    assert ran.status == 1
    assert message in " ".join(ran.err.split())
    assert not {KEY, SECRET, SECRET[::-1]} & set(ran.err.split())
    assert "Traceback" not in ran.err


# SFTP


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


def sftp(port: int, folder: Path) -> str:
    return f"sftp://{getpass.getuser()}@127.0.0.1:{port}{folder}"


def test_publish_resumes_a_killed_upload_over_sftp(release: Path, sshd: Sshd, tmp_path: Path) -> None:
    expected = contents(release)
    largest = max(map(len, expected.values()))
    total = sum(map(len, expected.values()))
    out = tmp_path / "out"
    with limited_proxy(sshd.port, limit=(largest + total) // 2) as slow:
        sshd.trust(slow.port)
        kill_when_stalled(slow, "publish", release, sftp(slow.port, out), "--jobs", 1, **sshd.env)
    left = contents(out)
    assert "SHA256SUMS" not in left
    incomplete = {name for name in left if name.endswith(".sending")}
    assert incomplete > {"SHA256SUMS.sending"}
    kept = set(left) - incomplete
    assert kept
    assert {name: left[name] for name in kept} == {name: expected[name] for name in kept}

    with limited_proxy(sshd.port) as counted:
        sshd.trust(counted.port)
        words = ("publish", release, sftp(counted.port, out), "--json", "--log-file", tmp_path / "log.txt")
        ran = run(*words, **sshd.env)
        sent = counted.passed
    assert ran.status == 0, ran.err
    assert contents(out) == expected
    assert {step["name"] for step in json.loads(ran.out)["steps"] if step["held"]} == kept
    # A connection, and some packets for each file in addition to its bytes.
    assert sent < total - sum(len(expected[name]) for name in kept) + 100_000
    for line in ("connected to 127.0.0.1", "removing an incomplete file", "sent sftp://"):
        assert line in (tmp_path / "log.txt").read_text(), line
    sshd.trust(sshd.port)


def test_sftp_refuses_unknown_host_keys_and_wrong_credentials(
    release: Path, sshd: Sshd, tmp_path: Path
) -> None:
    sshd.trust()
    ran = run("publish", release, sftp(sshd.port, tmp_path / "out"), **sshd.env)
    assert ran.status == 1
    assert "the server's host key is unknown" in " ".join(ran.err.split())
    sshd.trust(sshd.port, key=(sshd.home / ".ssh" / "id_ed25519.pub").read_text())
    ran = run("publish", release, sftp(sshd.port, tmp_path / "out"), **sshd.env)
    assert ran.status == 1
    assert "the server's host key has changed" in " ".join(ran.err.split())
    sshd.trust(sshd.port)
    address = (
        sftp(sshd.port, tmp_path / "out").replace("@", ":hunter22@").replace(getpass.getuser(), "nobody")
    )
    ran = run("publish", release, address, "-vv", **sshd.env)
    assert ran.status == 1
    assert "SSH authentication failed" in " ".join(ran.err.split())
    assert "hunter22" not in ran.err
    assert not (tmp_path / "out").exists()


def test_a_message_that_a_library_repeats_is_shown_once() -> None:
    wrapped, other = OSError("no route"), OSError("refused")
    wrapped.__cause__ = RuntimeError("no route")
    other.__cause__ = wrapped
    assert redacted_message(wrapped) == "no route"
    assert redacted_message(other) == "refused; no route"
