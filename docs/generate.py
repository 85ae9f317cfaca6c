"""Write the pages that the code itself can tell: `python docs/generate.py`, or `make docs`.

A test compares these pages with what this file would write, so that none of them can go stale.
"""

from __future__ import annotations

import ast
import inspect
import json
import tomllib
import types
import typing
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from api_reference import api_page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cxrbuild.catalog import ImageList, Recipe, Source, read_recipe, recipe_names, review
from cxrbuild.catalog.declarations import Declaration
from cxrbuild.catalog.rule import RULE_KINDS
from cxrbuild.cli.main import cli
from cxrbuild.curation.plan import MEMBERSHIP
from cxrbuild.exclusions import EXCLUSIONS, exclusion_reasons
from cxrbuild.records import COLUMNS
from cxrbuild.shards import shard_columns

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code. Change that, then run `make docs`. -->"

# A rule of each kind, to show its description.
EXAMPLES: dict[str, dict[str, Any]] = {
    "in": {"name": "not_frontal", "column": "view_position", "values": ["AP", "PA"], "unknown": "keep"},
    "not_in": {"name": "ct", "column": "modality", "values": ["CT"]},
    "present": {"name": "no_age", "column": "patient_age"},
    "range": {"name": "child", "column": "patient_age", "least": 18.0, "unknown": "drop"},
    "reviewed": {"name": "named", "marks": ["identifier", "redacted"]},
    "labelled": {"name": "other_finding"},
    "duplicate": {"name": "twice"},
}


_ADDED_CHECK = """```text
# In the package's pyproject.toml
[project.entry-points."cxrbuild.checks"]
ages_known = "my_checks:AGES_KNOWN"
```

```text
# my_checks.py
from cxrbuild import Check, Finding


def find_unknown_ages(context):
    for image in context.manifest.loc[context.manifest["patient_age"].isna(), "image_id"]:
        yield Finding("patient_age is null", "manifest.parquet", image)


AGES_KNOWN = Check("ages_known", "Every patient's age is known.", find_unknown_ages, "verify")
```"""


def pages() -> dict[str, str]:
    """Return each generated page by its name, as text."""
    return {
        "commands.md": _page("Commands", _commands()),
        "columns.md": _page("Columns", _columns()),
        "rules.md": _page("Rules and exclusions", _rules()),
        "declarations.md": _page("Declarations", _declarations()),
        "checks.md": _page("Checks of `verify`", _checks()),
        "api.md": _page("Python API", api_page()),
        "layers.md": _page("Layers", _layers()),
    }


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


def _page(title: str, paragraphs: Iterable[str]) -> str:
    return "\n\n".join([NOTE, f"# {title}", *paragraphs]) + "\n"


def _commands() -> Iterator[str]:
    context = click.Context(cli, info_name="cxrbuild", **cli.context_settings)
    yield _help(cli)
    yield _options(context)
    yield "Every command has `--help` too."
    yield from _subcommands(cli, context)


def _subcommands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        own = click.Context(command, info_name=name, parent=context)
        yield f"## `{own.command_path}`"
        yield f"```text\n{' '.join([own.command_path, *command.collect_usage_pieces(own)])}\n```"
        yield _help(command)
        yield _options(own)
        if isinstance(command, click.Group):
            yield from _subcommands(command, own)


def _help(command: click.Command) -> str:
    paragraphs = inspect.cleandoc(command.help or "").replace("\f", "").split("\n\n")
    # A paragraph that click must not wrap begins with a backspace.
    return "\n\n".join(
        "```text" + words.removeprefix("\b") + "\n```" if words.startswith("\b") else _prose(words)
        for words in paragraphs
    )


def _options(context: click.Context) -> str:
    options = [option for option in context.command.params if isinstance(option, click.Option)]
    records = filter(None, (option.get_help_record(context) for option in options))
    # In a terminal spaces part the words from the default; here it is one sentence.
    return "\n".join(f"- `{name}`: {_prose(' '.join(words.split()))}" for name, words in records)


