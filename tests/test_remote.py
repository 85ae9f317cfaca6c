"""Sources, builds and releases in object storage: a real S3 server on the loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import Ran, run_process
from publishing import kill_when_stalled, limited_proxy, s3_env, s3_server
from releasing import set_version

from cxrbuild import remote

# Each test starts an S3 server and many commands. `test_loading.py` reads a bucket in `make test`.
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Storage:
    """A server, the folder that its objects are files of, and a machine's folder of copies."""

    port: int
    objects: Path
    copies: Path

    def edit(self, code: str) -> None:
        """Run code with the server's file system ``fs``; it may not see what changes behind its back."""
        code = f"import fsspec; fs = fsspec.filesystem('s3'); {code}"
        subprocess.run([sys.executable, "-c", code], env=os.environ | self.env(), check=True)

    def put(self, path: Path, name: str) -> None:
        """Put a file or a folder into the bucket."""
        # The server fails when several objects make one folder at a time.
        self.edit(f"fs.put({str(path)!r}, 'bucket/{name}', recursive={path.is_dir()}, batch_size=1)")

    def run(self, *words: object, **env: str) -> Ran:
        return run_process(*words, **self.env(**env))

    def env(self, port: int | None = None, **env: str) -> dict[str, str]:
        return s3_env(port or self.port) | {"CXRBUILD_CACHE": str(self.copies)} | env


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    buckets = tmp_path / "buckets"
    with s3_server(buckets) as port:
        (bucket,) = (path for path in buckets.iterdir() if path.is_dir())
        yield Storage(port, bucket, tmp_path / "copies")


def curate_words(demo: Path, out: object, data: object = None) -> tuple[object, ...]:
    recipe = demo / "declared" / "recipe.toml"
    words = ("curate", "--recipe", recipe, "--data", data or demo / "data", "--out", out)
    return (*words, "--format", "parquet", "--quiet")


# Files of a build that are not sent: they name places of one machine.
LOCAL = ("seal", "states", "shards", "declarations.json", ".cxrbuild.lock")


def files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files by name; without what has a meaning on one machine alone."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in (*LOCAL, "audit.json", "audit.html", "audit-pairs.csv", "audit-links.csv")
    }


def test_a_build_from_and_to_object_storage_is_the_same(demo: Path, storage: Storage) -> None:
    storage.put(demo / "data", "data")
    words = curate_words(demo, "s3://bucket/out/build", data="s3://bucket/data")
    ran = storage.run(*words)
    assert ran.status == 0, ran.err
    assert files(storage.objects / "out" / "build") == files(demo / "build")
    # The second run writes nothing.
    before = {path: path.stat().st_mtime_ns for path in storage.objects.rglob("*") if path.is_file()}
    ran = storage.run(*words, "--json")
    assert json.loads(ran.out)["changed"] is False
    assert json.loads(ran.out)["build"] == "s3://bucket/out/build"
    assert before == {path: path.stat().st_mtime_ns for path in storage.objects.rglob("*") if path.is_file()}

    # What reads a build or a release reads it there.
    ran = storage.run("verify", "s3://bucket/out/build")
    assert ran.status == 0, ran.err
    assert "s3://bucket/out/build is verified" in ran.out
    ran = storage.run(
        "release", "1.0.0", "--build", "s3://bucket/out/build", "--out", "s3://bucket/r/demo-cxr-1.0.0"
    )
    assert ran.status == 0, ran.err
    ran = storage.run("verify", "s3://bucket/r/demo-cxr-1.0.0")
    assert ran.status == 0, ran.err
    # The release next to it decides which version is too small, on a machine without copies too.
    words = ("--build", "s3://bucket/out/build", "--out", "s3://bucket/r/demo-cxr-0.9.0")
    set_version(storage.objects / "out" / "build", "0.9.0")
    ran = storage.run("release", "0.9.0", *words, CXRBUILD_CACHE=str(storage.copies.with_name("other")))
    assert ran.status == 3
    assert "s3://bucket/r/demo-cxr-1.0.0: version 0.9.0 is lower than" in " ".join(ran.err.split())
    ran = storage.run("diff", "s3://bucket/r/demo-cxr-1.0.0", "s3://bucket/out/build", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["old"] == "s3://bucket/r/demo-cxr-1.0.0"
    code = "import cxrbuild; print(len(cxrbuild.load('s3://bucket/r/demo-cxr-1.0.0')))"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | storage.env(), capture_output=True, check=True
    )
    assert int(found.stdout) > 0

    # An object that changed is noticed.
    storage.edit("fs.pipe_file('bucket/r/demo-cxr-1.0.0/README.md', b'other')")
    ran = storage.run("verify", "s3://bucket/r/demo-cxr-1.0.0")
    assert ran.status == 3
    assert "README.md" in ran.err


def test_a_killed_upload_has_no_seal_and_is_resumed(demo: Path, storage: Storage) -> None:
    words = curate_words(demo, "s3://bucket/build")
    with limited_proxy(storage.port, 400_000) as slow:
        kill_when_stalled(slow, *words, **storage.env(slow.port))
    there = files(storage.objects / "build")
    assert len(there) > 1, "the upload was killed before its first object"
    assert "build.json" not in there
    # Without the seal this is no build: at most images, most of them missing.
    ran = storage.run("verify", "s3://bucket/build", CXRBUILD_CACHE=str(storage.copies.with_name("reader")))
    assert "findings in these images" in ran.err or "nothing to verify in this folder" in ran.err
    ran = storage.run(*words)
    assert ran.status == 0, ran.err
    assert files(storage.objects / "build") == files(demo / "build")


