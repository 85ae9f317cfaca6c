"""Names, findings and declarations that are scripts: no page runs them, and no service gets them as HTML."""

from __future__ import annotations

import csv
import itertools
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from browser import open_browser
from command import run
from deposit_server import TOKEN, DepositServer
from figures import Figures
from loopback import serving

from cxrbuild.demo.phantom import phantom
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import format_record, git_tree_of
from cxrbuild.progress import silent

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
# Each runs where one place of a page forgets to escape: text, attribute, script, JSON, address, Markdown.
PAYLOADS = [
    "<script>ran()</script>",
    '"><img src=x onerror=ran()>',
    "'><svg onload=ran()>",
    "</script><script>ran()</script>",
    "</textarea></title></style><script>ran()</script>",
    "<!--<script>ran()",
    "\\u003cscript>ran()\\u003c/script>",
    "';ran();'",
    '";ran();"',
    "`;ran();`${ran()}",
    "{{ran()}}{% raw %}",
    "[x](javascript:ran())",
    "![x](x\" onerror=\"ran())",
    "&lt;img src=x onerror=ran()&gt;",
    "x\u2028ran()\u2029x",
    "<a href=javascript:ran()>x</a>",
]  # fmt: skip
ADDRESS = "javascript:ran()//https://example.org/"
LABELS = ("COVID-19", "Normal")


@dataclass(frozen=True)
class Made:
    """A dataset of hostile names, with its pages."""

    recipe: Path
    build: Path
    release: Path
    pages: list[Path]


def make_source(folder: Path) -> None:
    """Make images of hostile names, metadata with hostile words, and a declaration of both."""
    source, rows = folder / "upstream", []
    for number, (payload, label) in enumerate(itertools.product(PAYLOADS, LABELS)):
        # A backslash is refused in a path.
        path = f"images/{payload}{number}.png".replace("\\", "")
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        phantom(path, label).save(source / path, "PNG")
        split = ("train", "train", "test")[number // 2 % 3]
        rows.append(
            [path, f"{label} {payload}", payload, payload, payload, f"https://example.org/{payload}", split]
        )
    with (source / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["file", "finding", "person", "license", "by", "url", "split"], *rows])
    files = files_on_disk(source, {}, title="", progress=silent)
    (folder / "evil.tsv").write_text(format_record(files), encoding="utf-8")
    declared: dict[str, Any] = {
        "name": "evil", "title": PAYLOADS[0], "description": " ".join(PAYLOADS), "citation": PAYLOADS[1],
        "homepage": "https://example.org/?\"><script>ran()</script>", "license": "CC-BY-4.0", "public": True,
        "pin": {"tree": git_tree_of(files), "listing": "evil.tsv", "date": "2026-01-01"},
        "reader": {"kind": "csv", "file": "metadata.csv", "path": "{file}", "images": ["*.png"]},
        "columns": {
            "finding": {"from": "finding"}, "patient_id": {"from": "person"},
            "attribution": {"from": "by"}, "license": {"from": "license"},
        },
    }  # fmt: skip
    (folder / "evil.toml").write_text(tomli_w.dumps(declared), encoding="utf-8")
    (folder / "seen.csv").write_text("")
    with (folder / "seen.csv").open("w", newline="", encoding="utf-8") as stream:
        reviews = [["evil", row[0], "clean", "no", row[2]] for row in rows[::2]]
        csv.writer(stream).writerows([["source", "path", "mark", "marks_finding", "note"], *reviews])


