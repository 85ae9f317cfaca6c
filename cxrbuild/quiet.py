"""Suppress what libraries write to standard error while they are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def suppress_stderr() -> Iterator[None]:
    """Redirect standard error to the null device, for C++ code too, until the block ends.

    TensorFlow logs the processor and missing GPUs before it reads ``TF_CPP_MIN_LOG_LEVEL``. Exceptions still
    propagate, since Python raises them.
    """
    # TensorFlow reads the variable once, at import; a value that the user has set stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)
