"""Duplicates: changed copies of generated images, and the known duplicates of the real sources."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audited import crop, described, jpeg
from PIL import Image, ImageDraw, ImageOps

from cxrbuild.auditing import agreement, candidates, collisions, store
from cxrbuild.auditing.candidates import find_candidates
from cxrbuild.auditing.descriptors import THUMBNAIL_SIDE, read_descriptors
from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.auditing.images import read_images
from cxrbuild.auditing.registration import NOT_REGISTERED, register
from cxrbuild.auditing.store import DescriptorStore, DescriptorTable
from cxrbuild.catalog import read_links
from cxrbuild.demo.phantom import phantom
from cxrbuild.errors import CxrbuildError
from cxrbuild.progress import silent


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def annotate(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    side = min(image.size)
    draw.rectangle((0, 0, side // 8, side // 8), fill=255)
    draw.line((side // 2, side // 3, side // 2 + side // 10, side // 3 + side // 10), fill=255, width=4)
    return image


CHANGES = {
    "resized": lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3)),
    "stretched": lambda image: image.resize((224, 180)),
    "brighter": lambda image: image.point(lambda grey: min(255, round(grey * 0.7 + 60))),
    "more contrast": lambda image: image.point(
        lambda grey: min(255, max(0, round((grey - 100) * 1.5 + 100)))
    ),
    "annotated": annotate,
    "cropped": crop,
    "mirrored": ImageOps.mirror,
    "rotated": lambda image: crop(image.rotate(3, Image.Resampling.BICUBIC)),
}


def matches_of(images: list[bytes], tmp_path: Path, executor: Executor) -> list[Match]:
    paths = []
    for i, data in enumerate(images):
        paths.append(tmp_path / f"{i}.jpg")
        paths[-1].write_bytes(data)
    return find_matches(described(images, tmp_path), paths, tmp_path, executor, workers=1, progress=silent)[0]


def duplicates_of(images: list[bytes], tmp_path: Path, executor: Executor) -> list[Match]:
    return [match for match in matches_of(images, tmp_path, executor) if match.kind != "similar"]


def test_changed_copies_are_near_duplicates(tmp_path: Path, executor: Executor) -> None:
    others = [jpeg(phantom(f"other {i}", "Normal")) for i in range(4)]
    image = phantom("one", "COVID-19")
    changed = [jpeg(change(image), quality=60) for change in CHANGES.values()]
    found = duplicates_of([*others, jpeg(image), *changed], tmp_path, executor)
    copies = {match.b: match for match in found if match.a == len(others)}
    changes = {}
    for i, name in enumerate(CHANGES):
        match = copies[len(others) + 1 + i]
        assert match.kind == "near-duplicate", name
        changes[name] = match.changes
    assert changes["mirrored"] == ("mirrored",)
    assert changes["cropped"] == ("cropped",)
    assert changes["rotated"] == ("cropped", "rotated")
    assert changes["resized"] == changes["more contrast"] == ()
    assert [match for match in found if match.a < len(others)] == []


def test_equal_pixels_are_distinguished_from_nearly_equal_ones(tmp_path: Path, executor: Executor) -> None:
    image = phantom("one", "Normal")
    data = jpeg(image)
    with_comment = jpeg(image, comment=b"another file with the same pixels")
    assert with_comment != data
    others = [jpeg(phantom(f"other {i}", "Normal")) for i in range(3)]
    found = duplicates_of([data, with_comment, jpeg(image, quality=70), *others], tmp_path, executor)
    assert [(match.a, match.b, match.kind) for match in found] == [
        (0, 1, "same pixels"), (0, 2, "near-duplicate"), (1, 2, "near-duplicate"),
    ]  # fmt: skip


@pytest.mark.slow
def test_known_duplicates_of_the_sources_are_found_and_no_others(
    shared: Path, tmp_path: Path, executor: Executor
) -> None:
    links = [link for link in read_links("known_duplicates", tmp_path) if link.kind == "duplicate"]

    def find(image: tuple[str, str]) -> Path | None:
        source, path = image
        if source == "mooney":
            path = path.removeprefix("chest_xray/")
        for folder in ("originals", "reduced"):
            for found in (shared / folder / source).rglob(Path(path).name):
                return found
        return None

    images = sorted({image for link in links for image in (link.a, link.b) if find(image)})
    images += [
        ("figure1", f"images/COVID-{n:05d}.jpg") for n in (4, 5, 7, 8, 9, 10, 12, 14, 16, 17, 21, 24, 28)
    ]
    data = []
    for image in images:
        path = find(image)
        assert path is not None
        with Image.open(path) as opened:
            data.append(jpeg(opened.convert("L")))
    found = {(images[match.a], images[match.b]) for match in duplicates_of(data, tmp_path, executor)}
    known = {tuple(sorted((link.a, link.b))) for link in links if {link.a, link.b} <= set(images)}
    # Two files of the course `extubation` are one image, so that the third pair follows from the other two.
    known.add((("cohen", "images/AR-1.jpg"), ("cohen", "images/AR-2.jpg")))
    assert len(known) >= 16
    assert {tuple(sorted(pair)) for pair in found} == known


def test_brightness_and_contrast_do_not_change_descriptors() -> None:
    image = phantom("one", "Normal")
    plain = read_descriptors(jpeg(image, 98))
    dull = read_descriptors(jpeg(image.point(lambda grey: round(grey * 0.5 + 70)), 98))
    assert float((plain.dct_coefficients[0] * dull.dct_coefficients[0]).sum()) > 0.99
    assert np.abs(plain.thumbnail.astype(int) - dull.thumbnail).mean() < 4


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (300, 1), (1, 300), (300, 200), (3000, 40)])
def test_images_without_detail_are_read_and_have_no_duplicates(
    size: tuple[int, int], tmp_path: Path, executor: Executor
) -> None:
    # Warnings are errors in tests.
    empty = [jpeg(Image.new("L", size, grey)) for grey in (0, 90, 255)]
    images = [jpeg(phantom(f"{i}", "Normal")) for i in range(4)]
    assert duplicates_of([*empty, *images], tmp_path, executor) == []


@pytest.mark.parametrize("flat", ["a", "b", "both"])
def test_images_of_one_grey_level_are_not_registered(flat: str) -> None:
    texture = np.random.default_rng(0).integers(-100, 100, (THUMBNAIL_SIDE,) * 2).astype(np.int8)
    a = np.zeros_like(texture) if flat in ("a", "both") else texture
    b = np.zeros_like(texture) if flat in ("b", "both") else texture
    assert register(a, b, np.array([1, 1, 0, 0], np.float32)) is NOT_REGISTERED


def test_images_that_cannot_be_read_are_reported(tmp_path: Path, executor: Executor) -> None:
    good = jpeg(phantom("one", "Normal"))
    contents = {"good": good, "half": good[: len(good) // 2], "text": b"no image", "empty": b""}
    for name, data in contents.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    rows = pd.DataFrame({"image_id": [*contents, "lost"]})
    rows["jpeg_path"] = rows["image_id"] + ".jpg"
    rows["jpeg_sha256"] = [hashlib.sha256(data).hexdigest() for data in [*contents.values(), b"lost"]]
    store = DescriptorStore(tmp_path / "state")
    problems = read_images(rows, tmp_path, store, executor, workers=1, progress=silent)
    assert [one.image_id for one in problems] == ["half", "text", "empty", "lost"]
    assert all(one.problem.startswith("cannot be read: ") for one in problems[:3])
    assert problems[3].problem == "missing"
    assert (store.find(rows["jpeg_sha256"].tolist()) >= 0).tolist() == [True, False, False, False, False]


def test_candidates_of_an_image_are_limited_by_rank(tmp_path: Path) -> None:
    # Images of one patient that differ by noise: every pair would be a candidate.
    image = np.asarray(phantom("one", "Normal").resize((96, 96)), np.int16)
    random = np.random.default_rng(0)
    images = []
    for _ in range(24):
        noisy = np.clip(image + random.integers(-12, 12, image.shape), 0, 255).astype(np.uint8)
        images.append(jpeg(Image.fromarray(noisy)))
    images.append(images[7])
    table = described(images, tmp_path)
    unlimited = find_candidates(table, tmp_path, most=100)
    assert unlimited.skipped_pairs == unlimited.limited_images == 0
    pairs = set(zip(unlimited.a.tolist(), unlimited.b.tolist(), strict=True))
    assert len(pairs) > 200
    limited = find_candidates(table, tmp_path, most=3)
    kept = set(zip(limited.a.tolist(), limited.b.tolist(), strict=True))
    # Also pairs with two transforms are counted once.
    assert (unlimited.pairs, limited.pairs) == (len(pairs), len(kept))
    assert unlimited.pairs < len(unlimited.a)
    assert kept < pairs
    assert len(kept) <= 3 * len(images)
    assert len(kept) + limited.skipped_pairs == len(pairs)
    assert limited.limited_images > 0
    # The best candidate remains.
    assert (7, 24) in kept


@pytest.mark.slow
def test_the_number_of_registrations_is_proportional_to_the_number_of_similar_images(
    tmp_path: Path, executor: Executor
) -> None:
    image = phantom("one", "Normal").resize((96, 96))
    images = [jpeg(image, quality=quality) for quality in range(30, 95)]
    start = time.perf_counter()
    paths = [tmp_path / f"{i}.jpg" for i in range(len(images))]
    for path, data in zip(paths, images, strict=True):
        path.write_bytes(data)
    found, search = find_matches(
        described(images, tmp_path), paths, tmp_path, executor, workers=1, progress=silent
    )
    assert search.most_per_image * len(images) >= search.compared_pairs
    assert search.compared_pairs + search.skipped_pairs <= len(images) * (len(images) - 1) // 2
    # Every image has a duplicate among its best candidates.
    assert {number for match in found for number in (match.a, match.b)} == set(range(len(images)))
    assert time.perf_counter() - start < 120


@pytest.mark.slow
def test_more_copies_than_a_bucket_holds_are_candidates(tmp_path: Path) -> None:
    # More than the images of a bucket in which all collide with all.
    image = phantom("one", "Normal").resize((96, 96))
    copies = [jpeg(image, comment=f"{i}".encode()) for i in range(60)]
    mirrored = [jpeg(ImageOps.mirror(image), comment=f"{i}".encode()) for i in range(60)]
    found = find_candidates(described([*copies, *mirrored], tmp_path), tmp_path)
    both = {*found.a[found.mirrored].tolist(), *found.b[found.mirrored].tolist()}
    plain = {*found.a[~found.mirrored].tolist(), *found.b[~found.mirrored].tolist()}
    assert plain == set(range(120))
    # Mirrored copies are connected with the others.
    assert len(both) >= 20
    assert len(found.a) < 2 * 20 * 120


@pytest.mark.slow
def test_candidates_do_not_depend_on_the_size_of_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [jpeg(phantom(f"{i}", "Normal").resize((96, 96))) for i in range(30)]
    images += [jpeg(crop(phantom(f"{i}", "Normal").resize((96, 96)))) for i in range(10)]
    table = described(images, tmp_path)
    whole = find_candidates(table, tmp_path)
    assert len(whole.a) >= 10
    for name, size in {
        "_IMAGES_AT_ONCE": 7, "_CODES_AT_ONCE": 50, "_PAIRS_AT_ONCE": 30, "_COLLISIONS_AT_ONCE": 200,
        "_MIN_IMAGES_PER_FILE": 8,
    }.items():  # fmt: skip
        monkeypatch.setattr(collisions, name, size)
    monkeypatch.setattr(candidates, "_KEYPOINTS_AT_ONCE", 10)
    monkeypatch.setattr(agreement, "_IMAGES_AT_ONCE", 3)
    parts = find_candidates(table, tmp_path)
    for name in ("a", "b", "mirrored"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    np.testing.assert_allclose(parts.transforms, whole.transforms, rtol=1e-4, atol=1e-4)
    assert not [path for path in tmp_path.iterdir() if path.name not in ("store",)]


def test_more_images_than_can_be_numbered_are_refused(tmp_path: Path) -> None:
    records = np.broadcast_to(np.int64(0), collisions.MOST_IMAGES + 1)
    with pytest.raises(CxrbuildError, match="too many images for a search for duplicates"):
        find_candidates(DescriptorTable(tmp_path, records), tmp_path)


def test_the_store_removes_the_records_of_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_BATCH", 2)
    images = [jpeg(phantom(f"{i}", "Normal").resize((96, 96))) for i in range(8)]
    digests = [hashlib.sha256(data).hexdigest() for data in images]
    before = described(images, tmp_path)
    expected = {name: before.read(name, np.array([7, 1])) for name in ("thumbnail", "keypoints", "frame")}
    thumbnail = before.read("thumbnail", np.array([0])).tobytes()
    kept = DescriptorStore(tmp_path / "store")
    kept.remove_others(digests[1:])
    assert (kept.find(digests) >= 0).tolist() == [False, *[True] * 7]
    assert thumbnail not in (tmp_path / "store" / "descriptors-1" / "thumbnail").read_bytes()
    kept.remove_others([digests[7], digests[1], digests[4]])
    assert (kept.find(digests) >= 0).tolist() == [False, True, False, False, True, False, False, True]
    for name, values in expected.items():
        np.testing.assert_array_equal(kept.table([digests[7], digests[1]]).read(name), values)
    # A folder that a killed run left is removed.
    (tmp_path / "store" / "descriptors-0-compact").mkdir()
    DescriptorStore(tmp_path / "store")
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["descriptors-1"]
