r"""Compare `cxrbuild fetch` of an archive with `curl` and `tar` or `unzip`, verification included.

    python tests/benchmarks/bench_fetch.py [ARCHIVE ...] [--data DATA [--images N]] [--rounds 5] \
        [--scratch FOLDER]

DATA is a folder that `cxrbuild fetch` filled: its source `mooney` is a zip, and `cohen` as tar.gz.
With --images, so many images of `mooney` are enlarged to the size that they have upstream, and packed as
both. Each archive is served on the loopback. The source is pinned to the tree that is in the archive, so
`fetch` also computes the hash of every file and of the tree. Both run in turns. A ratio
divides processor times (user and system, of the command and its children) of the same round, and the median
of the rounds is printed. The time of creating files depends on the disk, so use one in memory (/dev/shm).
Peak memory is the largest resident set size of the command.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from full_size import make_full_size
from ratios import record

from cxrbuild.demo.upstream import serve_upstream
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import format_record, git_tree_of
from cxrbuild.progress import silent

# Windows does not report what processes used.
assert sys.platform != "win32"

DECLARATION = """
name = "own"
title = "Benchmark"
download = {{ url = "{url}" }}
pin = {{ tree = "{tree}", listing = "own.tsv" }}

[reader]
kind = "folders"
pattern = "^(?P<finding>[^/]*)"
images = ["*"]
"""


def timed(words: list[str], cwd: Path) -> tuple[float, int]:
    """Return the processor seconds of a command and its children, and its peak memory in bytes."""
    process = subprocess.Popen(words, cwd=cwd)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words[0]} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def bare(url: str, archive: Path, folder: Path) -> float:
    """Download and unpack with the usual programs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    program = _unpacker(archive)
    unpack = [program, "-q" if program == "unzip" else "xf", archive.name]
    return timed(["curl", "-s", "-o", archive.name, url], folder)[0] + timed(unpack, folder)[0]


def _unpacker(archive: Path) -> str:
    return "unzip" if archive.suffix == ".zip" else "tar"


def compare(archive: Path, scratch: Path, rounds: int) -> None:
    """Print the ratio of one archive."""
    with serve_upstream(archive.parent) as root:
        url = f"{root}/{archive.name}"
        bare(url, archive, scratch / "bare")
        (scratch / "bare" / archive.name).unlink()
        files = files_on_disk(scratch / "bare", {}, title="", progress=silent)
        (scratch / "own.tsv").write_text(format_record(files))
        (scratch / "own.toml").write_text(DECLARATION.format(url=url, tree=git_tree_of(files)))
        ratios, memory = [], 0
        words = [sys.executable, "-m", "cxrbuild", "fetch", "own.toml", "--data", "data", "--quiet"]
        for _ in range(rounds):
            first = bare(url, archive, scratch / "bare")
            shutil.rmtree(scratch / "data", ignore_errors=True)
            ours, used = timed(words, scratch)
            second = bare(url, archive, scratch / "bare")
            ratios.append(2 * ours / (first + second))
            memory = max(memory, used)
    kind = f"{archive.suffix[1:]} of {len(files):,} files, {archive.stat().st_size / 1e6:.0f} MB"
    record(f"`fetch` of a {kind} / `curl` and `{_unpacker(archive)}`", ratios, at_most=1.3)
    print(
        f"{archive.name}: {len(files):,} files, {archive.stat().st_size / 1e6:.1f} MB: fetch takes "
        f"{statistics.median(ratios):.2f} of the bare time ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"{memory / 1e6:.0f} MB of memory"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="*", type=Path, metavar="ARCHIVE")
    parser.add_argument("--data", type=Path, help="a folder that `cxrbuild fetch` filled")
    parser.add_argument("--images", type=int, help="how many images are enlarged")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        archives = [archive.resolve() for archive in given.archives]
        if given.data:
            for name, form in (("mooney", "zip"), ("cohen", "gztar")):
                archives.append(
                    Path(shutil.make_archive(f"{folder}/{name}", form, given.data / "sources" / name))
                )
        if given.images:
            full = Path(folder) / "full"
            make_full_size(given.data, full, given.images, os.cpu_count() or 1)
            archives += [Path(shutil.make_archive(str(full), form, full)) for form in ("zip", "gztar")]
        for archive in archives:
            with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
                compare(archive, Path(scratch), given.rounds)


if __name__ == "__main__":
    main()
