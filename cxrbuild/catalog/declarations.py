"""Read declarations strictly: unknown keys are errors, and all problems of a file are listed at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from cxrbuild.errors import DeclarationError, count_of, nearest
from cxrbuild.parsing import parse_toml
from cxrbuild.problems import describe_value
from cxrbuild.words import compose

# The folder of the shipped declarations.
CATALOG = Path(__file__).parent


class Declaration(BaseModel):
    """A table of a declaration file. Unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    @classmethod
    def kinds(cls, table: object = None) -> list[type[Declaration]]:  # noqa: ARG003
        """Return the models that a table can have: subclasses, where a key of the table decides which."""
        return [cls]

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as JSON has it: the keys of its file, with defaults."""
        return self.model_dump(mode="json", by_alias=True)


D = TypeVar("D", bound=Declaration)


def _refuse_twins(table: Any) -> Any:
    """Refuse a table in which two keys are one word: one would silently replace the other."""
    if isinstance(table, dict):
        first: dict[str, str] = {}
        for key in table:
            if first.setdefault(compose(str(key)), key) != key:
                raise ValueError(f"{key!r} is there twice, in two Unicode forms that look the same")
    return table


V = TypeVar("V")
# Words that are compared with values of metadata or with each other, and tables by such words.
Word = Annotated[str, AfterValidator(compose)]
ByWord = Annotated[dict[Word, V], BeforeValidator(_refuse_twins)]


def read_toml(path: Path, model: type[D], **defaults: Any) -> D:
    """Read a TOML file as a declaration.

    Parameters
    ----------
    path
        The file.
    model
        The declaration that it must fit.
    defaults
        Values of fields that are not keys of the file, such as its folder.

    Raises
    ------
    DeclarationError
        The file does not exist, is not TOML, or does not fit. Every problem is listed with its key, and an
        unknown key with the nearest known one.
    """
    try:
        table = parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = nearest(path.name, (other.name for other in path.parent.glob(f"*{path.suffix}")))
        raise DeclarationError(
            "no such file", where=path,
            todo=f"Write {near}, the nearest name" if near else "Correct the path, or write the file",
        ) from None  # fmt: skip
    except ValueError as error:
        raise DeclarationError(
            "not valid TOML", where=path, found=error, todo="Correct this line; text needs quotes around it"
        ) from None
    if (other := _of_another_kind(model, table)) is not None:
        raise DeclarationError(
            f"this is a {other}, not a {model.__name__.lower()}", where=path,
            todo=f"Name the file of a {model.__name__.lower()}",
        )  # fmt: skip
    try:
        return model.model_validate(table | defaults)
    except ValidationError as error:
        problems = [message for problem in error.errors() for message in _describe(model, table, problem)]
    count = count_of(len(problems), "problem")
    raise DeclarationError(f"{count} in this declaration\n  " + "\n  ".join(problems), where=path)


def shipped_names(folder: str) -> list[str]:
    """Return the names of the shipped declarations in a folder of the catalogue."""
    return sorted(path.stem for path in (CATALOG / folder).glob("*.toml"))


def find_declaration(noun: str, folder: str, name: str, base: Path | None) -> Path:
    """Return the path of a declaration: the shipped one of a name, or a TOML file.

    Parameters
    ----------
    noun
        What is declared, such as ``source``.
    folder
        The catalogue's folder of the shipped ones.
    name
        The name of a shipped one, or the path of a TOML file.
    base
        The folder that a relative path starts from; default the current one.

    Raises
    ------
    DeclarationError
        No shipped one has the name.
    """
    if name.endswith(".toml"):
        return (base or Path()) / name
    if name not in shipped_names(folder):
        raise no_declaration(noun, name, shipped_names(folder))
    return CATALOG / folder / f"{name}.toml"


# The tables that only declarations of one kind have.
_TABLES = {"Source": ("reader",), "Recipe": ("labels", "split")}


def _of_another_kind(model: type[BaseModel], table: dict[str, Any]) -> str | None:
    """Return the kind of a file that has the tables of another kind and none of its own."""
    if model.__name__ not in _TABLES or any(key in table for key in _TABLES[model.__name__]):
        return None
    return next((kind.lower() for kind, keys in _TABLES.items() if all(key in table for key in keys)), None)


def no_declaration(noun: str, name: str, shipped: Sequence[str]) -> DeclarationError:
    """Return the error for a name that no shipped declaration has.

    Parameters
    ----------
    noun
        What is declared, such as ``recipe``.
    name
        The name.
    shipped
        The names of those that are shipped.
    """
    here = [path.name for path in Path().glob("*.toml")]
    near = nearest(name, [*shipped, *here])
    return DeclarationError(
        f"no {noun} is called {name!r}",
        expected=f"one of {', '.join(shipped)}, or the path of a .toml file",
        todo=f"Write {near}, the nearest name" if near else "Name one of these, or a .toml file of your own",
    )


def _describe(model: type[BaseModel], table: Any, problem: Any) -> list[str]:
    """Return a message for each line of what pydantic reports about one key."""
    keys = [key for key in problem["loc"] if not str(key).startswith("function-")]
    key = _describe_place(table, keys, missing=problem["type"] == "missing")
    if problem["type"] == "extra_forbidden":
        known = sorted(_known_keys(model, table, keys[:-1]))
        near = nearest(str(keys[-1]), known)
        hint = f"; the nearest known key is `{near}`" if near else f"; known keys: {', '.join(known)}"
        return [f"{key}: unknown key{hint}"]
    if problem["type"] == "missing":
        return [f"{key}: missing"]
    if problem["type"] == "too_short":
        return [f"{key}: is empty; expected at least {problem['ctx']['min_length']} value"]
    messages = describe_value(problem).split("\n")
    return [f"{key}: {message}" if key else message for message in messages]


def _describe_place(table: Any, keys: Sequence[Any], *, missing: bool) -> str:
    """Return the keys that lead to a problem, with the name of an element of a list for its number."""
    shown = []
    for i, key in enumerate(keys):
        if isinstance(table, list) and isinstance(key, int):
            table = table[key]
            named = isinstance(table, dict) and isinstance(table.get("name"), str)
            shown.append(table["name"] if named else str(key))
        elif isinstance(table, dict) and key in table:
            table = table[key]
            shown.append(str(key))
        elif missing and i == len(keys) - 1:
            shown.append(str(key))
        # Any other key is the tag of a union, which pydantic puts there; it is no key of the file.
    return ".".join(shown)


def _known_keys(model: type[BaseModel], table: Any, keys: Sequence[Any]) -> set[str]:
    """Return the keys of the table at ``keys``, from the models' annotations."""
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
        # The index of a list, the key of a mapping and the tag of a union are no fields: keep the models.
        models = deeper or models
    return {
        field.alias or name
        for candidate in models
        for name, field in candidate.model_fields.items()
        if not field.exclude  # the file and folder of a declaration are no keys of it
    }


def _models_in(annotation: Any, table: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Declaration):
        return list(annotation.kinds(table))
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_args(annotation):
        return [model for inner in typing.get_args(annotation) for model in _models_in(inner, table)]
    return []
