"""Archives and CSV files made by Hypothesis, read by cxrbuild and by Python's own modules."""

from __future__ import annotations

import csv
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fetching import fetch_one, make_source, read_files
from figures import Figures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrbuild.catalog import read_source
from cxrbuild.ingest import take_inventory
from cxrbuild.progress import silent

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("CXRBUILD_EXAMPLES", "1500"))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
# No control characters, separators or drives: `tests/reliability/test_hostile_archives.py` has those.
LETTERS = st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="/\\:")
FOLDERS = st.lists(LETTERS.map(lambda one: f"{one}_"), max_size=4).map("/".join)
PATHS = st.tuples(FOLDERS, st.text(LETTERS, min_size=1, max_size=12)).map(
    lambda parts: f"images/{parts[0]}/{parts[1]}.png".replace("//", "/")
)
FILES = st.dictionaries(PATHS.filter(lambda path: "/._" not in path), st.binary(max_size=300), min_size=1)


def as_zip(compression: int) -> Callable[[dict[str, bytes]], bytes]:
    def packed(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", compression) as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        return out.getvalue()

    return packed


def as_tar(mode: str, form: int) -> Callable[[dict[str, bytes]], bytes]:
    def packed(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=f"w:{mode}", format=form) as archive:  # type: ignore[call-overload]
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return out.getvalue()

    return packed


PACKINGS = [
    *map(as_zip, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
    *(
        as_tar(mode, form)
        for mode in ("", "gz", "bz2", "xz")
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ),
]


@MANY
@given(FILES, st.sampled_from(PACKINGS))
def test_archives_give_their_files(
    figures: Figures, files: dict[str, bytes], packing: Callable[[dict[str, bytes]], bytes]
) -> None:
    figures.add("archives as packed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(packing(files))
        fetch_one(make_source(folder), folder / "data", folder / "archive")
        assert read_files(folder / "data/sources/mine") == files


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
SOURCE = """
name = "mine"
title = "Mine"

[reader]
kind = "csv"
file = "meta.csv"
path = "images/{{file}}"
images = ["images/*.png"]
patient_id = "keep"
encoding = "{encoding}"
"""


@MANY
@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le", "cp1252"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_tables_give_their_cells(
    figures: Figures, cells: list[tuple[str, str]], encoding: str, end: str, quoting: int
) -> None:
    text = io.StringIO(newline="")
    if any("\r" in cell for row in cells for cell in row):
        # Before Python 3.13, the writer does not quote a lone CR unless the lines end with one.
        quoting = csv.QUOTE_ALL
    writer = csv.writer(text, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["file", "one", "two"])
    writer.writerows([f"{number}.png", *row] for number, row in enumerate(cells))
    try:
        content = text.getvalue().encode(encoding)
    except UnicodeEncodeError:
        return
    expected = [row[1:] for row in csv.reader(io.StringIO(text.getvalue(), newline=""))][1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "s.toml").write_text(SOURCE.format(encoding=encoding))
        (folder / "root/images").mkdir(parents=True)
        for number in range(len(cells)):
            (folder / f"root/images/{number}.png").touch()
        (folder / "root/meta.csv").write_bytes(content)
        source = read_source("s.toml", folder)
        inventory = take_inventory(source, folder / "root")
        images = [f"images/{number}.png" for number in range(len(cells))]
        found = source.reader.read(inventory, images, silent)
    assert found[["one", "two"]].to_numpy().tolist() == expected
    figures.add("CSV files as Python's csv reads them")
