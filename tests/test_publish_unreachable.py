"""A dry run without a network: what would be sent, and that the target could not be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import run, run_process
from publishing import KEY, SECRET, s3_env

# Nothing listens there.
CLOSED = "http://127.0.0.1:1"
HUB = {"HF_ENDPOINT": CLOSED, "HF_TOKEN": "hf_of_the_test", "HF_HUB_DISABLE_XET": "1"}


TARGETS = [
    ("s3://bucket/prefix", s3_env(1)),
    ("hf://datasets/radiology/demo-cxr", HUB),
    ("hf://datasets/radiology/demo-cxr", HUB | {"HF_HUB_OFFLINE": "1"}),
    ("sftp://127.0.0.1:1/prefix", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "env"), TARGETS)
def test_a_dry_run_without_a_network_lists_what_would_be_sent(
    target: str, env: dict[str, str], public_release: Path, tmp_path: Path
) -> None:
    env = env | dict.fromkeys(("HOME", "USERPROFILE", "HF_HOME"), str(tmp_path))
    ran = run_process("publish", public_release, target, "--dry-run", "--json", **env)
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    files = {path.relative_to(public_release).as_posix(): path.stat().st_size
             for path in public_release.rglob("*") if path.is_file()}  # fmt: skip
    assert {step["name"]: step["bytes"] for step in document["steps"]} == files
    assert {step["to"] for step in document["steps"]} == {f"{target}/{name}" for name in files}
    assert not any(step["held"] for step in document["steps"])
    assert document["unread"]
    said = " ".join(ran.err.split())
    assert f"{len(files)} of {len(files)} files" in said
    assert "No connection to the target:" in said
    assert not {KEY, SECRET} & set(ran.err.split())


@pytest.mark.slow
@pytest.mark.parametrize(("target", "env"), TARGETS)
def test_sending_needs_the_target(
    target: str, env: dict[str, str], public_release: Path, tmp_path: Path
) -> None:
    env = env | dict.fromkeys(("HOME", "USERPROFILE", "HF_HOME"), str(tmp_path))
    ran = run_process("publish", public_release, target, "--json", **env)
    assert ran.status == 1
    assert json.loads(ran.out)["error"]["where"] == target
    assert "Traceback" not in ran.err
    assert not {KEY, SECRET} & set(ran.err.split())
    if target.startswith("s3:"):
        assert "Could not connect" in " ".join(ran.err.split())


@pytest.mark.usefixtures("quick_retries")
def test_a_dry_run_of_a_deposit_without_a_network_lists_what_would_be_sent(
    known_release: Path, tmp_path: Path
) -> None:
    release = shutil.copytree(known_release, tmp_path / known_release.name)
    env = {"ZENODO_URL": CLOSED, "ZENODO_TOKEN": "token-of-the-test"}
    for target, contacted in (("zenodo:", False), ("zenodo:123", True)):
        ran = run("publish", release, target, "--dry-run", "--json", **env)
        assert ran.status == 0, ran.err
        document = json.loads(ran.out)
        assert {"SHA256SUMS", "README.md", "data.tar"} <= {step["name"] for step in document["steps"]}
        assert (document["unread"] is not None) == contacted
    ran = run("publish", release, "zenodo:123", "--json", **env)
    assert ran.status == 1


def test_a_target_that_can_be_reached_is_read(known_release: Path, tmp_path: Path) -> None:
    ran = run("publish", known_release, tmp_path / "out", "--dry-run", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["unread"] is None
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.txt").write_text("other")
    ran = run("publish", known_release, tmp_path / "out", "--dry-run")
    assert ran.status == 1
    assert "the target holds files that are not of this release" in " ".join(ran.err.split())
