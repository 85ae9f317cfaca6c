"""The group of the commands, and the one place that turns exceptions into words and exit statuses."""

from __future__ import annotations

import os
import sys

import click

from cxrbuild import __version__
from cxrbuild.cli.audit import audit
from cxrbuild.cli.curate import curate, plan
from cxrbuild.cli.demo import demo
from cxrbuild.cli.diff import diff
from cxrbuild.cli.fetch import fetch
from cxrbuild.cli.output import wrapped
from cxrbuild.cli.publish import publish
from cxrbuild.cli.release import release
from cxrbuild.cli.review import review
from cxrbuild.cli.train_baseline import train_baseline
from cxrbuild.cli.verify import verify
from cxrbuild.errors import CxrbuildError, of_system


class _Commands(click.Group):
    """Commands in the order in which they are used, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="cxrbuild")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Rebuild, check and publish chest X-ray datasets from their public sources.

    `cxrbuild fetch`, then `cxrbuild curate --drop-lateral`, rebuilds the COVID-19-CXR Dataset of arXiv
    2007.09695. `cxrbuild demo` shows the first steps in a minute, on small sources it makes.

    Exit status: 0 done; 1 an error; 2 wrong usage; 3 a check that fell short.
    """


for _command in (fetch, plan, curate, audit, review, train_baseline, release, verify, diff, publish, demo):
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit with its status."""
    debug = "--debug" in sys.argv[1:2]
    try:
        _require_utf8()
        cli.main(prog_name="cxrbuild", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("cxrbuild: interrupted; what was done is kept, run the same command to go on", err=True)
        sys.exit(130)
    except CxrbuildError as error:
        if debug:
            raise
        click.echo(wrapped(f"cxrbuild: {error}"), err=True)
        sys.exit(error.status)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        click.echo(wrapped(f"cxrbuild: {of_system(error)}"), err=True)
        sys.exit(1)


def _require_utf8() -> None:
    if (found := sys.getfilesystemencoding()) != "utf-8":
        raise CxrbuildError(
            "file names are not UTF-8 here", expected="a locale with UTF-8", found=found,
            todo="Set PYTHONUTF8=1, or LC_ALL=C.UTF-8",
        )  # fmt: skip
