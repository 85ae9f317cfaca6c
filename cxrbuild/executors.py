"""Run batches of work in processes of this machine or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

from cxrbuild.errors import CxrbuildError

Batch = TypeVar("Batch")
Result = TypeVar("Result")

_SIGNAL_S = 0.1


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_executor(address: str, workers: int) -> Iterator[Executor]:
    """Open an executor.

    Parameters
    ----------
    address
        ``local`` for processes of this machine, or ``dask://HOST:PORT`` for a cluster's scheduler, whose
        workers must see the same folders under the same paths.
    workers
        The number of local processes.

    Raises
    ------
    CxrbuildError
        The address is of another kind, Dask is not installed, or the scheduler does not answer or stops.
    """
    if address == "local":
        # Not fork: this process has threads (Arrow's), whose locks a forked child would inherit locked.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
            others = set(multiprocessing.active_children())
            try:
                # A process starts with its first task. It starts now, because Control-C would end a process
                # that is still starting with a traceback.
                with _without_interrupts():
                    for _ in range(workers):
                        pool.submit(os.getpid)  # starts one process each
                yield pool
            except Exception:
                # Running tasks end first: a pool that still works may fail when the interpreter ends.
                pool.shutdown(cancel_futures=True)
                raise
            except BaseException:
                # An interrupt does not wait for batches: a batch that is not complete is done again.
                for process in set(multiprocessing.active_children()) - others:
                    process.kill()
                pool.shutdown(cancel_futures=True)
                raise
        return
    scheme, _, host = address.partition("://")
    if scheme != "dask" or not host:
        raise CxrbuildError("no such executor", expected="local or dask://HOST:PORT", found=address)
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise CxrbuildError(
            "Dask is not installed", todo="Run `pip install 'cxrbuild[cluster]'`, here and on the workers"
        ) from None
    try:
        client = Client(f"tcp://{host}", timeout=10)
    except (OSError, ValueError) as error:
        raise CxrbuildError("no Dask scheduler answers", where=address, found=error) from error
    with client:
        try:
            yield client.get_executor()
        except (CancelledError, KilledWorker) as error:
            raise CxrbuildError(
                "the cluster lost its scheduler or a worker", where=address, found=str(error) or None,
                todo="See their logs and run again; completed work is kept",
            ) from error  # fmt: skip


def run_batches(
    executor: Executor, work: Callable[[Batch], Result], batches: Iterable[Batch], *, ahead: int
) -> Iterator[tuple[Batch, Result]]:
    """Yield each batch with its result when it is done, with at most ``ahead`` batches submitted at a time.

    Raises
    ------
    CxrbuildError
        A worker process died.
    """
    pending: dict[Future[Result], Batch] = {}
    waiting = iter(batches)
    try:
        while True:
            while len(pending) < ahead and (batch := next(waiting, None)) is not None:
                pending[executor.submit(work, batch)] = batch
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                batch = pending.pop(future)
                yield batch, future.result()
    except BrokenExecutor as error:
        # A signal that ended the workers of a process group has reached this process too.
        time.sleep(_SIGNAL_S)
        raise CxrbuildError(
            "a worker process died, most often because memory ran out",
            todo="Run again with fewer --workers; completed work is kept",
        ) from error
    finally:
        for future in pending:
            future.cancel()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Control-C until the block ends; processes that are started meanwhile block it until they end.

    Control-C reaches every process of a terminal; the parent alone handles it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock Control-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker whose parent was killed would wait for tasks forever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Each process has its own batch; threads of numpy would compete with the other processes for the
    # processors. numpy reads these variables when it is imported, which comes later.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