def _prose(text: str) -> str:
    """Return text in which what is no code cannot be taken for HTML."""
    parts = text.split("`")
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _columns() -> Iterator[str]:
    yield (
        "The columns of `ledger.parquet` and of a build's `manifest.parquet`, in their order. A stage fills "
        "the columns that bear its name here and no others. *S* marks those that stand in the Parquet and "
        "TFRecord shards too, beside `image` and `label`; *M* those of a published manifest, which holds "
        "membership alone."
    )
    marks = {"S": {*shard_columns(), "label"}, "M": set(MEMBERSHIP)}
    yield _table(
        ["column", "kind", "filled by", "", "what it says"],
        [
            [
                f"`{column.name}`",
                column.kind,
                column.stage,
                " ".join(mark for mark, names in marks.items() if column.name in names),
                column.description,
            ]
            for column in COLUMNS
        ],
    )


def _checks() -> Iterator[str]:
    from cxrbuild.verification.registry import CHECKS

    yield (
        "`verify` makes these checks, in this order. A check with nothing to look at is *not applicable*, "
        "such as `card` where the card is generated again and compared line by line. `--json` lists "
        "each check with its status, and each finding with the id of its check."
    )
    yield _table(
        ["check", "what holds", "folders"],
        (
            [f"`{check.id}`", check.sentence, ", ".join(sorted(check.applies_to, reverse=True))]
            for check in CHECKS
        ),
    )
    yield "## Add a check"
    yield (
        "A package adds a check by an entry point in the group `cxrbuild.checks`: its name is the id, "
        "its object a `cxrbuild.Check`. The function takes the context of the command, which has the folder "
        "and everything read from it. It yields findings, or returns a `cxrbuild.Measurement`, and raises "
        "`cxrbuild.NotApplicable` where it has nothing to look at."
    )
    yield _ADDED_CHECK


def _rules() -> Iterator[str]:
    yield (
        "A rule excludes rows of the table. The first rule that excludes a row writes its name into "
        "`exclusion`; no row is ever dropped. These are all kinds of rules; there is no expression "
        "language. The keys of each kind are in [declarations.md](declarations.md)."
    )
    for kind in RULE_KINDS:
        word = typing.get_args(kind.model_fields["kind"].annotation)[0]
        yield f"## `{word}`"
        yield _summary(kind)
        example = EXAMPLES[word] | {"reason": "..."}
        rule = kind.model_validate({"kind": word} | example)
        keys = {"name": example["name"], "kind": word} | example
        body = "\n".join(f"{key} = {_toml(value)}" for key, value in keys.items())
        yield f"```toml\n[[rules]]\n{body}\n```"
        yield f"> {rule.describe()}"
    for name in recipe_names():
        yield from _shipped(read_recipe(name))
    yield "## Marks of a review"
    yield "The marks that a review file can give an image, and that a rule of kind `reviewed` can exclude:"
    yield _table(
        ["mark", "what the reviewer saw"], [[f"`{mark}`", seen] for mark, seen in review.MARKS.items()]
    )


def _shipped(recipe: Recipe) -> Iterator[str]:
    yield f"## The rules of `{recipe.name}`"
    if recipe.split.published is not None and not recipe.rules:
        yield "None: its published list decides which images are kept."
    else:
        yield from _rules_of(recipe)
    yield f"## All exclusions in a build of `{recipe.name}`"
    yield "In the order of the flow chart."
    yield _table(
        ["exclusion", "written by", "meaning"],
        [[f"`{word}`", _writer(word), meaning] for word, meaning in exclusion_reasons(recipe.rules).items()],
    )


