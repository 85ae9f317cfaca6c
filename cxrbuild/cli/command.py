"""The class of all commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from cxrbuild.errors import count_of
from cxrbuild.shell import quote


class Command(click.Command):
    """A command that answers an additional argument with the option that takes it."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return the arguments that no parameter takes: none.

        Raises
        ------
        click.UsageError
            There are some.
        """
        extra = super().parse_args(ctx, args)
        if extra and not ctx.resilient_parsing:
            word = count_of(len(extra), "argument").partition(" ")[2]
            hint = _option_of(extra[0], [name for one in self.params for name in one.opts])
            raise click.UsageError(f"Got unexpected extra {word} ({' '.join(extra)}){hint}", ctx)
        return extra


def _option_of(value: str, options: Iterable[str]) -> str:
    """Return a sentence that names the option for a build or recipe, empty where there is none."""
    from cxrbuild.artifact import names
    from cxrbuild.catalog import recipe_names

    if "--build" in options and _is_file(Path(value) / names.BUILD):
        return f". Name the build with an option: --build {quote(value)}"
    if "--recipe" in options and (value.endswith(".toml") or value in recipe_names()):
        return f". Name the recipe with an option: --recipe {quote(value)}"
    return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or a character that no name has
        return False
