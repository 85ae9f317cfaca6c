"""A conversion that ends its process for some images, as a decoder's fault does."""

from __future__ import annotations

import os
import signal

from cxrbuild.convert.batch import Batch, Converted, convert_batch

# Windows has no signal that kills; there each one ends a process at once.
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def convert_fatally(batch: Batch) -> list[Converted]:
    """Convert a batch, or die of an image whose id begins with ``fatal``."""
    if any(task.previous.image_id.startswith("fatal") for task in batch.tasks):
        os.kill(os.getpid(), _KILL)
    return convert_batch(batch)


def convert_once(batch: Batch) -> list[Converted]:
    """Convert a batch of one image only, as where the memory suffices for no more."""
    if len(batch.tasks) > 1:
        os.kill(os.getpid(), _KILL)
    return convert_batch(batch)
