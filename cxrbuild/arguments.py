"""Check the types of the arguments of public functions, by their annotations."""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec, TypeVar

from cxrbuild.errors import CxrbuildError, instead_of

P = ParamSpec("P")
R = TypeVar("R")


def _is_int(value: object) -> bool:
    # The integers of NumPy are integers too; Python's `True` is one by accident.
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "a text"),
    "int": (_is_int, "a whole number"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "None": (lambda value: value is None, "None"),
    "Path": (_is_path, "a path"),
    "AnyPath": (_is_path, "a path"),
    "Progress": (callable, "a progress"),
    # Words that the functions themselves know.
    "Level": (lambda value: isinstance(value, str), "a text"),
    "Resampling": (lambda value: isinstance(value, str), "a text"),
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that checks the types of its arguments before it does anything.

    Raises
    ------
    TypeError
        The call does not fit the signature, or an argument has another type; it says which, what was
        expected, and what was found.
    CxrbuildError
        An argument is none of the words of its annotation.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            annotation = str(signature.parameters[name].annotation)
            _require(f"{function.__name__}({name}=...)", annotation, value)
        return function(*args, **kwargs)

    return call


def _require(place: str, annotation: str, value: object) -> None:
    found = [_fits(kind, value) for kind in _kinds(annotation)]
    if any(fits for fits, _ in found):
        return
    words = annotation.removeprefix("Literal")
    if words != annotation and isinstance(value, str):
        known = list(ast.literal_eval(words))
        raise CxrbuildError(
            "no such value", where=place, found=repr(value), expected=instead_of(value, known, "value"),
            todo=f"Write one of {', '.join(known)}",
        )  # fmt: skip
    expected = " or ".join(dict.fromkeys(text for _, text in found))
    raise TypeError(
        f"{place}: expected {expected.rstrip(',')}, found {value!r}, of the type {type(value).__name__}"
    )


def _fits(kind: str, value: object) -> tuple[bool, str]:
    """Return whether a value is of a kind, and what the kind is, in words."""
    base, _, rest = kind.partition("[")
    inner = rest.removesuffix("]").removesuffix(", ...")
    if kind in _CHECKS:
        check, text = _CHECKS[kind]
        return check(value), text
    if base == "Literal":
        return isinstance(value, str) and value in ast.literal_eval(f"[{inner}]"), "a text"
    if base == "Mapping":
        return isinstance(value, Mapping), "a mapping"
    if base in ("Sequence", "tuple"):
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        each = " or ".join(_fits(one, value)[1] for one in _kinds(inner))
        return several and _holds(inner, value), f"a list, each {each},"
    if base == "Callable":
        return callable(value), "a function"
    # A class of ours, which is not imported for this. Of another kind nothing is known.
    ours = kind.isidentifier() and kind[0].isupper()
    names = {cls.__name__ for cls in type(value).__mro__}
    return not ours or kind in names, f"a {kind}"


def _holds(kind: str, values: object) -> bool:
    """Return whether each element of a list is of a kind; an iterator is not read."""
    if not isinstance(values, list | tuple):
        return True
    return all(any(_fits(one, value)[0] for one in _kinds(kind)) for value in values)


def _kinds(annotation: str) -> list[str]:
    """Return the kinds of a union, those within brackets left together."""
    return re.split(r" \| (?![^\[]*\])", annotation)
