"""Commands that are killed or interrupted at random moments, and run again: the result is the same.

CXRBUILD_KILLS=FIRST:END are the moments at which each command is killed, as those of `range`, and
CXRBUILD_SIGNALS=FIRST:END those at which it gets each signal.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from command import run_process
from faults import Case, cases, in_session, readers, signalled, start, tree
from figures import Figures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
KILLS, SIGNALS = (
    range(*map(int, os.environ.get(name, "0:5").split(":")))
    for name in ("CXRBUILD_KILLS", "CXRBUILD_SIGNALS")
)
NAMES = ["fetch", "curate", "audit", "release", "publish"]


@pytest.fixture(scope="module")
def whole(
    demo: Path, public_release: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Case, dict[str, str], float]]:
    """Run each command undisturbed, twice: its case, its result, and the seconds that it takes.

    A kill after the end is none, so the quicker run counts.
    """
    found = {}
    for case in cases(demo, public_release):
        results, seconds = [], []
        for _ in range(2):
            at = tmp_path_factory.mktemp(case.name)
            case.prepare(at)
            before = time.monotonic()
            ran = run_process(*case.words(at), cwd=at)
            seconds.append(time.monotonic() - before)
            assert ran.status in (0, 3), ran.err
            results.append(tree(case.result(at)))
        assert results[0] == results[1], "two undisturbed runs differ"
        found[case.name] = (case, results[0], min(seconds))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_command_leaves_nothing_partial_and_its_rerun_the_same_result(
    whole: dict[str, tuple[Case, dict[str, str], float]],
    tmp_path: Path,
    figures: Figures,
    name: str,
    moment: int,
) -> None:
    case, expected, seconds = whole[name]
    case.prepare(tmp_path)
    process = start(case.words(tmp_path), tmp_path)
    time.sleep(random.Random(f"{name} {moment}").uniform(0.1, 0.95) * seconds)
    ended = process.poll() is not None
    process.kill()
    process.communicate()
    # A command that had ended before is no kill.
    figures.add(f"kills of {name}", not ended)
    assert left_of(process.pid) == [], "processes outlive their parent"
    if case.result(tmp_path).is_dir():
        partial = {
            path: digest
            for path, digest in tree(case.result(tmp_path)).items()
            if expected.get(path, digest) != digest and not path.startswith(".cxrbuild/")
        }
        assert partial == {}, "a file under its final name has other bytes"
    ran = run_process(*case.words(tmp_path), cwd=tmp_path)
    assert ran.status in (0, 3), ran.err
    assert tree(case.result(tmp_path)) == expected
    assert not list(tmp_path.rglob("*.part"))
    figures.add("files compared, all equal", len(expected))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_within_two_seconds_and_its_rerun_has_the_same_result(
    whole: dict[str, tuple[Case, dict[str, str], float]],
    tmp_path: Path,
    figures: Figures,
    name: str,
    number: signal.Signals,
) -> None:
    case, expected, seconds = whole[name]
    for moment in SIGNALS:
        random_ = random.Random(f"{name} {number} {moment}")
        at = tmp_path / str(moment)
        at.mkdir()
        case.prepare(at)
        # Python itself needs a moment until it can handle signals.
        _, ran, took = signalled(case.words(at), at, random_.uniform(0.3, 0.9) * max(seconds, 1.5), number)
        # Before the command handles signals, the signal itself ends it.
        assert ran.status in (0, 3, 128 + number, -number), ran.err
        assert took < within()
        assert "Traceback" not in ran.err
        if ran.status == 128 + number:
            figures.add("signals")
            figures.took("all ended", took)
        if ran.status == 128 + number and ran.err:
            assert "completed work is kept, run the same command to resume" in ran.err
        again = run_process(*case.words(at), cwd=at)
        assert again.status in (0, 3), again.err
        assert tree(case.result(at)) == expected


@pytest.mark.parametrize("name", ["plan", "review", "verify", "diff", "demo", "train-baseline"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_other_command_within_two_seconds(
    demo: Path, public_release: Path, tmp_path: Path, figures: Figures, name: str, number: signal.Signals
) -> None:
    words = readers(demo, public_release)[name]
    for moment in SIGNALS:
        at = tmp_path / str(moment)
        at.mkdir()
        after = random.Random(f"{name} {number} {moment}").uniform(0.3, 4.0)
        process, ran, took = signalled(words(at), at, after, number)
        assert ran.status in (0, 3, 128 + number, -number), ran.err
        assert took < within()
        assert "Traceback" not in ran.err
        assert left_of(process) == []
        if ran.status == 128 + number:
            figures.add("signals")
            figures.took("all ended", took)


def left_of(session: int) -> list[int]:
    """Return the processes that outlive a command: workers need a moment to notice that it ended."""
    deadline = time.monotonic() + 20
    while (left := in_session(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def within() -> float:
    """Return the seconds that a command has: a process may have to wait for a processor."""
    return 2.5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
