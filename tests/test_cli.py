"""The command line: statuses, one JSON document, words a person can act on, and nothing heavy for help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from command import run, run_process
from systems import needs_bytes_names, needs_locales

from cxrbuild.cli.main import cli
from cxrbuild.cli.output import table
from cxrbuild.cli.wrapping import folded, wrapped
from cxrbuild.shell import quote

HEAVY = ("numpy", "pandas", "PIL", "pyarrow", "pydantic", "pydicom", "requests", "tensorflow")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['cxrbuild', '--help']\n"
        "from cxrbuild.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage: cxrbuild" in done.stdout
    assert done.stderr.strip() == "[]"


def test_reading_a_recipe_and_the_checks_imports_nothing_heavy() -> None:
    """`curate` of an unchanged dataset does no more than this."""
    program = (
        "import sys\n"
        "from cxrbuild.catalog import read_recipe\n"
        "from cxrbuild.auditing.registry import audit_checks\n"
        "read_recipe('covid19-cxr').audit.require_known({check.id for check in audit_checks()})\n"
        f"print([name for name in {HEAVY} if name in sys.modules and name != 'pydantic'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_json_and_quiet(name: str) -> None:
    ran = run(name, "--help", COLUMNS="80")
    assert ran.status == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    options = {option for parameter in cli.commands[name].params for option in parameter.opts}
    assert {"--json", "--quiet"} <= options


def test_wrong_usage_ends_with_2() -> None:
    for words in (["--nonsense"], ["nonsense"], ["fetch", "--from", "cohen"], ["curate", "--format", "csv"]):
        ran = run(*words)
        assert ran.status == 2
        assert "Traceback" not in ran.err


def test_an_error_ends_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    ran = run("curate", "--data", tmp_path, "--format", "parquet", "--out", tmp_path / "b")
    assert ran.status == 1
    assert f"Run `cxrbuild fetch cohen --data {quote(tmp_path)}`" in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert "Traceback" in run_process("--debug", "curate", "--data", tmp_path, "--format", "parquet", "--out",
                              tmp_path / "b").err  # fmt: skip


def test_a_folder_that_cannot_be_written_is_an_error(small_demo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("curate", "--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data",
              "--format", "parquet", "--out", tmp_path / "file" / "build")  # fmt: skip
    assert ran.status == 1
    # Windows says that the file exists.
    assert f"{tmp_path / 'file'}" in ran.err
    assert re.search("Not a directory|File exists", " ".join(ran.err.split()))
    assert "Traceback" not in ran.err


@needs_bytes_names
@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("MemoryError()", "memory ran out"),
        ("OSError(12, 'Cannot allocate memory')", "Cannot allocate memory"),
    ],
)
def test_a_library_that_crashes_without_memory_does_not_change_the_status(error: str, message: str) -> None:
    """Libraries crash when the interpreter ends: the command ends before them."""
    program = f"""
import atexit, os, sys
from cxrbuild.cli import main
atexit.register(os.abort)
sys.modules["cxrbuild.cli.main"].cli.main = lambda **_: (_ for _ in ()).throw({error})
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_names_that_are_not_utf8_are_errors(tmp_path: Path) -> None:
    ran = run("curate", "--out", tmp_path / "o\udcff")
    assert ran.status == 2
    assert "o\\udcff' is not UTF-8" in " ".join(ran.err.split())


@needs_locales
def test_an_additional_argument_is_answered_with_an_option_as_the_shell_reads_it(tmp_path: Path) -> None:
    (tmp_path / "my build").mkdir()
    (tmp_path / "my build" / "build.json").touch()
    ran = run("audit", "my build", cwd=tmp_path)
    assert ran.status == 2
    assert f"(my build). Name the build with an option: --build {quote('my build')}" in ran.err
    ran = run("plan", "a recipe.toml", cwd=tmp_path)
    assert f"Name the recipe with an option: --recipe {quote('a recipe.toml')}" in ran.err
    # No file has so long a name.
    ran = run("audit", "a" * 300, cwd=tmp_path)
    assert ran.status == 2
    assert "unexpected extra argument" in ran.err


