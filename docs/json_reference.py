"""The page of the JSON documents, and their schemas, from the models."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from json_models import FILES, PRINTED
from markdown_text import prose, table
from pydantic import BaseModel

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Return each schema by the name of its file in ``schemas/``."""
    found = {f"files/{name}-{model.FORMAT}.json": _schema(model) for name, (_, model) in _files()}
    for name, (own, *files) in PRINTED.items():
        schema = _schema(own)
        for other in map(_schema, files):
            schema["properties"] |= other["properties"]
            schema["required"] = schema.get("required", []) + other.get("required", [])
            schema["$defs"] = schema.get("$defs", {}) | other.get("$defs", {})
        schema["properties"] = {"schema": {"const": name}} | schema["properties"]
        schema["required"] = ["schema", *schema.get("required", [])]
        found[f"commands/{name}.json"] = schema
    return found


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as its file has it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def json_documents() -> Iterator[str]:
    """Yield the paragraphs of the page."""
    yield (
        "Every document has a [JSON Schema](https://json-schema.org), which a program can read: "
        "`docs/schemas/commands/NAME.json` of what a command prints, `docs/schemas/files/NAME.json` of a"
        " file. Tests compare the schemas with what the commands print."
    )
    yield "## Commands"
    yield (
        "With `--json` a command prints one document to standard output and nothing else; messages and "
        "progress go to standard error. Its key `schema` is the name of its schema. The number at the "
        "end increases when a key is added or removed, or changes its meaning. If there is an error, the"
        " document is an [`error-1`](#error-1). If a check fails (exit status 3) after the result was "
        "printed, the result is the only document, and standard error has the reason."
    )
    for name, models in PRINTED.items():
        yield from _section(name, f"commands/{name}.json", models)
    yield "## Files"
    yield (
        "A file has the key `format`, the number at the end of its schema's name. A file of another "
        "format is refused."
    )
    for name, (title, model) in _files():
        yield from _section(f"{name}-{model.FORMAT}", f"files/{name}-{model.FORMAT}.json", (model,), title)


def _files() -> Iterator[tuple[str, tuple[str, Any]]]:
    yield from FILES.items()


def _section(name: str, file: str, models: tuple[type[BaseModel], ...], title: str = "") -> Iterator[str]:
    schema = schemas()[file]
    yield f"### {name}"
    words = (inspect.getdoc(models[0]) or "").split("\n\n")[0].replace("``", "`")
    yield prose(f"{title}. {words}".lstrip(". ")) + f" Schema: [{file}](schemas/{file})"
    meanings = {key: text for model in models for key, text in meanings_of(model).items()}
    required = schema.get("required", [])
    yield table(
        ["key", "type", "meaning"],
        [
            [
                f"`{key}`" + ("" if key in required else " (optional)"),
                _type(value),
                prose((meanings.get(key) or value.get("description", "")).replace("`None`", "`null`")),
            ]
            for key, value in schema["properties"].items()
        ],
    )


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a model as it is written, without what only Python needs."""
    schema = model.model_json_schema(mode="serialization", by_alias=True)
    words = (inspect.getdoc(model) or "").split("\n\n")[0]
    described = {"$schema": _DIALECT, "title": schema["title"], "description": " ".join(words.split())}
    described |= {key: _plain(value) for key, value in schema.items() if key not in described}
    if "format" in schema["properties"]:
        described["required"] = list(dict.fromkeys(["format", *described["required"]]))
    return described


def _plain(value: Any) -> Any:
    """Return a part of a schema without generated titles, and without the sections of docstrings."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _plain(one) for key, one in value.items() if not (key == "title" and isinstance(one, str))}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = " ".join(text.split("\n\n")[0].replace("``", "`").split())
    return plain


def meanings_of(model: type) -> dict[str, str]:
    """Return what each key means, from *Attributes* in the docstrings of a model and its bases."""
    found: dict[str, str] = {}
    for kind in model.__mro__:
        section = re.search(r"^Attributes\n-+\n(.*)", inspect.cleandoc(kind.__doc__ or ""), re.DOTALL | re.M)
        name = ""
        for line in section[1].splitlines() if section else []:
            if line.startswith(" "):
                found[name] = f"{found.get(name, '')} {line.strip()}".strip().replace("``", "`")
            elif line.strip():
                name = line.strip()
        for names in [names for names in found if ", " in names]:
            text = found.pop(names)
            found = dict.fromkeys(names.split(", "), text) | found
    return found


def _type(value: dict[str, Any]) -> str:
    """Return the type of a value in words."""
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return " or ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(map(_type, value["anyOf"])))
    if "$ref" in value:
        return "object"
    kind = value.get("type", "any")
    if kind == "array":
        return f"array of {_type(value.get('items', {}))}" if value.get("items") else "array"
    if kind == "object" and isinstance(inner := value.get("additionalProperties"), dict) and inner:
        return f"object of {_type(inner)}"
    return str(kind)
