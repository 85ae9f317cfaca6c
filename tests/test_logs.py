"""The log: one line for each record, whatever the names in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from audited import different_images, write_build
from command import run
from loopback import LoopbackHandler, LoopbackServer, serving

from cxrbuild import __version__, http
from cxrbuild.cli.bars import WarningsAlone
from cxrbuild.cli.logs import log_to_file
from cxrbuild.errors import CxrbuildError
from cxrbuild.http import RetryableError, redact_place, retry
from cxrbuild.progress import Logged


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log file, while it is written to."""
    logger = logging.getLogger("cxrbuild")
    before = (list(logger.handlers), logger.level, logger.propagate)
    log_to_file(tmp_path / "log.txt", click.Context(click.Command("plan")))
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
    _, line = log.read_text(encoding="utf-8").splitlines()
    assert line.isprintable()
    assert line.endswith(r"fetched a\n2026-01-01 INFO cxrbuild: forged\x1b[2J\x9b\u202egnp.exe\udce9")


def test_a_traceback_keeps_its_lines(log: Path) -> None:
    try:
        int("a\x1b[2J")
    except ValueError:
        logging.getLogger("cxrbuild").exception("failed")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 4
    assert lines[-1].startswith("ValueError: ")
    assert all(line.isprintable() for line in lines)


def logged(text: str) -> list[str]:
    """Return level, module and message of each line of a log."""
    return [re.sub(r"^\S+ \S+ ", "", line) for line in text.splitlines()]


def test_the_first_line_says_what_ran_where(demo: Path, tmp_path: Path) -> None:
    words = ["diff", demo / "build", demo / "build", "--quiet", "--log-file", tmp_path / "log.txt"]
    assert run(*words).status == 0
    lines = logged((tmp_path / "log.txt").read_text("utf-8"))
    assert lines[0].startswith(f"INFO cxrbuild.cli.logs: cxrbuild {__version__}, Python 3.")
    assert f": cxrbuild diff {demo / 'build'} {demo / 'build'} --quiet --log-file " in lines[0]
    assert re.fullmatch(r"INFO cxrbuild.cli.main: finished in \d+\.\d s", lines[-1])
    assert any("images) with" in line for line in lines)
    assert "INFO cxrbuild.comparison.compare: the version must increase: not at all" in lines


class Refusing(LoopbackHandler):
    """Answers that the service is unavailable, then that there is no such file."""

    statuses: list[int]

    def do_GET(self) -> None:
        self.send_response(self.statuses.pop(0))
        self.send_header("Content-Length", "0")
        self.send_header("Retry-After", "0")
        self.end_headers()


def test_an_address_is_logged_without_user_password_and_query(tmp_path: Path) -> None:
    handler = type("Handler", (Refusing,), {"statuses": [503, 404]})
    with serving(LoopbackServer(handler)) as server:
        place = f"127.0.0.1:{server.port}/a.zip"
        words = ["fetch", "figure1", "--from", f"figure1=http://me:hush@{place}?X-Amz-Signature=sesame"]
        ran = run(*words, "--data", tmp_path / "data", "--quiet", "--log-file", tmp_path / "log.txt")
    assert ran.status == 1
    text = (tmp_path / "log.txt").read_text("utf-8")
    assert not re.search("hush|sesame|me:", text)
    assert f"cxrbuild fetch figure1 --from figure1=http://{place} --data" in text
    # Several downloads run at a time, so a failed try says which one it is.
    tried = f"WARNING cxrbuild.http: figure1: downloading http://{place}: try 1 of 5 failed: "
    assert any(line.startswith(tried) for line in logged(text))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("sftp://me:hush@example.org/a", "sftp://example.org/a"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("example.org/a.zip?token=hush", "example.org/a.zip"),
        ("--from=a=https://example.org/a?hush", "--from=a=https://example.org/a"),
        ("build/own", "build/own"),
    ],
)
def test_a_word_of_the_command_is_shown_without_secrets(word: str, shown: str) -> None:
    assert redact_place(word) == shown


