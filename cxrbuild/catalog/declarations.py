"""Reading declarations strictly: unknown keys are errors, and all faults of a file are told at once."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cxrbuild.errors import DeclarationError, count_of


class Declaration(BaseModel):
    """A table of a declaration file. Unknown keys are refused, values never change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    @classmethod
    def variants(cls, table: object = None) -> list[type[Declaration]]:  # noqa: ARG003
        """Return the models that a table can have: subclasses, where a key of the table decides which."""
        return [cls]


D = TypeVar("D", bound=Declaration)


def read_toml(path: Path, model: type[D], **defaults: Any) -> D:
    """Read a TOML file as a declaration.

    Parameters
    ----------
    path
        The file.
    model
        The declaration that it must fit.
    defaults
        Keys that are known from elsewhere, such as the folder the file stands in.

    Raises
    ------
    DeclarationError
        The file is absent, is no TOML, or does not fit; every fault is named with its key, and an unknown
        key with the nearest known one.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeclarationError("no such file", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError("not valid TOML", where=path, found=error) from None
    try:
        return model.model_validate(table | defaults)
    except ValidationError as error:
        faults = [_fault(model, table, fault) for fault in error.errors()]
    count = count_of(len(faults), "fault")
    raise DeclarationError(f"{count} in this declaration\n  " + "\n  ".join(faults), where=path)


def _fault(model: type[BaseModel], table: Any, fault: Any) -> str:
    # Pydantic puts the tag of a union into the location; it is no key of the file.
    keys = [part for part in fault["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in keys)
    if fault["type"] == "extra_forbidden":
        known = sorted(_known_keys(model, table, keys[:-1]))
        near = difflib.get_close_matches(str(keys[-1]), known, 1, cutoff=0.5)
        hint = f"; the nearest known key is `{near[0]}`" if near else f"; known keys: {', '.join(known)}"
        return f"{key}: unknown key{hint}"
    if fault["type"] == "missing":
        return f"{key}: missing"
    words = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {words}" if key else words


def _known_keys(model: type[BaseModel], table: Any, keys: Sequence[Any]) -> set[str]:
    """Return the keys of the table at ``keys``, walking the models' annotations."""
    models: list[type[BaseModel]] = [model]
    for key in keys:
        # The location can also hold a union's tag, which is no key of the file.
        if (isinstance(table, list) and isinstance(key, int)) or (isinstance(table, dict) and key in table):
            table = table[key]
        deeper = []
        for candidate in models:
            for name, field in candidate.model_fields.items():
                if key == (field.alias or name):
                    deeper += _models_in(field.annotation, table)
        # A list's index, a mapping's own key or a union's tag is no field: the model stays the same.
        models = deeper or models
    return {field.alias or name for candidate in models for name, field in candidate.model_fields.items()}


def _models_in(annotation: Any, table: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Declaration):
        return list(annotation.variants(table))
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_args(annotation):
        return [model for inner in typing.get_args(annotation) for model in _models_in(inner, table)]
    return []
