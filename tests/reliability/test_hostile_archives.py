"""Archives with damaged bytes and hostile names: refused or unpacked, and nothing written outside."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from fetching import fetch_one, make_source, read_files
from figures import Figures
from systems import needs_limits, peak_memory_kb

from cxrbuild.errors import CxrbuildError

pytestmark = pytest.mark.slow
MUTATIONS = int(os.environ.get("CXRBUILD_MUTATIONS", "400"))
NAMES = [
    "../out", "a/../../out", "/abs", "//abs", "C:/x", "C:x", "..\\out", "a\\..\\..\\out", "\\abs", "a\0b",
    "a/./b", "./a", ".", "..", "", "a//b", "a/", "con", "a\nb", "\x1b[2J", "\u202egnp.exe", "x" * 300,
    "d/" * 200 + "x", "~/x", "$HOME/x", "-rf", "a:b", ".git/hooks/x", "é", "e\u0301", "\udce9",
]  # fmt: skip


def zip_of(names: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, name in enumerate(names):
            packed.writestr(zipfile.ZipInfo(name), b"%d" % number * 50)
    return out.getvalue()


def tar_of(names: list[str], kinds: bytes = b"0", form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as packed:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.type = kinds[number % len(kinds) : number % len(kinds) + 1]
            info.linkname = "../out" if info.type in b"12" else ""
            info.size = 50 if info.type == b"0" else 0
            packed.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def try_it(tmp_path: Path, content: bytes) -> bool:
    """Fetch from an archive; return whether it was refused. Anything but our own error fails the test."""
    inner = tmp_path / "inner"
    inner.mkdir(exist_ok=True)
    (inner / "archive").write_bytes(content)
    refused = False
    try:
        fetch_one(make_source(inner), inner / "data", inner / "archive")
    except CxrbuildError as error:
        assert str(error).isprintable() or "\n" in str(error)  # noqa: PT017
        refused = True
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}, "written outside"
    assert {path.name for path in inner.iterdir()} == {"archive", "data"}, "written outside"
    places = {path.relative_to(inner / "data").parts[0] for path in (inner / "data").rglob("*")}
    assert places <= {"sources", "sources.lock.json", "downloads", ".cxrbuild.lock"}
    assert not any(path.is_symlink() for path in inner.rglob("*"))
    return refused


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, None], ids=["pax", "gnu", "zip"])
def test_a_hostile_name_writes_nothing_outside(
    tmp_path: Path, figures: Figures, name: str, form: int | None
) -> None:
    try:
        content = zip_of(["fine", name]) if form is None else tar_of(["fine", name], form=form)
    except (ValueError, UnicodeError):
        pytest.skip("the format cannot hold this name")
    refused = try_it(tmp_path, content)
    figures.add("archives with a hostile name")
    if not refused:
        assert "fine" in read_files(tmp_path / "inner/data/sources/mine")


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6", b"7", b"S", b"x", b"Z"], ids=ascii)
def test_a_member_that_is_no_file_writes_nothing_outside(
    tmp_path: Path, figures: Figures, kind: bytes
) -> None:
    figures.add("with a link or device")
    try_it(tmp_path, tar_of(["a", "b", "c", "b/d"], kinds=b"0" + kind))


@pytest.mark.parametrize("packing", ["zip", "tar", "gz", "bz2", "xz", "gzip of zip"])
@needs_limits
def test_mutated_archives_are_refused_or_unpacked_without_a_crash(
    tmp_path: Path, figures: Figures, packing: str
) -> None:
    names = ["top/a.png", "top/images/b.png", "top/" + "n" * 120 + "/c.png"]
    plain = tar_of(names)
    content = {
        "zip": zip_of(names), "tar": plain, "gz": gzip.compress(plain), "bz2": bz2.compress(plain),
        "xz": lzma.compress(plain), "gzip of zip": gzip.compress(zip_of(names)),
    }[packing]  # fmt: skip
    random_ = random.Random(packing)
    refused = 0
    before = peak_memory_kb()
    for _ in range(MUTATIONS):
        mutated = bytearray(content)
        for _ in range(random_.choice([1, 1, 2, 5, 20])):
            match random_.randrange(4):
                case 0:
                    mutated[random_.randrange(len(mutated))] = random_.randrange(256)
                case 1:
                    mutated[random_.randrange(len(mutated))] ^= 1 << random_.randrange(8)
                case 2:
                    at = random_.randrange(len(mutated))
                    del mutated[at : at + random_.randrange(1, min(64, len(mutated)))]
                case _:
                    at = random_.randrange(len(mutated))
                    mutated[at:at] = random_.randbytes(random_.randrange(1, 16))
        refused += try_it(tmp_path, bytes(mutated))
    figures.add("mutated", MUTATIONS)
    figures.add("of them refused", refused)
    assert refused > MUTATIONS // 4
    # In kilobytes: no header made it reserve memory for what it declares.
    assert peak_memory_kb() - before < 200_000
