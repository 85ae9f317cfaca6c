"""The page of the declarations' keys, from their models."""

from __future__ import annotations

import types
import typing
from collections.abc import Container, Iterable, Iterator
from typing import Any

from markdown_text import prose, summary, table, toml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cxrbuild.catalog import ImageList, Recipe, Source
from cxrbuild.catalog.correction import CORRECTABLE
from cxrbuild.catalog.declarations import Declaration


def declarations() -> Iterator[str]:
    """Yield the paragraphs of the page."""
    yield (
        "Sources, recipes and published lists are TOML files. These are all their keys. Any other key is an "
        "error that names the nearest known one; all problems of a file are listed at once. The shipped "
        "files are in [`cxrbuild/catalog/`](../cxrbuild/catalog). [own-data.md](own-data.md) shows how to "
        "write your own."
    )
    for model, word in ((Source, "source"), (Recipe, "recipe"), (ImageList, "published list")):
        yield f"## A {word}"
        yield summary(model)
        yield from _keys(model, "", set())
    yield "## CSV files"
    yield (
        "A *review file* has the header `source,path,mark,marks_finding,note`: what a person saw on single "
        "images. `mark` is one of [these marks](rules.md#marks-of-a-review); `marks_finding` is `yes`, `no`, "
        "or blank if nobody has seen the image. A sixth column, `reader`, can name the person."
    )
    yield (
        "A *link file* has the header `source_a,path_a,source_b,path_b,kind,note`: pairs of images that are "
        "duplicates or of one patient, although their sources do not state this. `kind` is `duplicate` or "
        "`same patient`."
    )
    yield (
        "A *file of corrections* has the header `source,path,column,old,new,reason`: values of single images "
        "that their source has wrong. `column` is one of "
        + ", ".join(f"`{name}`" for name in CORRECTABLE)
        + "; `old` is the value that the source gives, as the [table](columns.md) has it, and `new` the "
        "right one; blank means not known. A seventh column, `reader`, can name the person who found it."
    )
    yield (
        "A *file of withdrawals*, the key `withdrawn` of a source, has the header `path,date,reason`: images "
        "that were withdrawn, with the day (YYYY-MM-DD) and the reason. Three more columns are optional. "
        "`identifier` is the identifier of the image's row of metadata, if the file was deleted, whether or "
        "not the row remains. `patient` is the id, as the metadata has it, of a [patient all of whose images "
        "are withdrawn](own-data.md#withdraw-a-patient). `blob` is the git blob hash of a file that is "
        "withdrawn from every source, under any name. With `patient` or `blob`, `path` can be blank. "
        "A withdrawn image keeps its row in the ledger, with the exclusion `withdrawn` and nothing else, "
        "even if the source no longer has its file. Reviews and links can still name it."
    )


def _keys(
    model: type[BaseModel], place: str, seen: set[type[BaseModel]], *, but: Container[str] = ()
) -> Iterator[str]:
    """Yield a table of a model's keys, then tables of the models in it, each model once."""
    rows, below = [], dict[type[BaseModel], list[str]]()
    for name, field in model.model_fields.items():
        # The heading shows the kind.
        if field.exclude or name in but or name == "kind":
            continue
        key = field.alias or name
        for child in _models_in(field.annotation):
            below.setdefault(child, []).append(_heading(f"{place}.{key}".lstrip("."), field.annotation))
        words = prose(field.description or "")
        rows.append([f"`{key}`", _type(field.annotation, field.metadata), _default(field), words])
    if rows:
        yield table(["key", "type", "default", "meaning"], rows)
    new = [child for child in below if child not in seen]
    for child in new:
        headings = below[child]
        kinds = [other for other in new if below[other] == headings]
        common = _common(kinds)
        if child is kinds[0] and common:
            yield f"### {headings[0]}"
            yield "Keys that every kind has:"
            yield from _keys(child, place, seen, but=set(child.model_fields) - common)
        seen.add(child)
        heading = " and ".join(headings) if len(headings) < 4 else f"`[{place}.*]`"
        tag = _tag(child)
        yield f"### {heading}{tag}"
        yield summary(child)
        yield from _keys(child, headings[0].strip("`[]"), seen, but=common)


def _common(kinds: list[type[BaseModel]]) -> set[str]:
    """Return the names of the keys that models have in common, where there are several."""
    if len(kinds) < 2:
        return set()
    fields = [{(name, field.description) for name, field in kind.model_fields.items()} for kind in kinds]
    return {name for name, _ in set.intersection(*fields)} - {"kind"}


def _tag(model: type[BaseModel]) -> str:
    kind = model.model_fields.get("kind")
    return f' with `kind = "{typing.get_args(kind.annotation)[0]}"`' if kind else ""


def _heading(place: str, annotation: Any) -> str:
    """Return the header of a model's table in a TOML file."""
    outer = next((typing.get_origin(part) for part in _parts(annotation) if typing.get_origin(part)), None)
    if outer is list:
        return f"`[[{place}]]`"
    return f"`[{place}.NAME]`" if outer is dict else f"`[{place}]`"


def _parts(annotation: Any) -> list[Any]:
    """Return what an annotation allows: the members of a union, without ``None``."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _parts(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [part for inner in typing.get_args(annotation) for part in _parts(inner)]
    return [] if annotation is type(None) else [annotation]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Declaration):
        return list(annotation.kinds())
    return [model for inner in typing.get_args(annotation) for model in _models_in(inner)]


def _type(annotation: Any, constraints: Iterable[Any] = ()) -> str:
    """Return the type of a value in words."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0], inner[1:])
    if origin in (typing.Union, types.UnionType):
        kinds = [_type(part, constraints) for part in inner if part is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is typing.Literal:
        return " or ".join(f"`{word}`" for word in inner)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is tuple:
        return f"list of {len(inner)} {_type(inner[0])}s"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    if _models_in(annotation):
        return "table"
    names = {str: "text", int: "integer", float: "number", bool: "`true` or `false`"}
    return names[annotation] + _limits(constraints)


def _limits(constraints: Iterable[Any]) -> str:
    words = []
    for constraint in constraints:
        for name, word in (("ge", "from"), ("gt", "over"), ("le", "to"), ("lt", "under")):
            if (limit := getattr(constraint, name, None)) is not None:
                words.append(f"{word} {limit:g}")
        if (pattern := getattr(constraint, "pattern", None)) is not None:
            words.append(f"of the form `{pattern}`")
        words += [_limits([deeper]).strip() for deeper in getattr(constraint, "metadata", None) or []]
    return " " + " ".join(filter(None, words)) if any(words) else ""


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    # The keys of a table have defaults of their own.
    return "" if value is None or isinstance(value, BaseModel) else f"`{toml(value)}`"
