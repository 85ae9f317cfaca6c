"""Releases: the card with the commands that rebuild the dataset, licences, attribution and citation."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from command import CHECKOUT, run
from releasing import change_rows, images_of

import cxrbuild
from cxrbuild.artifact import ReleaseDocument
from cxrbuild.catalog import read_recipe, read_source, source_names
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.license import UNKNOWN, read_licenses
from cxrbuild.catalog.override import Overrides, ReviewOverride, RuleOverride
from cxrbuild.contents import Contents
from cxrbuild.documents import croissant
from cxrbuild.documents import texts as generate_texts
from cxrbuild.documents.bibtex import bibtex
from cxrbuild.documents.rebuild import rebuild_commands
from cxrbuild.documents.reference import reference_of
from cxrbuild.files import read_json
from cxrbuild.records import read_records
from cxrbuild.releasing import release
from cxrbuild.rules import switch_rules

pytestmark = pytest.mark.xdist_group("release")


def commands(card: Path) -> list[str]:
    return [
        line
        for line in card.read_text().splitlines()
        if re.match(r"cxrbuild (fetch|curate|verify) ", f"{line} ")
    ]


def shipped_build(build: Path, folder: Path, name: str, overrides: Overrides) -> Path:
    """Copy a build as if a shipped recipe had made it."""
    shutil.copytree(build, folder)
    document = read_json(build / "build.json")
    recipe = read_recipe(name).model_dump(mode="json", exclude={"audit", "baseline"})
    document |= {"recipe": recipe, "dataset": {"name": name, "version": "1.0.0", "title": recipe["title"]}}
    document["overrides"] = overrides.model_dump(mode="json")
    (folder / "build.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("name", "overrides", "fetch", "curate"),
    [
        ("covid19-cxr", Overrides(), "", ""),
        (
            "covid19-cxr",
            Overrides(
                rules=(RuleOverride(rule="lateral", switch="lateral", enabled=False),),
                reviews=(
                    ReviewOverride(file="my, second reader.csv", reviews=1, replaced=1),
                    ReviewOverride(file="b.csv", reviews=1, replaced=0),
                ),
            ),
            "",
            " --keep-lateral --reviews 'my, second reader.csv' --reviews b.csv",
        ),
        (
            "covid19-cxr-adult",
            Overrides(rules=(RuleOverride(rule="annotated", switch="annotated", enabled=False),)),
            " cohen figure1 actualmed",
            " --recipe covid19-cxr-adult --keep-annotated",
        ),
    ],
)  # fmt: skip
def test_card_rebuilds_this_very_dataset(
    varied: Path, tmp_path: Path, name: str, overrides: Overrides, fetch: str, curate: str
) -> None:

    made = shipped_build(varied, tmp_path / "build", name, overrides)
    document = read_json(made / "build.json")
    recipe, _ = switch_rules(read_recipe(name), {"lateral": False})
    document["recipe"] = recipe.model_dump(mode="json", exclude={"audit", "baseline"})
    document |= {"policy": "public", "date": "2026-11-23", "withheld": {}}
    del document["files"]
    document["packaging"] = {"cxrbuild": "0", "manifest_sha256": "0", "files": {}}
    contents = Contents(ReleaseDocument.parse(document, made), images_of(varied))
    commands = rebuild_commands(contents)
    assert commands == [f"cxrbuild fetch{fetch}", f"cxrbuild curate{curate}"]
    incomplete = document | {"unpinned": ["cohen"], "missing": {"cohen_x": "missing_file"}}
    contents = Contents(ReleaseDocument.parse(incomplete, made), images_of(varied))
    commands = rebuild_commands(contents)
    # Of the sources, only the unpinned one is accepted as it is.
    verified = " ".join(one for one in recipe.sources if one != "cohen")
    assert commands == [
        f"cxrbuild fetch {verified}",
        "cxrbuild fetch cohen --allow-unpinned",
        f"cxrbuild curate{curate} --allow-missing",
    ]
    # The command line takes them.
    for command in commands:
        ran = run(*command.split()[1:2], "--help")
        assert all(option in ran.out for option in re.findall(r"--\w+", command))


def test_card_of_the_adult_recipe(varied_public: Path, varied: Path, tmp_path: Path) -> None:
    """Its images are the demo's, and its counts do not matter here: the card must name its recipe."""
    recipe = read_json(
        shipped_build(varied, tmp_path / "build", "covid19-cxr-adult", Overrides()) / "build.json"
    )
    document = read_json(varied_public / "build.json") | {key: recipe[key] for key in ("recipe", "dataset")}
    # The demo's sources are the paper's four.
    document["recipe"]["sources"] = list(document["declared_sources"])
    contents = Contents(
        ReleaseDocument.parse(document, varied_public), read_records(varied_public / "ledger.parquet")
    )
    texts = dict(generate_texts(varied_public, contents, {}, [], "0" * 64))
    (tmp_path / "README.md").write_text(texts["README.md"])
    assert "Accuracy over all classes" not in texts["README.md"]  # no class is rare
    assert commands(tmp_path / "README.md")[1:] == [
        "cxrbuild curate --recipe covid19-cxr-adult.toml",
        "cxrbuild verify build/covid19-cxr-adult/images --manifest covid19-cxr-adult-1.0.0/manifest.parquet",
    ]


