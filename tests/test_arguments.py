"""The public functions say which argument has a wrong type, what was expected, and what was found."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxrbuild
from cxrbuild.arguments import checked
from cxrbuild.errors import CxrbuildError

FUNCTIONS = [
    getattr(cxrbuild, name)
    for name in cxrbuild.__all__
    if inspect.isfunction(getattr(cxrbuild, name)) and name[0].islower()
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(function.__name__))
def test_every_public_function_checks_its_arguments(function: Callable[..., Any]) -> None:
    """Each argument is given an object of no type that any argument has."""
    parameters = inspect.signature(function).parameters
    needed = {
        name: ["x"] if str(one.annotation).startswith("Sequence") else "x"
        for name, one in parameters.items()
        if one.default is inspect.Parameter.empty
    }
    assert parameters
    for name in parameters:
        with pytest.raises(TypeError) as error:
            function(**{**needed, name: object()})
        said = str(error.value)
        assert said.startswith(f"{function.__name__}(")
        assert f"({name}=...): expected " in said
        assert "found <object object at" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "224"}, "torch(size=...): expected a whole number or None, found '224', of the type str"),
        ({"size": 2.5}, "torch(size=...): expected a whole number or None, found 2.5, of the type float"),
        ({"size": True}, "torch(size=...): expected a whole number or None, found True, of the type bool"),
        ({"split": 3}, "torch(split=...): expected a text or None, found 3, of the type int"),
        ({"transform": "x"}, "torch(transform=...): expected a function or None, found 'x', of the type str"),
        ({"sise": 2}, "got an unexpected keyword argument 'sise'"),
    ],
)
def test_loaders_check_their_arguments(demo: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as error:
        cxrbuild.load(demo / "build").torch(**arguments)
    assert message in str(error.value)


def test_an_unknown_word_is_named(demo: Path) -> None:
    with pytest.raises(CxrbuildError, match="the nearest filter is 'bicubic'"):
        cxrbuild.load(demo / "build").torch(size=8, resampling="bicubik")  # type: ignore[arg-type]
    with pytest.raises(CxrbuildError, match="the nearest value is 'private'") as error:
        cxrbuild.release(demo / "build", "1.0.0", policy="privat")  # type: ignore[arg-type]
    assert "release(policy=...)" in str(error.value)
    with pytest.raises(CxrbuildError, match="Expected: one of box, bilinear, bicubic, lanczos"):
        cxrbuild.load(demo / "build").torch(size=8, resampling="none")  # type: ignore[arg-type]


def test_what_fits_passes() -> None:
    @checked
    def takes(path: Path | str, sizes: tuple[int, ...], *, number: int = 1) -> tuple[object, ...]:
        """Return the arguments."""
        return path, sizes, number

    assert takes(Path("x"), (1, 2), number=np.int64(3)) == (Path("x"), (1, 2), 3)
    assert takes.__doc__ == "Return the arguments."
    with pytest.raises(TypeError, match="expected a list, each a whole number, found"):
        takes("x", ("1",))  # type: ignore[arg-type]
