"""Run batches of work in processes of this machine or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from cxrbuild.cluster import ClusterExecutor, is_address, open_cluster
from cxrbuild.errors import CxrbuildError, is_of_memory

Batch = TypeVar("Batch")
Result = TypeVar("Result")

_SIGNAL_S = 0.1
# A module that imports what workers use.
_PRELOADED = "cxrbuild.preloaded"


class _ProcessPool(ProcessPoolExecutor):
    """Local processes. ``failure`` is the error that ended the thread which gives them their tasks."""

    failure: BaseException | None = None

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task; this starts a process where none is idle."""
        with _without_main():
            return super().submit(*args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down; a pool whose thread could not be started has nothing to wait for."""
        try:
            super().shutdown(wait, cancel_futures=cancel_futures)
        except RuntimeError as error:
            if "before it is started" not in str(error):
                raise


def _context() -> BaseContext:
    """Return how worker processes start.

    They are not forked from this process: it has threads (Arrow's), whose locks a child would inherit locked.
    On Linux they are forked from a process without threads, which imports the libraries once for all workers.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    return context


class _Main(ModuleType):
    """The main module, of which processes that this thread starts find no file to import.

    For other threads, which can pickle objects of the program or start processes meanwhile, it is unchanged.
    """

    def __init__(self, main: ModuleType) -> None:
        super().__init__("__main__")
        self._of_thread = main, threading.get_ident()

    def __getattribute__(self, name: str) -> Any:
        main, thread = super().__getattribute__("_of_thread")
        if name in ("__file__", "__spec__") and thread == threading.get_ident():
            return None
        return getattr(main, name)


# Of two threads that start processes, the second must not restore the replacement of the first.
_starting = threading.RLock()


@contextmanager
def _without_main() -> Iterator[None]:
    """Let processes that are started not import the program that uses this package.

    They need none of its functions. A script without ``if __name__ == "__main__"`` would run again in each.
    """
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = _Main(main)
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def wait_for_fork_server() -> None:
    """Wait for the process that workers were forked from, so that their time is part of this command's.

    It ends when the workers and every process that this one forked have: only the command line waits for it.
    The method that waits is not public; without it only that time is missing.
    """
    if sys.platform != "linux":
        return
    from multiprocessing import forkserver

    stop = getattr(getattr(forkserver, "_forkserver", None), "_stop", None)
    if stop is not None:
        with suppress(OSError):
            stop()


@contextmanager
def _noticing_failure(pool: _ProcessPool) -> Iterator[None]:
    """Record that a thread ended because memory ran out: the pool would wait for its tasks forever."""
    before = threading.excepthook

    def record(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and is_of_memory(args.exc_value):
            pool.failure = args.exc_value
        else:
            before(args)

    threading.excepthook = record
    try:
        yield
    finally:
        threading.excepthook = before


class WorkerDiedError(CxrbuildError):
    """Report a local worker process that died.

    Parameters
    ----------
    batches
        The batches that were submitted and have no result, one of which the process died of.
    """

    def __init__(self, batches: Sequence[object]) -> None:
        super().__init__(
            "a worker process died, most often because memory ran out",
            todo="Run again with fewer --workers; completed work is kept",
        )
        self.batches = batches


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require_executor(address: str) -> None:
    """Require that a text names an executor, before anything is done.

    Raises
    ------
    CxrbuildError
        It is neither ``local`` nor the address of a scheduler.
    """
    if address != "local" and not is_address(address):
        raise CxrbuildError(
            "no such executor",
            expected="local, or dask://HOST:PORT without TLS",
            found=address or "nothing",
            todo="Leave --executor out to use this machine, or name the scheduler of a Dask cluster",
        )


@contextmanager
def open_executor(
    address: str,
    workers: int,
    *,
    batches: int | None = None,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
) -> Iterator[Executor]:
    """Open an executor.

    Parameters
    ----------
    address
        ``local`` for processes of this machine, or ``dask://HOST:PORT`` for a cluster's scheduler, whose
        workers must have the same versions and see the same folders under the same paths.
    workers
        The most local processes.
    batches
        The number of batches if it is known: a process without a batch is not started.
    reads, writes
        Folders that the work reads or writes; the workers of a cluster must see them.

    Raises
    ------
    CxrbuildError
        The address is of another kind, Dask is not installed, the scheduler does not answer or stops, or a
        worker differs from this program.
    """
    require_executor(address)
    if address == "local":
        context = _context()
        if batches is not None:
            workers = max(1, min(workers, batches))
        with (
            _ProcessPool(workers, mp_context=context, initializer=_start_worker) as pool,
            _noticing_failure(pool),
        ):
            others = set(multiprocessing.active_children())
            try:
                # A process starts with its first task. It starts now, because Control-C would end a process
                # that is still starting with a traceback.
                with _without_interrupts():
                    for _ in range(workers):
                        pool.submit(os.getpid)  # starts one process each
                yield pool
            except BaseException as error:
                # After an error running tasks end first: a pool that still works may fail when the
                # interpreter ends. An interrupt does not wait: a batch that is not complete is done again.
                # Without memory the thread that waits for the processes may not run.
                if not isinstance(error, Exception) or pool.failure is not None or is_of_memory(error):
                    for process in set(multiprocessing.active_children()) - others:
                        process.kill()
                pool.shutdown(cancel_futures=True)
                raise
        return
    with open_cluster(address, reads=reads, writes=writes) as cluster:
        yield cluster


def run_batches(
    executor: Executor,
    work: Callable[[Batch], Result],
    batches: Iterable[Batch],
    *,
    ahead: int,
    in_order: bool = False,
) -> Iterator[tuple[Batch, Result]]:
    """Yield each batch with its result when it is done, a limited number of batches in flight.

    Parameters
    ----------
    executor
        Where the work is done.
    work
        What is done with a batch.
    batches
        The batches; the next one is taken when it is submitted.
    ahead
        The most batches that are submitted at a time to local processes. A cluster gets as many as it has
        threads for, and more when it grows.
    in_order
        Whether the results are yielded in the order of the batches. A result that waits for an earlier one
        counts as in flight, so that memory is limited.

    Raises
    ------
    WorkerDiedError
        A worker process died.
    CxrbuildError
        The cluster lost its scheduler or all workers.
    """
    cluster = executor if isinstance(executor, ClusterExecutor) else None
    pending: dict[Future[Result], Batch] = {}
    waiting = iter(batches)
    try:
        while True:
            if cluster is not None:
                ahead = cluster.batches_in_flight()
            while len(pending) < ahead and (batch := next(waiting, None)) is not None:
                pending[executor.submit(work, batch)] = batch
            if not pending:
                return
            # Work that no worker does never ends: the cluster's size and the pool's failure are looked at.
            asked = [next(iter(pending))] if in_order else pending
            done, _ = wait(asked, 1.0, return_when=FIRST_COMPLETED)
            if isinstance(executor, _ProcessPool) and executor.failure is not None:
                raise executor.failure
            for future in done:
                result = future.result()
                yield pending.pop(future), result
    except BrokenExecutor as error:
        # A signal that ended the workers of a process group has reached this process too.
        time.sleep(_SIGNAL_S)
        raise WorkerDiedError(list(pending.values())) from error
    finally:
        for future in pending:
            future.cancel()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Control-C until the block ends; processes that are started meanwhile block it until they end.

    Control-C reaches every process of a terminal; the parent alone handles it.
    """
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        with _ignored_by_console():
            yield
        return
    resource_tracker.ensure_running()  # its start would unblock Control-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _deferred_signals():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ignored_by_console() -> Iterator[None]:
    """On Windows, ignore Control-C until the block ends; processes that are started meanwhile ignore it."""
    if sys.platform != "win32" or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    import ctypes

    ctypes.windll.kernel32.SetConsoleCtrlHandler(None, True)
    try:
        yield
    finally:
        ctypes.windll.kernel32.SetConsoleCtrlHandler(None, False)


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Handle SIGINT and SIGTERM when the block ends.

    A blocked signal still reaches the threads of libraries, and its handler runs in the main thread then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A handler of another language is None, and cannot be set again.
    handlers = {number: handler for number, handler in handlers.items() if handler is not None}
    for number in handlers:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker whose parent was killed would wait for tasks forever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_one_thread()


def use_one_thread() -> None:
    """Let numpy start no threads; it reads these variables when it is imported.

    Each process has its own batch; threads would compete with the other processes for the processors.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
