"""Reviews: which images the page shows, how two readers are compared, and what `--reviews` changes."""

from __future__ import annotations

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from command import run
from PIL import Image
from releasing import images_of

from cxrbuild.catalog import Review, read_links, read_reviews
from cxrbuild.catalog.review import MARKS
from cxrbuild.errors import CxrbuildError
from cxrbuild.review.agreement import compare_reviews, measure_agreement
from cxrbuild.review.merging import merge_reviews
from cxrbuild.review.page import KEYS, ReviewPage, write_page
from cxrbuild.review.selection import ReviewImage

HEADER = "source,path,mark,marks_finding,note\n"
# The keys of the page's other actions.
ACTION_KEYS = set("fjknqvz012+=-[],.")


def review_of(path: str, mark: str, finding: bool | None = False) -> Review:
    return Review("cohen", path, mark, finding, "")


def document(page: Path) -> dict[str, object]:
    text = page.read_text()
    start = text.index('id="document">') + len('id="document">')
    return json.loads(text[start : text.index("</script>", start)])


def write(path: Path, *lines: str) -> Path:
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def page(small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A page that a worker process rendered, and what the command printed."""
    out = tmp_path_factory.mktemp("page") / "review.html"
    ran = run("review", "--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data",
              "--source", "cohen", "--workers", 1, "--out", out, "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    return out, json.loads(ran.out)


def test_every_mark_has_its_own_key() -> None:
    assert set(KEYS) == set(MARKS)
    assert len(set(KEYS.values()) | ACTION_KEYS) == len(MARKS) + len(ACTION_KEYS)


def test_the_page_shows_images_that_are_kept_or_excluded_by_a_review(
    page: tuple[Path, dict[str, object]], small_demo: Path
) -> None:
    out, result = page
    images = document(out)["images"]
    ledger = pd.read_parquet(small_demo / "build" / "ledger.parquet")
    expected = ledger[ledger["source"] == "cohen"]
    expected = expected[expected["exclusion"].isna() | (expected["exclusion"] == "annotated")]
    assert [image["path"] for image in images] == expected["source_path"].tolist()
    assert result["images"] == len(images)
    assert result["bytes"] == out.stat().st_size
    reviewed = {image["path"]: image for image in images if image["review"]}
    assert {path: image["review"] for path, image in reviewed.items()} == {
        "images/arrow.jpg": ["arrow", "yes", "one yellow arrowhead"]
    }
    # The arrow is yellow, so the detector finds it in the source's file.
    assert "arrow" in {kind for kind, *_ in reviewed["images/arrow.jpg"]["proposals"]}
    assert result["proposed"]["arrow"] >= 1


def test_images_that_nobody_reviewed_are_shown_though_a_rule_excludes_them(
    small_demo: Path, tmp_path: Path
) -> None:
    declared = shutil.copytree(small_demo / "declared", tmp_path / "declared")
    recipe = declared / "recipe.toml"
    rules = (
        '[[rules]]\nname = "unseen"\nkind = "in"\ncolumn = "review"\nvalues = ["clean"]\nunknown = "drop"\n'
        'reason = "Nobody has seen it."\n\n'
    )
    text = recipe.read_text()
    recipe.write_text(text.replace("[[rules]]", f"{rules}[[rules]]", 1))
    words = (
        "--data",
        small_demo / "data",
        "--no-propose",
        "--source",
        "cohen",
        "--unreviewed",
        "--json",
        "--out",
    )
    ran = run("review", "--recipe", recipe, *words, tmp_path / "r.html")
    assert ran.status == 0, ran.err
    images = document(tmp_path / "r.html")["images"]
    ledger = pd.read_parquet(small_demo / "build" / "ledger.parquet")
    # Another rule excludes the lateral images too, though this one comes first.
    cohen = ledger[(ledger["source"] == "cohen") & ledger["exclusion"].isna()]
    assert [image["path"] for image in images] == cohen["source_path"].tolist()
    assert {image["excluded"] for image in images} == {"unseen"}
    assert json.loads(ran.out)["excluded"] == {"unseen": len(images)}
    assert f"that only rules on reviews exclude: {len(images)} by unseen." in " ".join(ran.err.split())
    # A build shows such an image too; `arrow.jpg` has a review.
    ran = run("review", "--build", small_demo / "build", *words[:-3], "--json", "--out", tmp_path / "r.html")
    assert json.loads(ran.out)["excluded"] == {"annotated": 1}


def test_the_page_requests_nothing_from_a_network(page: tuple[Path, dict[str, object]]) -> None:
    text = page[0].read_text()
    assert "http://" not in text.replace('"http://www.w3.org', "")
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_a_builds_images_are_read_from_the_sources_or_else_from_the_build(
    small_demo: Path, tmp_path: Path
) -> None:
    for data, start in ((small_demo / "data", "data/sources/"), (tmp_path / "none", "build/images/")):
        words = ("--build", small_demo / "build", "--data", data, "--out", small_demo / "review.html")
        ran = run("review", *words, "--no-propose", "--no-embed-images", "--source", "cohen", "--json")
        assert ran.status == 0, ran.err
        shown = document(small_demo / "review.html")
        assert shown["kinds"] == {}
        assert {image["file"].startswith(start) for image in shown["images"]} == {True}
        assert all((small_demo / image["file"]).is_file() for image in shown["images"])
    (small_demo / "review.html").unlink()


def test_missing_images_of_a_build_are_named(small_demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(small_demo / "build", build)
    missing = sorted(build.glob("images/*/*/*.jpg"))[:2]
    for path in missing:
        path.unlink()
    ran = run("review", "--build", build, "--data", tmp_path, "--out", tmp_path / "r.html")
    assert ran.status == 1
    message = " ".join(ran.err.split())
    assert "images of the build are missing" in message
    assert "2 missing files: " in message
    assert str(missing[0]) in ran.err.replace("\n", "")
    assert "cxrbuild curate" in message
    assert not (tmp_path / "r.html").exists()


def test_reviews_of_images_that_a_build_excludes_are_accepted(small_demo: Path, tmp_path: Path) -> None:
    ledger = pd.read_parquet(small_demo / "build" / "ledger.parquet")
    excluded = ledger[ledger["exclusion"] == "lateral"].iloc[0]
    line = f"{excluded['source']},{excluded['source_path']},clean,no,"
    command = ("review", "--build", small_demo / "build", "--data", small_demo / "data", "--no-propose",
               "--out", tmp_path / "r.html", "--reviews")  # fmt: skip
    ran = run(*command, write(tmp_path / "excluded.csv", line))
    assert ran.status == 0, ran.err
    assert excluded["source_path"] not in {i["path"] for i in document(tmp_path / "r.html")["images"]}
    ran = run(*command, write(tmp_path / "other.csv", "cohen,images/unknown.jpg,clean,no,"))
    assert ran.status == 1
    assert "the reviews name no image of this build" in " ".join(ran.err.split())


def test_an_unreadable_image_is_listed_and_the_page_is_written(small_demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(small_demo / "build", build)
    damaged = min(build.glob("images/*/*/cohen_*.jpg"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    command = ("review", "--build", build, "--data", tmp_path, "--no-propose", "--out", tmp_path / "r.html",
               "--source", "cohen")  # fmt: skip
    ran = run(*command)
    assert ran.status == 0, ran.err
    assert "1 image cannot be read; the page shows the problem:" in ran.out
    manifest = images_of(build, source="cohen")
    row = manifest[manifest["jpeg_path"] == damaged.relative_to(build).as_posix()].iloc[0]
    assert row["source_path"] in ran.out
    images = document(tmp_path / "r.html")["images"]
    assert len(images) == len(manifest)
    problems = {image["path"]: image["problem"] for image in images if image["problem"]}
    assert list(problems) == [row["source_path"]]
    assert json.loads(run(*command, "--json").out)["unreadable"] == [
        {"source": row["source"], "path": row["source_path"], "problem": problems[row["source_path"]]}
    ]


def test_withdrawn_images_are_not_shown_and_may_have_reviews(small_demo: Path, tmp_path: Path) -> None:
    declared = shutil.copytree(small_demo / "declared", tmp_path / "declared")
    source = declared / "cohen.toml"
    source.write_text('withdrawn = "withdrawn.csv"\n' + source.read_text())
    # The recipe's own review file names this image.
    (declared / "withdrawn.csv").write_text(
        "path,date,reason\nimages/arrow.jpg,2026-02-28,consent withdrawn\n"
    )
    ran = run("review", "--recipe", declared / "recipe.toml", "--data", small_demo / "data", "--no-propose",
              "--source", "cohen", "--out", tmp_path / "r.html")  # fmt: skip
    assert ran.status == 0, ran.err
    paths = {image["path"] for image in document(tmp_path / "r.html")["images"]}
    assert paths
    assert "images/arrow.jpg" not in paths


def page_of(folder: Path, *files: Path, **options: int) -> tuple[ReviewPage, dict[str, object]]:
    """Write a page of one image that is read from the first readable file."""
    image = ReviewImage("id", "own", "image", "Normal", files, None)
    with ThreadPoolExecutor(1) as executor:
        page = write_page([image], folder / "page.html", executor, title="own", propose=False, **options)
    return page, document(page.page)["images"][0]


PNG = BytesIO()
Image.new("L", (40, 30), 90).save(PNG, "PNG")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", PNG.getvalue()[:60], b"\xff\xd8\xff\xe0 truncated", b"GIF89a", None],
    ids=["empty", "html", "half a png", "truncated jpeg", "gif", "missing"],
)
def test_any_unreadable_file_stays_on_the_page(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    page, image = page_of(tmp_path, file)
    assert [unreadable.path for unreadable in page.unreadable] == ["image"]
    assert image["problem"] == page.unreadable[0].problem != ""
    # If the build has the image, the page shows that.
    (tmp_path / "jpeg").write_bytes(PNG.getvalue())
    page, image = page_of(tmp_path, file, tmp_path / "jpeg")
    assert (page.unreadable, image["problem"], image["file"]) == ((), "", "jpeg")


def test_a_large_colour_profile_does_not_make_an_image_unreadable(tmp_path: Path) -> None:
    profile = random.Random(0).randbytes(4_000_000)
    Image.new("L", (40, 30), 90).save(tmp_path / "profile.png", icc_profile=profile)
    page, image = page_of(tmp_path, tmp_path / "profile.png")
    assert (page.unreadable, image["size"]) == ((), [40, 30])


def test_the_recipe_s_limit_on_pixels_holds_on_the_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "cxrbuild")
    (tmp_path / "file").write_bytes(PNG.getvalue())
    page, image = page_of(tmp_path, tmp_path / "file", max_pixels=1_199)
    assert "40 x 30 pixels" in str(image["problem"])
    assert len(page.unreadable) == 1
    assert "cannot be read: id (" in caplog.text
    page, image = page_of(tmp_path, tmp_path / "file", max_pixels=1_200)
    assert (page.unreadable, image["size"]) == ((), [40, 30])


def test_the_command_takes_the_limit_on_pixels_from_the_recipe(small_demo: Path, tmp_path: Path) -> None:
    declared = shutil.copytree(small_demo / "declared", tmp_path / "declared")
    recipe = declared / "recipe.toml"
    recipe.write_text(recipe.read_text() + "\n[conversion]\nmax_pixels = 10\n")
    ran = run("review", "--recipe", recipe, "--data", small_demo / "data", "--no-propose", "--json",
              "--out", tmp_path / "r.html", "--label", "COVID-19")  # fmt: skip
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert len(found["unreadable"]) == found["images"] > 0


def test_the_folder_of_the_page_is_made(small_demo: Path, tmp_path: Path) -> None:
    words = (
        "review",
        "--build",
        small_demo / "build",
        "--data",
        small_demo / "data",
        "--no-propose",
        "--label",
        "COVID-19",
    )
    (tmp_path / "file").touch()
    for out, message in (
        (tmp_path / "file" / "r.html", f"Found: no folder {tmp_path / 'file'}"),
        (tmp_path, "this is a folder"),
    ):
        ran = run(*words, "--out", out)
        assert ran.status == 1
        assert message in " ".join(ran.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    page = tmp_path / "pages" / "of" / "r.html"
    assert run(*words, "--workers", "1", "--out", page).status == 0
    assert page.is_file()


@pytest.mark.parametrize(
    "options",
    [
        ["--source", "nowhere"],
        ["--label", "Measles"],
        ["--source", "mooney", "--label", "COVID-19"],
    ],
)
def test_an_empty_selection_is_an_error(options: list[str], small_demo: Path, tmp_path: Path) -> None:
    ran = run(
        "review", "--build", small_demo / "build", "--data", tmp_path, "--out", tmp_path / "r.html", *options
    )
    assert ran.status == 1
    assert "no image is selected" in " ".join(ran.err.split())
    assert " ".join(options) in " ".join(ran.err.split())
    assert "Normal, Pneumonia" in " ".join(ran.err.split())


def test_an_image_that_is_marked_unseen_is_shown_again_and_the_command_says_why(
    small_demo: Path, tmp_path: Path
) -> None:
    unseen, seen, new, *_ = images_of(small_demo / "build", source="mooney", label="Normal")["source_path"]
    reviews = write(tmp_path / "mine.csv", f"mooney,{unseen},unseen,,blurred", f"mooney,{seen},clean,no,")
    out = tmp_path / "r.html"
    words = ["--source", "mooney", "--label", "Normal", "--unreviewed", "--no-propose", "--json"]
    places = (
        "--build",
        small_demo / "build",
        "--data",
        small_demo / "data",
        "--reviews",
        reviews,
        "--out",
        out,
    )
    ran = run("review", *words, *places)
    assert ran.status == 0, ran.err
    result = json.loads(ran.out)
    assert (result["reviewed"], result["unseen"]) == (0, 1)
    shown = {image["path"]: image["review"] for image in document(out)["images"]}
    assert shown[unseen] == ["unseen", "", "blurred"]
    assert shown[new] is None
    assert seen not in shown
    assert "Images that are marked `unseen` are shown again: nobody has judged them" in " ".join(
        ran.err.split()
    )
    # The page says so too, next to the image.
    assert "Marked unseen: nobody has judged this image, so --unreviewed shows it" in out.read_text()


def test_a_folder_without_a_build_is_an_error(tmp_path: Path) -> None:
    ran = run("review", "--build", tmp_path)
    assert ran.status == 1
    assert "no finished build in this folder" in " ".join(ran.err.split())


# ---- two readers


def test_kappa_is_the_one_of_cohen() -> None:
    # Yes/no of 50 proposals by two readers: agreement 0.7, by chance 0.5, kappa 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = measure_agreement(pairs)
    assert (found.images, found.agreement) == (50, 0.7)
    assert found.kappa == pytest.approx(0.4)


def test_kappa_without_variation_is_undefined() -> None:
    assert measure_agreement([("clean", "clean")] * 3).kappa is None
    assert measure_agreement([("arrow", "clean")] * 3).kappa is None
    assert measure_agreement([("clean", "clean"), ("arrow", "clean")]).kappa == 0
    assert measure_agreement([]).kappa is None


def test_conflicts_are_listed_and_unseen_images_do_not_count() -> None:
    a = [
        review_of("1", "clean"),
        review_of("2", "arrow", True),
        review_of("3", "letter"),
        review_of("4", "unseen", None),
    ]
    b = [
        review_of("1", "clean"),
        review_of("2", "arrow", False),
        review_of("3", "marker"),
        review_of("4", "clean"),
        review_of("5", "clean"),
    ]
    found = compare_reviews(a, b)
    assert [(x.path, x.mark, y.mark) for x, y in found.conflicts] == [
        ("2", "arrow", "arrow"), ("3", "letter", "marker"),
    ]  # fmt: skip
    assert (found.mark.images, found.only_a, found.only_b) == (3, 0, 2)
    assert found.mark.agreement == pytest.approx(2 / 3)
    assert found.finding.agreement == pytest.approx(2 / 3)


def test_reviews_of_different_images_cannot_be_compared() -> None:
    with pytest.raises(CxrbuildError, match="no image was judged in both files"):
        compare_reviews([review_of("1", "clean")], [review_of("2", "clean")])


def test_two_files_are_compared_from_the_command_line(tmp_path: Path) -> None:
    a = write(
        tmp_path / "a.csv", "cohen,1.jpg,clean,no,", "cohen,2.jpg,arrow,yes,left", "cohen,3.jpg,tint,no,"
    )
    b = write(tmp_path / "b.csv", "cohen,1.jpg,clean,no,", 'cohen,2.jpg,marker,no,"L, so"')
    ran = run("review", "--compare", a, b, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["mark"] == {"images": 2, "agreement": 0.5, "kappa": pytest.approx(1 / 3)}
    assert found["conflicts"] == [
        {
            "source": "cohen", "path": "2.jpg",
            "a": {"mark": "arrow", "marks_finding": True, "note": "left"},
            "b": {"mark": "marker", "marks_finding": False, "note": "L, so"},
        }
    ]  # fmt: skip
    assert (found["only_a"], found["only_b"]) == (1, 0)
    shown = run("review", "--compare", a, b).out
    assert "1 conflict:" in shown
    assert "Judged by one reader only: 1 image in" in shown
    assert "arrow, at a finding" in shown


def test_reviews_are_merged_with_the_names_of_their_readers() -> None:
    def by(reader: str, path: str, mark: str, note: str = "") -> Review:
        return Review("cohen", path, mark, None if mark == "unseen" else False, note, reader)

    ann = {"2": "arrow", "3": "unseen", "4": "tint", "5": "letter", "7": "unseen"}
    ben = {"2": "clean", "3": "clean", "5": "marker", "6": "clean", "7": "unseen"}
    a = [by("Ann", "1", "clean", "x"), *(by("Ann", path, mark) for path, mark in ann.items())]
    b = [by("Ben", "1", "clean", "y"), *(by("Ben", path, mark) for path, mark in ben.items())]
    merged = merge_reviews(
        a, b, [by("Cho", "2", "symbol"), by("Cho", "4", "clean"), by("Cho", "5", "unseen")]
    )
    assert {one.path: (one.mark, one.reader, one.note) for one in merged.reviews} == {
        "1": ("clean", "Ann; Ben", "x; y"), "2": ("symbol", "Cho", ""), "3": ("clean", "Ben", ""),
        "4": ("tint", "Ann", ""), "6": ("clean", "Ben", ""), "7": ("unseen", "Ann", ""),
    }  # fmt: skip
    assert [(x.path, x.mark, y.mark) for x, y in merged.conflicts] == [("5", "letter", "marker")]
    assert (merged.agreed, merged.of_one_reader, merged.decided, merged.unused) == (1, 3, 1, 1)


def test_two_files_are_merged_and_a_third_decides(tmp_path: Path) -> None:
    a = write(tmp_path / "ann.csv", "cohen,1.jpg,clean,no,", 'cohen,2.jpg,arrow,yes,"left, high"')
    b = tmp_path / "b.csv"
    b.write_text(f"{HEADER.strip()},reader\ncohen,1.jpg,clean,no,,Ben\ncohen,2.jpg,clean,no,,Ben\n")
    out = tmp_path / "merged.csv"
    ran = run("review", "--merge", a, b, cwd=tmp_path)
    assert ran.status == 3
    assert "1 image without a review in the merged file" in " ".join(ran.err.split())
    assert read_reviews(str(out), Path()) == [Review("cohen", "1.jpg", "clean", False, "", "ann; Ben")]
    decided = write(tmp_path / "cho.csv", "cohen,2.jpg,arrow,yes,so")
    ran = run("review", "--merge", a, b, "--decided", decided, "--out", out, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert (found["reviews"], found["agreed"], found["decided"], found["conflicts"]) == (2, 1, 1, [])
    assert [(one.path, one.mark, one.reader) for one in read_reviews(str(out), Path())] == [
        ("1.jpg", "clean", "ann; Ben"), ("2.jpg", "arrow", "cho"),
    ]  # fmt: skip


def test_a_page_shows_what_two_readers_disagree_on_alone(small_demo: Path, tmp_path: Path) -> None:
    recipe, out = small_demo / "declared" / "recipe.toml", tmp_path / "conflicts.html"
    ledger = pd.read_parquet(small_demo / "build" / "manifest.parquet")
    paths = ledger.loc[ledger["source"] == "cohen", "source_path"].tolist()[:2]
    a = write(tmp_path / "ann.csv", f"cohen,{paths[0]},clean,no,", f"cohen,{paths[1]},arrow,yes,left")
    b = write(tmp_path / "ben.csv", f"cohen,{paths[0]},clean,no,", f"cohen,{paths[1]},marker,no,")
    common = (
        "--recipe",
        recipe,
        "--data",
        small_demo / "data",
        "--out",
        out,
        "--no-propose",
        "--workers",
        "1",
    )
    ran = run("review", "--conflicts", a, b, *common)
    assert ran.status == 0, ran.err
    (image,) = document(out)["images"]
    assert image["path"] == paths[1]
    assert image["readings"] == [["ann", "arrow", "yes", "left"], ["ben", "marker", "no", ""]]
    out.unlink()
    ran = run("review", "--conflicts", a, a, *common)
    assert ran.status == 0
    assert "no conflict" in ran.out
    assert not out.exists()
    other = write(tmp_path / "other.csv", f"cohen,{paths[0]},clean,no,", "cohen,lost.jpg,tint,no,")
    third = write(tmp_path / "third.csv", f"cohen,{paths[0]},clean,no,", "cohen,lost.jpg,clean,no,")
    ran = run("review", "--conflicts", other, third, *common)
    assert ran.status == 1
    assert "1 other image: cohen lost.jpg" in " ".join(ran.err.split())


def test_the_only_recipe_of_the_current_folder_is_reviewed(small_demo: Path, tmp_path: Path) -> None:
    shutil.copytree(small_demo / "declared", tmp_path, dirs_exist_ok=True)
    command = ("review", "--source", "cohen", "--data", small_demo / "data", "--no-propose", "--workers", "1")
    ran = run(*command, cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert "recipe.toml is taken, the only recipe in this folder." in " ".join(ran.out.split())
    assert {image["source"] for image in document(tmp_path / "review.html")["images"]} == {"cohen"}
    (tmp_path / "second.toml").write_text((tmp_path / "recipe.toml").read_text())
    said = run(*command, cwd=tmp_path).out
    assert "The shipped recipe covid19-cxr is taken: this folder has 2 recipes." in said


def test_kappa_of_one_image_is_reported_as_undefined(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,1.jpg,arrow,yes,")
    b = write(tmp_path / "b.csv", "cohen,1.jpg,clean,,")
    ran = run("review", "--compare", a, b)
    assert ran.status == 0, ran.err
    table = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "mark 1 0.000 undefined" in table
    assert "at a finding 0 undefined undefined" in table
    assert "Kappa is undefined where neither reader gave two different answers." in ran.out
    assert json.loads(run("review", "--compare", a, b, "--json").out)["mark"]["kappa"] is None


def test_a_file_with_problems_is_not_compared(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,1.jpg,clean,no,", "cohen,1.jpg,pointer,perhaps,")
    ran = run("review", "--compare", a, a)
    assert ran.status == 1
    for problem in ("line 3: unknown mark 'pointer'", "marks_finding is 'perhaps'", "line 2 already"):
        assert problem in " ".join(ran.err.split())


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,1.jpg,clean,no,", "cohen,2.jpg,pointer,no,", "cohen,3.jpg,clean")
    with pytest.raises(CxrbuildError) as raised:
        read_reviews(str(a), Path())
    assert "line 3: unknown mark 'pointer'" in str(raised.value)
    assert "line 4: 3 cells, not 5" in str(raised.value)


def test_a_mistyped_name_lists_the_files_of_that_kind() -> None:
    with pytest.raises(CxrbuildError, match=r"no such file of reviews.*adult_frontal, covid_frontal, or"):
        read_reviews("covid_frontl", Path())
    with pytest.raises(CxrbuildError, match=r"no such file of links.*one of known_duplicates, or"):
        read_links("same_flm", Path())


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes((HEADER + "cohen,1.jpg,clean,no,\n").replace("\n", "\r\n").encode("utf-8-sig"))
    assert read_reviews(str(file), Path()) == [review_of("1.jpg", "clean")]


def test_semicolons_separate_cells_where_the_header_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "cohen;1.jpg;clean;no;a, b\r\ncohen;2.jpg;marker;no;\r\n"
    file.write_bytes((HEADER.replace(",", ";") + rows).encode("utf-8-sig"))
    noted, other = read_reviews(str(file), Path())
    assert (noted.path, noted.note, other) == ("1.jpg", "a, b", review_of("2.jpg", "marker"))
    # A comma stays part of a note; a row of commas is one cell.
    file.write_text(HEADER.replace(",", ";") + "cohen,1.jpg,clean,no,\n")
    with pytest.raises(CxrbuildError, match="line 2: 1 cell, not 5"):
        read_reviews(str(file), Path())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace(",", "\t").encode(), "the cells of this file are separated by tabs"),
        (HEADER.replace(",", "\t").encode(), "Save it again with commas"),
        ((HEADER + "cohen,1.jpg,clean,no,hémithorax\n").encode("cp1252"), "not UTF-8 text"),
    ],
)
def test_files_that_a_spreadsheet_saved_otherwise_are_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    ran = run("review", "--compare", tmp_path / "a.csv", tmp_path / "a.csv")
    assert ran.status == 1
    assert message in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


# ---- curate --reviews

NO_OVERRIDES = {"rules": [], "reviews": []}


def plan(small_demo: Path, *more: object) -> dict[str, object]:
    ran = run(
        "plan",
        "--recipe",
        small_demo / "declared" / "recipe.toml",
        "--data",
        small_demo / "data",
        "--json",
        *more,
    )
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def annotated(plan: dict[str, object]) -> int:
    return next(step["images"] for step in plan["funnel"] if step["step"] == "annotated")


def test_added_reviews_exclude_images_and_override_the_recipes(small_demo: Path, tmp_path: Path) -> None:
    kept = pd.read_parquet(small_demo / "build" / "manifest.parquet")
    image = kept[(kept["source"] == "cohen") & (kept["split"] == "train")].iloc[0]
    before = json.loads((small_demo / "build" / "build.json").read_text())
    assert (annotated(before), before["overrides"]) == (1, NO_OVERRIDES)

    more = write(tmp_path / "more.csv", f"cohen,{image['source_path']},shape,yes,")
    after = plan(small_demo, "--reviews", more)
    assert annotated(after) == 2
    assert after["overrides"]["reviews"] == [{"file": more.name, "reviews": 1, "replaced": 0}]

    cleared = write(tmp_path / "cleared.csv", "cohen,images/arrow.jpg,clean,no,")
    after = plan(small_demo, "--reviews", more, "--reviews", cleared)
    assert annotated(after) == 1
    assert after["overrides"]["reviews"] == [
        {"file": more.name, "reviews": 1, "replaced": 0},
        {"file": cleared.name, "reviews": 1, "replaced": 1},
    ]


def test_a_build_with_added_reviews_records_them_as_an_override(small_demo: Path, tmp_path: Path) -> None:
    cleared = write(tmp_path / "cleared.csv", "cohen,images/arrow.jpg,clean,no,")
    command = ("curate", "--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data",
             "--out", tmp_path / "build", "--format", "parquet", "--json")  # fmt: skip
    ran = run(*command, "--reviews", cleared)
    assert ran.status == 0, ran.err
    built = json.loads(ran.out)
    assert built["overrides"]["reviews"] == [{"file": cleared.name, "reviews": 1, "replaced": 1}]
    manifest = pd.read_parquet(tmp_path / "build" / "manifest.parquet")
    assert "images/arrow.jpg" in set(manifest["source_path"])
    assert json.loads(run(*command, "--reviews", cleared).out)["changed"] is False
    again = json.loads(run(*command).out)
    assert (again["changed"], again["overrides"]) == (True, NO_OVERRIDES)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cohen,images/lost.jpg,clean,no,"], "1 review of images that the source does not have"),
        (["kohen,images/arrow.jpg,clean,no,"], "no source 'kohen'; the nearest source is 'cohen'"),
        pytest.param(
            ["cohen,images/arrow.jpg,pointer,no,"],
            "line 2: unknown mark 'pointer'; expected one of arrow, clean",
            marks=pytest.mark.slow,
        ),
        pytest.param(["cohen,images/arrow.jpg,clean"], "line 2: 3 cells, not 5", marks=pytest.mark.slow),
    ],
)
def test_reviews_that_cannot_be_added_are_refused(
    lines: list[str], message: str, small_demo: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "more.csv", *lines)
    for command in ("plan", "curate", "review"):
        more = ["--format", "parquet"] if command == "curate" else []
        ran = run(command, "--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data",
                  "--reviews", file, "--out", tmp_path / "out", *more)  # fmt: skip
        assert ran.status == 1, command
        assert message in " ".join(ran.err.split())
        assert "Traceback" not in ran.err


def test_added_files_that_contradict_each_other_are_refused(small_demo: Path, tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,images/arrow.jpg,clean,no,")
    b = write(tmp_path / "b.csv", "cohen,images/arrow.jpg,tint,no,")
    ran = run("plan", "--recipe", small_demo / "declared" / "recipe.toml", "--data", small_demo / "data",
              "--reviews", a, "--reviews", b)  # fmt: skip
    assert ran.status == 1
    assert f"cohen images/arrow.jpg: clean in {a}, tint in {b}" in " ".join(ran.err.split())
    assert "review --compare" in " ".join(ran.err.split())
