"""A cluster gives the same bytes as local processes, or a clear error: never other bytes, never no end."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from command import CHECKOUT, Ran, run, run_process
from dask_cluster import DaskCluster
from PIL import Image

from cxrbuild import cluster
from cxrbuild.errors import CxrbuildError
from cxrbuild.executors import open_executor, require_executor, run_batches


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    folder = tmp_path / "dask"
    folder.mkdir()
    with DaskCluster(folder) as one:
        yield one


def tree(folder: Path) -> dict[str, str]:
    """Return the hashes of a build's files; the seal and states have the times of one folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("seal", "states", "shards")
    }


def curate(
    demo: Path,
    out: Path | str,
    executor: str,
    *more: object,
    data: object = None,
    cwd: object = None,
    start: Callable[..., Ran] = run_process,
) -> Ran:
    recipe = demo / "declared" / "recipe.toml"
    return start(
        "curate", "--recipe", recipe, "--data", data or demo / "data", "--out", out, "--format", "parquet",
        "--executor", executor, "--quiet", *more, cwd=cwd,
    )  # fmt: skip


def one_paragraph(err: str) -> str:
    """Return an error's text without its line breaks, and require that nothing else was printed."""
    assert err.startswith("cxrbuild: ")
    assert "Traceback" not in err
    assert "distributed" not in err
    return " ".join(err.split())


def with_quality(folder: Path, quality: int) -> Path:
    """Return a copy of the package that encodes with another quality, under the same version."""
    shutil.copytree(CHECKOUT / "cxrbuild", folder / "cxrbuild")
    module = folder / "cxrbuild" / "convert" / "conversion.py"
    text = module.read_text()
    assert "quality=settings.quality" in text
    module.write_text(text.replace("quality=settings.quality", f"quality={quality}"))
    return folder