def test_reading_leaves_the_work_of_a_killed_run(demo: Path, storage: Storage) -> None:
    words = curate_words(demo, "s3://bucket/build")
    assert storage.run(*words).status == 0
    (copy,) = (storage.copies / "write").glob("*/build")
    (copy / "build.json").unlink()
    image = next((copy / "images").rglob("*.jpg"))
    image.write_bytes(b"of a run that was killed")
    ran = storage.run("verify", "s3://bucket/build")
    assert ran.status == 0, ran.err
    # The audit writes its result, and nothing of the copy that a run left.
    ran = storage.run("audit", "--build", "s3://bucket/build", "--recipe", demo / "declared" / "recipe.toml")
    assert "s3://bucket/build/audit.html" in " ".join(ran.out.split()), ran.err
    assert (storage.objects / "build" / "audit.json").is_file()
    assert files(storage.objects / "build") == files(demo / "build")
    assert image.read_bytes() == b"of a run that was killed"


def test_another_machine_resumes_a_build(demo: Path, storage: Storage) -> None:
    """The copy of the first machine is lost after a build, and an image is lost from the storage."""
    words = curate_words(demo, "s3://bucket/build")
    assert storage.run(*words).status == 0
    lost = next((storage.objects / "build" / "images").rglob("*.jpg"))
    storage.edit(f"fs.rm_file('bucket/{lost.relative_to(storage.objects).as_posix()}')")
    ran = storage.run(*words, CXRBUILD_CACHE=str(storage.copies.with_name("second")))
    assert ran.status == 0, ran.err
    assert files(storage.objects / "build") == files(demo / "build")


def test_a_second_writer_is_refused(storage: Storage, demo: Path) -> None:
    folder = remote_folder(storage)
    with folder.locked(), folder.leased():
        ran = storage.run(*curate_words(demo, "s3://bucket/build"))
        assert ran.status == 1
        assert "another cxrbuild command uses this folder" in ran.err
        # Another machine.
        ran = storage.run(
            *curate_words(demo, "s3://bucket/build"), CXRBUILD_CACHE=str(storage.copies.with_name("second"))
        )
        assert ran.status == 1
        assert "another cxrbuild command writes to this address" in " ".join(ran.err.split())
    assert not (storage.objects / "build").exists() or files(storage.objects / "build") == {}


def test_the_lease_of_a_killed_run_is_taken_over(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxrbuild.remote import lease

    monkeypatch.setattr(lease, "_WATCH_S", 2.0)
    monkeypatch.setattr(lease, "_RENEW_S", 1000.0)
    first = remote_folder(storage)
    with first.locked():
        first.leased().__enter__()  # never released
    begun = time.monotonic()
    with first.locked(), first.leased():
        assert time.monotonic() - begun < 2, "its own lease is not watched"
    with first.locked():
        first.leased().__enter__()
    monkeypatch.setenv("CXRBUILD_CACHE", str(storage.copies.with_name("second")))
    second = remote.RemoteFolder("s3://bucket/build", "write")
    with second.locked(), second.leased() as held:
        held.require()


def remote_folder(storage: Storage) -> remote.RemoteFolder:
    from s3fs import S3FileSystem

    # It remembers connections by their arguments alone, not by the environment.
    S3FileSystem.clear_instance_cache()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in storage.env().items():
            patch.setenv(name, value)
        folder = remote.RemoteFolder("s3://bucket/build", "write")
        folder.list()  # the connection keeps the credentials
        return folder


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_fetch_from_object_storage(demo: Path, storage: Storage, tmp_path: Path, kind: str) -> None:
    files_of = demo / "data" / "sources" / "mooney"
    if kind == "folder":
        storage.put(files_of, "given")
        origin = "s3://bucket/given"
    else:
        storage.put(Path(shutil.make_archive(str(tmp_path / "given"), "zip", files_of)), "given.zip")
        origin = "s3://bucket/given.zip"
    declared = demo / "declared" / "mooney.toml"
    words = ("fetch", declared, "--from", f"mooney={origin}", "--data", tmp_path / "data", "--json",
             "--allow-unpinned")  # fmt: skip
    ran = storage.run(*words)
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["sources"]["mooney"]["origin"] == origin
    assert files(tmp_path / "data" / "sources" / "mooney") == files(files_of)
    ran = storage.run(*words)
    assert json.loads(ran.out)["sources"]["mooney"]["downloaded"] is False
    ran = storage.run("fetch", declared, "--from", "mooney=s3://bucket/nothing", "--data", tmp_path / "data2")
    assert ran.status == 1
    assert "s3://bucket/nothing" in ran.err
    assert "copies" not in ran.err


def test_errors_of_the_storage_are_one_paragraph(storage: Storage) -> None:
    for env in (storage.env(1), storage.env(AWS_SECRET_ACCESS_KEY="wrong")):
        ran = run_process("verify", "s3://bucket/x", **env)
        assert ran.status == 1
        assert ran.err.startswith("cxrbuild: s3://bucket/x: the object storage cannot be read")
        assert "Traceback" not in ran.err
    ran = storage.run("verify", "s3://bucket/nothing")
    assert ran.status == 1
    assert "s3://bucket/nothing: no such folder" in ran.err