def test_a_rare_class_is_counted_in_the_release(varied_public: Path) -> None:
    records = read_records(varied_public / "ledger.parquet")
    rare = records["label"].eq("COVID-19") & records["withheld"].isna() & records["exclusion"].isna()
    # Eight images of it are left, six of them without pixels.
    records = records.drop(records.index[rare][2:])
    contents = Contents(ReleaseDocument.read(varied_public / "build.json"), records)
    assert len(contents.kept) == 53
    assert contents.rare_classes() == []
    normal = records[records["label"].eq("Normal") & records["exclusion"].isna()]
    contents = replace(contents, records=pd.concat([records, *[normal] * 2]))
    counted = (len(contents.kept) / 8, len(contents.embedded) / 2)
    assert contents.rare_classes() == [
        f"One image in {counted[0]:.0f} is COVID-19, and one in {counted[1]:.0f} of those with pixels. "
        "Accuracy over all classes hardly depends on this class."
    ]


def test_documents_do_not_add_what_the_sources_do_not_state(varied_public: Path) -> None:
    """Sources as `init` proposes them: without a homepage, a citation, an author, an address."""
    document = read_json(varied_public / "build.json")
    records = read_records(varied_public / "ledger.parquet")
    author = records["image_id"].where(records["image_id"] != images_of(varied_public)["image_id"].iloc[0])

    def documents(policy: str, attribution: pd.Series | None) -> tuple[str, dict[str, str]]:
        contents = Contents(
            ReleaseDocument.parse(document | {"policy": policy}, varied_public),
            records.assign(attribution=attribution),
        )
        texts = dict(generate_texts(varied_public, contents, {}, [], "0" * 64))
        texts["croissant.json"] = json.dumps(croissant(varied_public, contents, {}))
        assert not [name for name, text in texts.items() if "None" in text]
        return " ".join(texts["README.md"].split()), texts

    first, *rest = document["declared_sources"].values()
    for source in document["declared_sources"].values():
        source |= {"homepage": None, "citation": None}
        source["pin"] |= {"commit": None, "sha256": None, "listing": None, "tree": "0" * 40}
    document["recipe"]["sources"] = [f"{name}.toml" for name in document["declared_sources"]]
    document["recipe"]["citation"] = None
    card, texts = documents("private", None)
    assert "Hugging Face Hub" not in card
    assert "The sources state no author or DOI of an image." in card
    assert "Its sources state no work to cite." in card
    cited = yaml.safe_load(texts["CITATION.cff"])
    assert (cited["message"], cited["references"]) == ("Cite this dataset.", [])
    first["citation"] = "A: B, 2020"
    card, texts = documents("public", author)
    assert "and from the Hugging Face Hub:" in card
    assert f"has the author or DOI of {len(images_of(varied_public)) - 1} of" in card
    name = next(iter(document["declared_sources"]))
    assert f"list the works that the images of {name} come from" in card
    assert f"the works below that its images of {name} come from." in texts["CITATION.cff"]
    assert f"--from {name}=FOLDER" in card
    assert "`FOLDER` is where the files of a source are" in card
    for source in rest:
        source["citation"] = "A: B, 2020"
    card, texts = documents("public", records["image_id"])
    assert "has the author or DOI of each." in card
    assert "list the works that the images come from; cite them too." in card
    assert "and the works below that its images come from." in texts["CITATION.cff"]


