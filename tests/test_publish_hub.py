"""Dataset repositories of the Hub: one commit per release, interrupted uploads, later versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Ran, run_process
from hub_server import TOKEN, HubServer
from loopback import serving
from publishing import kill_when_stalled, limited_proxy
from releasing import release_as

REPO = "radiology/demo-cxr"
ADDRESS = f"hf://datasets/{REPO}"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with serving(HubServer()) as running:
        yield running


@pytest.fixture(scope="module")
def newer(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same build as version 1.0.1."""
    out = tmp_path_factory.mktemp("newer") / "demo-cxr-1.0.1"
    release_as(demo / "build", "1.0.1", out)
    return out


def env(port: int, home: Path, **more: str) -> dict[str, str]:
    # Xet is a separate storage service with a compiled client.
    given = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_TOKEN": TOKEN, "HF_HOME": str(home)}
    # huggingface_hub's HTTP client warns about the way that huggingface_hub passes files.
    warned = "error,ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning"
    return given | {"HF_HUB_DISABLE_XET": "1", "PYTHONWARNINGS": warned} | more


def push(hub: HubServer, release: Path, home: Path, *options: str, **more: str) -> Ran:
    log = home / "log.txt"
    given = env(hub.port, home, **more)
    ran = run_process("publish", release, ADDRESS, "--json", "--log-file", log, *options, **given)
    for text in (ran.out, ran.err, log.read_text()):
        assert TOKEN not in text
        assert "signature-of-the-test" not in text
    assert "Traceback" not in ran.err
    return ran


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def held(ran: Ran) -> set[str]:
    return {step["name"] for step in json.loads(ran.out)["steps"] if step["held"]}


def test_one_commit_makes_the_release_visible(hub: HubServer, public_release: Path, tmp_path: Path) -> None:
    ran = push(hub, public_release, tmp_path)
    assert ran.status == 0, ran.err
    assert hub.repo == REPO
    assert hub.files == contents(public_release)
    assert [title for _, title, _ in hub.commits] == ["initial commit", "Release demo-cxr 1.0.0"]
    assert hub.tags == {"1.0.0": hub.commits[-1][0]}
    assert json.loads(ran.out)["location"] == {
        "url": f"http://127.0.0.1:{hub.port}/datasets/{REPO}",
        "commit": hub.commits[-1][0],
        "tag": "1.0.0",
    }

    log = (tmp_path / "log.txt").read_text()
    for line in ("read demo-cxr 1.0.0", "to send,", f"created the repository {REPO}", "committed", "tagged"):
        assert line in log, line


@pytest.mark.slow
def test_a_dry_run_sends_nothing_and_a_complete_release_is_not_sent_again(
    hub: HubServer, public_release: Path, tmp_path: Path
) -> None:
    ran = push(hub, public_release, tmp_path, "--dry-run")
    assert ran.status == 0, ran.err
    assert hub.repo is None
    assert "would be sent to" in ran.err

    assert push(hub, public_release, tmp_path).status == 0
    ran = push(hub, public_release, tmp_path)
    assert ran.status == 0, ran.err
    assert held(ran) == set(contents(public_release))
    assert "is already complete at" in ran.err
    assert len(hub.commits) == 2


@pytest.mark.slow
def test_publish_resumes_a_killed_upload_to_the_hub(
    hub: HubServer, public_release: Path, tmp_path: Path
) -> None:
    expected = contents(public_release)
    large = {
        hashlib.sha256(data).hexdigest(): data for name, data in expected.items() if name.endswith(".parquet")
    }
    with limited_proxy(hub.port, limit=sum(map(len, large.values())) - 5_000) as slow:
        kill_when_stalled(slow, "publish", public_release, ADDRESS, "--jobs", 1, **env(slow.port, tmp_path))
    arrived = set(hub.put)
    assert arrived
    assert arrived < set(large)
    assert hub.files == {}
    assert hub.tags == {}

    hub.put.clear()
    ran = push(hub, public_release, tmp_path)
    assert ran.status == 0, ran.err
    assert set(hub.put) == set(large) - arrived
    assert hub.files == expected


@pytest.mark.slow
def test_repository_takes_a_later_version_only(
    hub: HubServer, public_release: Path, newer: Path, tmp_path: Path
) -> None:
    assert push(hub, public_release, tmp_path).status == 0
    # A file that the next version does not have.
    name, title, files = hub.commits[-1]
    sums = files["SHA256SUMS"] + f"{'0' * 64}  audit.json\n".encode()
    hub.commits[-1] = (name, title, files | {"audit.json": b"{}", "SHA256SUMS": sums})
    hub.put.clear()
    ran = push(hub, newer, tmp_path)
    assert ran.status == 0, ran.err
    assert hub.files == contents(newer)
    assert set(hub.tags) == {"1.0.0", "1.0.1"}
    same = {
        hashlib.sha256(data).hexdigest()
        for name, data in contents(newer).items()
        if contents(public_release).get(name) == data
    }
    assert not same & set(hub.put)

    ran = push(hub, public_release, tmp_path)
    assert ran.status == 1
    assert "the repository holds another release. Expected: demo-cxr 1.0.0. Found: demo-cxr 1.0.1" in flat(
        ran
    )


@pytest.mark.slow
def test_publish_refuses_a_repository_with_other_files(
    hub: HubServer, public_release: Path, tmp_path: Path
) -> None:
    hub.create(REPO, {"train.parquet": b"years of work", "README.md": b"---\n{}\n---\n"})
    ran = push(hub, public_release, tmp_path)
    assert ran.status == 1
    assert "holds files that are not of this release. Found: train.parquet" in flat(ran)
    assert hub.put == []


@pytest.mark.slow
def test_message_reports_the_refusal_of_the_hub(hub: HubServer, public_release: Path, tmp_path: Path) -> None:
    ran = push(hub, public_release, tmp_path, HF_TOKEN="hf_another_token")
    assert ran.status == 1
    assert "Check that HF_TOKEN has the permission to write to this repository" in flat(ran)
    assert "hf_another_token" not in ran.err
    ran = push(hub, public_release, tmp_path, HF_ENDPOINT="http://127.0.0.1:1")
    assert ran.status == 1
    assert f"{ADDRESS}: cannot be read" in flat(ran)


def flat(ran: Ran) -> str:
    return " ".join(ran.err.split())
