"""Full disks: refused before the training where they can be foreseen, explained where they cannot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrbuild.errors import CxrbuildError


def require_space(folder: Path, needed: int) -> None:
    """Check that the disk has enough space before the training starts.

    Parameters
    ----------
    folder
        A folder of the file system.
    needed
        The space in bytes.

    Raises
    ------
    CxrbuildError
        Less space is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CxrbuildError(
            "too little space for checkpoints and model",
            where=folder,
            expected=f"{needed / 1e6:,.1f} MB free",
            found=f"{free / 1e6:,.1f} MB",
            todo="Free some space, or name another --out",
        )


@contextmanager
def explaining_write_errors(path: Path, kept: str) -> Iterator[None]:
    """Turn an error while writing ``path`` into one that names the path and what is kept.

    Parameters
    ----------
    path
        The file or folder that the block writes.
    kept
        What of the training is kept if it cannot be written.

    Raises
    ------
    CxrbuildError
        The block raised ``OSError``, or the error that TensorFlow raises instead.
    """
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            # The first line of TensorFlow's message is `path; reason`.
            reason = error.message.partition("\n")[0].rpartition("; ")[2]
        raise CxrbuildError(
            "cannot be written",
            where=path,
            found=f"{reason}; kept: {kept}",
            todo="Free some space and run the same command again: it resumes from what is kept",
        ) from error