@pytest.mark.usefixtures("without_verifying")
def test_card_of_a_recipe_of_ones_own(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    document = read_json(varied / "build.json")
    overrides = {
        "rules": [{"rule": "lateral", "switch": "lateral", "enabled": True}],
        "reviews": [{"file": "mine.csv", "reviews": 1, "replaced": 0}],
    }
    (tmp_path / "build" / "build.json").write_text(json.dumps(document | {"overrides": overrides}))
    release(tmp_path / "build", "1.0.0", tmp_path / "out")
    fetch, curate, _ = commands(tmp_path / "out" / "README.md")
    # The address of an archive is declared; that of files without one may not be.
    pins = {name: source["pin"] for name, source in document["declared_sources"].items()}
    folders = [f"--from {name}=FOLDER" for name, pin in pins.items() if not (pin["commit"] or pin["sha256"])]
    assert len(folders) == 3
    assert fetch == " ".join(["cxrbuild fetch", *document["recipe"]["sources"], *folders])
    assert curate == "cxrbuild curate --recipe demo-cxr.toml --drop-lateral --reviews mine.csv"
    card = " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert "The recipe is not shipped with cxrbuild" in card
    assert "need its file, here called `demo-cxr.toml`" in card
    assert "`build.json` has the recipe under `recipe`" in card
    assert "The build uses additional review files: mine.csv." in card


def test_card_says_that_the_list_needs_all_views(varied_public: Path) -> None:
    unknown = images_of(varied_public)["view_position"].isna()
    card = " ".join((varied_public / "README.md").read_text().split())
    assert 'Pass `views="*"`' in card
    counts = images_of(varied_public)[unknown]["label"].value_counts()
    assert counts["Pneumonia"]
    assert all(f"{n} of {label}" in card for label, n in counts.items())


@pytest.mark.usefixtures("without_verifying")
def test_a_card_has_the_licence_that_all_images_have(demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "free"
    shutil.copytree(demo / "build", build)
    change_rows(build, list(images_of(build)["image_id"]), license="CC0-1.0")
    card = release(build, "1.0.0", tmp_path / "out").release.folder / "README.md"
    front = yaml.safe_load(card.read_text().split("---\n")[1])
    assert front["license"] == "cc0-1.0"
    assert "license_name" not in front
    assert "All images have one licence" in card.read_text()
    assert "## Withheld pixels" not in card.read_text()


@pytest.mark.usefixtures("without_verifying")
def test_a_card_says_what_each_licence_asks_for(varied_public: Path, demo: Path, tmp_path: Path) -> None:
    card = (varied_public / "README.md").read_text()
    assert "| CC-BY-NC-ND-4.0 | 1 | 0 | attribution, no commercial use, no adaptations |" in card
    build = tmp_path / "unlicensed"
    shutil.copytree(demo / "build", build)
    change_rows(build, list(images_of(build)["image_id"]), license="unknown")
    made = release(build, "1.0.0", tmp_path / "out", policy="private").release.folder
    card = (made / "README.md").read_text()
    assert "No licence is stated for any image. " in card
    assert "All images have one licence" not in card
    assert "**Private release.** It includes all images, whatever their licence. Do not" in card


def test_recipe_of_the_paper_dataset_says_no_more_than_is_known() -> None:
    recipe = read_recipe("covid19-cxr")
    assert "The recipe defines 6,354 chest X-rays" in " ".join(recipe.description.split())
    with (CATALOG / "reviews" / "covid_frontal.csv").open(encoding="utf-8", newline="") as stream:
        marks = [row["mark"] for row in csv.DictReader(stream)]
    seen = len(marks) - marks.count("unseen")
    text = " ".join(recipe.datasheet.annotation.split())
    assert f"{seen} of the {len(marks)} COVID-19 candidates" in text
    assert f"other {marks.count('unseen')} (32 of ActualMed, 7 of Cohen)" in text


def test_attribution_names_everyone(varied_public: Path) -> None:
    table = pd.read_csv(varied_public / "ATTRIBUTION.csv")
    assert len(table) == 89
    assert table["attribution"].notna().all()
    assert table["embedded"].value_counts().to_dict() == {"yes": 83, "no": 6}
    assert set(table["changes"]) <= {"none", "converted to an 8-bit grey JPEG"}


def test_citation(varied_public: Path) -> None:
    cited = yaml.safe_load((varied_public / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert (cited["type"], cited["version"]) == ("dataset", "1.0.0")
    assert cited["authors"]
    assert cited["title"]


def test_citation_as_bibtex(varied_public: Path) -> None:
    written = (varied_public / "CITATION.bib").read_text()
    # The demo states no author.
    assert written.startswith("@misc{demo-cxr-1.0.0,\n  title = ")
    cited = yaml.safe_load((varied_public / "CITATION.cff").read_text())
    *entries, program = written.split("\n@")
    # The work of each source of the demo.
    assert [one["year"] for one in cited["references"]] == [2026] * 4
    assert len(entries) == 1 + len(cited["references"])
    works = [cited, *cited["references"]]
    own = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert program == (
        f"misc{{cxrbuild-{cxrbuild.__version__},\n  author = {{{{{own['authors'][0]['name']}}}}},\n"
        f"  title = {{{{{own['title']}}}}},\n  version = {{{own['version']}}},\n"
        f"  url = {{{own['url']}}},\n}}\n"
    )
    assert all(one["title"] in entry for one, entry in zip(works, entries, strict=True))


def test_bibtex_has_the_fields_of_each_form() -> None:
    texts = [
        "Doe, Roe et al.: A 50 % share of {X} & more. A journal: of two 1(1), e18, 2019, doi:10.1/x_y",
        "Doe: Images again. arXiv 2007.09695, 2020",
        "Doe: Images again, 2020, https://example.org/a_b",
        "World Health Organization: Images",
        "no form at all",
    ]
    cited = {
        "title": "A dataset", "version": "1.0.0", "date-released": "2026-11-27",
        "authors": [{"family-names": "Poe", "given-names": "Ann"}, {"name": "The Poe_Lab"}],
        "references": [reference_of(text) for text in texts],
    }  # fmt: skip
    written = bibtex(cited, "mine", note="1 image is missing.")
    dataset, article, preprint, page, organization, text = written.split("\n@")
    assert dataset == (
        "@misc{mine-1.0.0,\n  author = {Poe, Ann and {The Poe\\_Lab}},\n  title = {{A dataset}},\n"
        "  year = {2026},\n  version = {1.0.0},\n  note = {1 image is missing.},\n}\n"
    )
    assert article == (
        "article{doe2019share,\n  author = {Doe and Roe and others},\n"
        "  title = {{A 50 \\% share of \\{X\\} \\& more}},\n  year = {2019},\n"
        "  journal = {A journal: of two},\n  volume = {1},\n  number = {1},\n  pages = {e18},\n"
        "  doi = {10.1/x_y},\n}\n"
    )
    assert "misc{doe2020images,\n" in preprint
    assert "  eprint = {2007.09695},\n  archiveprefix = {arXiv},\n" in preprint
    assert page.startswith("misc{doe2020images-2,\n")
    assert "  url = {https://example.org/a_b},\n" in page
    assert "author = {{World Health Organization}}" in organization
    assert "author" not in text


def test_licences_are_declared_with_sources() -> None:
    licences = read_licenses()
    assert all(licence.source.startswith("https://") for licence in licences.values())
    assert all(not licence.adaptation for name, licence in licences.items() if "-ND" in name)
    assert "unknown" not in licences


def test_every_licence_of_the_sources_is_in_the_table() -> None:

    sources = [read_source(name) for name in source_names()]
    words = {source.license for source in sources}
    words |= {word for s in sources if s.columns.license for word in (s.columns.license.map or {}).values()}
    assert words - {UNKNOWN} <= set(read_licenses())
