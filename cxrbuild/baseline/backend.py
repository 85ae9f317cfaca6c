"""TensorFlow and Keras, loaded on first use, without their messages and with deterministic operations."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
from typing import Any, TypedDict

from cxrbuild.errors import CxrbuildError
from cxrbuild.quiet import suppress_stderr

_PACKAGES = ("keras", "matplotlib", "tensorflow")
LOADING = "loading TensorFlow"


def require_packages() -> None:
    """Require the packages of the extra ``train``, without the seconds that importing them takes.

    Raises
    ------
    CxrbuildError
        One of them is not installed.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise _not_installed(", ".join(missing))


def _not_installed(found: object) -> CxrbuildError:
    return CxrbuildError(
        "the baseline needs packages that are not installed", found=found,
        todo='Install them: pip install "cxrbuild[train]"',
    )  # fmt: skip


def load_tensorflow() -> Any:
    """Return the module ``tensorflow``, set to compute the same bits from the same seed.

    Raises
    ------
    CxrbuildError
        The extra ``train`` is not installed, or Keras is set to another backend.
    """
    # Keras reads it once, at import. A backend that the user has set is kept, and checked below.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # TensorFlow uses oneDNN on some processors only; on the others too its convolutions are faster.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        import matplotlib as _matplotlib  # noqa: F401  (its absence is reported now, not after the training)

        with suppress_stderr():
            import keras
            import tensorflow as tf
    except ImportError as error:
        raise _not_installed(error) from error
    if keras.backend.backend() != "tensorflow":
        raise CxrbuildError(
            "Keras runs on another backend",
            where="KERAS_BACKEND",
            expected="tensorflow",
            found=keras.backend.backend(),
            todo="Unset KERAS_BACKEND and run the command again",
        )
    tf.config.experimental.enable_op_determinism()
    # Each model has a graph of its own, of which TensorFlow warns after the fourth.
    tf.get_logger().addFilter(_is_no_retracing)
    return tf


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()


class TrainingEnvironment(TypedDict):
    """What the figures of a model depend on: versions of the libraries, and the name of the processor."""

    versions: dict[str, str]
    device: str


def describe_environment() -> TrainingEnvironment:
    """Return what the figures of a model depend on, as documents of results have it."""
    import keras
    import numpy as np
    import tensorflow as tf

    versions = {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
    }
    return {"versions": versions, "device": _describe_device(tf)}


def _describe_device(tf: Any) -> str:
    """Return the name of the processor that TensorFlow uses."""
    devices = tf.config.list_physical_devices("GPU")
    if devices:
        return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} CPU cores"
