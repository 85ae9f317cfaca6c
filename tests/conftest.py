"""Shared fixtures: the real images where they are available, and the demo's folder."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
from command import CHECKOUT, run
from file_server import Server
from loopback import serving

import cxrbuild.http
from cxrbuild import executors
from cxrbuild.auditing import probes
from cxrbuild.http import RetryPolicy

# A shell lets programs in the background ignore Control-C, and the commands that tests start inherit that.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Read by numpy, which is imported after this. Its threads wait in loops, so that a product of small matrices
# takes three times the processor time of one thread where other tests have the processors.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

pytest_plugins = ["baseline_training", "figures", "processor_time", "releasing", "small_demo"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and metadata; tests that need it are skipped without it."""
    folder = Path(os.environ.get("CXRBUILD_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "originals").is_dir():
        pytest.skip("the real images are not available (CXRBUILD_SHARED)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def few_trees() -> Iterator[None]:
    """Train fewer trees for the probes of audits in this process: enough for few images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "_TREES", 10)
        yield


# What workers of an audit import; none of it starts a thread.
USED_BY_AUDITS = ("cxrbuild.auditing.images", "cxrbuild.auditing.pair_jobs", "scipy.fft", "scipy.ndimage")


@pytest.fixture(scope="session", autouse=True)
def importing_once() -> Iterator[None]:
    """Let the process from which workers are forked import what audits need, SciPy above all."""
    made = executors._context

    def context() -> BaseContext:
        context = made()
        if sys.platform == "linux":
            context.set_forkserver_preload([executors._PRELOADED, *USED_BY_AUDITS])
        return context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executors, "_context", context)
        yield


@pytest.fixture(scope="session")
def metadata_only(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the real metadata of the four sources and no image: enough to plan as pinned."""
    data = tmp_path_factory.mktemp("metadata")
    for name in ("cohen", "figure1", "actualmed"):
        (data / "sources" / name).mkdir(parents=True)
        shutil.copy(shared / "originals" / name / "metadata.csv", data / "sources" / name)
    (data / "sources" / "mooney").mkdir()
    return data


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, made once; a test that changes it works on a copy."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    ran = run("demo", folder)
    assert ran.status == 0, ran.err
    return folder


@pytest.fixture(scope="session")
def public_release(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public release of the demo's dataset; a test that changes it works on a copy."""
    out = tmp_path_factory.mktemp("public") / "demo-cxr-1.0.0"
    ran = run("release", "1.0.0", "--build", demo / "build", "--out", out)
    assert ran.status == 0, ran.err
    return out


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of files on the loopback."""
    with serving(Server()) as one:
        yield one


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Retry at once, without the credentials and the proxy of this machine."""
    policy = RetryPolicy(tries=3, first_wait=0.001, longest_wait=0.002, longest_asked=5, connect=2, read=0.3)
    monkeypatch.setattr(cxrbuild.http, "RETRY_POLICY", policy)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):  # Windows has the other one
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


# What takes longest begins first, so that no worker waits for another one at the end.
LONGEST = (
    "tensorflow", "verify", "release", "test_init", "browser", "test_curate", "test_diff", "test_withdrawals",
    "test_check_descriptions", "test_unlisted_images", "test_why", "test_corrections", "test_audit",
    "test_publish", "test_patient_identity", "test_review", "world", "test_api", "test_docs", "test_cluster",
)  # fmt: skip


def pytest_collection_finish() -> None:
    """Look for garbage seldom, as the program does: each search of all that was imported takes long."""
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker run all tests of a file, so that it builds the fixtures of the file once."""
    for test in items:
        if test.get_closest_marker("xdist_group") is None:
            test.add_marker(pytest.mark.xdist_group(test.path.stem))
    items.sort(key=lambda test: _rank(test.get_closest_marker("xdist_group").args[0]))


def _rank(group: str) -> int:
    return next((i for i, prefix in enumerate(LONGEST) if group.startswith(prefix)), len(LONGEST))
