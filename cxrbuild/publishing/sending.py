"""Several files at once to a target: tried again where that helps, stopped where it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from cxrbuild.errors import CxrbuildError
from cxrbuild.http import RetryableError, retry
from cxrbuild.progress import Progress

# How many bytes of a file have gone out so far; raises CancelledError once the work is to stop.
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Step:
    """One file to be at the target.

    Attributes
    ----------
    name
        Its name at the target.
    to
        Its address, as it may be shown.
    bytes
        Its size.
    held
        Whether the target has it already, and that is proven.
    """

    name: str
    to: str
    bytes: int
    held: bool


def send_all(
    steps: Sequence[Step], send: Callable[[Step, Tell], None], *, jobs: int, title: str, progress: Progress
) -> None:
    """Send files side by side; the first that fails stops the others.

    Parameters
    ----------
    steps
        What to send.
    send
        Sends one, telling how far it is; run by several threads.
    jobs
        How many to send at once.
    title
        What the progress bar says.
    progress
        Opens the progress bar, in bytes.

    Raises
    ------
    CxrbuildError
        One could not be sent.
    """
    stop = threading.Event()
    with progress(title, sum(step.bytes for step in steps), "B") as bar:
        lock = threading.Lock()

        def sent(step: Step) -> None:
            told = 0

            def tell(done: int) -> None:
                nonlocal told
                if stop.is_set():
                    raise CancelledError
                with lock:
                    bar.update(done - told)
                told = done

            def attempt() -> None:
                tell(0)
                send(step, tell)
                tell(step.bytes)

            persist(attempt, stop=stop, where=step.to)

        # The largest first: a long one begun last would keep one thread busy and the others idle.
        ordered = sorted(steps, key=lambda step: -step.bytes)
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            try:
                running: list[Future[None]] = [pool.submit(sent, step) for step in ordered]
                for future in as_completed(running):
                    future.result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


def persist(attempt: Callable[[], None], *, where: str, stop: threading.Event | None = None) -> None:
    """Try something until it succeeds, with growing waits, or has failed too often.

    Raises
    ------
    CxrbuildError
        It failed too often.
    """
    stop = stop or threading.Event()

    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise CancelledError

    def give_up(failures: int, error: RetryableError) -> CxrbuildError:
        return CxrbuildError(
            f"failed {failures} times in a row, the last time because {error}", where=where,
            todo="What arrived is kept: run the command again to resume",
        )  # fmt: skip

    retry(attempt, wait=wait, give_up=give_up)
