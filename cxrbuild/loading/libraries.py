"""Import the libraries that a dataset is returned for, or report how to install them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from cxrbuild.errors import CxrbuildError, is_of_memory

# By module: what pip installs it by, and how to repair it.
_LIBRARIES = {
    "torch": ("cxrbuild[torch]", "Install it again: `pip install --force-reinstall torch`"),
    "tensorflow": ("cxrbuild[train]", "Install it again: `pip install --force-reinstall tensorflow`"),
    # PyPI's torchvision for Linux needs CUDA, which a torch for CPUs alone does not have.
    "torchxrayvision": (
        "torchxrayvision",
        "Install builds of torch and torchvision that fit each other; for CPUs alone: `pip install "
        "--force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu`",
    ),
}


@contextmanager
def importing(library: str) -> Iterator[None]:
    """Report a library that is missing, or that the block cannot import, as ours.

    Raises
    ------
    CxrbuildError
        It is not installed, or it or a library that it needs cannot be imported.
    """
    requirement, repair = _LIBRARIES[library]
    if importlib.util.find_spec(library) is None:
        raise CxrbuildError(f"{library} is not installed", todo=f'Run `pip install "{requirement}"`')
    try:
        yield
    # Compiled modules that do not fit each other raise errors of any kind: torchvision a RuntimeError.
    except Exception as error:
        if is_of_memory(error):
            raise
        raise CxrbuildError(
            f"{library} is installed, but cannot be imported", expected="builds of its libraries that fit it",
            found=f"{type(error).__name__}: {error}".split("\n", 1)[0], todo=repair,
        ) from error  # fmt: skip