def _rules_of(recipe: Recipe) -> Iterator[str]:
    yield "In this order. `switch` names the options `--drop-X` and `--keep-X` that switch a rule on and off."
    yield _table(
        ["rule", "switch", "what it does", "reason"],
        [
            [
                f"`{rule.name}`" + ("" if rule.enabled else " (off)"),
                f"`{rule.switch}`" if rule.switch else "",
                rule.describe(),
                rule.reason,
            ]
            for rule in recipe.rules
        ],
    )


def _writer(word: str) -> str:
    """Return which stage writes a word into ``exclusion``."""
    return next((one.stage for one in EXCLUSIONS if one.code == word), "a rule")


def _declarations() -> Iterator[str]:
    yield (
        "Sources, recipes and published lists are TOML files. These are all their keys. Any other key is an "
        "error that names the nearest known one; all problems of a file are listed at once. The shipped "
        "files are in [`cxrbuild/catalog/`](../cxrbuild/catalog). [own-data.md](own-data.md) shows how to "
        "write your own."
    )
    for model, word in ((Source, "source"), (Recipe, "recipe"), (ImageList, "published list")):
        yield f"## A {word}"
        yield _summary(model)
        yield from _keys(model, "", set())
    yield "## CSV files"
    yield (
        "A *review file* has the header `source,path,mark,marks_finding,note`: what a person saw on single "
        "images. `mark` is one of [these marks](rules.md#marks-of-a-review); `marks_finding` is `yes`, `no`, "
        "or blank if nobody has seen the image."
    )
    yield (
        "A *link file* has the header `source_a,path_a,source_b,path_b,kind,note`: pairs of images that are "
        "duplicates or of one patient, although their sources do not say so. `kind` is `duplicate` or "
        "`same patient`."
    )
    yield (
        "A *file of withdrawals*, the key `withdrawn` of a source, has the header `path,date,reason`: images "
        "that were withdrawn, with the day (YYYY-MM-DD) and the reason. Such an image keeps its row in the "
        "ledger, with the exclusion `withdrawn`, even if the source no longer has its file. Reviews and "
        "links can still name it."
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
        words = _prose(field.description or "")
        rows.append([f"`{key}`", _type(field.annotation, field.metadata), _default(field), words])
    if rows:
        yield _table(["key", "type", "default", "meaning"], rows)
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
        yield _summary(child)
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


def _layers() -> Iterator[str]:
    yield (
        "Every file of the package, layer by layer, with the first line of its docstring. A file imports "
        "from lower layers only; modules of one layer do not import each other. The files within `artifact`, "
        "`baseline`, `catalog`, `curation` and `fetching` are ordered too. import-linter checks this."
    )
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for number, layer in enumerate(project["tool"]["importlinter"]["contracts"][0]["layers"], 1):
        names = [name.strip(" ()") for name in layer.replace(":", "|").split("|")]
        yield f"## {number}. {', '.join(f'`{name}`' for name in names)}"
        yield "\n".join(line for name in names for line in _files(name))


def _files(name: str) -> Iterator[str]:
    """Yield a line for a module, or for a package and each of its modules."""
    package = DOCS.parent / "cxrbuild"
    single = package / f"{name}.py"
    files = [single] if single.is_file() else sorted((package / name).rglob("*.py"))
    for path in files:
        words = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        shown = path.relative_to(package).as_posix()
        yield f"- [`{shown}`](../cxrbuild/{shown}): {_prose(' '.join(words.replace('``', '`').split()))}"


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
    return "" if value is None or isinstance(value, BaseModel) else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    """Return a value as TOML writes it on one line."""
    match value:
        case BaseModel():
            return _toml(value.model_dump(by_alias=True, exclude_none=True))
        case dict():
            inner = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case float():
            return f"{value:g}" if "." in f"{value:g}" or "e" in f"{value:g}" else f"{value:g}.0"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _summary(model: type) -> str:
    """Return a class's docstring as paragraphs."""
    return _prose((inspect.getdoc(model) or "").replace("``", "`"))


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)


if __name__ == "__main__":
    main()
