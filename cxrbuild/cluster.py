"""Run tasks on a Dask cluster whose workers have the client's versions and see the client's files.

Before the first task every worker is examined, and every task examines its worker again: a worker may join
at any time. A worker that differs does no work.
"""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import files_under, naming, temporary_name
from cxrbuild.versions import program_versions

T = TypeVar("T")

_logger = logging.getLogger(__name__)
_ADDRESS = re.compile(r"dask://(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@]+):([0-9]{1,5})/?")
# Seconds that a scheduler may take to answer, and that a cluster may be without a worker: a worker that died
# is started again within a few.
_ANSWER_S = 10.0
_EMPTY_S = 20.0
# Seconds that workers may take to import the libraries whose versions they report.
_EXAMINED_S = 120.0
# Seconds between two looks at the size of the cluster.
_LOOK_S = 1.0
# Enough that no thread waits for the client, few enough that a large cluster does not fill its scheduler.
_BATCHES_OF_THREAD = 3
_HEAD_BYTES = 1 << 20
# Loggers that print to standard error by themselves.
_FOREIGN_LOGGERS = ("distributed", "tornado", "tornado.application", "asyncio")


class Terms(NamedTuple):
    """Hold what a worker must have in common with the client.

    Parameters
    ----------
    versions
        The client's versions, by name.
    probes
        Files that the client sees, each with the SHA-256 of its first MiB.
    """

    versions: dict[str, str]
    probes: dict[str, str]


class Answer(NamedTuple):
    """Hold the result of a task, and the versions of the worker that it was done by."""

    versions: dict[str, str]
    result: Any


def is_address(text: str) -> bool:
    """Return whether a text is the address of a cluster's scheduler."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match[2]) < 1 << 16


class ClusterExecutor(Executor):
    """Run tasks on the workers of a cluster, on terms.

    Parameters
    ----------
    client
        The Dask client.
    address
        The address as the user gave it, for messages.
    terms
        What every worker must have in common with the client.
    """

    def __init__(self, client: Any, address: str, terms: Terms) -> None:
        self._client = client
        self._address = address
        self._terms = terms
        self._threads = 0
        self._looked = -_LOOK_S
        self._had_worker = time.monotonic()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a function on a worker; both it and its arguments are pickled."""
        ours: Future[T] = Future()
        task = self._client.submit(run_on_terms, self._terms, fn, args, kwargs, pure=False)
        ours.add_done_callback(lambda ours: task.cancel() if ours.cancelled() else None)
        task.add_done_callback(lambda task: self._finish(ours, task))
        return ours

    def batches_in_flight(self) -> int:
        """Return how many batches to submit at a time to a cluster of the size that it has now.

        Raises
        ------
        CxrbuildError
            The scheduler does not answer, or the cluster has had no worker for 20 seconds.
        """
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._threads = sum(self._ask(self._client.nthreads).values())
            if self._threads:
                self._had_worker = now
        if now - self._had_worker >= _EMPTY_S:
            raise CxrbuildError(
                "the cluster has no worker", where=self._address,
                found=f"none for {_EMPTY_S:.0f} seconds",
                todo="Start workers (`dask worker HOST:PORT`), or see the logs of those that ended, and run "
                "again; completed work is kept",
            )  # fmt: skip
        return max(1, _BATCHES_OF_THREAD * self._threads)

    def wait_for_worker(self) -> None:
        """Wait until the cluster has a worker.

        Raises
        ------
        CxrbuildError
            It has none for 20 seconds.
        """
        self.batches_in_flight()
        while not self._threads:
            time.sleep(_LOOK_S)
            self.batches_in_flight()

    def examine_workers(self) -> None:
        """Compare every worker's versions with the client's, and look whether it sees the client's files.

        Raises
        ------
        CxrbuildError
            A worker differs.
        """
        paths = list(self._terms.probes)
        found = self._ask(lambda: self._client.run(examine, paths, on_error="return"), _EXAMINED_S)
        problems: dict[str, list[str]] = {}
        for worker, answer in sorted(found.items()):
            for problem in _problems_of(self._terms, answer):
                problems.setdefault(problem, []).append(worker)
        _logger.info("examined %d workers of %s: %d problems", len(found), self._address, len(problems))
        if problems:
            raise _refusal(self._address, [f"{what} ({name_some(who, 3)})" for what, who in problems.items()])

    def _finish(self, ours: Future[Any], task: Any) -> None:
        if not ours.set_running_or_notify_cancel():
            return
        if task.status == "cancelled":
            ours.set_exception(self._lost("the connection to its scheduler was lost"))
            return
        # The task is done, so neither waits.
        if (error := task.exception()) is not None:
            ours.set_exception(self._as_ours(error))
            return
        answer: Answer = task.result()
        if problems := _differences(self._terms.versions, answer.versions):
            ours.set_exception(_refusal(self._address, problems))
        else:
            ours.set_result(answer.result)

    def _as_ours(self, error: BaseException) -> BaseException:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return CxrbuildError(
                "workers of the cluster died, most often because memory ran out", where=self._address,
                found=f"a batch of work that ended {error.allowed_failures + 1} workers in turn",
                todo="See the logs of the workers, give them more memory or fewer threads, and run again; "
                "completed work is kept",
            )  # fmt: skip
        if isinstance(error, (ImportError, AttributeError)):
            # The function itself is not there: the worker has no cxrbuild, or another one.
            return _refusal(self._address, [f"a worker that joined cannot run a task: {error}"])
        return error

    def _ask(self, question: Callable[[], T], seconds: float = _EMPTY_S) -> T:
        """Return the scheduler's answer; Dask itself waits for a silent scheduler without end."""
        try:
            return _within(seconds, question)
        except Exception as error:  # Dask raises errors of many kinds
            raise self._lost(str(error) or type(error).__name__) from error

    def _lost(self, found: str) -> CxrbuildError:
        return CxrbuildError(
            "the cluster's scheduler is lost", where=self._address, found=found,
            todo="See its log, start it again, and run the same command again; completed work is kept",
        )  # fmt: skip


