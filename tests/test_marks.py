"""The detector proposes what was drawn, and nothing where nothing was."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cxrbuild.catalog.review import MARKS
from cxrbuild.demo.phantom import phantom
from cxrbuild.errors import CxrbuildError
from cxrbuild.marks.detection import KINDS, MODELS, Proposal, find_marks, marks_of
from cxrbuild.marks.image import read_film
from cxrbuild.marks.regions import SIDE, Features, scan_film


def film(seed: str = "a") -> Image.Image:
    return phantom(seed, "Normal").convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def arrow(image: Image.Image, x: int, y: int, fill: str, line: str | None = None) -> None:
    points = [(0, 0), (22, -18), (22, -8), (60, -8), (60, 8), (22, 8), (22, 18)]
    ImageDraw.Draw(image).polygon([(x + dx, y + dy) for dx, dy in points], fill=fill, outline=line, width=2)


def text(image: Image.Image, x: int, y: int, words: str, fill: str, size: int) -> None:
    ImageDraw.Draw(image).text((x, y), words, fill=fill, font=ImageFont.load_default(size))


def kinds(image: Image.Image) -> set[str]:
    return {mark.kind for mark in find_marks(scan_film(image))}


def of_kind(image: Image.Image, kind: str) -> list[Proposal]:
    return [mark for mark in find_marks(scan_film(image)) if mark.kind == kind]


def test_every_kind_is_a_mark_of_the_catalogue() -> None:
    assert set(KINDS) <= set(MARKS)
    assert all(len(model.weights) == len(Features.__dataclass_fields__) for model in MODELS.values())


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_nothing_is_proposed_where_nothing_was_drawn(seed: str) -> None:
    assert kinds(film(seed)) == set()


@pytest.mark.parametrize(
    ("fill", "line"), [("white", "black"), ("black", None), ("red", None), ("yellow", None)]
)
def test_an_arrow_is_proposed_where_it_is(fill: str, line: str | None) -> None:
    image = film()
    arrow(image, 400, 300, fill, line)
    found = of_kind(image, "arrow")
    assert found
    assert abs(found[0].left - 400 / SIDE) < 0.02
    assert abs(found[0].right - 460 / SIDE) < 0.02
    assert abs(found[0].top - 282 / SIDE) < 0.02


@pytest.mark.parametrize(("colour", "width"), [("red", 2), ("white", 3)])
def test_the_outline_of_a_box_is_a_shape(colour: str, width: int) -> None:
    image = film()
    ImageDraw.Draw(image).rectangle((380, 250, 500, 350), outline=colour, width=width)
    assert "shape" in kinds(image)


def test_a_filled_box_is_no_shape() -> None:
    image = film()
    ImageDraw.Draw(image).rectangle((380, 250, 500, 350), fill="white")
    assert "shape" not in kinds(image)


def test_a_panel_letter_is_proposed_and_no_arrow() -> None:
    image = film()
    ImageDraw.Draw(image).rectangle((0, 0, 60, 60), fill="black")
    text(image, 14, 4, "B", "white", 44)
    assert {"letter", "marker"} <= kinds(image)
    assert "arrow" not in kinds(image)


def test_coloured_text_along_the_edge_is_an_overlay() -> None:
    image = film()
    text(image, 480, 8, "WW: 4096", "cyan", 20)
    assert "overlay" in kinds(image)
    assert "arrow" not in kinds(image)


def test_a_coloured_cast_is_a_tint_and_nothing_else() -> None:
    cast = np.asarray(film()).astype(float) * [0.7, 0.9, 1.0]
    assert kinds(Image.fromarray(cast.astype(np.uint8))) == {"tint"}


def test_a_black_or_tiny_film_has_no_marks() -> None:
    assert kinds(Image.new("RGB", (SIDE, SIDE))) == set()
    assert kinds(Image.new("RGB", (1, 1), "red")) <= {"tint"}


def test_the_seen_films_with_arrows_and_boxes_are_proposed(shared: Path) -> None:
    with (shared / "reviews" / "covid_frontal.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["mark"] in ("arrow", "shape", "symbol")]
    paths = [
        path
        for row in rows
        for kind in ("originals", "reduced")
        if (path := shared / kind / row["source"] / row["path"]).exists()
    ]
    assert len(paths) == 30
    missed = [path.name for path in paths if not {"arrow", "shape"} & {mark.kind for mark in marks_of(path)}]
    assert missed == []


def test_a_film_is_read_in_colour_upright_and_small(tmp_path: Path) -> None:
    image = Image.new("RGB", (3000, 2000), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    read = read_film(tmp_path / "turned.jpg", 300)
    assert (read.mode, read.size) == ("RGB", (200, 300))
    assert read.getpixel((0, 0))[0] > 250

    Image.fromarray(np.full((4, 4), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert read_film(tmp_path / "deep.png", 300).getpixel((0, 0)) == (255, 255, 255)

    Image.new("RGBA", (4, 4), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    assert read_film(tmp_path / "clear.png", 300).getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "an image cannot be read"),
        (b"<html>no", "an HTML page"),
        (b"\xff\xd8\xff\xe0 cut", "first 8 bytes of a JPEG"),
        (b"", "an empty file"),
    ],
)
def test_what_is_no_film_is_told(data: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(CxrbuildError, match=words) as error:
        marks_of(path)
    assert str(path) in str(error.value)
