"""Libraries that talk on standard error as they load, loaded without a word."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_notes() -> Iterator[None]:
    """Keep what C++ code writes to standard error as it loads from standing among our words.

    TensorFlow notes the processor and the absence of GPUs before it reads ``TF_CPP_MIN_LOG_LEVEL``, so the
    stream itself is led elsewhere for a while. Exceptions come through, since Python raises them.
    """
    # Read once, at import, for what comes later; what the user has set himself stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
