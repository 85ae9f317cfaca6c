"""Open the executor of the checks that decode images."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from cxrbuild.executors import default_workers, open_executor
from cxrbuild.verification.context import Context


@contextmanager
def image_executor(context: Context) -> Iterator[Executor]:
    """Open threads of this process, or the cluster that the context names."""
    if context.executor == "local":
        # Decoding leaves the interpreter to other threads: processes would start for nothing.
        with ThreadPoolExecutor(default_workers()) as pool:
            yield pool
    else:
        with open_executor(context.executor, 1, reads=[context.folder]) as pool:
            yield pool
