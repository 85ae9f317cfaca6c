"""No release is made of a build whose images were withdrawn, or found to show a name, after it was made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import Ran, run
from test_withdrawals import NAMES, WITHDRAWN, build, write_world

from cxrbuild.artifact import open_build
from cxrbuild.curation.withdrawn_since import require_not_withdrawn_since
from cxrbuild.records import read_records
from cxrbuild.releasing.declared_since import require_no_identifier_since

pytestmark = pytest.mark.usefixtures("without_verifying")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder with a public source, its recipe and a build, and a copy; nothing is withdrawn."""
    folder = tmp_path_factory.mktemp("built") / "world"
    folder.mkdir()
    write_world(folder, NAMES, "")
    source = folder / "source.toml"
    text = source.read_text().replace(
        'title = "Mine"', 'title = "Mine"\npublic = true\nhomepage = "https://x.org"'
    )
    source.write_text(text)
    build(folder)
    return folder, Path(shutil.copytree(folder, folder.with_name("copy")))


@pytest.fixture
def world(built: tuple[Path, Path]) -> Path:
    """Return that folder as it was, in its place: the build records where the declarations are."""
    folder, copy = built
    shutil.rmtree(folder)
    return Path(shutil.copytree(copy, folder))


def curate(folder: Path) -> Ran:
    return run("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build", cwd=folder)


def release(folder: Path, *words: str) -> Ran:
    return run("release", "1.0.0", "--build", "build", "--out", "out", *words, cwd=folder)


def withdraw(folder: Path, line: str) -> None:
    (folder / "withdrawn.csv").write_text(f"path,date,reason\n{line}\n")


def test_an_image_that_was_withdrawn_since_is_not_released(world: Path) -> None:
    withdraw(world, f"{WITHDRAWN},2026-02-28,consent withdrawn")
    for policy in ("private", "public"):
        ran = release(world, "--policy", policy)
        assert ran.status == 3
        message = " ".join(ran.err.split())
        assert "build: 1 image withdrawn since the build was made." in message
        assert f"Found: mine {WITHDRAWN}, withdrawn 2026-02-28: consent withdrawn." in message
        assert "Run `cxrbuild curate` again with its recipe, and use what it builds." in message
        assert not (world / "out").exists()
    ran = run("export", "--build", "build", "--to", "csv", "--out", "table", cwd=world)
    assert ran.status == 3
    assert f"Found: mine {WITHDRAWN}, withdrawn 2026-02-28" in " ".join(ran.err.split())
    assert not (world / "table").exists()
    # The next step that the message names leads to a release without the image.
    assert curate(world).status == 0
    ran = release(world)
    assert ran.status == 0, ran.err
    assert WITHDRAWN not in set(read_records(world / "out" / "manifest.parquet")["source_path"])


def test_an_excluded_image_and_a_misspelt_path_are_withdrawn_images_too(world: Path) -> None:
    """The ledger has values of an excluded image; of a misspelt path, `curate` says which image is meant."""
    with (world / "links.csv").open("a") as stream:
        stream.write("mine,images/well0.png,mine,images/well1.png,duplicate,\n")
    rule = '[[rules]]\nname = "twice"\nkind = "duplicate"\nreason = "Again."\n\n[[rules]]'
    recipe = (world / "recipe.toml").read_text()
    (world / "recipe.toml").write_text(recipe.replace("[[rules]]", rule, 1))
    assert curate(world).status == 0
    ledger = read_records(world / "build" / "ledger.parquet").set_index("source_path")
    assert ledger.loc["images/well1.png", "exclusion"] == "twice"
    for path in ("images/well1.png", "images/wel1.png"):
        withdraw(world, f"{path},2026-02-28,error")
        ran = release(world)
        assert ran.status == 3
        assert f"Found: mine {path}, withdrawn 2026-02-28: error." in " ".join(ran.err.split())


def test_an_image_that_was_found_to_show_a_name_is_not_published(world: Path) -> None:
    (world / "reviews.csv").write_text(
        f"source,path,mark,marks_finding,note\nmine,{WITHDRAWN},identifier,no,a name\n"
    )
    ran = release(world)
    assert ran.status == 3
    message = " ".join(ran.err.split())
    assert "build: 1 image found to show a name since the build was made." in message
    assert f"Found: marked `identifier`: mine {WITHDRAWN}." in message
    ran = release(world, "--policy", "private")
    assert ran.status == 0, ran.err
    shutil.rmtree(world / "out")
    assert curate(world).status == 0
    ran = release(world)
    assert ran.status == 0, ran.err
    released = read_records(world / "out" / "manifest.parquet").set_index("source_path")["withheld"].dropna()
    assert released.to_dict() == {WITHDRAWN: "identifier"}