def make_recipe(folder: Path) -> Path:
    texts = dict.fromkeys(
        ("creator", "motivation", "collection", "annotation", "sensitive", "social_impact", "maintenance"),
        " ".join(PAYLOADS),
    )
    lists = dict.fromkeys(("keywords", "biases", "limitations", "uses", "misuses"), PAYLOADS)
    declared = {
        "name": "evil-cxr", "version": "1.0.0", "date": "2026-01-01", "title": PAYLOADS[0],
        "description": " ".join(PAYLOADS), "citation": PAYLOADS[3], "sources": ["evil.toml"],
        "reviews": ["seen.csv"],
        "labels": {label: {"evil": [f"{label} {payload}" for payload in PAYLOADS]} for label in LABELS},
        "rules": [
            {"name": "other", "kind": "labelled", "reason": PAYLOADS[0]},
        ],
        "split": {"salt": PAYLOADS[2], "test": {"share": 0.3}},
        "datasheet": texts | lists,
    }  # fmt: skip
    (folder / "recipe.toml").write_text(tomli_w.dumps(declared), encoding="utf-8")
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("evil")
    make_source(folder)
    recipe = make_recipe(folder)
    build, release, page = folder / "build", folder / "evil-cxr-1.0.0", folder / "review.html"
    recipes = ("--recipe", recipe)
    data = ("--data", folder / "data")
    for words in (
        ("fetch", folder / "evil.toml", "--from", f"evil={folder / 'upstream'}", *data),
        ("curate", *recipes, *data, "--out", build, "--format", "parquet"),
        ("audit", "--build", build, *recipes),
        ("release", "1.0.0", "--build", build, "--out", release),
        ("review", *recipes, *data, "--out", page),
    ):
        ran = run(*words, CXRBUILD_PATIENT_KEY="key-of-the-test-1234")
        assert ran.status in (0, 3), (words, ran.err)
        assert ran.err.isprintable() or "\n" in ran.err
    return Made(recipe, build, release, [build / "audit.html", release / "report.html", page])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        # Before any script of a page: what a payload calls.
        script = {"source": "window.runs = 0; window.ran = () => { window.runs += 1; }"}
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
        yield browser


def test_the_browser_would_notice_a_script_that_runs(driver: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>" + PAYLOADS[0] + "<p>" + PAYLOADS[1])
    driver.get(page.as_uri())
    assert driver.execute_script("return runs") >= 1


@pytest.mark.parametrize("number", range(3), ids=["audit", "release", "review"])
def test_no_page_runs_a_name(made: Made, driver: Any, figures: Figures, number: int) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page = made.pages[number]
    driver.get(page.as_uri())
    if page.name == "review.html":
        # Every image once, so that the script of the page writes each name and note.
        for _ in range(len(PAYLOADS) * len(LABELS)):
            ActionChains(driver).send_keys(Keys.ARROW_RIGHT, "c").perform()
    for details in driver.find_elements("css selector", "summary"):
        details.click()
    assert driver.execute_script("return runs") == 0
    if page.name != "audit.html":  # which shows ids alone
        assert "ran()" in driver.execute_script("return document.body.textContent")
    addresses = driver.execute_script("return [...document.links].map((link) => link.protocol)")
    assert set(addresses) <= {"https:", "http:", "file:", "mailto:", "blob:"}
    inserted = driver.execute_script(
        "return document.querySelectorAll('[onerror], [onload], img[src=x], svg[onload]').length"
    )
    assert inserted == 0
    assert [entry for entry in driver.get_log("browser") if "ran" in entry["message"]] == []
    figures.add("pages")


def test_the_card_has_no_html_of_the_declarations(made: Made, figures: Figures) -> None:
    card = (made.release / "README.md").read_text(encoding="utf-8")
    body = card.split("---\n", 2)[2]
    assert "ran()" in body
    # Within code, Markdown shows HTML as it is written.
    outside = re.sub(r"```.*?```|`[^`\n]*`", "", body, flags=re.DOTALL)
    assert re.findall(r"<(?:script|img|svg|a)\b", outside, re.IGNORECASE) == []
    assert re.findall(r"(?<!\\)\]\(\s*javascript:", outside, re.IGNORECASE) == []
    figures.add("cards")


def test_a_deposit_gets_no_html_of_the_declarations(made: Made, tmp_path: Path, figures: Figures) -> None:
    release = Path(shutil.copytree(made.release, tmp_path / made.release.name))
    with serving(DepositServer()) as server:
        ran = run("publish", release, "zenodo:", ZENODO_URL=server.url, ZENODO_TOKEN=TOKEN)
        assert ran.status == 0, ran.err
        (record,) = server.records.values()
    described = [record.metadata["description"]]
    described += [more["description"] for more in record.metadata["additional_descriptions"]]
    for text in described:
        assert re.findall(r"<(?!/?p>)", text) == []
    assert "ran()" in "".join(described)
    for right in record.metadata["rights"]:
        assert right.get("link", "https://").startswith(("https://", "http://"))
    figures.add("deposits")
