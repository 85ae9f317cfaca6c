"""Convert batches of images so that one image, which ends the process that converts it, does not end all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import ExitStack, suppress
from typing import NamedTuple, cast

from cxrbuild.convert.batch import Batch, Converted, ImageTask, convert_batch
from cxrbuild.executors import WorkerDiedError, open_executor, run_batches

_logger = logging.getLogger(__name__)
_FATAL = "it ends the process that decodes it, by a fault of the decoder or because memory runs out"


class BatchResults(NamedTuple):
    """Hold results of a batch.

    Parameters
    ----------
    results
        A result for each image.
    is_final
        Whether a later run may take them as they are: a process that died may have lacked memory.
    """

    results: list[Converted]
    is_final: bool


def convert_batches(
    executor: Executor,
    batches: Iterable[Batch],
    *,
    workers: int,
    convert: Callable[[Batch], list[Converted]] = convert_batch,
) -> Iterator[BatchResults]:
    """Convert batches, and yield the results of each as it is done.

    If a worker process dies, the images that were being converted are converted again, each in a process
    that no other image depends on. An image that ends this process too is excluded; new workers convert the
    rest.

    Parameters
    ----------
    executor
        Where to convert.
    batches
        The batches; the next one is taken when it is submitted.
    workers
        The number of workers.
    convert
        Converts a batch.

    Raises
    ------
    CxrbuildError
        Worker processes die before they convert anything, or a cluster lost its workers.
    """
    waiting = iter(batches)
    with ExitStack() as stack:
        while True:
            try:
                for _, results in run_batches(executor, convert, waiting, ahead=3 * workers):
                    yield BatchResults(results, is_final=True)
                return
            except WorkerDiedError as error:
                lost = cast("list[Batch]", error.batches)
                count = sum(len(batch.tasks) for batch in lost)
                _logger.warning("a worker process died; converting its %d images one by one", count)
                yield from _convert_alone(lost, convert, error)
            executor = stack.enter_context(open_executor("local", workers))


def _convert_alone(
    batches: Iterable[Batch], convert: Callable[[Batch], list[Converted]], error: WorkerDiedError
) -> Iterator[BatchResults]:
    waiting = [batch._replace(tasks=(task,)) for batch in batches for task in batch.tasks]
    while waiting:
        with suppress(BrokenExecutor), open_executor("local", 1) as pool:
            _require_life(pool, error)
            while waiting:
                results = pool.submit(convert, waiting[0]).result()
                del waiting[0]
                yield BatchResults(results, is_final=True)
        if waiting:
            fatal = waiting.pop(0)
            yield BatchResults([_exclude(fatal, fatal.tasks[0])], is_final=False)


def _require_life(pool: Executor, error: WorkerDiedError) -> None:
    """Raise the error if a process dies without an image."""
    try:
        pool.submit(os.getpid).result()
    except BrokenExecutor:
        raise error from None


def _exclude(batch: Batch, task: ImageTask) -> Converted:
    name = task.previous.image_id
    _logger.warning("excluded %s: %s", name, _FATAL)
    with suppress(FileNotFoundError):
        os.unlink(f"{batch.build}/{task.jpeg_path}")
    return Converted(name, exclusion="unreadable", exclusion_detail=_FATAL)
