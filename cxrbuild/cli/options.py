"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from click.shell_completion import CompletionItem

from cxrbuild.cli.logs import log_to_file, log_to_terminal
from cxrbuild.cli.output import Output
from cxrbuild.errors import CxrbuildError, printable

F = TypeVar("F", bound=Callable[..., Any])
# The catalog has it too; importing the catalog would slow down every `--help`.
DEFAULT_RECIPE = "covid19-cxr"
RECIPE_HERE = f"the only recipe here, else {DEFAULT_RECIPE}"
RECIPE_OF_BUILD = "the recipe here that has the build's name, else the shipped one"
DEFAULT_BUILD = "build/NAME of --recipe, else the only build in build/, or that of the only recipe here"


class _Path(click.Path):
    """A path on this machine whose name is UTF-8; Parquet and JSON cannot store others."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        refuse_address(value, param, ctx)
        path = super().convert(value, param, ctx)
        try:
            str(path).encode()
        except UnicodeEncodeError:
            self.fail(f"{str(path)!a} is not UTF-8", param, ctx)
        return path


class _NameOrPath(click.ParamType):  # type: ignore[type-arg]
    """A name, or a path on this machine."""

    name = "name or path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        refuse_address(value, param, ctx)
        return value


def refuse_address(value: Any, param: click.Parameter | None, ctx: click.Context | None) -> None:
    """Refuse an address such as ``s3://BUCKET/PREFIX``: as a path it would be ``s3:/BUCKET/PREFIX``."""
    if "://" in str(value):
        _refuse(value, "files and folders of this machine", param, ctx)


def _refuse(value: Any, works: str, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
    from cxrbuild.http import redact_address

    raise click.BadParameter(
        f"{redact_address(str(value))!r} is an address; only {works} work here", ctx, param
    )


class _Place(_Path):
    """A folder of this machine, or an address of one in object storage."""

    name = "folder or address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from cxrbuild.remote import is_address, is_supported

        if is_address(value):
            if not is_supported(value):
                _refuse(value, "folders of this machine and s3://BUCKET/PREFIX", param, ctx)
            return str(value)
        return super().convert(value, param, ctx)


class _NameOrPlace(_Place):
    """A name, or a folder or file of this machine or of object storage."""

    name = "name, path or address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        super().convert(value, param, ctx)
        return value


def complete_shipped(*folders: str) -> Callable[..., list[CompletionItem]]:
    """Return a function that completes the names of shipped declarations, and paths.

    Parameters
    ----------
    folders
        Some of ``sources``, ``lists`` and ``recipes``. The catalog reads them; importing it would slow down
        every completion.
    """

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        catalog = Path(__file__).parents[1] / "catalog"
        names = sorted({path.stem for folder in folders for path in (catalog / folder).glob("*.toml")})
        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]

    return complete


PATH = _Path(path_type=Path)
PLACE = _Place(path_type=Path)
NAME_OR_PLACE = _NameOrPlace(path_type=Path)
FOLDER = _Path(path_type=Path, exists=True, file_okay=False)
NAME_OR_PATH = _NameOrPath()


