"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
# The catalogue has it too; importing that would cost every `--help` a quarter of a second.
DEFAULT_RECIPE = "covid19-cxr"


class _Path(click.Path):
    """A path whose name is UTF-8: Parquet and JSON hold no other."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        try:
            str(path).encode()
        except UnicodeEncodeError:
            self.fail(f"{str(path)!a} is not UTF-8", param, ctx)
        return path


PATH = _Path(path_type=Path)


def output_options(command: F) -> F:
    """Add `--quiet` and `--json`."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")(
        command
    )
    return click.option("--quiet", is_flag=True, help="Print no words and draw no bars.")(command)


def data_option(command: F) -> F:
    """Add `--data`."""
    return click.option(
        "--data",
        type=PATH,
        default=lambda: os.environ.get("CXRBUILD_DATA", "data"),
        show_default="$CXRBUILD_DATA, else data",
        help="Folder of the fetched sources.",
    )(command)


def recipe_options(command: F) -> F:
    """Add `--recipe` and the switches of its rules."""
    for switch, what in (
        ("annotated", "films with a mark drawn at a finding"),
        ("ct", "slices and volumes of a CT"),
        ("lateral", "lateral films; a view that is not known is kept"),
    ):
        command = click.option(
            f"--drop-{switch}/--keep-{switch}",
            switch,
            default=None,
            help=f"Drop or keep {what}; default as the recipe says.",
        )(command)
    return click.option(
        "--recipe",
        default=DEFAULT_RECIPE,
        show_default=True,
        metavar="NAME|FILE",
        help="A shipped recipe, or a .toml file.",
    )(command)


def given_switches(**switches: bool | None) -> dict[str, bool]:
    """Return the switches that were given on the command line."""
    return {name: drop for name, drop in switches.items() if drop is not None}


allow_missing_option = click.option(
    "--allow-missing", is_flag=True, help="Go on without images that cannot be had, and record them."
)

reviews_option = click.option(
    "--reviews",
    multiple=True,
    metavar="FILE",
    help="More reviews, repeatable; they stand in place of the recipe's own of the same films.",
)
