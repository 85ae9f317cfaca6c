"""Deposits: what a draft holds, what is sent again after a kill, what is published and when."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Ran, run
from deposit_server import TOKEN, DepositServer, deposit_server
from publishing import kill_when_stalled, line

from cxrbuild.publishing.archive import Item
from cxrbuild.publishing.release import ReleaseFile


@pytest.fixture
def server() -> Iterator[DepositServer]:
    with deposit_server() as running:
        yield running


@pytest.fixture
def release(public_release: Path, tmp_path: Path) -> Path:
    """A copy of the release: a note of its draft is written beside it."""
    return Path(shutil.copytree(public_release, tmp_path / public_release.name))


def deposit(server: DepositServer, release: Path, target: str = "zenodo:", *words: str, **env: str) -> Ran:
    given = {"ZENODO_URL": server.url, "ZENODO_TOKEN": TOKEN} | env
    ran = run("publish", release, target, "--json", *words, **given)
    assert TOKEN not in ran.out + ran.err
    assert "Traceback" not in ran.err
    return ran


def unpacked(files: dict[str, bytes | None], folder: Path) -> dict[str, bytes]:
    """Write a record's files to a folder, unpack its tars there, and return all files."""
    folder.mkdir()
    for name, data in files.items():
        assert data is not None
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                tar.extractall(folder, filter="data")
        else:
            (folder / name).write_bytes(data)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_draft_is_the_release_and_is_not_published(
    server: DepositServer, release: Path, tmp_path: Path
) -> None:
    ran = deposit(server, release)
    assert ran.status == 0, ran.err
    (record,) = server.records.values()
    assert not record.published
    assert record.files.keys() == record.committed
    assert not any("/" in name for name in record.files)
    assert server.put[-1] == "SHA256SUMS"
    assert unpacked(record.files, tmp_path / "unpacked") == contents(release)
    place = json.loads(ran.out)["place"]
    assert place == {
        "record": record.id,
        "url": f"{server.url}/uploads/{record.id}",
        "doi": f"10.5072/zenodo.{record.id}",
        "published": False,
    }
    assert record.metadata["title"] == json.loads((release / "build.json").read_text())["dataset"]["title"]
    assert record.metadata["version"] == "1.0.0"
    assert record.metadata["resource_type"] == {"id": "dataset"}
    assert {"id": "cc-by-4.0"} in record.metadata["rights"]

    # Once more, and then for good: nothing is sent twice, the DOI stays.
    server.put.clear()
    assert deposit(server, release).status == 0
    ran = deposit(server, release, "zenodo:", "--final")
    assert ran.status == 0, ran.err
    assert record.published
    assert json.loads(ran.out)["place"]["doi"] == f"10.5072/zenodo.{record.id}"
    assert json.loads(ran.out)["place"]["published"] is True
    ran = deposit(server, release, "zenodo:", "--final")
    assert ran.status == 0, ran.err
    assert "is there already, whole" in ran.err
    assert server.put == []
    assert len(server.records) == 1


def test_a_dry_run_asks_for_nothing(server: DepositServer, release: Path) -> None:
    ran = deposit(server, release, "zenodo:", "--dry-run", ZENODO_TOKEN="")
    assert ran.status == 0, ran.err
    steps = json.loads(ran.out)["steps"]
    assert {"README.md", "data.tar", "SHA256SUMS"} <= {step["name"] for step in steps}
    assert server.requests == []


