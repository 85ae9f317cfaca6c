"""An audit takes the matches of a former one where the images and the program are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audited import crop, different_images, jpeg, write_build

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.auditing import match_record, pairs
from cxrbuild.auditing.audit import audit
from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.auditing.match_record import read_matches, record_matches
from cxrbuild.auditing.store import DescriptorTable
from cxrbuild.catalog import read_recipe
from cxrbuild.demo.phantom import phantom
from cxrbuild.records import read_records, write_records

DIGESTS = [character * 64 for character in "abc"]


def test_an_audit_of_the_same_images_does_not_search_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is the same; other images and a damaged record are not taken for it."""
    image = phantom("twice", "Normal")
    images = [*different_images(6), (jpeg(image), {}), (jpeg(crop(image)), {"split": "test"})]
    build = write_build(tmp_path, images)
    recipe = read_recipe(str(tmp_path / "recipe.toml"))
    searches: list[int] = []

    def counted(table: DescriptorTable, *words: Any, **options: Any) -> Any:
        searches.append(len(table))
        return find_matches(table, *words, **options)

    monkeypatch.setattr(pairs, "find_matches", counted)

    def audited() -> tuple[bytes, ...]:
        audit(build, recipe)
        names = ("audit.json", "audit.html", "audit-pairs.csv", "audit-links.csv")
        return tuple((build / name).read_bytes() for name in names)

    first = audited()
    assert b"near-duplicate" in first[0]
    assert audited() == first
    assert searches == [8]
    # Limits and what the manifest says of the images are not recorded.
    change_rows_of(build, "cohen_image-07", label="COVID-19")
    (pair,) = [one for one in json.loads(audited()[0])["pairs"] if one["kind"] == "near-duplicate"]
    assert pair["crosses"] == ["split", "label", "patient"]
    assert searches == [8]
    record = build / ".cxrbuild" / "audit" / "matches.json"
    text = record.read_text()
    record.write_text(text.replace("near-duplicate", "similar"))
    audited()
    assert searches == [8] * 2
    assert record.read_text() == text
    next((build / "images").rglob("cohen_image-00.jpg")).unlink()
    audited()
    assert searches == [8, 8, 7]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder with the record of a near-duplicate of three images."""
    search = DuplicateSearch(compared_pairs=1, most_per_image=20, limited_images=0, skipped_pairs=0)
    record_matches(tmp_path, DIGESTS, [Match(0, 1, "near-duplicate", 0.9, ("cropped",))], search)
    return tmp_path


def test_matches_are_read_as_recorded(recorded: Path) -> None:
    found = read_matches(recorded, DIGESTS)
    assert found is not None
    assert found[0] == [Match(0, 1, "near-duplicate", 0.9, ("cropped",))]


def test_a_damaged_record_and_one_of_anything_else_is_ignored(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = recorded / "matches.json"
    text = record.read_text()
    for damaged in (text.replace("near-duplicate", "similar"), "{", "[]", "null", text[: len(text) // 2]):
        record.write_text(damaged)
        assert read_matches(recorded, DIGESTS) is None
    record.write_text(text)
    assert read_matches(recorded, DIGESTS[:2]) is None
    assert read_matches(recorded, DIGESTS[::-1]) is None
    assert read_matches(recorded, DIGESTS) is not None
    monkeypatch.setattr(match_record, "program_versions", lambda: {"cxrbuild": "other"})
    assert read_matches(recorded, DIGESTS) is None
    record.unlink()
    assert read_matches(recorded, DIGESTS) is None


def change_rows_of(build: Path, image: str, **columns: str) -> None:
    """Change a row of a manifest."""
    rows = read_records(build / "manifest.parquet")
    rows.loc[rows["image_id"] == image, list(columns)] = list(columns.values())
    write_records(build / "manifest.parquet", rows)