def test_a_locale_without_utf8_is_an_error() -> None:
    ran = run_process("plan", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert ran.status == 1
    assert "Set PYTHONUTF8=1, or LC_ALL=C.UTF-8" in " ".join(ran.err.split())


def test_json_is_one_document_and_quiet_is_quiet(small_demo: Path) -> None:
    words = ["plan", "--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data"]
    ran = run(*words, "--json")
    assert json.loads(ran.out)["counts"]["test"] == {"COVID-19": 2, "Normal": 3, "Pneumonia": 3}
    assert "kept" in ran.err, "words go to standard error"
    quiet = run(*words, "--json", "--quiet")
    assert (quiet.err, quiet.out) == ("", ran.out)
    ran = run(*words, "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_the_demo_says_what_it_made_and_refuses_a_folder_in_use(demo: Path) -> None:
    ran = run("demo", demo)
    assert ran.status == 1
    assert "the folder is not empty" in " ".join(ran.err.split())
    assert ran.out == ""
    sources = json.loads((demo / "data" / "sources.lock.json").read_text())["sources"]
    assert {name: lock["proof"] for name, lock in sources.items()} == {
        "actualmed": "git tree", "cohen": "git tree", "figure1": "git tree", "mooney": "archive and names",
    }  # fmt: skip


def test_fetch_again_downloads_nothing(demo: Path) -> None:
    names = [demo / "declared" / f"{name}.toml" for name in ("cohen", "figure1", "actualmed", "mooney")]
    ran = run("fetch", *names, "--data", demo / "data", "--json")
    assert ran.status == 0, ran.err
    assert {source["downloaded"] for source in json.loads(ran.out)["sources"].values()} == {False}


def test_tables_and_words_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(["step", "all"], [["upstream", 6913], ["ct", 63]]).splitlines() == [
        "step        all",
        "upstream  6,913",
        "ct           63",
    ]
    monkeypatch.setenv("COLUMNS", "30")
    words = wrapped(
        "Go on, run `cxrbuild fetch --from cohen=PATH` then.\n  listed: left as it is, however long"
    )
    assert "`cxrbuild fetch --from cohen=PATH`" in words
    assert words.splitlines()[-1] == "  listed: left as it is, however long"


def test_what_is_no_terminal_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", StringIO())
    long = "words " * 40
    assert wrapped(long) == long.strip()
    assert folded(long) == f"  {long.strip()}"
    monkeypatch.setenv("COLUMNS", "30")
    assert len(wrapped(long).splitlines()) > 5


@pytest.mark.parametrize(
    ("number", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]
)
@pytest.mark.parametrize(
    "hidden",
    [
        # pydantic does this where it builds a model, and Python where it names a descriptor.
        "try: kill()\nexcept BaseException as error: raise RuntimeError('cannot be built') from error",
        # An exception in the callback of a weak reference, or in a finalizer, is lost.
        "owner = Owner(); reference = weakref.ref(owner, kill); del owner; time.sleep(30)",
    ],
)
def test_a_signal_that_a_library_hides_ends_the_command(
    hidden: str, number: str, status: int, word: str
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows ends a process at a signal")
    program = (
        "import os, signal, sys, time, weakref; sys.argv = ['cxrbuild', 'hide']\n"
        "from cxrbuild.cli.main import cli, main\n"
        "class Owner: pass\n"
        f"def kill(*_): os.kill(os.getpid(), signal.{number})\n"
        "@cli.command('hide')\n"
        f"def hide(): exec({hidden!r}, globals())\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr == f"cxrbuild: {word}; completed work is kept, run the same command to resume\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("explain", "nothing is kept, run the same command again"),
        ("train-baseline", "each completed epoch is kept, run the same command to resume"),
        ("curate", "completed work is kept, run the same command to resume"),
    ],
)
def test_an_interrupt_says_what_is_kept(command: str, message: str) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows ends a process at a signal")
    program = (
        f"import os, signal, sys; sys.argv = ['cxrbuild', '--debug', {command!r}]\n"
        "from cxrbuild.cli.main import cli, main\n"
        f"@cli.command({command!r})\n"
        "def interrupted(): os.kill(os.getpid(), signal.SIGINT)\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.strip() == f"cxrbuild: interrupted; {message}"
