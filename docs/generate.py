"""Write the pages that the code itself can tell: `python docs/generate.py`, or `make docs`.

A test compares these pages with what this file would write, so that none of them can go stale.
"""

from __future__ import annotations

import ast
import inspect
import tomllib
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from api_reference import api_page
from checks_reference import checks
from declarations_reference import declarations
from json_reference import json_documents, schema_text, schemas
from markdown_text import prose, summary, table, toml

from cxrbuild.catalog import Recipe, read_recipe, recipe_names, review
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


def pages() -> dict[str, str]:
    """Return each generated page by its name, as text."""
    return {
        "commands.md": _page("Commands", _commands()),
        "columns.md": _page("Columns", _columns()),
        "rules.md": _page("Rules and exclusions", _rules()),
        "declarations.md": _page("Declarations", declarations()),
        "checks.md": _page("Checks of `verify`", checks()),
        "api.md": _page("Python API", api_page()),
        "json.md": _page("JSON documents", json_documents()),
        **{f"schemas/{name}": schema_text(schema) for name, schema in schemas().items()},
        "layers.md": _page("Layers", _layers()),
    }


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8", newline="\n")


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
        "```text" + words.removeprefix("\b") + "\n```" if words.startswith("\b") else prose(words)
        for words in paragraphs
    )


def _options(context: click.Context) -> str:
    options = [option for option in context.command.params if isinstance(option, click.Option)]
    records = filter(None, (option.get_help_record(context) for option in options))
    # In a terminal spaces part the words from the default; here it is one sentence.
    return "\n".join(f"- `{name}`: {prose(' '.join(words.split()))}" for name, words in records)


def _columns() -> Iterator[str]:
    yield (
        "The columns of `ledger.parquet` and of a build's `manifest.parquet`, in their order. A stage fills "
        "the columns that bear its name here and no others. *S* marks those that stand in the Parquet and "
        "TFRecord shards too, beside `image` and `label`; *M* those of a published manifest, which holds "
        "membership alone."
    )
    marks = {"S": {*shard_columns(), "label"}, "M": set(MEMBERSHIP)}
    yield table(
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


def _rules() -> Iterator[str]:
    yield (
        "A rule excludes rows of the table. The first rule that excludes a row writes its name into "
        "`exclusion`; no row is ever dropped. `cxrbuild why --excluded` lists the excluded images of a "
        "build, a release or a plan, each with the column and the value that decided. These are all kinds of "
        "rules; there is no expression language. The keys of each kind are in "
        "[declarations.md](declarations.md)."
    )
    for kind in RULE_KINDS:
        word = typing.get_args(kind.model_fields["kind"].annotation)[0]
        yield f"## `{word}`"
        yield summary(kind)
        example = EXAMPLES[word] | {"reason": "..."}
        rule = kind.model_validate({"kind": word} | example)
        keys = {"name": example["name"], "kind": word} | example
        body = "\n".join(f"{key} = {toml(value)}" for key, value in keys.items())
        yield f"```toml\n[[rules]]\n{body}\n```"
        yield f"> {rule.describe()}"
    for name in recipe_names():
        yield from _shipped(read_recipe(name))
    yield "## Marks of a review"
    yield "The marks that a review file can give an image, and that a rule of kind `reviewed` can exclude:"
    yield table(
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
    yield table(
        ["exclusion", "written by", "meaning"],
        [[f"`{word}`", _writer(word), meaning] for word, meaning in exclusion_reasons(recipe.rules).items()],
    )


def _rules_of(recipe: Recipe) -> Iterator[str]:
    yield "In this order. `switch` names the options `--drop-X` and `--keep-X` that switch a rule on and off."
    yield table(
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
        yield f"- [`{shown}`](../cxrbuild/{shown}): {prose(' '.join(words.replace('``', '`').split()))}"


if __name__ == "__main__":
    main()