def test_the_number_of_a_patient_is_not_logged(demo: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for name, status in (("16", 0), ("nobody-77", 1)):
        ran = run("why", name, "--build", demo / "build", "--data", demo / "data", "--log-file", log)
        assert ran.status == status, ran.err
    text = log.read_text("utf-8")
    assert "cxrbuild why ... --build" in text
    assert "the name means " in text
    assert "nobody-77" not in text
    assert "Found: ..." in text


def test_a_log_says_what_a_plan_decided(demo: Path, tmp_path: Path) -> None:
    recipe = ["--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data"]
    ran = run("plan", *recipe, "--quiet", "--out", tmp_path / "plan", "--log-file", tmp_path / "log.txt")
    assert ran.status == 0, ran.err
    text = (tmp_path / "log.txt").read_text("utf-8")
    for line in (
        r"declared: demo-cxr 1\.0\.0 of cohen, figure1, actualmed, mooney; 1 reviews, 0 links, 0 corrections",
        r"planned: \d+ of \d+ rows kept, 1 with a review",
        r"source cohen: \d+ of \d+ rows kept",
        r"excluded by ct: \d+ rows",
        r"split train: \d+ images in \d+ groups; COVID-19 \d+, Normal \d+, Pneumonia \d+",
        r"reading metadata: 4 sources in \d+\.\d s",
        r"applying rules: \d+\.\d s",
        r"wrote \S+: .*manifest\.parquet",
    ):
        assert re.search(rf"INFO cxrbuild\.[\w.]+: {line}", text), line


def test_each_check_is_logged_once_and_a_release_says_what_it_withholds(demo: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    few = write_build(tmp_path, different_images(2))
    run("audit", "--recipe", tmp_path / "recipe.toml", "--build", few, "--quiet", "--log-file", log)
    text = log.read_text("utf-8")
    assert len(re.findall(r"INFO .*: check duplicate_leakage: ", text)) == 1
    words = ["--build", demo / "build", "--out", tmp_path / "rel", "--quiet", "--log-file", log]
    ran = run("release", "1.0.0", *words)
    assert ran.status == 0, ran.err
    text = log.read_text("utf-8")
    assert re.search(r"INFO cxrbuild\.releasing\.pack: pixels of \d+ images, withheld of \d+", text)
    assert "previous version: none" in text
    assert ".rel.part" not in "".join(line for line in text.splitlines(keepends=True) if "pack:" in line)


def test_notes_are_logged_where_they_are_not_shown(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "cxrbuild")
    progress = Logged(WarningsAlone())
    progress.plan("converting")
    progress.note("Converted again: 1 image.")
    with progress("converting", 5, "image", done=2) as bar:
        bar.update(2)
        with progress("a part", None, ""):
            pass
    with suppress(ValueError), progress("downloading", 3_000_000, "B") as bar:
        bar.update(1_500_000)
        int("broken")
    lines = logged(log.read_text("utf-8"))[1:]
    assert [re.sub(r"\d\.\d s$", "0.0 s", line) for line in lines] == [
        "INFO cxrbuild.progress: Converted again: 1 image.",
        "DEBUG cxrbuild.progress: converting: begins, 5 images",
        "DEBUG cxrbuild.progress: a part: 0.0 s",
        "INFO cxrbuild.progress: converting: 4 of 5 images (2 before) in 0.0 s",
        "INFO cxrbuild.progress: downloading: 1.5 of 3.0 MB stopped after 0.0 s",
    ]


def test_the_terminal_shows_a_note_once(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes((demo / "declared" / "recipe.toml").read_bytes())
    taken = "own.toml is taken, the only recipe"
    for words, times in (((), 1), (("--quiet",), 1)):
        ran = run("plan", "-v", *words, "--data", demo / "data", cwd=tmp_path)
        assert (ran.out + ran.err).count(taken) == times
    ran = run("plan", "--quiet", "--data", demo / "data", "--log-file", "log.txt", cwd=tmp_path)
    assert taken in (tmp_path / "log.txt").read_text("utf-8")


def test_a_failed_try_says_what_was_tried(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRY_POLICY", http.RetryPolicy(tries=2))

    def attempt() -> None:
        raise RetryableError("it broke", 0)

    def give_up(failures: int, error: RetryableError) -> CxrbuildError:
        return CxrbuildError(f"{failures}: {error}")

    with pytest.raises(CxrbuildError, match="2: it broke"):
        retry(attempt, wait=lambda _: None, give_up=give_up, name="cohen https://example.org/a")
    assert logged(log.read_text("utf-8"))[1:] == [
        "WARNING cxrbuild.http: cohen https://example.org/a: try 1 of 2 failed: it broke; next try in 0.0 s"
    ]
