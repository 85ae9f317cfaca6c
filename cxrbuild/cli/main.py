"""The group of all commands, and the one place that turns exceptions into messages and exit statuses."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
import time
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn

import click

from cxrbuild import __version__
from cxrbuild.cli.audit import audit
from cxrbuild.cli.bars import BARS
from cxrbuild.cli.completion import completion
from cxrbuild.cli.curate import curate, plan
from cxrbuild.cli.demo import demo
from cxrbuild.cli.diff import diff
from cxrbuild.cli.doctor import doctor
from cxrbuild.cli.explain import explain
from cxrbuild.cli.export import export
from cxrbuild.cli.fetch import fetch
from cxrbuild.cli.fingerprint import fingerprint
from cxrbuild.cli.init import init
from cxrbuild.cli.logs import WORDS
from cxrbuild.cli.output import json_was_printed, print_json
from cxrbuild.cli.overlap import overlap
from cxrbuild.cli.publish import publish
from cxrbuild.cli.release import release
from cxrbuild.cli.review import review
from cxrbuild.cli.shipped import recipes, sources
from cxrbuild.cli.sign import sign
from cxrbuild.cli.train_baseline import train_baseline
from cxrbuild.cli.verify import verify
from cxrbuild.cli.why import why
from cxrbuild.cli.wrapping import wrapped
from cxrbuild.errors import CxrbuildError, is_of_memory, nearest, of_memory, of_system

_logger = logging.getLogger(__name__)
# How long a command may take to end after a signal.
_UNWIND_S = 1.5
# A shell adds the number of the signal that ended a command.
_SIGNALLED = 128
_reported = threading.Event()
_received: list[int] = []


class _Commands(click.Group):
    """List commands in the order in which they are used, not alphabetically."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words begin with; an unknown one is answered with the nearest."""
        try:
            found = super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = nearest(args[0], self.commands)
            if near is None or repr(near) in error.format_message():
                raise
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near!r}?", ctx) from None
        # For the first line of a log.
        ctx.meta[WORDS] = tuple(found[2])
        return found


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="cxrbuild")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Rebuild, check and publish chest X-ray datasets from their public sources.

    `cxrbuild fetch`, then `cxrbuild curate --drop-lateral`, rebuilds the COVID-19-CXR Dataset of arXiv
    2007.09695. `cxrbuild demo` runs both in a minute, on small synthetic sources.

    Exit status: 0 success; 1 error; 2 wrong usage; 3 a check failed.
    """


for _command in (
    fetch,
    plan,
    curate,
    audit,
    why,
    review,
    train_baseline,
    explain,
    release,
    sign,
    verify,
    diff,
    export,
    fingerprint,
    overlap,
    publish,
    demo,
    init,
    sources,
    recipes,
    doctor,
    completion,
):
    cli.add_command(_command)


# Commands that write at their end alone, or only read.
_KEEPING_NOTHING = ("explain", "plan", "diff", "verify", "why")


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Control-C does."""


def _handle_signals() -> None:
    # A shell lets commands in the background ignore Control-C.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _ignore_interrupt


def _ignore_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    # Python cannot raise an exception in a finalizer or a weak reference's callback, and would print it. The
    # timer of `_interrupt` ends the command.
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    # What a command is doing may not end at once; it may be killed, since the next run resumes any run.
    timer = threading.Timer(_UNWIND_S, _leave, (number,))
    timer.daemon = True
    timer.start()
    raise _interruption(number)


def _interruption(number: int) -> KeyboardInterrupt:
    return _Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _leave(number: int) -> None:
    _report_interrupt(number)
    os._exit(_SIGNALLED + number)


def _report_interrupt(number: int) -> None:
    if _reported.is_set():
        return
    _reported.set()
    BARS.finish()
    word = "terminated" if number == signal.SIGTERM else "interrupted"
    command = next((name for name in sys.argv[1:] if not name.startswith("-")), "")
    if command in _KEEPING_NOTHING:
        click.echo(f"cxrbuild: {word}; nothing is kept, run the same command again", err=True)
        return
    # In its first epoch a training has completed nothing.
    kept = "each completed epoch" if command == "train-baseline" else "completed work"
    click.echo(f"cxrbuild: {word}; {kept} is kept, run the same command to resume", err=True)


def main() -> None:
    """Run the command line and exit with its status."""
    debug = "--debug" in sys.argv[1:2]
    _handle_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Names in other alphabets appear as escapes where the terminal's encoding lacks them.
            stream.reconfigure(errors="backslashreplace")
    # Without a handler the logging module prints errors to standard error, where they are reported already.
    logging.getLogger("cxrbuild").addHandler(logging.NullHandler())
    try:
        _require_utf8()
        _run()
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        _print_error({"status": error.exit_code, "what": error.format_message()})
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        terminated = isinstance(error, _Terminated) or isinstance(error.__cause__, _Terminated)
        number = signal.SIGTERM if terminated else signal.SIGINT
        _report_interrupt(number)
        _logger.warning("%s", "terminated" if terminated else "interrupted")
        _print_error({"status": _SIGNALLED + number, "what": "interrupted"})
        sys.exit(_SIGNALLED + number)
    except CxrbuildError as error:
        if debug:
            raise
        _fail(error)
    except OSError as error:
        if _is_of_reader(error):
            # The reader of our output has closed the pipe, as `head` does.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if debug:
            raise
        _fail(of_system(error), at_once=is_of_memory(error))
    except Exception as error:
        if debug or not is_of_memory(error):
            raise
        _fail(of_memory(), at_once=True)


def _is_of_reader(error: OSError) -> bool:
    """Return whether the reader of a pipe has closed it, for which Windows has no error of its own."""
    of_windows = os.name == "nt" and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or of_windows


def _run() -> None:
    began = time.monotonic()
    try:
        cli.main(prog_name="cxrbuild", standalone_mode=False)
        _logger.info("finished in %.1f s", time.monotonic() - began)
    except click.exceptions.Exit:
        raise
    except Exception as error:
        # A library may turn the exception of a signal into one of its own, as pydantic does.
        if _received:
            raise _interruption(_received[0]) from error
        raise


def _fail(error: CxrbuildError, *, at_once: bool = False) -> NoReturn:
    _logger.error("exit status %d: %s", error.status, error)
    try:
        click.echo(wrapped(f"cxrbuild: {error}", lists=True, err=True), err=True)
        _print_error(error.to_dict())
    finally:
        if at_once:
            # Without memory, libraries and their threads may crash when the interpreter ends.
            sys.stdout.flush()
            os._exit(error.status)
    sys.exit(error.status)


def _print_error(error: dict[str, Any]) -> None:
    """With `--json`, print an error as the JSON document, unless a result was printed before it."""
    if "--json" in sys.argv and not json_was_printed():
        print_json("error-1", {"error": error})


def _require_utf8() -> None:
    if (found := sys.getfilesystemencoding()) != "utf-8":
        raise CxrbuildError(
            "file names are not UTF-8 here", expected="a locale with UTF-8", found=found,
            todo="Set PYTHONUTF8=1, or LC_ALL=C.UTF-8",
        )  # fmt: skip