def test_killed_half_way_it_goes_on_in_the_same_draft(
    server: DepositServer, release: Path, tmp_path: Path
) -> None:
    sizes = [
        step["bytes"] for step in json.loads(deposit(server, release, "zenodo:", "--dry-run").out)["steps"]
    ]
    with line(server.port, limit=(max(sizes) + sum(sizes)) // 2) as slow:
        env = {"ZENODO_URL": f"http://127.0.0.1:{slow.port}", "ZENODO_TOKEN": TOKEN}
        kill_when_stalled(slow, "publish", release, "zenodo:", "--jobs", 1, **env)
    (record,) = server.records.values()
    before = set(record.committed)
    assert before
    assert "SHA256SUMS" not in record.files
    server.put.clear()
    # The way there has another port now, so the draft must be named.
    ran = deposit(server, release, f"zenodo:{record.id}")
    assert ran.status == 0, ran.err
    assert not before & set(server.put)
    assert unpacked(record.files, tmp_path / "unpacked") == contents(release)


def test_a_new_version_is_made_of_a_published_record(server: DepositServer, release: Path) -> None:
    old = server.new(metadata={"title": "Old", "version": "0.9.0"})
    old.files, old.committed, old.published = {"SHA256SUMS": b"old"}, {"SHA256SUMS"}, True
    ran = deposit(server, release, f"zenodo:{old.id}")
    assert ran.status == 0, ran.err
    new = server.records[json.loads(ran.out)["place"]["record"]]
    assert new.parent == old.parent
    assert new is not old
    assert old.files == {"SHA256SUMS": b"old"}
    assert new.metadata["version"] == "1.0.0"
    ran = deposit(server, release, f"zenodo:{old.id}", "--final")
    assert ran.status == 0, ran.err
    assert new.published
    assert len(server.records) == 2


def test_refuse_a_draft_with_something_else(server: DepositServer, release: Path) -> None:
    draft = server.new(metadata={"title": "Thesis"})
    draft.files, draft.committed = {"thesis.pdf": b"years of work"}, {"thesis.pdf"}
    ran = deposit(server, release, f"zenodo:{draft.id}")
    assert ran.status == 1
    assert "the draft holds something else. Expected: demo-cxr 1.0.0. Found: thesis.pdf" in flat(ran)
    draft.files, draft.committed = {"SHA256SUMS": b"other"}, {"SHA256SUMS"}
    assert "the draft holds something else" in flat(deposit(server, release, f"zenodo:{draft.id}"))
    draft.files, draft.metadata = {}, {"version": "2.0.0"}
    assert "Found: version 2.0.0" in flat(deposit(server, release, f"zenodo:{draft.id}"))
    assert "no such record" in flat(deposit(server, release, "zenodo:77"))
    assert server.put == []


def test_a_published_release_never_changes(server: DepositServer, release: Path) -> None:
    assert deposit(server, release, "zenodo:", "--final").status == 0
    (record,) = server.records.values()
    record.files["README.md"] = b"another card"
    ran = deposit(server, release)
    assert ran.status == 1
    assert "this release was published with other content" in flat(ran)


def test_heed_the_rate_limit_and_try_again(server: DepositServer, release: Path) -> None:
    server.limit = 12
    server.moods += [
        (r"POST /api/records/\d+/draft/files", 429, {"Retry-After": "1"}),
        (r"PUT .*/README.md/content", 502, {}),
        (r"POST .*/SHA256SUMS/commit", 503, {}),
    ]
    ran = deposit(server, release)
    assert ran.status == 0, ran.err
    assert server.moods == []
    assert server.too_many == 0
    (record,) = server.records.values()
    assert record.files["README.md"] == (release / "README.md").read_bytes()
    assert len(record.committed) == len(record.files)


def test_tell_what_the_service_refuses(server: DepositServer, release: Path) -> None:
    ran = deposit(server, release, ZENODO_TOKEN="another-token")
    assert ran.status == 1
    assert "the server answered 403" in flat(ran)
    assert "Look whether ZENODO_TOKEN is of this server" in flat(ran)
    assert "another-token" not in ran.err
    ran = deposit(server, release, ZENODO_TOKEN="")
    assert "ZENODO_TOKEN: no token. Expected: a token of your account" in flat(ran)
    ran = deposit(server, release, ZENODO_URL="http://zenodo.org")
    assert "not an address to send a token to" in flat(ran)
    server.moods.append(("POST /api/records", 502, {}))
    ran = deposit(server, release)
    assert "it may or may not be done: the server answered 502" in flat(ran)
    assert server.records == {}


def flat(ran: Ran) -> str:
    return " ".join(ran.err.split())


def test_a_tar_is_what_tar_makes_of_it(tmp_path: Path) -> None:
    names = ["data/a.bin", f"data/{'long-' * 30}.bin", "data/empty"]
    files = []
    for number, name in enumerate(names):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * (700 * number) if name != "data/empty" else b"")
        files.append(
            ReleaseFile(name, path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        )
    item = Item("data.tar", files, packed=True)
    data = b"".join(item)
    assert len(item) == len(data)
    assert item.md5() == hashlib.md5(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    assert found == {file.name: file.path.read_bytes() for file in files}
