"""How exact a copy of the pinned sources is: by image, and in each document."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fetching import fetch_error, fetch_one, make_pinned_source, make_source, write_files

from cxrbuild.artifact.build import SourceState
from cxrbuild.catalog.source import read_source
from cxrbuild.exactness import (
    count_exactness,
    count_files,
    describe_exactness,
    exactness_table,
    image_states,
    is_exact,
)
from cxrbuild.shell import quote


def state(**changes: object) -> SourceState:
    return SourceState(**{
        "pin": {"tree": "1" * 40, "listing": "a.tsv"}, "proof": "none", "unpinned": True, "tree": "2" * 40,
        "files": 3, "bytes": 30, "missing": [], "extra": [], "different": {},
    } | changes)  # fmt: skip


ROWS = pd.DataFrame(
    [
        ("git", "same.png", "a" * 40, None),
        ("git", "other.png", "b" * 40, None),
        ("git", "lost.png", "c" * 40, "missing_file"),
        ("git", "extra.png", None, None),
        ("git", "lateral.png", "d" * 40, "lateral"),
        ("zip", "one.png", None, None),
        ("exact", "one.png", None, None),
        ("own", "one.png", None, None),
        ("bare", "one.png", None, None),
    ],
    columns=["source", "source_path", "source_blob", "exclusion"],
).astype("str")
ROWS[["source_blob", "exclusion"]] = ROWS[["source_blob", "exclusion"]].replace({"None": None, "nan": None})
ARCHIVE = {"sha256": "3" * 64, "bytes": 1000, "listing": "a.txt"}
SOURCES = {
    "git": state(different={"other.png": "e" * 40}, extra=["extra.png"]),
    "zip": state(pin=ARCHIVE, proof="names"),
    "exact": state(pin=ARCHIVE, proof="archive and names", unpinned=False),
    "own": state(pin={}),
}


def test_each_image_has_one_state() -> None:
    assert image_states(ROWS, SOURCES).tolist() == [
        "verified", "other_bytes", "missing", "not_pinned", "verified",
        "name_only", "verified", "not_pinned", "not_pinned",
    ]  # fmt: skip


def test_images_of_the_dataset_are_counted_by_source() -> None:
    counted = count_exactness(ROWS, SOURCES)
    assert list(counted) == ["git", "zip", "exact", "own", "bare"]
    assert counted["git"].counts == {
        "verified": 1, "other_bytes": 1, "name_only": 0, "missing": 1, "not_pinned": 1,
    }  # fmt: skip
    assert (counted["zip"].archive_bytes, counted["zip"].found_bytes) == (1000, 30)
    assert (counted["exact"].archive_bytes, is_exact({"exact": counted["exact"]})) == (None, True)
    header, rows = exactness_table(counted)
    assert header == ["images", "verified", "other bytes", "name only", "missing", "not pinned"]
    assert rows[0] == ["git", 1, 1, 0, 1, 1]


def test_sentences_count_every_image_once_and_compare_sizes() -> None:
    counted = count_exactness(ROWS, SOURCES)
    first, second = describe_exactness(counted)
    assert first == (
        "2 of 8 images verified: they have the bytes of the pins. Other bytes than the pin's: 1. Only the "
        "name can be checked: 1. Missing: 1. Not pinned: 3."
    )
    assert second == (
        "zip: expected the files of an archive of 0.0 MB; found files of 0.0 MB, so many or all of them have "
        "other bytes."
    )
    assert describe_exactness({"exact": counted["exact"]}) == [
        "1 of 1 image verified: they have the bytes of the pins."
    ]
    whole = counted["zip"].model_copy(update={"found_bytes": 990})
    assert describe_exactness({"zip": whole})[1].endswith("found files of 0.0 MB.")


def test_fetch_counts_the_images_of_a_source(tmp_path: Path) -> None:
    upstream = write_files(tmp_path / "upstream", {"a.png": b"a", "b.png": b"b", "c.png": b"c"})
    source, data = make_pinned_source(upstream), tmp_path / "data"
    assert fetch_one(source, data, upstream).exactness.counts["verified"] == 3
    write_files(upstream, {"b.png": b"B", "d.png": b"d"})
    (upstream / "c.png").unlink()
    counts = {"verified": 1, "other_bytes": 1, "name_only": 0, "missing": 1, "not_pinned": 1}
    assert fetch_one(source, data, upstream, allow_unpinned=True).exactness.counts == counts
    assert fetch_one(source, data, allow_unpinned=True).exactness.counts == counts
    again = fetch_error(source, data)
    assert "its files that were accepted before are present and unchanged, and are kept" in again
    command = f"cxrbuild fetch {quote(source.address)} --data {quote(data)} --allow-unpinned"
    assert f"`{command}` confirms them without a download" in again


def test_a_pin_of_an_archive_states_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a.png\nb.png\n")
    pin = {"sha256": "0" * 64, "bytes": 5000, "listing": "mine.txt"}
    source = make_source(tmp_path, pin)
    upstream = write_files(tmp_path / "upstream", {"a.png": b"a", "b.png": b"bb"})
    message = fetch_error(source, tmp_path / "data", upstream)
    assert f"Expected: an archive with SHA-256 {'0' * 64}, 5,000 bytes." in message
    assert "Found: files without their archive, 3 bytes in 2 files, with exactly the names" in message
    found = fetch_one(source, tmp_path / "data", upstream, allow_unpinned=True).exactness
    assert (found.name_only, found.archive_bytes, found.found_bytes) == (2, 5000, 3)


@pytest.mark.parametrize("drop", [0, 2])
def test_fetch_knows_the_files_of_another_source(tmp_path: Path, drop: int) -> None:
    names = [name for name in read_source("figure1").listing or {} if "." in name][drop:]
    upstream = write_files(tmp_path / "figure1", dict.fromkeys(names, b"x"))
    message = fetch_error(read_source("cohen"), tmp_path / "data", upstream)
    assert "the files of the source figure1" in message
    assert f"--from figure1={upstream}" in message
    assert "--allow-unpinned" not in message


def test_fetch_does_not_offer_to_accept_files_with_other_names(tmp_path: Path) -> None:
    upstream = write_files(tmp_path / "upstream", {"README.md": b"x", "one.png": b"x", "two.png": b"y"})
    message = fetch_error(read_source("figure1"), tmp_path / "data", upstream)
    assert "Found: 3 files, 0 of them with a name of its 55 images" in message
    assert "Name a folder or archive that has files such as `images/COVID-00001.jpg`" in message
    assert "--allow-unpinned" not in message


def test_counting_does_not_take_other_files_for_images() -> None:
    source = read_source("cohen")
    counted = count_files(source.listing or {}, source, state(unpinned=False))
    # 949 files are images by their names, such as lung masks; the reader's patterns name these.
    assert counted.counts == {
        "verified": 738, "other_bytes": 0, "name_only": 0, "missing": 0, "not_pinned": 0,
    }  # fmt: skip
