"""The log: one line for each record, whatever the names in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxrbuild.cli.logs import log_to_file


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log file, while it is written to."""
    logger = logging.getLogger("cxrbuild")
    before = (list(logger.handlers), logger.level, logger.propagate)
    log_to_file(tmp_path / "log.txt")
    yield tmp_path / "log.txt"
    for handler in set(logger.handlers) - set(before[0]):
        handler.close()
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_a_name_neither_adds_a_line_nor_commands_the_terminal(log: Path) -> None:
    name = "a\n2026-01-01 INFO cxrbuild: forged\x1b[2J\x9b\u202egnp.exe\udce9"
    # pytest records what a logger gets, and pytest-xdist cannot send a lone surrogate: only the file gets it.
    record = logging.LogRecord("cxrbuild.fetching", logging.INFO, "", 1, "fetched %s", (name,), None)
    logged = [one for one in logging.getLogger("cxrbuild").handlers if isinstance(one, logging.FileHandler)]
    logged[-1].handle(record)
    (line,) = log.read_text(encoding="utf-8").splitlines()
    assert line.isprintable()
    assert line.endswith(r"fetched a\n2026-01-01 INFO cxrbuild: forged\x1b[2J\x9b\u202egnp.exe\udce9")


def test_a_traceback_keeps_its_lines(log: Path) -> None:
    try:
        int("a\x1b[2J")
    except ValueError:
        logging.getLogger("cxrbuild").exception("failed")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 3
    assert lines[-1].startswith("ValueError: ")
    assert all(line.isprintable() for line in lines)
