"""Run tasks in threads that can be cancelled, and that an interrupt leaves at once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from cxrbuild.progress import Bar, Progress

Result = TypeVar("Result")

# How long an interrupt waits for threads: one may be blocked in a system call, as a look-up of a host's name.
_INTERRUPTED_S = 1.0


class Cancellation:
    """A request to end, which tasks in other threads check while they work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Request the end."""
        self._event.set()

    def check(self) -> None:
        """Raise ``CancelledError`` once the end was requested."""
        if self._event.is_set():
            raise CancelledError

    def wait(self, seconds: float) -> None:
        """Wait; raise ``CancelledError`` once the end was requested."""
        if self._event.wait(seconds):
            raise CancelledError

    def checked(self, progress: Progress) -> Progress:
        """Return a progress whose bars raise ``CancelledError`` once the end was requested."""
        return _CheckedProgress(self, progress)


class _CheckedProgress:
    """A progress whose bars check for the end."""

    def __init__(self, cancellation: Cancellation, progress: Progress) -> None:
        self._cancellation, self._progress = cancellation, progress
        self.plan, self.note, self.warn = progress.plan, progress.note, progress.warn

    @contextmanager
    def __call__(self, title: str, total: int | None, unit: str, /, *, done: int = 0) -> Iterator[Bar]:
        with self._progress(title, total, unit, done=done) as bar:
            yield _CheckedBar(self._cancellation, bar)


class _CheckedBar:
    def __init__(self, cancellation: Cancellation, bar: Bar) -> None:
        self._cancellation, self._bar = cancellation, bar

    def update(self, n: float = 1, /) -> object:
        self._cancellation.check()
        return self._bar.update(n)


@contextmanager
def open_threads(jobs: int, cancellation: Cancellation) -> Iterator[Executor]:
    """Open an executor of threads.

    An error in the block cancels the tasks and waits until they end. An interrupt waits a second at most: the
    threads end with the process.

    Parameters
    ----------
    jobs
        The number of threads.
    cancellation
        What the tasks check.
    """
    pool = _DaemonThreads(max(1, jobs))
    try:
        yield pool
    except Exception:
        cancellation.cancel()
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        cancellation.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        pool.join(_INTERRUPTED_S)
        raise
    pool.shutdown()


class _DaemonThreads(Executor):
    """Threads that do not keep the process from ending, unlike those of `ThreadPoolExecutor`."""

    def __init__(self, jobs: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(jobs)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Add a task."""
        future: Future[Result] = Future()
        self._tasks.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads when the tasks are done, or now where the tasks are cancelled."""
        if cancel_futures:
            with suppress(queue.Empty):
                while True:
                    if task := self._tasks.get_nowait():
                        task[0].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        if wait:
            self.join(None)

    def join(self, seconds: float | None) -> None:
        """Wait for the threads, all of them together for the seconds given at most."""
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while task := self._tasks.get():
            future, call = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # the caller raises it
                future.set_exception(error)
            else:
                future.set_result(result)