def test_a_cluster_makes_the_same_bytes_and_a_worker_that_differs_is_refused(
    demo: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    dask.add_worker()
    # The workers' current folder is another than the command's.
    data = os.path.relpath(demo / "data", tmp_path)
    ran = curate(demo, "build", dask.address, data=data, cwd=tmp_path, start=run)
    assert (ran.status, ran.err) == (0, "")
    assert tree(tmp_path / "build") == tree(demo / "build")
    require_the_same_files(dask, tmp_path / "files")
    # A worker with other code.
    dask.add_worker(package=with_quality(tmp_path / "other", 30))
    wait_for_workers(dask, 2)
    with (
        pytest.raises(CxrbuildError, match="a worker of the cluster differs from this program") as refused,
        open_executor(dask.address, 1),
    ):
        pass
    assert "cxrbuild's code" in str(refused.value)


def require_the_same_files(dask: DaskCluster, folder: Path) -> None:
    """Require that a folder which a worker does not see is an error."""
    probe = folder / "in" / "probe"
    probe.parent.mkdir(parents=True)
    probe.write_bytes(b"as the client sees it")
    with open_executor(dask.address, 1, reads=[probe.parent], writes=[folder / "out"]) as executor:
        assert executor.submit(len, "ab").result() == 2
        probe.write_bytes(b"as another machine sees it")
        with pytest.raises(CxrbuildError) as caught:
            executor.submit(len, "ab").result()
    assert f"{probe} is not the client's file there: it has other bytes" in str(caught.value)
    assert list((folder / "out").iterdir()) == []


@pytest.mark.slow
def test_the_batches_in_flight_follow_the_cluster(dask: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_EMPTY_S", 3.0)
    monkeypatch.setattr(cluster, "_LOOK_S", 0.1)
    one = dask.add_worker()
    wait_for_workers(dask, 1)
    with open_executor(dask.address, 1) as executor:
        assert isinstance(executor, cluster.ClusterExecutor)
        assert executor.batches_in_flight() == 3
        two = dask.add_worker()
        wait_for_workers(dask, 2)
        time.sleep(0.2)
        assert executor.batches_in_flight() == 6
        begun = time.monotonic()
        with pytest.raises(CxrbuildError, match="the cluster has no worker"):
            list(run_batches(executor, time.sleep, killing(20.0, one, two), ahead=1))
        assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_a_scheduler_that_is_killed_is_an_error(dask: DaskCluster) -> None:
    dask.add_worker()
    with (
        pytest.raises(CxrbuildError, match="the cluster's scheduler is lost"),
        open_executor(dask.address, 1) as executor,
    ):
        list(run_batches(executor, time.sleep, killing(20.0, dask.scheduler), ahead=1))


def killing(task: float, *processes: subprocess.Popen[bytes]) -> Iterator[float]:
    """Yield tasks, killing processes when the second one is asked for."""
    yield task
    for process in processes:
        process.kill()
    yield task


def wait_for_workers(dask: DaskCluster, count: int) -> None:
    from distributed import Client

    with Client(dask.address.replace("dask", "tcp"), set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


@pytest.mark.parametrize(
    "address",
    [
        "slurm", "", "dask:", "dask://", "dask://host", "dask://:8786", "dask://host:port", "dask://host:0",
        "dask://host:99999", "dask://me:secret@host:8786", "tls://host:8786", "dask://tls://host:8786",
        "dask://host:8786/x",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_scheduler_is_refused(address: str) -> None:
    with pytest.raises(CxrbuildError, match="no such executor"):
        require_executor(address)


@pytest.mark.parametrize("address", ["dask://host:8786", "dask://10.0.0.1:1", "dask://[::1]:65535"])
def test_the_address_of_a_scheduler_is_accepted(address: str) -> None:
    require_executor(address)


def test_a_wrong_executor_is_refused_before_anything_is_written(demo: Path, tmp_path: Path) -> None:
    ran = curate(demo, tmp_path / "build", "slurm", start=run)
    assert ran.status == 1
    assert "no such executor" in one_paragraph(ran.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", pytest.param("no-such-host.invalid:8786", marks=pytest.mark.slow)]
)
def test_a_scheduler_that_is_not_there_is_an_error(demo: Path, tmp_path: Path, host: str) -> None:
    ran = curate(demo, tmp_path / "a", f"dask://{host}", start=run)
    assert ran.status == 1
    assert "no Dask scheduler answers" in one_paragraph(ran.err)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x46"]
)
def test_a_server_that_is_no_scheduler_is_an_error(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """A server that says nothing, one of HTTP, one that wants TLS."""
    monkeypatch.setattr(cluster, "_ANSWER_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                if answer:
                    connection.sendall(answer)
                    connection.close()

        connections: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        begun = time.monotonic()
        with (
            pytest.raises(CxrbuildError, match="no Dask scheduler answers"),
            open_executor(f"dask://127.0.0.1:{server.getsockname()[1]}", 1),
        ):
            pass
        assert time.monotonic() - begun < 10
        server.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


@pytest.fixture(scope="module")
def large(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with 1,200 more images, each of several milliseconds, and its build by local processes."""
    folder = tmp_path_factory.mktemp("large")
    shutil.copytree(demo / "declared", folder / "declared")
    shutil.copytree(demo / "data", folder / "data")
    stream = BytesIO()
    Image.effect_noise((600, 600), 20).convert("RGB").save(stream, "JPEG", quality=80)
    start, rest = stream.getvalue()[:2], stream.getvalue()[2:]
    given = (folder / "data" / "sources" / "mooney").rename(folder / "given")
    for n in range(1200):
        path = given / "chest_xray" / "train" / "NORMAL" / f"IM-{n + 5000}-0001.jpeg"
        path.write_bytes(start + b"\xff\xfe\0\x06%04d" % n + rest)
    words = ("--from", f"mooney={given}", "--allow-unpinned", "--data", folder / "data", "--quiet")
    ran = run_process("fetch", folder / "declared" / "mooney.toml", *words)
    assert ran.status == 0, ran.err
    ran = curate(folder, folder / "build", "local", "--workers", 4)
    assert ran.status == 0, ran.err
    return folder


class Curating:
    """A run of `curate` that goes on while the test works on its cluster."""

    def __init__(self, demo: Path, out: Path, executor: str) -> None:
        self.out = out
        recipe = demo / "declared" / "recipe.toml"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cxrbuild", "curate", "--recipe", recipe, "--data", demo / "data",
             "--out", out, "--format", "parquet", "--executor", executor, "--quiet"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_for_images(self, count: int) -> None:
        """Wait until the journal lists so many images."""
        journal = self.out / ".cxrbuild" / "journal"
        deadline = time.monotonic() + 120
        while not journal.exists() or journal.read_bytes().count(b"\n") < count:
            assert self.process.poll() is None, "the run ended early"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self) -> tuple[int, str]:
        """Return the exit status and standard error."""
        _, err = self.process.communicate(timeout=180)
        return self.process.returncode, err


@pytest.mark.slow
def test_four_workers_make_the_same_bytes_though_two_are_killed(
    large: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    workers = [dask.add_worker(), dask.add_worker(), dask.add_worker(nanny=True), dask.add_worker()]
    wait_for_workers(dask, 4)
    run = Curating(large, tmp_path / "build", dask.address)
    for count, worker in ((100, workers[0]), (400, workers[1])):
        run.wait_for_images(count)
        worker.kill()
    assert run.end() == (0, "")
    assert tree(tmp_path / "build") == tree(large / "build")


@pytest.mark.slow
def test_a_killed_scheduler_is_an_error_and_the_next_run_resumes(
    large: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    for _ in range(4):
        dask.add_worker()
    wait_for_workers(dask, 4)
    build = tmp_path / "build"
    run = Curating(large, build, dask.address)
    run.wait_for_images(300)
    dask.scheduler.kill()
    begun = time.monotonic()
    status, err = run.end()
    assert time.monotonic() - begun < 30
    assert status == 1
    assert "the cluster's scheduler is lost" in one_paragraph(err)
    listed = (build / ".cxrbuild" / "journal").read_text()
    made = {path: path.stat().st_mtime_ns for path in build.rglob("*.jpg") if path.stem in listed}
    assert len(made) >= 200
    (tmp_path / "second").mkdir()
    with DaskCluster(tmp_path / "second") as second:
        second.add_worker()
        second.add_worker()
        ran = curate(large, build, second.address)
        assert (ran.status, ran.err) == (0, "")
    assert tree(build) == tree(large / "build")
    assert made == {path: path.stat().st_mtime_ns for path in made}, "an image was converted again"


@pytest.mark.slow
def test_a_worker_of_other_code_that_joins_later_does_no_work(
    large: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    dask.add_worker()
    run = Curating(large, tmp_path / "build", dask.address)
    run.wait_for_images(50)
    dask.add_worker(package=with_quality(tmp_path / "other", 30))
    status, err = run.end()
    assert status == 1
    assert "a worker of the cluster differs from this program" in one_paragraph(err)
    right = tree(large / "build")
    for name, digest in tree(tmp_path / "build").items():
        assert not name.endswith(".jpg") or digest == right[name]


@pytest.mark.slow
def test_a_cluster_without_workers_is_an_error_within_30_seconds(
    large: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    begun = time.monotonic()
    ran = curate(large, tmp_path / "never", dask.address)
    assert time.monotonic() - begun < 30
    assert ran.status == 1
    assert "the cluster has no worker" in one_paragraph(ran.err)
    worker = dask.add_worker()
    run = Curating(large, tmp_path / "build", dask.address)
    run.wait_for_images(50)
    worker.kill()
    begun = time.monotonic()
    status, err = run.end()
    assert time.monotonic() - begun < 30
    assert status == 1
    assert "the cluster has no worker" in one_paragraph(err)


def release(
    build: Path, out: Path, executor: str, *more: object, start: Callable[..., Ran] = run_process
) -> Ran:
    return start(
        "release", "1.0.0", "--build", build, "--out", out, "--size", 64, "--size", 32,
        "--executor", executor, "--quiet", *more,
    )  # fmt: skip


@pytest.mark.slow
def test_a_cluster_releases_the_same_bytes(demo: Path, tmp_path: Path, dask: DaskCluster) -> None:
    ran = release(demo / "build", tmp_path / "local", "local", "--workers", 1)
    assert (ran.status, ran.err) == (0, "")
    dask.add_worker()
    ran = release(demo / "build", tmp_path / "cluster", dask.address)
    assert (ran.status, ran.err) == (0, "")
    assert tree(tmp_path / "cluster") == tree(tmp_path / "local")
    assert any(name.startswith("sizes/64/train-") for name in tree(tmp_path / "cluster"))
    shutil.copytree(tmp_path / "cluster", tmp_path / "changed")
    large, small = (next((tmp_path / "changed" / "sizes" / size).glob("train-*")) for size in ("64", "32"))
    large.write_bytes(small.read_bytes())
    for folder, status in (("cluster", 0), ("changed", 3)):
        ran = run_process("verify", tmp_path / folder, "--executor", dask.address)
        assert ran.status == status
        assert ("is PNG L of 32 x 32, not PNG L of 64 x 64" in " ".join(ran.err.split())) == (status == 3)
    # A worker with other code is refused before anything is written.
    dask.add_worker(package=with_quality(tmp_path / "other", 30))
    wait_for_workers(dask, 2)
    ran = release(demo / "build", tmp_path / "refused", dask.address)
    assert ran.status == 1
    assert "a worker of the cluster differs from this program" in one_paragraph(ran.err)
    assert not (tmp_path / "refused").exists()


def test_a_release_on_a_wrong_executor_is_refused_before_anything_is_written(
    demo: Path, tmp_path: Path
) -> None:
    ran = release(demo / "build", tmp_path / "release", "slurm", start=run)
    assert ran.status == 1
    assert "no such executor" in one_paragraph(ran.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_release_without_a_scheduler_is_refused_before_anything_is_written(
    demo: Path, tmp_path: Path
) -> None:
    ran = release(demo / "build", tmp_path / "release", "dask://127.0.0.1:1")
    assert ran.status == 1
    assert "no Dask scheduler answers" in one_paragraph(ran.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_release_on_a_cluster_without_workers_is_an_error_within_30_seconds(
    demo: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    begun = time.monotonic()
    ran = release(demo / "build", tmp_path / "release", dask.address)
    assert time.monotonic() - begun < 30
    assert ran.status == 1
    assert "the cluster has no worker" in one_paragraph(ran.err)
    assert not (tmp_path / "release").exists()


@pytest.mark.slow
def test_a_release_has_the_same_bytes_though_a_worker_is_killed(
    large: Path, tmp_path: Path, dask: DaskCluster
) -> None:
    ran = release(large / "build", tmp_path / "local", "local", "--workers", 2, "--policy", "private")
    assert (ran.status, ran.err) == (0, "")
    workers = [dask.add_worker(), dask.add_worker(), dask.add_worker()]
    wait_for_workers(dask, 3)
    command = [
        sys.executable, "-m", "cxrbuild", "release", "1.0.0", "--build", large / "build", "--policy",
        "private", "--out", tmp_path / "cluster", "--size", "64", "--size", "32", "--executor", dask.address,
        "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    # A row group is written when its images are resized; the first of many.
    while not any(path.stat().st_size > 1000 for path in (tmp_path / ".cluster.part").rglob("sizes/64/*")):
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers[0].kill()
    workers[1].kill()
    _, err = process.communicate(timeout=180)
    assert (process.returncode, err) == (0, "")
    assert tree(tmp_path / "cluster") == tree(tmp_path / "local")
