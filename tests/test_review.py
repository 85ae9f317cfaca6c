"""Reviews: which films are shown, what two people agree on, and what `--reviews` changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from command import run

from cxrbuild.catalog import Review, read_links, read_reviews
from cxrbuild.catalog.review import MARKS
from cxrbuild.errors import CxrbuildError
from cxrbuild.review import compare_reviews
from cxrbuild.review.agreement import cohens_kappa
from cxrbuild.review.page import KEYS

HEADER = "source,path,mark,marks_finding,note\n"
# What the page takes for other deeds.
OTHER_KEYS = set("fjknqvz")


def seen(path: str, mark: str, finding: bool | None = False) -> Review:
    return Review("cohen", path, mark, finding, "")


def document(page: Path) -> dict[str, object]:
    text = page.read_text()
    start = text.index('id="document">') + len('id="document">')
    return json.loads(text[start : text.index("</script>", start)])


def write(path: Path, *lines: str) -> Path:
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def page(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    out = tmp_path_factory.mktemp("page") / "review.html"
    ran = run("review", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
              "--out", out, "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    return out, json.loads(ran.out)


def test_every_mark_has_a_key_of_its_own() -> None:
    assert set(KEYS) == set(MARKS)
    assert len(set(KEYS.values()) | OTHER_KEYS) == len(MARKS) + len(OTHER_KEYS)


def test_the_page_holds_what_the_recipe_keeps_and_what_it_leaves_out_for_a_mark(
    page: tuple[Path, dict[str, object]], demo: Path
) -> None:
    out, told = page
    films = document(out)["films"]
    ledger = pd.read_parquet(demo / "build" / "ledger.parquet")
    chosen = ledger[ledger["exclusion"].isna() | (ledger["exclusion"] == "annotated")]
    assert [film["path"] for film in films] == chosen["source_path"].tolist()
    assert told["films"] == len(films)
    assert told["bytes"] == out.stat().st_size
    marked = {film["path"]: film for film in films if film["review"]}
    assert {path: film["review"] for path, film in marked.items()} == {
        "images/arrow.jpg": ["arrow", "yes", "one yellow arrowhead"]
    }
    # The arrow is yellow, so the source film shows it; the detector finds it there.
    assert "arrow" in {kind for kind, *_ in marked["images/arrow.jpg"]["proposals"]}
    assert told["proposed"]["arrow"] >= 1


def test_the_page_asks_nobody_for_anything(page: tuple[Path, dict[str, object]]) -> None:
    text = page[0].read_text()
    assert "http://" not in text.replace('"http://www.w3.org', "")
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_a_builds_films_come_from_the_sources_or_else_from_the_build(demo: Path, tmp_path: Path) -> None:
    for data, start in ((demo / "data", "data/sources/"), (tmp_path / "none", "build/images/")):
        ran = run("review", "--build", demo / "build", "--data", data, "--no-propose", "--no-views",
                  "--out", demo / "review.html", "--json")  # fmt: skip
        assert ran.status == 0, ran.err
        shown = document(demo / "review.html")
        assert shown["kinds"] == {}
        assert {film["file"].startswith(start) for film in shown["films"]} == {True}
        assert all((demo / film["file"]).is_file() for film in shown["films"])
    (demo / "review.html").unlink()


def test_films_that_are_gone_are_named(demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(demo / "build", build)
    gone = sorted(build.glob("images/*/*/*.jpg"))[:2]
    for path in gone:
        path.unlink()
    ran = run("review", "--build", build, "--data", tmp_path, "--out", tmp_path / "r.html")
    assert ran.status == 1
    words = " ".join(ran.err.split())
    assert "2 films of the build are gone" in words
    assert str(gone[0]) in ran.err.replace("\n", "")
    assert "cxrbuild curate" in words
    assert not (tmp_path / "r.html").exists()


def test_a_broken_film_is_told(demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(demo / "build", build)
    broken = min(build.glob("images/*/*/*.jpg"))
    broken.write_bytes(broken.read_bytes()[:200])
    ran = run("review", "--build", build, "--data", tmp_path, "--out", tmp_path / "r.html")
    assert ran.status == 1
    assert "not an image that can be read" in " ".join(ran.err.split())
    assert broken.name in ran.err.replace("\n", "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--source", "nowhere"], "the source nowhere"),
        (["--label", "Measles"], "the class Measles"),
        (["--source", "mooney", "--label", "COVID-19"], "the source mooney and the class COVID-19"),
    ],
)
def test_an_empty_selection_is_told(words: list[str], told: str, demo: Path, tmp_path: Path) -> None:
    ran = run("review", "--build", demo / "build", "--data", tmp_path, "--out", tmp_path / "r.html", *words)
    assert ran.status == 1
    assert "no film is left to look at" in " ".join(ran.err.split())
    assert told in " ".join(ran.err.split())
    assert "Normal, Pneumonia" in " ".join(ran.err.split())


def test_no_build_is_told(tmp_path: Path) -> None:
    ran = run("review", "--build", tmp_path)
    assert ran.status == 1
    assert "no build is here" in " ".join(ran.err.split())


# ---- two people


def test_kappa_is_cohens() -> None:
    # Yes/no of 50 proposals by two readers: agreement 0.7, by chance 0.5, kappa 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = cohens_kappa(pairs)
    assert (found.films, found.agreement) == (50, 0.7)
    assert found.kappa == pytest.approx(0.4)


def test_kappa_of_one_answer_throughout_is_not_defined() -> None:
    assert cohens_kappa([("clean", "clean")] * 3).kappa is None
    assert cohens_kappa([("arrow", "clean")] * 3).kappa is None
    assert cohens_kappa([("clean", "clean"), ("arrow", "clean")]).kappa == 0
    assert cohens_kappa([]).kappa is None


def test_conflicts_are_listed_and_unseen_films_do_not_count() -> None:
    a = [seen("1", "clean"), seen("2", "arrow", True), seen("3", "letter"), seen("4", "unseen", None)]
    b = [seen("1", "clean"), seen("2", "arrow", False), seen("3", "marker"), seen("4", "clean"),
         seen("5", "clean")]  # fmt: skip
    found = compare_reviews(a, b)
    assert [(x.path, x.mark, y.mark) for x, y in found.conflicts] == [
        ("2", "arrow", "arrow"), ("3", "letter", "marker"),
    ]  # fmt: skip
    assert (found.mark.films, found.only_a, found.only_b) == (3, 0, 2)
    assert found.mark.agreement == pytest.approx(2 / 3)
    assert found.finding.agreement == pytest.approx(2 / 3)


def test_nothing_in_common_is_told() -> None:
    with pytest.raises(CxrbuildError, match="no film that both have judged"):
        compare_reviews([seen("1", "clean")], [seen("2", "clean")])


def test_two_files_are_compared_from_the_command_line(tmp_path: Path) -> None:
    a = write(
        tmp_path / "a.csv", "cohen,1.jpg,clean,no,", "cohen,2.jpg,arrow,yes,left", "cohen,3.jpg,tint,no,"
    )
    b = write(tmp_path / "b.csv", "cohen,1.jpg,clean,no,", 'cohen,2.jpg,marker,no,"L, so"')
    ran = run("review", "--compare", a, b, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["mark"] == {"films": 2, "agreement": 0.5, "kappa": pytest.approx(1 / 3)}
    assert found["conflicts"] == [
        {
            "source": "cohen", "path": "2.jpg",
            "a": {"mark": "arrow", "marks_finding": True, "note": "left"},
            "b": {"mark": "marker", "marks_finding": False, "note": "L, so"},
        }
    ]  # fmt: skip
    assert (found["only_a"], found["only_b"]) == (1, 0)
    words = run("review", "--compare", a, b).out
    assert "1 conflict:" in words
    assert "Judged by one alone: 1 film in" in words
    assert "arrow, at a finding" in words


def test_kappa_of_one_film_is_told_as_undefined(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,1.jpg,arrow,yes,")
    b = write(tmp_path / "b.csv", "cohen,1.jpg,clean,,")
    ran = run("review", "--compare", a, b)
    assert ran.status == 0, ran.err
    table = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "mark 1 0.000 undefined" in table
    assert "at a finding 0 undefined undefined" in table
    assert "Kappa is undefined where neither gave two different answers." in ran.out
    assert json.loads(run("review", "--compare", a, b, "--json").out)["mark"]["kappa"] is None


def test_a_file_with_faults_is_not_compared(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,1.jpg,clean,no,", "cohen,1.jpg,pointer,perhaps,")
    ran = run("review", "--compare", a, a)
    assert ran.status == 1
    for words in ("line 3: unknown mark 'pointer'", "marks_finding is 'perhaps'", "line 2 already"):
        assert words in " ".join(ran.err.split())


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,1.jpg,clean,no,", "cohen,2.jpg,pointer,no,", "cohen,3.jpg,clean")
    with pytest.raises(CxrbuildError) as told:
        read_reviews(str(a), Path())
    assert "line 3: unknown mark 'pointer'" in str(told.value)
    assert "line 4: 3 cells, not 5" in str(told.value)


def test_a_mistyped_name_tells_the_reviews_and_no_file_of_links() -> None:
    with pytest.raises(CxrbuildError, match=r"no such file of reviews.*adult_frontal, covid_frontal, or"):
        read_reviews("covid_frontl", Path())
    with pytest.raises(CxrbuildError, match=r"no such file of links.*one of known_duplicates, or"):
        read_links("same_flm", Path())


def test_a_spreadsheets_byte_order_mark_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes((HEADER + "cohen,1.jpg,clean,no,\n").replace("\n", "\r\n").encode("utf-8-sig"))
    assert read_reviews(str(file), Path()) == [seen("1.jpg", "clean")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER.replace(",", ";").encode("utf-8-sig"), "the cells of this file are separated by semicolons"),
        (HEADER.replace(",", ";").encode(), "Save it again with commas"),
        ((HEADER + "cohen,1.jpg,clean,no,hémithorax\n").encode("cp1252"), "not UTF-8 text"),
    ],
)
def test_what_a_spreadsheet_may_do_to_a_file_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    ran = run("review", "--compare", tmp_path / "a.csv", tmp_path / "a.csv")
    assert ran.status == 1
    assert words in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


# ---- curate --reviews

NO_OVERRIDES = {"rules": [], "reviews": []}


def plan(demo: Path, *more: object) -> dict[str, object]:
    ran = run("plan", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data", "--json", *more)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def annotated(told: dict[str, object]) -> int:
    return next(step["all"] for step in told["funnel"] if step["step"] == "annotated")


def test_added_reviews_leave_films_out_and_overrule_the_recipes(demo: Path, tmp_path: Path) -> None:
    kept = pd.read_parquet(demo / "build" / "manifest.parquet")
    film = kept[(kept["source"] == "cohen") & (kept["split"] == "train")].iloc[0]
    before = plan(demo)
    assert (annotated(before), before["overrides"]) == (1, NO_OVERRIDES)

    more = write(tmp_path / "more.csv", f"cohen,{film['source_path']},shape,yes,")
    after = plan(demo, "--reviews", more)
    assert annotated(after) == 2
    assert after["overrides"]["reviews"] == [{"file": str(more), "reviews": 1, "replaced": 0}]

    cleared = write(tmp_path / "cleared.csv", "cohen,images/arrow.jpg,clean,no,")
    after = plan(demo, "--reviews", more, "--reviews", cleared)
    assert annotated(after) == 1
    assert after["overrides"]["reviews"] == [
        {"file": str(more), "reviews": 1, "replaced": 0},
        {"file": str(cleared), "reviews": 1, "replaced": 1},
    ]


def test_a_build_with_added_reviews_says_so_and_is_not_taken_for_the_recipes(
    demo: Path, tmp_path: Path
) -> None:
    cleared = write(tmp_path / "cleared.csv", "cohen,images/arrow.jpg,clean,no,")
    words = ("curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
             "--out", tmp_path / "build", "--format", "parquet", "--json")  # fmt: skip
    ran = run(*words, "--reviews", cleared)
    assert ran.status == 0, ran.err
    built = json.loads(ran.out)
    assert built["overrides"]["reviews"] == [{"file": str(cleared), "reviews": 1, "replaced": 1}]
    manifest = pd.read_parquet(tmp_path / "build" / "manifest.parquet")
    assert "images/arrow.jpg" in set(manifest["source_path"])
    assert json.loads(run(*words, "--reviews", cleared).out)["changed"] is False
    again = json.loads(run(*words).out)
    assert (again["changed"], again["overrides"]) == (True, NO_OVERRIDES)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["cohen,images/gone.jpg,clean,no,"], "1 review of images that the source does not have"),
        (["kohen,images/arrow.jpg,clean,no,"], "'kohen' is no source; known: actualmed, cohen"),
        (["cohen,images/arrow.jpg,pointer,no,"], "line 2: unknown mark 'pointer'; known: arrow, clean"),
        (["cohen,images/arrow.jpg,clean"], "line 2: 3 cells, not 5"),
    ],
)
def test_reviews_that_cannot_be_added_are_told(
    lines: list[str], words: str, demo: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "more.csv", *lines)
    for command in ("plan", "curate", "review"):
        more = ["--format", "parquet"] if command == "curate" else []
        ran = run(command, "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
                  "--reviews", file, "--out", tmp_path / "out", *more)  # fmt: skip
        assert ran.status == 1, command
        assert words in " ".join(ran.err.split())
        assert "Traceback" not in ran.err


def test_added_files_that_contradict_each_other_are_told(demo: Path, tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "cohen,images/arrow.jpg,clean,no,")
    b = write(tmp_path / "b.csv", "cohen,images/arrow.jpg,tint,no,")
    ran = run("plan", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
              "--reviews", a, "--reviews", b)  # fmt: skip
    assert ran.status == 1
    assert f"cohen images/arrow.jpg: clean in {a}, tint in {b}" in " ".join(ran.err.split())
    assert "review --compare" in " ".join(ran.err.split())
