"""TensorFlow, loaded where it is needed, quiet and with Keras on top of it."""

from __future__ import annotations

import os
from typing import Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.quiet import suppress_stderr


def load_tensorflow() -> Any:
    """Return the module ``tensorflow``, set to give the same bits for the same seed.

    Raises
    ------
    CxrbuildError
        What the extra ``train`` brings is not installed, or Keras is set to another backend.
    """
    # Read once, at import; what the user has set himself stays.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        import matplotlib as _matplotlib  # noqa: F401  (absent is told now, not after an hour of training)

        with suppress_stderr():
            import keras
            import tensorflow as tf
    except ImportError as error:
        raise CxrbuildError(
            "the baseline needs packages that are not installed",
            found=error,
            todo="Install them: pip install 'cxrbuild[train]'",
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise CxrbuildError(
            "Keras runs on another backend",
            where="KERAS_BACKEND",
            expected="tensorflow",
            found=keras.backend.backend(),
            todo="Unset KERAS_BACKEND and run the command again",
        )
    tf.config.experimental.enable_op_determinism()
    return tf
