"""The page of the public API: every name of ``cxrbuild.__all__`` with its signature and docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import cxrbuild

_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)


def api_page() -> Iterator[str]:
    """Yield the paragraphs of ``api.md``."""
    yield (
        "The functions do what the [commands](commands.md) do. Import them from `cxrbuild`; submodules are "
        "private and may change at any time. The results are frozen; `to_dict()` returns what the command "
        "prints with `--json`. Every error is a `CxrbuildError`. "
        "The examples use the folder that `cxrbuild demo` makes."
    )
    values = {name: getattr(cxrbuild, name) for name in cxrbuild.__all__}
    functions = {name: value for name, value in values.items() if inspect.isfunction(value)}
    errors = {name: value for name, value in values.items() if _is_error(value)}
    classes = {name: value for name, value in values.items() if name not in functions and name not in errors}
    results = {word for one in functions.values() for word in re.findall(r"\w+", _returned(one))}
    yield "## Functions"
    for name, function in functions.items():
        yield from _entry(name, function)
    yield "## Results"
    yield "What the functions return. A notebook shows each as a short table."
    for name, kind in classes.items():
        if name in results:
            yield from _class(name, kind)
    yield "## Classes"
    for name, kind in classes.items():
        if name not in results:
            yield from _class(name, kind)
    yield "## Errors"
    for name, kind in errors.items():
        yield f"### {name}"
        yield from _described(inspect.getdoc(kind) or "")


def _returned(function: Any) -> str:
    return str(function.__annotations__["return"])


def _class(name: str, kind: Any) -> Iterator[str]:
    yield f"### {name}"
    yield from _described(inspect.getdoc(kind) or "")
    if keys := _keys(kind):
        yield "**Attributes**"
        yield keys
    for member, value in _members(kind):
        yield f"#### {name}.{member}{_signature(value)}"
        yield from _described(inspect.getdoc(value) or "")


def _keys(kind: Any) -> str:
    """Return a line for each key of a declaration, which describes its keys itself."""
    fields = getattr(kind, "model_fields", {})
    return "\n".join(f"- `{key}`: {field.description}." for key, field in fields.items() if field.description)


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _entry(name: str, function: Any) -> Iterator[str]:
    yield f"### {name}"
    yield f"```text\ncxrbuild.{name}{_source(function)}\n```"
    yield from _described(inspect.getdoc(function) or "")


def _members(kind: type) -> Iterator[tuple[str, object]]:
    found: dict[str, object] = {}
    for base in reversed(kind.__mro__[:-1]):
        if not base.__module__.startswith("cxrbuild"):
            continue  # pydantic's methods are documented by pydantic
        found |= {
            name: value
            for name, value in vars(base).items()
            if not name.startswith("_") and (callable(value) or hasattr(value, "__get__"))
        }
    yield from sorted(found.items())


def _signature(value: object) -> str:
    return re.sub(r"^\(self(?:, )?", "(", _source(value)) if inspect.isfunction(value) else ""


def _source(function: Any) -> str:
    """Return a function's signature as its source has it, without the quotes and defaults of objects."""
    text = inspect.getsource(function)
    text = re.sub(r":  # noqa.*", ":", text)
    signature = text[text.index("(") : text.index(":\n")]
    return signature.replace("AnyPath", "str | Path").replace(" = silent", " = ...")


def _described(doc: str) -> Iterator[str]:
    """Yield the paragraphs of a NumPy-style docstring as Markdown."""
    parts = _SECTION.split(doc)
    yield _prose(parts[0])
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title == "Examples":
            yield f"```text\n{body.strip()}\n```"
            continue
        yield f"**{title}**"
        yield "\n".join(_fields(body))


def _fields(body: str) -> Iterator[str]:
    for name, text in re.findall(r"^(\S.*)\n((?:(?:    .*)?\n?)*)", body, re.MULTILINE):
        words = " ".join(text.split())
        yield f"- `{name}`: {_prose(words)}" if words else f"- {_prose(name)}"


def _prose(text: str) -> str:
    return text.strip().replace("``", "`")