def _log_to_file(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    if path is not None:
        log_to_file(path, context)


def _log_to_terminal(context: click.Context, _option: click.Parameter, times: int) -> None:
    if times:
        log_to_terminal(times, context)


def output_options(command: F) -> F:
    """Add `--quiet`, `--json`, `--verbose` and `--log-file`."""
    for option in (
        click.option(
            "--log-file",
            type=PATH,
            expose_value=False,
            callback=_log_to_file,
            help="Append a log of stages and decisions to a file.",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_log_to_terminal,
            help="Log stages to standard error; -vv also logs decisions.",
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print one JSON document to standard output; messages go to standard error.",
        ),
        click.option("--quiet", is_flag=True, help="Suppress messages, tables and progress, not warnings."),
    ):
        command = option(command)
    return command


def data_option(command: F) -> F:
    """Add `--data` for a folder of this machine."""
    return _data_option(PATH)(command)


def data_place_option(command: F) -> F:
    """Add `--data` for a folder or an address."""
    return _data_option(PLACE)(command)


def _data_option(kind: _Path) -> Callable[[F], F]:
    return click.option(
        "--data",
        type=kind,
        default=lambda: os.environ.get("CXRBUILD_DATA", "data"),
        show_default="$CXRBUILD_DATA, else data",
        help="Folder of the fetched sources.",
    )


def recipe_options(command: F) -> F:
    """Add `--recipe` and the switches of its rules."""
    for switch, what in (
        ("annotated", "images with a mark drawn at a finding"),
        ("ct", "CT slices and volumes"),
        ("lateral", "lateral images; unknown views are kept"),
    ):
        command = click.option(
            f"--drop-{switch}/--keep-{switch}",
            switch,
            default=None,
            help=f"Drop or keep {what}.  [default: the recipe]",
        )(command)
    return recipe_option(f"Name of a shipped recipe, or a .toml file.  [default: {RECIPE_HERE}]")(command)


def recipe_option(text: str) -> Callable[[F], F]:
    """Return `--recipe` with a help text; the parameter is ``recipe``."""
    return click.option(
        "--recipe",
        type=NAME_OR_PATH,
        metavar="NAME|FILE",
        shell_complete=complete_shipped("recipes"),
        help=text,
    )


def build_option(text: str) -> Callable[[F], F]:
    """Return `--build` with a help text; the parameter is ``build``."""
    return click.option(
        "--build", type=PLACE, metavar="DIR|s3://...", help=f"{text}  [default: {DEFAULT_BUILD}]"
    )


def image_build_option(command: F) -> F:
    """Add `--build` for a folder of this machine that has images to train or explain a model with."""
    return click.option(
        "--build",
        type=PATH,
        metavar="DIR",
        help=f"A build, a release or a TensorFlow Datasets folder.  [default: {DEFAULT_BUILD}]",
    )(command)


def default_build(output: Output, recipe: str | None = None, option: str | None = "--build") -> Path:
    """Return the build that a command works on where none is named; of several, report which one and why.

    Parameters
    ----------
    output
        Where that is reported.
    recipe
        The recipe that the command names; ``None`` where it names none.
    option
        The option of the command that names a build; ``None`` where it is an argument.

    Returns
    -------
    Path
        The folder that ``curate`` writes that recipe's build to, else what `only_build` finds in ``build/``.
    """
    from cxrbuild.artifact import only_build
    from cxrbuild.catalog import read_recipe

    builds = Path("build")
    if recipe is not None:
        return builds / read_recipe(recipe).name
    build, note = only_build(builds, option)
    if note:
        output.choose(note)
    return build


def default_recipe(output: Output) -> str:
    """Return the recipe that a command works on where none is named: the only one here, else the shipped one.

    Parameters
    ----------
    output
        Where it is reported that a recipe of the current folder is taken, or is not, as there are several.
    """
    from cxrbuild.catalog import recipes_in

    found = list(recipes_in(Path()))
    if len(found) > 1:
        output.choose(
            f"The shipped recipe {DEFAULT_RECIPE} is taken: this folder has {len(found)} recipes. Name one "
            f"of them with --recipe, such as {printable(found[0])}."
        )
    if len(found) != 1:
        return DEFAULT_RECIPE
    output.choose(
        f"{printable(found[0])} is taken, the only recipe in this folder. Name another one with --recipe."
    )
    return str(found[0])


def recipe_here(output: Output, build: Path | str) -> str | None:
    """Return the recipe in the current folder that is of a build, for a command that names none.

    Parameters
    ----------
    output
        Where it is reported that it is taken.
    build
        The folder of a build, a release or a plan. One that does not state its dataset has any name.

    Returns
    -------
    str or None
        Its file. ``None`` where no recipe here, or several, have the name of the build, or that is at an
        address.
    """
    from cxrbuild.artifact import dataset_name
    from cxrbuild.catalog import recipes_in

    recipes = recipes_in(Path())
    if not recipes or not isinstance(build, Path):
        return None
    try:
        name = dataset_name(build)
    except CxrbuildError:
        return None  # the command itself reports what is wrong with the build
    found = [file for file, table in recipes.items() if name in (None, table["name"])]
    if len(found) != 1:
        return None
    of = f" of {printable(name)}" if name else ""
    output.choose(
        f"{printable(found[0])} is taken, the only recipe{of} in this folder. Name another one with --recipe."
    )
    return str(found[0])


def worker_options(command: F) -> F:
    """Add `--workers` and `--executor`."""
    return workers_option(executor_option("Where to run the work.")(command))


def workers_option(command: F) -> F:
    """Add `--workers`."""
    return click.option(
        "--workers", type=click.IntRange(1), help="Number of processes.  [default: one for each processor]"
    )(command)


def executor_option(text: str) -> Callable[[F], F]:
    """Return `--executor` with a help text."""
    return click.option(
        "--executor", default="local", show_default=True, metavar="local|dask://HOST:PORT", help=text
    )


def given_switches(**switches: bool | None) -> dict[str, bool]:
    """Return the switches that were given on the command line."""
    return {name: drop for name, drop in switches.items() if drop is not None}


allow_missing_option = click.option(
    "--allow-missing", is_flag=True, help="Continue without missing images, and record them."
)

reviews_option = click.option(
    "--reviews",
    type=NAME_OR_PATH,
    multiple=True,
    metavar="FILE",
    help="Additional review file; overrides the recipe's reviews. Repeatable.",
)