@contextmanager
def open_cluster(
    address: str, *, reads: Sequence[Path] = (), writes: Sequence[Path] = ()
) -> Iterator[ClusterExecutor]:
    """Open an executor on a Dask cluster, once every worker has been examined.

    Parameters
    ----------
    address
        ``dask://HOST:PORT`` of the scheduler.
    reads
        Folders whose files the tasks read: each worker must see one of their files.
    writes
        Folders that the tasks write to: a file is written there that each worker must see.

    Raises
    ------
    CxrbuildError
        Dask is not installed, no scheduler answers, there is no worker, or a worker has other versions or
        other files than the client.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CxrbuildError(
            "Dask is not installed", todo='Run `pip install "cxrbuild[cluster]"`, here and on the workers'
        ) from None
    with _quiet_loggers(), ExitStack() as stack:
        probes = dict(stack.enter_context(_written_probe(folder)) for folder in writes)
        for folder in reads:
            probes |= _existing_probe(folder)
        client = stack.enter_context(_connected(Client, address))
        executor = ClusterExecutor(client, address, Terms(program_versions(), probes))
        executor.wait_for_worker()
        executor.examine_workers()
        yield executor


@contextmanager
def _connected(client_class: Any, address: str) -> Iterator[Any]:
    host = address.partition("://")[2].rstrip("/")
    name, _, port = host.rpartition(":")
    try:
        # Dask tries an unknown host, and one that refuses, again until its time is over.
        socket.create_connection((name.strip("[]"), int(port)), _ANSWER_S).close()
        with warnings.catch_warnings():
            # Other versions of Dask's own libraries; what matters is compared below.
            warnings.simplefilter("ignore")
            # Dask's own time is not for a server that answers in another protocol, or not at all.
            client = _within(
                2 * _ANSWER_S,
                lambda: client_class(f"tcp://{host}", timeout=_ANSWER_S, set_as_default=False),
            )
    except Exception as error:  # what is there may be any server
        raise CxrbuildError(
            "no Dask scheduler answers", where=address, found=str(error) or type(error).__name__,
            todo="Check host and port, and that the scheduler runs; one that requires TLS is not supported",
        ) from error  # fmt: skip
    try:
        yield client
    finally:
        with suppress(Exception):  # it may be closed already, with its scheduler
            client.close(timeout=1)


def _within(seconds: float, question: Callable[[], T]) -> T:
    """Return what a function returns, if it does in time; else its thread ends with the process."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            answers.append(question())
        except BaseException as error:  # raised below
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if answers:
        return answers[0]
    if errors:
        raise errors[0]
    raise TimeoutError(f"no answer for {seconds:.0f} seconds")


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """Give the messages of Dask's loggers to this program's log; Dask prints them, with tracebacks."""
    loggers = [logging.getLogger(name) for name in _FOREIGN_LOGGERS]
    loggers += [
        one
        for name, one in logging.Logger.manager.loggerDict.items()
        if isinstance(one, logging.Logger) and name.startswith("distributed.") and one.handlers
    ]
    before = [(one, one.handlers, one.propagate) for one in loggers]
    for one in loggers:
        one.handlers, one.propagate = [_Forward()], False
    try:
        yield
    finally:
        for one, handlers, propagate in before:
            one.handlers, one.propagate = handlers, propagate


