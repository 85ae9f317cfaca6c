"""Docstrings, tables and TOML values as Markdown has them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel


def summary(model: type) -> str:
    """Return a class's docstring as paragraphs."""
    return prose((inspect.getdoc(model) or "").replace("``", "`"))


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)


def prose(text: str) -> str:
    """Return text in which what is no code cannot be taken for HTML."""
    parts = text.split("`")
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def toml(value: Any) -> str:
    """Return a value as TOML writes it on one line."""
    match value:
        case BaseModel():
            return toml(value.model_dump(by_alias=True, exclude_none=True))
        case dict():
            inner = ", ".join(f"{key} = {toml(inner_value)}" for key, inner_value in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case float():
            return f"{value:g}" if "." in f"{value:g}" or "e" in f"{value:g}" else f"{value:g}.0"
        case _:
            return json.dumps(value, ensure_ascii=False)
