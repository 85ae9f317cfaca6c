"""A Dask scheduler and its workers on the loopback, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from command import CHECKOUT


class DaskCluster:
    """A scheduler, and workers that a test starts and kills.

    Parameters
    ----------
    folder
        An empty folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler_file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._log = (folder / "log").open("wb")
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.scheduler_file)
        )
        deadline = time.monotonic() + 60
        while not self.scheduler_file.exists():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.1)

    @property
    def address(self) -> str:
        """The address as `--executor` takes it."""
        document = json.loads(self.scheduler_file.read_text())
        return document["address"].replace("tcp://", "dask://")

    def add_worker(self, *, package: Path = CHECKOUT, nanny: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker of one thread.

        Parameters
        ----------
        package
            The folder that the worker imports cxrbuild from.
        nanny
            Whether a second process starts the worker again when it dies.
        """
        worker = self._start(
            "worker", "--scheduler-file", str(self.scheduler_file), "--nthreads", "1",
            "--local-directory", str(self.folder), *([] if nanny else ["--no-nanny"]), package=package,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def _start(self, part: str, *words: str, package: Path = CHECKOUT) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{part}", "--no-dashboard", *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(package)},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self.workers, self.scheduler):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._log.close()