def test_a_review_file_that_was_added_is_asked_too(world: Path) -> None:
    """It overrides the recipe's reviews, as it did for the build."""
    lines = "source,path,mark,marks_finding,note\nmine,images/well2.png,{},no,\n"
    (world / "more.csv").write_text(lines.format("clean"))
    words = ("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build")
    assert run(*words, "--reviews", "more.csv", cwd=world).status == 0
    (world / "more.csv").write_text(lines.format("identifier"))
    ran = release(world)
    assert ran.status == 3
    assert "Found: marked `identifier`: mine images/well2.png." in " ".join(ran.err.split())


def test_a_build_whose_corrections_changed_since_is_not_released(world: Path) -> None:
    recipe = (world / "recipe.toml").read_text()
    (world / "recipe.toml").write_text('corrections = ["corrections.csv"]\n' + recipe)
    lines = "source,path,column,old,new,reason\nmine,images/well0.png,finding,well,sick,read again\n"
    (world / "corrections.csv").write_text(lines)
    assert curate(world).status == 0
    (world / "corrections.csv").write_text(lines.replace("well0", "well1"))
    for policy in ("public", "private"):
        ran = release(world, "--policy", policy)
        assert ran.status == 3
        message = " ".join(ran.err.split())
        assert "build: 1 file of corrections changed since the build was made." in message
        assert f"Found: {(world / 'corrections.csv').resolve()}." in message
        assert "Run `cxrbuild curate` again with its recipe, and release what it builds." in message
    (world / "corrections.csv").unlink()
    ran = release(world)
    assert ran.status == 0, ran.err
    assert "since the build was made is not known of corrections.csv: the build" in " ".join(ran.err.split())


def test_a_release_says_whose_withdrawals_it_cannot_know(world: Path) -> None:
    (world / "source.toml").rename(world / "elsewhere.toml")
    ran = release(world)
    assert ran.status == 0, ran.err
    assert "since the build was made is not known of mine: the build does not record" in " ".join(
        ran.err.split()
    )
    (world / "elsewhere.toml").rename(world / "source.toml")
    # A build of an earlier version records no places; the next `curate` does, although nothing changed.
    opened = open_build(world / "build")
    asked = (opened.folder, opened.document, opened.ledger)
    (world / "build" / ".cxrbuild" / "declarations.json").unlink()
    assert require_not_withdrawn_since(*asked) == ["mine"]
    assert require_no_identifier_since(*asked, "public") == ["reviews.csv"]
    assert curate(world).status == 0
    assert require_not_withdrawn_since(*asked) == require_no_identifier_since(*asked, "public") == []
    assert open_build(world / "build").document == opened.document
    withdraw(world, f"{WITHDRAWN},2026-02-28,error")
    assert release(world).status == 3


def test_a_release_says_which_source_has_another_citation_since(world: Path) -> None:
    source = world / "source.toml"
    source.write_text('citation = "Our Hospital: Images, 2026, https://x.org/y"\n' + source.read_text())
    ran = release(world)
    message = " ".join(ran.err.split())
    assert (
        "changed since the build was made: mine (citation). The release has their former content." in message
    )
    assert "run `cxrbuild curate`, then `release`" in message
    assert "No source has a `citation`" not in message
    assert "Our Hospital" not in (world / "out" / "CITATION.bib").read_text()
    shutil.rmtree(world / "out")
    assert curate(world).status == 0
    ran = release(world)
    assert "declarations of these sources changed" not in " ".join(ran.err.split())
    for name in ("CITATION.cff", "CITATION.bib"):
        cited = (world / "out" / name).read_text()
        assert "Our Hospital" in cited
        assert "https://x.org/y" in cited


def test_a_release_names_no_place_of_a_declaration(world: Path) -> None:
    ran = release(world)
    assert ran.status == 0, ran.err
    assert "is not known of" not in " ".join(ran.err.split())
    place = str(world.resolve()).encode()
    assert place in (world / "build" / ".cxrbuild" / "declarations.json").read_bytes()
    files = [path for path in (world / "out").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if place in path.read_bytes()] == []
