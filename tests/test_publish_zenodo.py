"""Deposits: drafts, interrupted uploads, and published records."""

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
from deposit_server import TOKEN, DepositServer
from loopback import serving
from publishing import kill_when_stalled, limited_proxy

from cxrbuild.publishing.archive import DepositFile
from cxrbuild.publishing.invenio import Invenio
from cxrbuild.publishing.release import ReleaseFile


@pytest.fixture
def server() -> Iterator[DepositServer]:
    with serving(DepositServer()) as running:
        yield running


@pytest.fixture
def release(known_release: Path, tmp_path: Path) -> Path:
    """A copy of the release: publishing writes the file of its draft next to it."""
    return Path(shutil.copytree(known_release, tmp_path / known_release.name))


def deposit(server: DepositServer, release: Path, target: str = "zenodo:", *options: str, **env: str) -> Ran:
    given = {"ZENODO_URL": server.url, "ZENODO_TOKEN": TOKEN} | env
    log = release.with_name("log.txt")
    ran = run("publish", release, target, "--json", "--log-file", log, *options, **given)
    assert TOKEN not in ran.out + ran.err + log.read_text()
    assert "Traceback" not in ran.err
    return ran


def unpacked(files: dict[str, bytes | None], folder: Path) -> dict[str, bytes]:
    """Write a record's files to a folder, unpack its tars there, and return all files."""
    folder.mkdir()
    for name, data in files.items():
        assert data is not None
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar:
                    if (file := tar.extractfile(member)) is not None:
                        path = folder / member.name
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(file.read())
        else:
            (folder / name).write_bytes(data)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_draft_holds_the_release_and_is_published_on_request(
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
    location = json.loads(ran.out)["location"]
    assert location == {
        "record": record.id,
        "url": f"{server.url}/uploads/{record.id}",
        "doi": f"10.5072/zenodo.{record.id}",
        "published": False,
    }
    assert record.metadata["title"] == json.loads((release / "build.json").read_text())["dataset"]["title"]
    assert record.metadata["version"] == "1.0.0"
    # The service's host, which is not Zenodo.
    assert record.metadata["publisher"] == "127.0.0.1"
    assert record.metadata["resource_type"] == {"id": "dataset"}
    assert {"id": "cc-by-4.0"} in record.metadata["rights"]
    log = (tmp_path / "log.txt").read_text()
    for line in (
        "to send,",
        f"created the draft {record.id}",
        "PUT /api/records/",
        "sent ",
        "published demo-cxr",
    ):
        assert line in log, line

    # Again, then with --final: no file is sent twice, the DOI is kept.
    server.put.clear()
    assert deposit(server, release).status == 0
    ran = deposit(server, release, "zenodo:", "--final")
    assert ran.status == 0, ran.err
    assert record.published
    assert json.loads(ran.out)["location"]["doi"] == f"10.5072/zenodo.{record.id}"
    assert json.loads(ran.out)["location"]["published"] is True
    ran = deposit(server, release, "zenodo:", "--final")
    assert ran.status == 0, ran.err
    assert "is already complete at" in ran.err
    assert server.put == []
    assert len(server.records) == 1


def test_dry_run_sends_no_request(server: DepositServer, release: Path) -> None:
    ran = deposit(server, release, "zenodo:", "--dry-run", ZENODO_TOKEN="")
    assert ran.status == 0, ran.err
    steps = json.loads(ran.out)["steps"]
    assert {"README.md", "data.tar", "SHA256SUMS"} <= {step["name"] for step in steps}
    assert server.requests == []


@pytest.mark.slow
def test_publish_resumes_a_killed_upload_in_the_same_draft(
    server: DepositServer, release: Path, tmp_path: Path
) -> None:
    sizes = [
        step["bytes"] for step in json.loads(deposit(server, release, "zenodo:", "--dry-run").out)["steps"]
    ]
    with limited_proxy(server.port, limit=(max(sizes) + sum(sizes)) // 2) as slow:
        env = {"ZENODO_URL": f"http://127.0.0.1:{slow.port}", "ZENODO_TOKEN": TOKEN}
        kill_when_stalled(slow, "publish", release, "zenodo:", "--jobs", 1, **env)
    (record,) = server.records.values()
    before = set(record.committed)
    assert before
    assert "SHA256SUMS" not in record.files
    server.put.clear()
    # The service's address has another port now, so the draft must be named.
    ran = deposit(server, release, f"zenodo:{record.id}")
    assert ran.status == 0, ran.err
    assert not before & set(server.put)
    assert unpacked(record.files, tmp_path / "unpacked") == contents(release)


def test_publish_creates_a_new_version_of_a_published_record(server: DepositServer, release: Path) -> None:
    old = server.new(metadata={"title": "Old", "version": "0.9.0"})
    old.files, old.committed, old.published = {"SHA256SUMS": b"old"}, {"SHA256SUMS"}, True
    ran = deposit(server, release, f"zenodo:{old.id}")
    assert ran.status == 0, ran.err
    new = server.records[json.loads(ran.out)["location"]["record"]]
    assert new.parent == old.parent
    assert new is not old
    assert old.files == {"SHA256SUMS": b"old"}
    assert new.metadata["version"] == "1.0.0"
    ran = deposit(server, release, f"zenodo:{old.id}", "--final")
    assert ran.status == 0, ran.err
    assert new.published
    assert len(server.records) == 2


def test_draft_keeps_the_publisher_that_its_service_gave(server: DepositServer, release: Path) -> None:
    draft = server.new(metadata={"title": "Draft", "publisher": "University Repository"})
    ran = deposit(server, release, f"zenodo:{draft.id}")
    assert ran.status == 0, ran.err
    assert draft.metadata["publisher"] == "University Repository"
    assert draft.metadata["title"] != "Draft"


@pytest.mark.parametrize(
    ("url", "publisher"),
    [
        ("", "Zenodo"),
        ("https://sandbox.zenodo.org/", "Zenodo"),
        ("https://data.example.edu", "data.example.edu"),
        ("https://notzenodo.org", "notzenodo.org"),
    ],
)
def test_publisher_is_the_service(url: str, publisher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENODO_URL", url)
    assert Invenio().publisher == publisher


def test_publish_refuses_a_draft_with_other_content(server: DepositServer, release: Path) -> None:
    draft = server.new(metadata={"title": "Thesis"})
    draft.files, draft.committed = {"thesis.pdf": b"years of work"}, {"thesis.pdf"}
    ran = deposit(server, release, f"zenodo:{draft.id}")
    assert ran.status == 1
    assert "the draft holds other content. Expected: demo-cxr 1.0.0. Found: thesis.pdf" in flat(ran)
    draft.files, draft.committed = {"SHA256SUMS": b"other"}, {"SHA256SUMS"}
    assert "the draft holds other content" in flat(deposit(server, release, f"zenodo:{draft.id}"))
    draft.files, draft.metadata = {}, {"version": "2.0.0"}
    assert "Found: version 2.0.0" in flat(deposit(server, release, f"zenodo:{draft.id}"))
    assert "no such record" in flat(deposit(server, release, "zenodo:77"))
    assert server.put == []


def test_publish_refuses_other_content_for_a_published_version(server: DepositServer, release: Path) -> None:
    assert deposit(server, release, "zenodo:", "--final").status == 0
    (record,) = server.records.values()
    record.files["README.md"] = b"another card"
    ran = deposit(server, release)
    assert ran.status == 1
    assert "this version was published with other content" in flat(ran)


def test_publish_respects_the_rate_limit_and_retries(server: DepositServer, release: Path) -> None:
    server.limit = 12
    server.failures += [
        (r"POST /api/records/\d+/draft/files", 429, {"Retry-After": "1"}),
        (r"PUT .*/README.md/content", 502, {}),
        (r"POST .*/SHA256SUMS/commit", 503, {}),
    ]
    ran = deposit(server, release)
    assert ran.status == 0, ran.err
    assert server.failures == []
    assert server.too_many == 0
    (record,) = server.records.values()
    assert record.files["README.md"] == (release / "README.md").read_bytes()
    assert len(record.committed) == len(record.files)


def test_message_reports_the_refusal_of_the_service(server: DepositServer, release: Path) -> None:
    ran = deposit(server, release, ZENODO_TOKEN="another-token")
    assert ran.status == 1
    assert "the server responded with status 403" in flat(ran)
    assert "Check that ZENODO_TOKEN belongs to this server" in flat(ran)
    assert "another-token" not in ran.err
    ran = deposit(server, release, ZENODO_TOKEN="")
    assert "ZENODO_TOKEN: no token. Expected: a token of your account" in flat(ran)
    ran = deposit(server, release, ZENODO_URL="http://zenodo.org")
    assert "a token is sent over HTTPS only" in flat(ran)
    server.failures.append(("POST /api/records", 502, {}))
    ran = deposit(server, release)
    assert "the result of the request is unknown: the server responded with status 502" in flat(ran)
    assert server.records == {}


def flat(ran: Ran) -> str:
    return " ".join(ran.err.split())


def test_tar_is_readable_by_tarfile(tmp_path: Path) -> None:
    names = ["data/a.bin", f"data/{'long-' * 30}.bin", "data/empty"]
    files = []
    for number, name in enumerate(names):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * (700 * number) if name != "data/empty" else b"")
        files.append(
            ReleaseFile(name, path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        )
    file = DepositFile("data.tar", files, is_tar=True)
    data = b"".join(file)
    assert len(file) == len(data)
    assert file.md5() == hashlib.md5(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    assert found == {file.name: file.path.read_bytes() for file in files}
