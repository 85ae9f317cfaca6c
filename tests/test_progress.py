"""What a person sees while a command works: on a terminal, in a pipe, after Control-C, on resuming."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import CHECKOUT, run
from small_demo import IMAGES
from systems import needs_terminals

from cxrbuild.cli.bars import ShownBar

# A command whose work takes seconds, with two tasks at a time, and that prints a table when it is done.
PROGRAM = """
import sys, time
import click
from cxrbuild.cli.main import cli, main
from cxrbuild.cli.options import output_options
from cxrbuild.cli.output import Output

@click.command()
@output_options
def work(quiet, as_json):
    output = Output(quiet=quiet, as_json=as_json)
    progress = output.progress
    progress.plan("reading", "a stage whose name is longer than the sixty columns of a narrow terminal")
    with progress("reading", 40, "image", done=10) as bar:
        with progress("reading headers", 30, "file") as inner:
            for _ in range(30):
                time.sleep(0.05)
                bar.update()
                inner.update()
        progress.note("A note while it reads.")
        time.sleep(0.3)
        {middle}
    with progress("a stage whose name is longer than the sixty columns of a narrow terminal", None, ""):
        time.sleep(0.3)
    output.table(["step", "all"], [["upstream", 6913]])

cli.add_command(work)
sys.argv = ["cxrbuild", "work", *sys.argv[1:]]
main()
"""


def see(columns: int, *words: str, middle: str = "pass", **env: str) -> tuple[int, bytes]:
    """Run the program in a terminal of so many columns; return its status and what it wrote."""
    import fcntl
    import pty
    import struct
    import termios

    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{middle}", middle), *words],
        stdin=inner, stdout=inner, stderr=inner, cwd=CHECKOUT,
        env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        | {"TERM": "xterm", "PYTHONPATH": str(CHECKOUT)} | env,
    )  # fmt: skip
    os.close(inner)
    written = b""
    try:
        while block := os.read(terminal, 1 << 16):
            written += block
    except OSError:  # how Linux reports the end
        pass
    os.close(terminal)
    return process.wait(), written


def screen(written: bytes, columns: int) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[(?:\d+A|J)|\r|\n|[^\x1b\r\n]+", written.decode()):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, lines = row + 1, [*lines, *[""] * (row + 2 - len(lines))]
        elif part == "\x1b[J":
            lines[row:] = [lines[row][:column]]
        elif part.startswith("\x1b"):
            row -= int(part[2:-1])
        else:
            assert column + len(part) <= columns, part
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


@needs_terminals
@pytest.mark.parametrize("columns", [60, pytest.param(100, marks=pytest.mark.slow)])
def test_live_lines_are_erased_before_text(columns: int) -> None:
    status, written = see(columns)
    assert status == 0
    shown = " ".join(screen(written, columns))
    assert shown == (
        "Stages: 1 reading, 2 a stage whose name is longer than the sixty columns of a narrow terminal. "
        "A note while it reads. step        all upstream  6,913"
    )
    text = written.decode()
    # While a task runs others within it, its own estimate would be of parts of another length.
    assert re.search(r"1/2 reading: \d+%, (00:0\d so far, )?[23]\d of 40 images.*\n.*reading headers", text)
    assert not re.search(r"1/2 reading: [^\r\n]* left[^\n]*\n[^\n]*reading headers", text)
    assert re.search(r"reading headers: \d+%, 00:0\d left", text)
    assert re.search(r"\nreading headers: \d+%, 00:0\d left, [12]\d of 30 files", text), (
        "below its outer task"
    )
    assert "0;" not in text
    assert "[3" not in text, "no colour"
    if columns == 60:
        assert "2/2 a stage whose name is longer than the sixty colum..." in text


@needs_terminals
def test_control_c_leaves_no_part_of_a_live_line() -> None:
    status, written = see(60, middle="import os, signal; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")
    assert status == 130
    assert screen(written, 200)[-1].startswith("cxrbuild: interrupted; completed work is kept")


@needs_terminals
def test_a_dumb_terminal_gets_lines() -> None:
    status, written = see(80, TERM="dumb")
    assert status == 0
    assert b"\x1b" not in written
    assert "1/2 reading: 25%, 10 of 40 images (10 done before)" in written.decode().splitlines()


@needs_terminals
def test_quiet_shows_nothing() -> None:
    assert see(60, "--quiet") == (0, b"")


def test_a_pipe_gets_a_line_for_each_stage(small_demo: Path, tmp_path: Path) -> None:
    where = ["--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data"]
    words = ["curate", *where, "--workers", 1, "--format", "parquet", "--out", tmp_path / "build"]
    ran = run(*words, COLUMNS="200")
    assert ran.status == 0, ran.err
    assert [line for line in ran.err.splitlines() if "so far" not in line and " left" not in line] == [
        "Stages: 1 reading metadata, 2 applying rules, 3 converting, 4 writing shards, 5 writing tables.",
        "1/5 reading metadata: 2 sources",
        "2/5 applying rules",
        f"3/5 converting: {IMAGES} images",
        f"4/5 writing shards: {IMAGES} images",
        "5/5 writing tables",
    ]
    assert run(*words).err == "", "nothing is left to do"
    (tmp_path / "build" / "build.json").unlink()
    again = run(*words, COLUMNS="200")
    assert f"Converted by an earlier run: {IMAGES} of {IMAGES} images." in again.err
    assert f"3/5 converting: {IMAGES} of {IMAGES} images ({IMAGES} done before)" in again.err


def test_a_line_has_what_is_known() -> None:
    bar = ShownBar("downloading", 250_000_000, "B", 50_000_000, stage=None)
    assert bar.describe() == "downloading: 20%, 50.0 MB of 250.0 MB"
    bar.began -= 10
    bar.update(100_000_000)
    # What a former run had done says nothing about the speed.
    assert bar.describe() == "downloading: 60%, 00:10 left, 150.0 MB of 250.0 MB"
    bar.update(100_000_000)
    assert bar.describe() == "downloading: 00:00 left, 250.0 MB of 250.0 MB"
    unknown = ShownBar("loading", None, "", 0, stage=None)
    assert unknown.describe() == "loading"
    unknown.began -= 75
    assert unknown.describe() == "loading: 01:15 so far"
    assert ShownBar("reading", 1, "image", 0, stage=None).describe() == "reading: 1 image"
