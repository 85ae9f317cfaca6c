"""The command `completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import output_options
from cxrbuild.cli.output import Output

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_CXRBUILD_COMPLETE"


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--print", "only_print", is_flag=True, help="Print the script instead of installing it.")
@output_options
def completion(shell: str | None, only_print: bool, quiet: bool, as_json: bool) -> None:
    """Install shell completion for bash, zsh or fish.

    SHELL is the shell of $SHELL by default. Completion works in shells that are started afterwards.
    """
    from cxrbuild.errors import CxrbuildError
    from cxrbuild.files import write_bytes

    output = Output(quiet=quiet, as_json=as_json)
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise CxrbuildError(
            "no completion for this shell", expected=f"one of {', '.join(SHELLS)}",
            found=shell or "no $SHELL", todo="Name the shell: `cxrbuild completion bash`",
        )  # fmt: skip
    script = completion_script(shell)
    if only_print:
        click.echo(script, err=as_json)
        output.result("completion-1", {"shell": shell, "script": script})
        return
    path = script_path(shell)
    write_bytes(path, script.encode())
    changed = [path]
    if shell == "zsh" and (startup := _source_from_zshrc(path)):
        changed.append(startup)
    for one in changed:
        output.show(f"Written: {one}")
    output.show(f"Start a new {shell} to use the completion.")
    output.result("completion-1", {"shell": shell, "written": [str(one) for one in changed]})


def completion_script(shell: str) -> str:
    """Return the script that completes `cxrbuild` in a shell."""
    from cxrbuild.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    return found(cli, {}, "cxrbuild", _VARIABLE).source()


def script_path(shell: str) -> Path:
    """Return where a shell looks for the script of a user, by the XDG Base Directory Specification."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    return {
        "bash": data / "bash-completion/completions/cxrbuild",
        "zsh": data / "cxrbuild/completion.zsh",
        "fish": config / "fish/completions/cxrbuild.fish",
    }[shell]


def _source_from_zshrc(script: Path) -> Path | None:
    """Append a line to `.zshrc` that reads the script, unless it is there.

    zsh searches no folder of the user by default.
    """
    startup = Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    line = f'[ -r "{script}" ] && . "{script}"  # cxrbuild'
    present = startup.read_text(encoding="utf-8", errors="surrogateescape") if startup.exists() else ""
    if line in present.splitlines():
        return None
    with startup.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(("" if present.endswith("\n") or not present else "\n") + line + "\n")
    return startup
