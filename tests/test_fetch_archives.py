"""Archives: unsafe paths, damage, limits, and the encoding of names."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import random
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fetching import entry, fetch_error, fetch_one, make_source, read_files, tarred, write_files
from systems import needs_device_files, needs_limits, needs_pipes, peak_memory_kb

import cxrbuild.fetching.extraction
import cxrbuild.fetching.tar_archive
import cxrbuild.fetching.unpack
import cxrbuild.fetching.zip_archive
from cxrbuild.fetching.extraction import Limits


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/abs", "C:/win", "a\\..\\b", "a\nb", "caf\udce9"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_unpack_refuses_unsafe_paths(tmp_path: Path, name: str, kind: str) -> None:
    origin = tmp_path / "bad"
    if kind == "tar":
        tarred(origin, (entry("fine"), b"x"), (entry(name), b"x"))
    elif name.isascii():
        with zipfile.ZipFile(origin, "w") as packed:
            packed.writestr(zipfile.ZipInfo(name), b"x")
    else:
        pytest.skip("zip holds no such name")
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert f"{origin}: a path that is not safe to write" in message
    # On Windows, `zipfile` itself reads a backslash as a separator.
    assert ascii(name if kind == "tar" else name.replace(os.sep, "/")) in message
    assert list((tmp_path / "data/sources").iterdir()) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["images/" + "n" * 300, "n" * 300 + "/a.png"])
def test_fetch_names_a_path_that_the_file_system_refuses(tmp_path: Path, name: str, kind: str) -> None:
    origin = tmp_path / "long"
    if kind == "tar":
        tarred(origin, (entry("fine"), b"x"), (entry(name), b"x"))
    else:
        with zipfile.ZipFile(origin, "w") as packed:
            packed.writestr(name, b"x")
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert (
        f"mine: {origin}: a file cannot be written. Found: {name}: {os.strerror(errno.ENAMETOOLONG)}"
        in message
    )
    assert "`download.ignore`" in message
    assert ".fetching" not in message
    assert list((tmp_path / "data/sources").iterdir()) == []


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (entry("link", tarfile.SYMTYPE, "/etc/passwd"), "it contains a link"),
        (entry("link", tarfile.SYMTYPE, "fine"), "it contains a link"),
        (entry("hard", tarfile.LNKTYPE, "fine"), "it contains a link"),
        (entry("null", tarfile.CHRTYPE), "it contains a device"),
        (entry("pipe", tarfile.FIFOTYPE), "it contains a device or a pipe"),
    ],
)
def test_unpack_refuses_members_that_are_no_plain_files(
    tmp_path: Path, member: tarfile.TarInfo, words: str
) -> None:
    origin = tarred(tmp_path / "bad.tgz", (entry("fine"), b"x"), (member, b""))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert words in message
    assert f"Found: {member.name}" in message


def test_unpack_refuses_a_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    assert "it contains a link" in fetch_error(make_source(tmp_path), tmp_path / "data", tmp_path / "bad.zip")


def test_unpack_refuses_damaged_archives(tmp_path: Path) -> None:
    source, data, origin = make_source(tmp_path), tmp_path / "data", tmp_path / "bad"
    origin.write_bytes(b"")
    assert "not an archive" in fetch_error(source, data, origin)
    origin.write_bytes(b"<!DOCTYPE html><html>" + b" " * 600)
    message = fetch_error(source, data, origin)
    assert "Expected: zip, tar, tar.gz, tar.bz2 or tar.xz" in message
    assert "begins with b'<!DOCTYPE html>" in message
    noise = random.Random(1).randbytes(50_000)
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        whole = tarred(origin, (entry("a"), noise), (entry("b"), noise), mode=mode).read_bytes()
        for size in (len(whole) // 3, 50_176 + 512, 600):
            origin.write_bytes(whole[:size])
            assert "the archive is damaged or incomplete" in fetch_error(source, data, origin), (mode, size)
        broken = bytearray(whole)
        broken[20_000] ^= 0xFF
        origin.write_bytes(broken)
        if mode != "w":
            assert "the archive is damaged or incomplete" in fetch_error(source, data, origin), mode
    with zipfile.ZipFile(origin, "w") as packed:
        packed.writestr("a", noise)
    whole = origin.read_bytes()
    for bad in (whole[:-100], whole[:100] + b"?" + whole[101:]):
        origin.write_bytes(bad)
        assert "the archive is damaged or incomplete" in fetch_error(source, data, origin)


def test_unpack_refuses_an_encrypted_zip(tmp_path: Path) -> None:
    origin = tmp_path / "bad.zip"
    with zipfile.ZipFile(origin, "w") as packed:
        packed.writestr("a", b"x")
    whole = bytearray(origin.read_bytes())
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    origin.write_bytes(whole)
    assert "the archive is encrypted" in fetch_error(make_source(tmp_path), tmp_path / "data", origin)


@pytest.mark.parametrize("kind", ["tar", "zip", "folder"])
def test_fetch_refuses_more_bytes_than_the_disk_has_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    zeros = bytes(10_000_000)
    origin = tmp_path / "bomb"
    if kind == "tar":
        assert tarred(origin, (entry("zeros"), zeros)).stat().st_size < 50_000
    elif kind == "zip":
        with zipfile.ZipFile(origin, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("zeros", zeros)
    else:
        write_files(origin, {"zeros": zeros})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=9_000_000))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "the disk has too little room. Expected: 10,000,000 bytes free. Found: 9,000,000" in message


def test_unpack_refuses_a_zip_with_a_wrong_size(tmp_path: Path) -> None:
    origin = tmp_path / "bad.zip"
    with zipfile.ZipFile(origin, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(1_000_000))
    lie = origin.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    origin.write_bytes(lie)
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "the archive is damaged" in message or "a file has another size than declared" in message


def test_fetch_refuses_two_different_files_with_one_path(tmp_path: Path) -> None:
    source, origin = make_source(tmp_path), tmp_path / "a.tgz"
    tarred(origin, (entry("a"), b"x"), (entry("./a"), b"x"))
    assert fetch_one(source, tmp_path / "data", origin).locked.files == 1
    tarred(origin, (entry("a"), b"x"), (entry("a"), b"y"))
    message = fetch_error(source, tmp_path / "other", origin)
    assert "two different files have one path" in message
    tarred(origin, (entry("a"), b"x"), (entry("a/b"), b"y"))
    assert "a path is both a file and a folder" in fetch_error(source, tmp_path / "other", origin)


def test_fetch_refuses_case_twins_on_a_file_system_without_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, origin = make_source(tmp_path), tmp_path / "a.tgz"
    tarred(origin, (entry("a/x.png"), b"x"), (entry("A/x.png"), b"y"))
    monkeypatch.setattr("cxrbuild.fetching.tree.ignores_case", lambda _: True)
    message = fetch_error(source, tmp_path / "data", origin)
    assert "differ in case or Unicode normalization only" in message
    assert "a/x.png, A/x.png" in message
    tarred(origin, (entry("\u00e9.png"), b"x"), (entry("e\u0301.png"), b"y"))
    message = fetch_error(source, tmp_path / "data", origin)
    assert "differ in case or Unicode normalization only" in message


# Mooney: two layouts, one tree.


def raw_zip(*names: bytes, flag: int = 0, system: int = 0, extra: Callable[[bytes], bytes] = bytes) -> bytes:
    """Make a zip of stored files with the bytes given as names; the content of a file is its number."""
    files, central = b"", b""
    for number, name in enumerate(names):
        data, field = b"%d" % number, extra(name) if extra is not bytes else b""
        lengths = struct.pack("<IIIHH", zlib.crc32(data), len(data), len(data), len(name), len(field))
        head = struct.pack("<HHHHH", 20, flag, 0, 0, 0x5000) + lengths
        central += b"PK\x01\x02" + struct.pack("<BB", 20, system) + head
        central += struct.pack("<HHHII", 0, 0, 0, 0, len(files)) + name + field
        files += b"PK\x03\x04" + head + name + field + data
    counts = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(central), len(files), 0)
    return files + central + b"PK\x05\x06" + counts


def unicode_path(codec: str) -> Callable[[bytes], bytes]:
    def field(raw: bytes) -> bytes:
        name = raw.decode(codec).encode()
        return struct.pack("<HHBI", 0x7075, 5 + len(name), 1, zlib.crc32(raw)) + name

    return field


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (["Müller.png", "日本.png"], {"flag": 0x800}),
        (["Müller.png", "日本.png"], {}),
        (["Müller.png", "日本.png"], {"system": 3}),
        (["M\u0075\u0308ller.png"], {"system": 3}),
        (["Müller.png"], {"codec": "cp437"}),
        (["Müller.png"], {"codec": "cp850", "extra": unicode_path("cp850")}),
        (["Łukasz.png"], {"codec": "cp852", "extra": unicode_path("cp852")}),
    ],
)
def test_unpack_reads_the_encoding_of_names_in_a_zip(
    tmp_path: Path, names: list[str], options: dict[str, Any]
) -> None:
    codec = options.pop("codec", "utf-8")
    origin = tmp_path / "names.zip"
    origin.write_bytes(raw_zip(*(f"images/{name}".encode(codec) for name in names), **options))
    fetch_one(make_source(tmp_path), tmp_path / "data", origin)
    assert read_files(tmp_path / "data/sources/mine").keys() == {f"images/{name}" for name in names}


def test_unpack_ignores_a_unicode_path_of_another_name(tmp_path: Path) -> None:
    origin = tmp_path / "names.zip"
    origin.write_bytes(raw_zip(b"a.png", extra=lambda _: unicode_path("cp437")(b"other.png")))
    fetch_one(make_source(tmp_path), tmp_path / "data", origin)
    assert read_files(tmp_path / "data/sources/mine").keys() == {"a.png"}


def test_unpack_reads_a_zip_of_windows_with_backslashes(tmp_path: Path) -> None:
    origin = tmp_path / "windows.zip"
    origin.write_bytes(raw_zip(rb"top\images\a.png", rb"top\b.png", b"top\\empty\\"))
    fetch_one(make_source(tmp_path, strip=1), tmp_path / "data", origin)
    assert read_files(tmp_path / "data/sources/mine") == {"images/a.png": b"0", "b.png": b"1"}


def test_unpack_names_the_backslash_as_the_reason(tmp_path: Path) -> None:
    origin = tmp_path / "unix.zip"
    origin.write_bytes(raw_zip(rb"images\a.png", system=3))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "a path that is not safe to write: it has a backslash" in message
    assert r"'images\\a.png'" in message


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_fetch_drops_files_of_macos_but_keeps_images_with_such_names(tmp_path: Path, kind: str) -> None:
    double = b"\0\5\x16\7\0\2\0\0" + bytes(100)
    files = {"top/a/x.png": b"x", "top/a/._y.png": b"\x89PNG", "top/a/._x.png": double, "top/.DS_Store": b"1"}
    folder = write_files(tmp_path / "upstream", files)
    if kind == "zip":
        write_files(folder, {"__MACOSX/top/._a": double, "__MACOSX/top/a/._x.png": b""})
        shutil.make_archive(str(tmp_path / "upstream"), "zip", folder)
    origin = tmp_path / "upstream.zip" if kind == "zip" else folder
    fetch_one(make_source(tmp_path, strip=1), tmp_path / "data", origin)
    expected = {"a/x.png": b"x", "a/._y.png": b"\x89PNG"}
    assert read_files(tmp_path / "data/sources/mine") == expected


def test_fetch_keeps_desktop_files_that_the_pin_lists(tmp_path: Path) -> None:
    upstream = write_files(tmp_path / "upstream", {".DS_Store": b"1", "a.png": b"a"})
    (tmp_path / "mine.txt").write_text(".DS_Store\na.png\n")
    source = make_source(tmp_path, {"sha256": "0" * 64, "listing": "mine.txt"})
    fetch_one(source, tmp_path / "data", upstream, allow_unpinned=True)
    assert read_files(tmp_path / "data/sources/mine").keys() == {".DS_Store", "a.png"}


def test_fetch_removes_the_gzip_that_a_server_put_around_a_zip(tmp_path: Path) -> None:
    packed = raw_zip(b"a.png")
    (tmp_path / "mine.txt").write_text("a.png\n")
    source = make_source(tmp_path, {"sha256": hashlib.sha256(packed).hexdigest(), "listing": "mine.txt"})
    origin = tmp_path / "a.zip"
    origin.write_bytes(gzip.compress(packed))
    assert fetch_one(source, tmp_path / "data", origin).locked.proof == "archive and names"
    origin.write_bytes(gzip.compress(packed)[:-9])
    assert "damaged or incomplete" in fetch_error(make_source(tmp_path), tmp_path / "other", origin)


def tar_header(name: str, kind: bytes, size: int) -> bytes:
    info = entry(name, kind)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def pax(content: bytes) -> bytes:
    """Return the extended header of the next file in a tar."""
    return tar_header("pax", tarfile.XHDTYPE, len(content)) + content + bytes(-len(content) % 512)


# More bytes than `test_unpack_refuses_damaged_and_huge_tar_headers` may take of memory.
LARGE = 1 << 27
# More than a limit that a test sets.
MANY = 1 << 22


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tar_header("p", tarfile.XHDTYPE, LARGE) + bytes(LARGE), "a header of the archive is larger than"),
        (tar_header("l", tarfile.GNUTYPE_LONGNAME, LARGE) + bytes(LARGE), "larger than the limit"),
        (
            pax(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + tar_header("x", b"0", 512) + b"x" * 512,
            "damaged",
        ),
        (pax(b"29 GNU.sparse.map=garbage,1\n") + tar_header("x", b"0", 0), "damaged"),
        (pax(b"20 GNU.sparse.size=\n") + tar_header("x", b"0", 0), "damaged"),
        (pax(b"6 a=b\n") * 1200 + tar_header("x", b"0", 0), "damaged|larger than the limit"),
        (pax(b"11 size=-1\n") + tar_header("x", b"0", 0), "damaged"),
    ],
    ids=["pax size", "long name", "sparse 1.0", "sparse map", "sparse size", "1,200 pax", "size"],
)
@needs_limits
def test_unpack_refuses_damaged_and_huge_tar_headers(tmp_path: Path, content: bytes, words: str) -> None:
    origin = tmp_path / "bad.tar.gz"
    with gzip.open(origin, "wb", compresslevel=1) as stream:
        stream.write(content + bytes(1024))
    before = peak_memory_kb()
    assert re.search(words, fetch_error(make_source(tmp_path), tmp_path / "data", origin))
    assert peak_memory_kb() - before < 100_000
    assert not (tmp_path / "data/sources/mine").exists()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_unpack_refuses_paths_deeper_than_the_limit(tmp_path: Path, kind: str) -> None:
    name, origin = "d/" * 1500 + "a.png", tmp_path / "deep"
    if kind == "tar":
        tarred(origin, (entry(name), b"x"))
    else:
        origin.write_bytes(raw_zip(name.encode()))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "a path is deeper than the limit. Expected: at most 100 folders. Found: 1,501: d" in message


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_unpack_limits_entries_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    origin = tmp_path / "many"
    if kind == "tar":
        tarred(origin, *((entry(f"{n}"), b"0123") for n in range(20)), mode="w")
    else:
        with zipfile.ZipFile(origin, "w") as packed:
            for n in range(20):
                packed.writestr(f"{n}", b"0123")
    module = cxrbuild.fetching.extraction
    monkeypatch.setattr(module, "LIMITS", Limits(entries=19))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "more entries than the limit. Expected: at most 19 files and folders" in message
    monkeypatch.setattr(cxrbuild.fetching.unpack, "LIMITS", Limits(expansion=0, small=79))
    monkeypatch.setattr(module, "LIMITS", Limits())
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "expands to more than the limit. Expected: at most 79 bytes" in message
    monkeypatch.setattr(cxrbuild.fetching.unpack, "LIMITS", Limits(expansion=0, small=80))
    fetch_one(make_source(tmp_path), tmp_path / "data", origin)


def test_unpack_limits_the_directory_of_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = tmp_path / "many.zip"
    origin.write_bytes(raw_zip(*(b"%d.png" % n for n in range(20))))
    monkeypatch.setattr(cxrbuild.fetching.zip_archive, "LIMITS", Limits(directory=1_000))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "the directory of the zip is larger than the limit. Expected: at most 1,000 bytes" in message
    monkeypatch.setattr(cxrbuild.fetching.zip_archive, "LIMITS", Limits(directory=2_000))
    fetch_one(make_source(tmp_path), tmp_path / "data", origin)


@pytest.mark.parametrize("what", ["ignored", "folder", "after the end"])
def test_unpack_limits_what_it_skips_in_a_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(cxrbuild.fetching.unpack, "LIMITS", Limits(expansion=0, small=MANY // 2))
    kind = tarfile.DIRTYPE if what == "folder" else tarfile.REGTYPE
    skipped = b"" if what == "after the end" else tar_header(".git/x", kind, MANY) + bytes(MANY)
    origin = tmp_path / "skipped.tar.gz"
    with gzip.open(origin, "wb", compresslevel=1) as stream:
        stream.write(skipped + tar_header("a.png", b"0", 0) + bytes(1024))
        stream.write(bytes(MANY if what == "after the end" else 0))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "the archive expands to more than the limit" in message


def test_unpack_limits_the_memory_of_an_xz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = tmp_path / "a.tar.xz"
    tarred(origin, (entry("a.png"), b"x"), mode="w:xz")
    fetch_one(make_source(tmp_path), tmp_path / "data", origin)
    monkeypatch.setattr(cxrbuild.fetching.tar_archive, "LIMITS", Limits(dictionary=1 << 20))
    assert "Memory usage limit exceeded" in fetch_error(make_source(tmp_path), tmp_path / "other", origin)


def test_unpack_refuses_a_sparse_file_larger_than_the_limit(tmp_path: Path) -> None:
    header = pax(b"31 GNU.sparse.size=10000000000\n22 GNU.sparse.map=0,1\n")
    origin = tmp_path / "sparse.tar"
    origin.write_bytes(header + tar_header("a.png", b"0", 1) + b"x" + bytes(511 + 1024))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "the archive expands to more than the limit" in message


def test_unpack_refuses_a_gzip_around_a_zip_that_expands_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cxrbuild.fetching.unpack, "LIMITS", Limits(expansion=0, small=MANY - 1))
    origin = tmp_path / "a.zip"
    with gzip.open(origin, "wb", compresslevel=1) as stream:
        stream.write(b"PK\x03\x04" + bytes(MANY))
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "the gzip around the archive expands to more than the limit" in message
    assert not list((tmp_path / "data/sources").iterdir())


def test_unpack_refuses_a_zip_with_overlapping_entries(tmp_path: Path) -> None:
    packed = raw_zip(b"a.png", b"b.png")
    second = packed.rindex(b"PK\x01\x02")
    # The second entry of the directory points to the first file.
    origin = tmp_path / "overlap.zip"
    origin.write_bytes(packed[: second + 42] + bytes(4) + packed[second + 46 :])
    assert "its entries overlap" in fetch_error(make_source(tmp_path), tmp_path / "data", origin)


@pytest.mark.parametrize(
    "kind", [pytest.param("fifo", marks=needs_pipes), pytest.param("zero", marks=needs_device_files)]
)
def test_fetch_refuses_origins_that_do_not_end(tmp_path: Path, kind: str) -> None:
    origin = Path("/dev/zero")
    if kind == "fifo":
        origin = tmp_path / "fifo"
        os.mkfifo(origin)
    message = fetch_error(make_source(tmp_path), tmp_path / "data", origin)
    assert "neither a file nor a folder" in message
