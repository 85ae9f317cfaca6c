"""Send several files at once to a target, with retries; an error that retries cannot solve stops all."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import TypedDict

from cxrbuild.errors import CxrbuildError
from cxrbuild.http import RetryableError, retry
from cxrbuild.progress import Progress
from cxrbuild.publishing.release import ReleaseFile
from cxrbuild.threads import Cancellation, open_threads

_logger = logging.getLogger(__name__)

_NO_CONNECTION = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)
# Those of requests, httpx, botocore and paramiko that do not always have the system's error as their cause.
_OF_LIBRARIES = frozenset({
    "ConnectTimeout", "ConnectTimeoutError", "ConnectError", "ConnectionError", "EndpointConnectionError",
    "NoValidConnectionsError",
})  # fmt: skip

# Reports how many bytes of a file were sent so far; raises CancelledError after a cancellation.
Report = Callable[[int], None]


class Location(TypedDict, total=False):
    """Where a release was published: the keys are those that the target has.

    Attributes
    ----------
    url
        Of folders, buckets and the page of a repository or record; ``None`` where a deposit gives none.
    commit, tag
        Of the Hub.
    record, doi, published
        Of deposits: the id, the reserved or registered DOI, and whether the record is published.
    """

    url: str | None
    commit: str | None
    tag: str
    record: str
    doi: str | None
    published: bool


class UnreachableError(CxrbuildError):
    """The target could not be read: there is no connection to it."""


def is_of_connection(error: BaseException) -> bool:
    """Return whether an error, or one that it was raised because of, says that there is no connection.

    Parameters
    ----------
    error
        An error of any library.
    """
    seen: list[BaseException] = []
    while error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__ or error
    return any(
        isinstance(one, ConnectionError | TimeoutError | socket.gaierror)
        or getattr(one, "errno", None) in _NO_CONNECTION
        or type(one).__name__ in _OF_LIBRARIES
        for one in seen
    )


@dataclass(frozen=True)
class FileToSend:
    """One file to be at the target.

    Attributes
    ----------
    name
        Its name at the target.
    to
        Its address, without credentials.
    bytes
        Its size.
    held
        Whether the target has it already, with the same content.
    """

    name: str
    to: str
    bytes: int
    held: bool


def steps_to(address: str, files: Iterable[ReleaseFile]) -> list[FileToSend]:
    """Return a step for each file, none of which the target has.

    Parameters
    ----------
    address
        The address of the target, without credentials.
    files
        The files to send.
    """
    return [FileToSend(file.name, f"{address}/{file.name}", file.bytes, held=False) for file in files]


def send_all(
    steps: Sequence[FileToSend],
    send: Callable[[FileToSend, Report], None],
    *,
    jobs: int,
    title: str,
    progress: Progress,
) -> None:
    """Send files in parallel; the first that fails stops the others.

    Parameters
    ----------
    steps
        The files to send.
    send
        Sends one and reports its progress; called by several threads.
    jobs
        How many to send at once.
    title
        The title of the progress bar.
    progress
        Opens the progress bar, in bytes.

    Raises
    ------
    CxrbuildError
        A file cannot be sent.
    """
    cancellation = Cancellation()
    with progress(title, sum(step.bytes for step in steps), "B") as bar:
        lock = threading.Lock()

        def send_one(step: FileToSend) -> None:
            reported = 0

            def report(done: int) -> None:
                nonlocal reported
                cancellation.check()
                with lock:
                    bar.update(done - reported)
                reported = done

            def attempt() -> None:
                report(0)
                began = time.monotonic()
                send(step, report)
                report(step.bytes)
                _logger.debug("sent %s: %d bytes in %.1f s", step.to, step.bytes, time.monotonic() - began)

            send_with_retries(attempt, cancellation=cancellation, where=step.to)

        # The largest first: otherwise a large file at the end keeps one thread busy and the others idle.
        ordered = sorted(steps, key=lambda step: -step.bytes)
        with open_threads(jobs, cancellation) as pool:
            running = [pool.submit(send_one, step) for step in ordered]
            for future in as_completed(running):
                future.result()


def send_with_retries(
    attempt: Callable[[], None], *, where: str, cancellation: Cancellation | None = None
) -> None:
    """Call a function until it succeeds, with the waits of the retry policy.

    Raises
    ------
    CxrbuildError
        The retry policy ended.
    """
    cancellation = cancellation or Cancellation()

    def give_up(failures: int, error: RetryableError) -> CxrbuildError:
        kind = UnreachableError if is_of_connection(error) else CxrbuildError
        return kind(
            f"failed {failures} times in a row, most recently because {error}", where=where,
            todo="Completed files are kept: run the command again to resume",
        )  # fmt: skip

    retry(attempt, wait=cancellation.wait, give_up=give_up, name=where)
