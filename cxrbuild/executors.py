"""Where pieces of work run: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
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

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def default_workers() -> int:
    """Return how many processors this process may use."""
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
        How many local processes.

    Raises
    ------
    CxrbuildError
        The address is of another kind, Dask is not installed, or no scheduler answers or goes on answering.
    """
    if address == "local":
        # Not fork: this process has threads (Arrow's), whose locks a forked child would inherit held.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
            try:
                # A process starts when there is something to do for it: now, not later, where Control-C
                # would end one that is still starting with a traceback.
                with _without_interrupts():
                    for _ in range(workers):
                        pool.submit(os.getpid)  # starts a process each
                yield pool
            except Exception:
                # What is under way ends first: a pool that is left behind may fail as the interpreter ends.
                pool.shutdown(cancel_futures=True)
                raise
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
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
                todo="Look at their logs and run again; what was done is kept",
            ) from error  # fmt: skip


def run_batches(
    executor: Executor, work: Callable[[Piece], Result], pieces: Iterable[Piece], *, ahead: int
) -> Iterator[tuple[Piece, Result]]:
    """Yield each piece with its result as it is done, holding at most ``ahead`` pieces in flight.

    Raises
    ------
    CxrbuildError
        A worker process died.
    """
    pending: dict[Future[Result], Piece] = {}
    waiting = iter(pieces)
    try:
        while True:
            while len(pending) < ahead and (piece := next(waiting, None)) is not None:
                pending[executor.submit(work, piece)] = piece
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                piece = pending.pop(future)
                yield piece, future.result()
    except BrokenExecutor as error:
        raise CxrbuildError(
            "a worker process died, most often because memory ran out",
            todo="Run again with fewer --workers; what was done is kept",
        ) from error
    finally:
        for future in pending:
            future.cancel()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Control-C back, here until the block ends, in processes that are started in it for good.

    It reaches every process of a terminal; the parent alone decides what to do about it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it would let Control-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One whose parent was killed would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Each process has its own piece of work; numpy's threads would only fight the other processes for the
    # processors. It reads these when it is imported, which comes after this.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