class _Forward(logging.Handler):
    """Pass messages on as details of this program's log."""

    def emit(self, record: logging.LogRecord) -> None:
        _logger.debug("%s: %s", record.name, record.getMessage())


@contextmanager
def _written_probe(folder: Path) -> Iterator[tuple[str, str]]:
    path = folder.absolute() / temporary_name("probe")
    content = path.name.encode()
    with naming(folder, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        yield str(path), hashlib.sha256(content).hexdigest()
    finally:
        path.unlink(missing_ok=True)


def _existing_probe(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    if not found:
        found = [Path(entry.path) for entry, _ in zip(files_under(folder), range(1), strict=False)]
    return {str(path.absolute()): _head_hash(str(path)) for path in found[:1]}


def examine(paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of this process, and for each file its hash, or why it cannot be read."""
    return program_versions(), {path: _head_hash(path) for path in paths}


def run_on_terms(
    terms: Terms, work: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Answer:
    """Do a task where this process keeps the client's terms: runs on a worker.

    Raises
    ------
    CxrbuildError
        The worker has other versions than the client, or does not see its files.
    """
    found = examine(list(terms.probes))
    if problems := _problems_of(terms, found):
        from distributed import get_worker

        raise _refusal(get_worker().address, problems)
    return Answer(found[0], work(*args, **kwargs))


def _head_hash(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            return hashlib.sha256(stream.read(_HEAD_BYTES)).hexdigest()
    except OSError as error:
        return error.strerror or type(error).__name__


def _problems_of(terms: Terms, found: tuple[dict[str, str], dict[str, str]] | Exception) -> list[str]:
    if isinstance(found, Exception):
        return [f"cxrbuild {terms.versions['cxrbuild']} cannot be used there: {found}"]
    versions, hashes = found
    problems = _differences(terms.versions, versions)
    for path, expected in terms.probes.items():
        if hashes.get(path) != expected:
            problems.append(f"{path} is not the client's file there: {_reason(hashes.get(path, 'not read'))}")
    return problems


def _reason(found: str) -> str:
    return "it has other bytes" if re.fullmatch("[0-9a-f]{64}", found) else found


def _differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return [
        f"{name} {theirs.get(name, 'none')} instead of {wanted}"
        for name, wanted in ours.items()
        if theirs.get(name) != wanted
    ]


def _refusal(where: str, problems: Sequence[str]) -> CxrbuildError:
    return CxrbuildError(
        "a worker of the cluster differs from this program", where=where,
        expected="on each worker the same versions, and the same folders under the same paths",
        found="; ".join(problems),
        todo="Install the same versions on all workers, let them see the same file system, start them again, "
        "and run again; completed work is kept",
    )  # fmt: skip
