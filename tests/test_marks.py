"""Mark detection proposes what was drawn on an image, and nothing on clean images."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from cxrbuild.catalog.review import MARKS
from cxrbuild.convert import read_image
from cxrbuild.demo.phantom import phantom
from cxrbuild.marks import KINDS, MAX_SIDE, MEASURED, MODELS, ProposedMark, RegionFeatures, propose_marks


def clean_image(seed: str = "a") -> Image.Image:
    image = phantom(seed, "Normal").convert("RGB")
    return image.resize((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)


def draw_arrow(image: Image.Image, x: int, y: int, fill: str, outline: str | None = None) -> None:
    points = [(0, 0), (22, -18), (22, -8), (60, -8), (60, 8), (22, 8), (22, 18)]
    ImageDraw.Draw(image).polygon(
        [(x + dx, y + dy) for dx, dy in points], fill=fill, outline=outline, width=2
    )


def draw_text(image: Image.Image, x: int, y: int, text: str, fill: str, size: int) -> None:
    ImageDraw.Draw(image).text((x, y), text, fill=fill, font=ImageFont.load_default(size))


def kinds(image: Image.Image) -> set[str]:
    return {mark.kind for mark in propose_marks(image)}


def of_kind(image: Image.Image, kind: str) -> list[ProposedMark]:
    return [mark for mark in propose_marks(image) if mark.kind == kind]


def test_the_page_states_the_precision_that_was_measured() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reviewing.md").read_text(encoding="utf-8")
    names = {"letter": "panel letter", "marker": "radiographer's marker", "shape": "shape (box, circle)"}
    for kind in KINDS:
        row = next(line for line in page.splitlines() if line.startswith(f"| {names.get(kind, kind)} |"))
        right, proposed = MEASURED[kind]
        # The third figure of a row is the precision in cross-validation.
        assert f"({right} of {proposed})" in row.split("|")[4]


def test_every_kind_is_a_mark_of_the_catalog() -> None:
    assert set(KINDS) <= set(MARKS)
    assert all(len(model.weights) == len(RegionFeatures.__dataclass_fields__) for model in MODELS.values())


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_nothing_is_proposed_on_clean_images(seed: str) -> None:
    assert kinds(clean_image(seed)) == set()


@pytest.mark.parametrize(
    ("fill", "outline"), [("white", "black"), ("black", None), ("red", None), ("yellow", None)]
)
def test_an_arrow_is_proposed_where_it_is_drawn(fill: str, outline: str | None) -> None:
    image = clean_image()
    draw_arrow(image, 400, 300, fill, outline)
    found = of_kind(image, "arrow")
    assert found
    assert abs(found[0].left - 400 / MAX_SIDE) < 0.02
    assert abs(found[0].right - 460 / MAX_SIDE) < 0.02
    assert abs(found[0].top - 282 / MAX_SIDE) < 0.02


@pytest.mark.parametrize(("colour", "width"), [("red", 2), ("white", 3)])
def test_the_outline_of_a_box_is_a_shape(colour: str, width: int) -> None:
    image = clean_image()
    ImageDraw.Draw(image).rectangle((380, 250, 500, 350), outline=colour, width=width)
    assert "shape" in kinds(image)


def test_a_filled_box_is_not_a_shape() -> None:
    image = clean_image()
    ImageDraw.Draw(image).rectangle((380, 250, 500, 350), fill="white")
    assert "shape" not in kinds(image)


def test_a_panel_letter_is_a_letter_and_not_an_arrow() -> None:
    image = clean_image()
    ImageDraw.Draw(image).rectangle((0, 0, 60, 60), fill="black")
    draw_text(image, 14, 4, "B", "white", 44)
    assert {"letter", "marker"} <= kinds(image)
    assert "arrow" not in kinds(image)


def test_coloured_text_along_the_edge_is_an_overlay() -> None:
    image = clean_image()
    draw_text(image, 480, 8, "WW: 4096", "cyan", 20)
    assert "overlay" in kinds(image)
    assert "arrow" not in kinds(image)


def test_a_colour_cast_is_a_tint_only() -> None:
    red, green, blue = clean_image().split()
    cast = Image.merge("RGB", (red.point(lambda v: 0.7 * v), green.point(lambda v: 0.9 * v), blue))
    assert kinds(cast) == {"tint"}


def test_a_black_or_tiny_image_has_no_marks() -> None:
    assert kinds(Image.new("RGB", (MAX_SIDE, MAX_SIDE))) == set()
    assert kinds(Image.new("RGB", (1, 1), "red")) <= {"tint"}


@pytest.mark.parametrize("size", [(1, 1), (1, 640), (640, 1), (3, 3), (8, 8), (2, 30), (640, 640)])
def test_flat_and_degenerate_images_raise_no_warning(size: tuple[int, int]) -> None:
    # Warnings are errors in tests.
    for grey in (0, 128, 255):
        assert propose_marks(Image.new("L", size, grey).convert("RGB")) == []
    width, height = size
    for box in (
        (0, 0, width // 2, height),
        (0, 0, width, height // 2),
        (width // 2, height // 2, width, height),
    ):
        for colour in ("white", "red"):
            image = Image.new("RGB", size)
            image.paste(colour, box)
            assert all(0 <= mark.score <= 1 for mark in propose_marks(image))


def test_reviewed_images_with_arrows_and_boxes_are_proposed(shared: Path) -> None:
    with (shared / "reviews" / "covid_frontal.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["mark"] in ("arrow", "shape", "symbol")]
    paths = [
        path
        for row in rows
        for folder in ("originals", "reduced")
        if (path := shared / folder / row["source"] / row["path"]).exists()
    ]
    assert len(paths) == 30
    missed = [
        path.name
        for path in paths
        if not {"arrow", "shape"} & kinds(read_image(path, max_side=MAX_SIDE, color=True))
    ]
    assert missed == []
