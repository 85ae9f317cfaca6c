"""Several files at once to a target: tried again where that helps, stopped where it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass

from cxrbuild.errors import CxrbuildError
from cxrbuild.http import RetryableError, retry
from cxrbuild.progress import Progress
from cxrbuild.threads import Cancellation, open_threads

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
    cancellation = Cancellation()
    with progress(title, sum(step.bytes for step in steps), "B") as bar:
        lock = threading.Lock()

        def sent(step: Step) -> None:
            told = 0

            def tell(done: int) -> None:
                nonlocal told
                cancellation.check()
                with lock:
                    bar.update(done - told)
                told = done

            def attempt() -> None:
                tell(0)
                send(step, tell)
                tell(step.bytes)

            persist(attempt, cancellation=cancellation, where=step.to)

        # The largest first: a long one begun last would keep one thread busy and the others idle.
        ordered = sorted(steps, key=lambda step: -step.bytes)
        with open_threads(jobs, cancellation) as pool:
            running = [pool.submit(sent, step) for step in ordered]
            for future in as_completed(running):
                future.result()


def persist(attempt: Callable[[], None], *, where: str, cancellation: Cancellation | None = None) -> None:
    """Try something until it succeeds, with growing waits, or has failed too often.

    Raises
    ------
    CxrbuildError
        It failed too often.
    """
    cancellation = cancellation or Cancellation()

    def give_up(failures: int, error: RetryableError) -> CxrbuildError:
        return CxrbuildError(
            f"failed {failures} times in a row, the last time because {error}", where=where,
            todo="What arrived is kept: run the command again to resume",
        )  # fmt: skip

    retry(attempt, wait=cancellation.wait, give_up=give_up)
