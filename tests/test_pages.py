"""The pages of an audit and of a release in a browser: on a screen, a phone and paper, and by keyboard."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from accessibility import read_axe, severe_findings
from browser import open_browser

from cxrbuild.artifact import AuditDocument, CheckResult, ImagePair, open_release
from cxrbuild.artifact.audit_finding import PairFinding
from cxrbuild.auditing.audit import audit
from cxrbuild.auditing.page_sections import list_sections
from cxrbuild.auditing.probes import PROBES
from cxrbuild.auditing.registry import CHECKS
from cxrbuild.catalog import read_recipe
from cxrbuild.comparison import diff
from cxrbuild.documents import measured_contents
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing import release
from cxrbuild.report import describe_statuses, next_step, next_steps
from cxrbuild.report.headlines import Headline, list_headlines

# All tests of the pages, also those without a browser: they share the pages.
pytestmark = pytest.mark.xdist_group("browser")
ALLOWED = "The recipe allows up to 1."


@pytest.fixture(scope="module")
def pages(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(demo / "build", folder / "build")
    recipe = (demo / "declared" / "recipe.toml").read_text()
    # The demo's metadata predicts the class; this recipe allows it.
    (folder / "recipe.toml").write_text(
        recipe[: recipe.index("[audit]")]
        + "[audit]\nlimits = { confounding = 1 }\n"
        + f"report = {list(PROBES)}\n"
    )
    audit(folder / "build", read_recipe(str(folder / "recipe.toml")))
    release(folder / "build", "1.0.0", folder / "release")
    # A later version: the first rows are removed, and another one is in test.
    records = read_records(folder / "build" / "manifest.parquet").iloc[5:]
    records.loc[records.index[0], "split"] = "test"
    write_records(folder / "manifest.parquet", records)
    changes = folder / "diff.html"
    changes.write_text(diff(folder / "build", folder / "manifest.parquet").to_html(), encoding="utf-8")
    return {
        "audit": folder / "build" / "audit.html",
        "release": folder / "release" / "report.html",
        "diff": changes,
    }


@pytest.fixture(scope="module")
def checks(pages: dict[str, Path]) -> dict[str, dict[str, object]]:
    document = json.loads(pages["audit"].with_name("audit.json").read_text())
    return {check["id"]: check for check in document["checks"]}


@pytest.mark.parametrize(
    ("statuses", "sentences"),
    [
        (["passed"], ["1 check with a limit: all passed."]),
        (["passed", "passed"], ["2 checks with a limit: all passed."]),
        (["passed", "failed", "passed"], ["3 checks with a limit: 2 passed, 1 failed."]),
        (["not applicable"], ["1 check with a limit: 1 not applicable."]),
        (["passed", "not applicable"], ["2 checks with a limit: 1 passed, 1 not applicable."]),
        (["failed", "not applicable", "failed"], ["3 checks with a limit: 2 failed, 1 not applicable."]),
    ],
)
def test_statuses_are_described_in_sentences(
    pages: dict[str, Path], statuses: list[str], sentences: list[str]
) -> None:
    assert describe_statuses(with_statuses(pages, statuses)) == sentences


def with_statuses(pages: dict[str, Path], statuses: list[str]) -> list[CheckResult]:
    """Return results of checks with these statuses; a check that is only reported has no limit."""
    some = AuditDocument.read(pages["audit"].with_name("audit.json")).checks[0]
    return [
        some.model_copy(update={"status": status, "limit": None if status == "reported" else 0})
        for status in statuses
    ]


def test_checks_without_a_limit_do_not_count_as_passed(pages: dict[str, Path]) -> None:
    held, reported = describe_statuses(with_statuses(pages, ["passed", "reported", "reported"]))
    assert held == "1 check with a limit: all passed."
    assert reported == "2 checks without a limit in the recipe: the reader has to judge."
    (unmade,) = with_statuses(pages, ["not applicable"])
    assert describe_statuses([unmade.model_copy(update={"limit": None})]) == [
        "1 check without a limit in the recipe: not applicable."
    ]


@pytest.mark.parametrize("name", ["audit", "release"])
def test_the_pages_say_which_checks_have_a_limit(
    name: str, pages: dict[str, Path], checks: dict[str, dict[str, object]]
) -> None:
    page = pages[name].read_text()
    assert {"passed", "reported"} <= {check["status"] for check in checks.values()}
    for sentence in describe_statuses(CheckResult.model_validate(check) for check in checks.values()):
        assert sentence in page
    assert "audited: <b>passed" not in page
    # Only a check that passed with findings mentions the limit.
    found = [check for check in checks.values() if check["status"] == "passed" and check["value"]]
    assert [check["id"] for check in found] == ["confounding"]
    assert f"{found[0]['message']}. {ALLOWED}" in page
    assert page.count("The recipe allows") == 1


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("width", [360, 390, 800, 1280])
@pytest.mark.parametrize("name", ["audit", "release"])
def test_no_page_scrolls_sideways(
    name: str, width: int, pages: dict[str, Path], checks: dict[str, dict[str, object]], driver: object
) -> None:
    screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(pages[name].as_uri())
    assert driver.execute_script("return innerWidth") == width
    for details in driver.find_elements("css selector", "summary"):
        details.click()
    hidden = driver.execute_script(
        "return [...document.querySelectorAll('html, .scroll')]"
        "  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 80))"
    )
    assert hidden == []
    rows = driver.execute_script(
        "return [...document.querySelectorAll('.stack tr')]"
        "  .map((row) => [...row.cells])"
        "  .map((row) => row.map((cell) => [cell.innerText.trim(), cell.getBoundingClientRect().right]))"
    )
    by_check = {row[0][0]: row for row in rows}
    for check in checks.values():
        row = by_check[check["id"]]
        assert row[1][0].endswith(str(check["status"]))
        assert any(str(check["message"]) in text for text, _ in row)
        assert all(0 < right <= width for _, right in row)


@pytest.fixture
def page(driver: object, request: pytest.FixtureRequest, pages: dict[str, Path]) -> Iterator[object]:
    """Open the page of the mark `param` on a wide screen, or at another width."""
    name, width = request.param
    screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(pages[name].as_uri())
    yield driver
    assert [entry["message"] for entry in driver.get_log("browser")] == []


def press(driver: object, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(driver).send_keys(*(getattr(Keys, key) for key in keys)).perform()


@pytest.mark.parametrize("page", [("release", 1280), ("audit", 390)], indirect=True)
def test_a_table_is_sorted_by_keyboard(page: object) -> None:
    table = page.find_elements("css selector", "table.sortable")[0]
    column = table.find_elements("css selector", "thead th")[1]

    def cells() -> list[str]:
        return [row.find_elements("css selector", "th, td")[1].get_property("textContent")
                for row in table.find_elements("css selector", "tbody tr")]  # fmt: skip

    def rows() -> list[str]:
        return [row.get_property("textContent") for row in table.find_elements("css selector", "tbody tr")]

    before = cells()
    page.execute_script("arguments[0].querySelector('button').focus()", column)
    press(page, "ENTER")
    assert column.get_attribute("aria-sort") == "ascending"
    ascending, ascending_rows = cells(), rows()
    press(page, "SPACE")
    assert column.get_attribute("aria-sort") == "descending"
    assert sorted(before) == sorted(ascending)
    assert rows() != ascending_rows
    assert len(table.find_elements("css selector", "[aria-sort]")) == 1
    if all(text.replace(",", "").isdigit() for text in before):
        assert ascending == sorted(before, key=lambda text: int(text.replace(",", "")))


@pytest.mark.parametrize("page", [("release", 1280)], indirect=True)
def test_an_image_is_enlarged_with_its_row_by_keyboard(page: object) -> None:
    images = page.find_elements("css selector", "button.enlarge")
    page.execute_script("arguments[0].focus()", images[0])
    press(page, "ENTER")
    dialog = page.find_element("css selector", "dialog[open]")
    alt = images[0].find_element("css selector", "img").get_attribute("alt")
    assert dialog.find_element("css selector", "img").get_attribute("alt") == alt
    assert dialog.find_element("css selector", "img").rect["width"] > 500
    row = dict(zip(*[[cell.text for cell in dialog.find_elements("css selector", f"dl {tag}")]
                     for tag in ("dt", "dd")], strict=True))  # fmt: skip
    assert row["image"] in alt
    assert {"source", "split", "licence", "size"} <= set(row)
    press(page, "ARROW_RIGHT")
    assert dialog.find_element("css selector", "img").get_attribute("alt") != alt
    press(page, "ESCAPE")
    assert not page.find_elements("css selector", "dialog[open]")
    # The event that the dialog was closed comes later.
    deadline = time.monotonic() + 20
    while page.switch_to.active_element != images[1]:
        assert time.monotonic() < deadline


def test_lists_are_folded_on_a_phone_and_open_on_paper(pages: dict[str, Path], driver: object) -> None:
    open_lists = "return [...document.querySelectorAll('details.fold')].map((list) => list.open)"
    for width, wanted in ((1280, True), (390, False)):
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        driver.get(pages["audit"].as_uri())
        found = driver.execute_script(open_lists)
        assert found
        assert set(found) == {wanted}
    driver.execute_script(
        "addEventListener('beforeprint', () => {"
        "  window.printed = [...document.querySelectorAll('details')].every((list) => list.open) })"
    )
    driver.execute_cdp_cmd("Page.printToPDF", {})
    assert driver.execute_script("return window.printed") is True
    assert set(driver.execute_script(open_lists)) == {False}


def test_both_pages_begin_with_what_a_reviewer_looks_for(pages: dict[str, Path]) -> None:
    found = {}
    for name, end in (("release", 'id="flow-chart"'), ("audit", 'id="checks"')):
        page = pages[name].read_text()
        first = page[page.index('id="first"') : page.index(end)]
        found[name] = re.findall(r'<h3>(.+?) <span class="verdict">.*?</span> (.+?)</span></h3>', first)
        # Every link leads to a part of the page.
        assert {
            f'id="{one}"' in page for one in re.findall(r'href="#(.+?)"', first.partition("<nav")[0])
        } == {True}
        # The recipe allows this: it is a finding all the same.
        assert "explains 98% of COVID-19" in first
        assert ("Confounding", "above the usual limit") in found[name]
    # The demo has an audit, and no model.
    order = ["failed", "above the usual limit", "to judge", "not run", "none found", "passed"]
    verdicts = [order.index(word) for _, word in found["release"]]
    assert verdicts == sorted(verdicts)
    assert ("What the model learned", "not run") in found["release"]
    assert ("Leakage between splits", "none found") in found["release"]
    assert "<code>cxrbuild train-baseline --build DIR</code>" in pages["release"].read_text()
    # The audit is of a build: it says nothing about a model.
    assert {question for question, _ in found["audit"]} == {question for question, _ in found["release"]} - {
        "What the model learned"
    }


def test_no_page_shows_backticks(pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        shown = re.sub(r"(?s)<(script|style)>.*?</\1>", "", path.read_text())
        assert "`" not in shown, name


def edited(pages: dict[str, Path], **changes: dict[str, object]) -> AuditDocument:
    """Return the demo's audit result with other values of some checks."""
    document = AuditDocument.read(pages["audit"].with_name("audit.json"))
    return document.model_copy(
        update={"checks": [check.model_copy(update=changes.get(check.id, {})) for check in document.checks]}
    )


def test_the_audit_says_which_classes_are_of_one_source(pages: dict[str, Path]) -> None:
    assert "Every Normal image is from mooney. Every Pneumonia image is from mooney." in pages[
        "audit"
    ].read_text(encoding="utf-8")


def test_the_report_states_what_failed_and_what_was_not_run(pages: dict[str, Path]) -> None:
    release = open_release(pages["release"].parent)

    def headlines(audit: AuditDocument | None) -> dict[str, Headline]:
        contents = measured_contents(release.document, release.ledger, audit, None)
        found = list_headlines(contents.kept, contents.recipe.classes, audit, release=contents)
        return {one.question: one for one in found}

    leaking = headlines(edited(
        pages, patient_leakage={"status": "failed", "value": 2.0, "message": "2 patients in several splits"}
    ))["Leakage between splits"]  # fmt: skip
    assert leaking.verdict == "failed"
    assert leaking.sentences == [
        "Must hold: No patient, with all linked patients, has images in two splits. "
        "Found: 2 patients in several splits."
    ]
    twice = {"status": "reported", "value": 3.0, "message": "3 pairs"}
    assert headlines(edited(pages, duplicates=twice))["Duplicates"].verdict == "to judge"
    # What the recipe only reports, or allows, is compared with the check's own limit.
    reported = {"status": "reported", "limit": None, "value": 2.0, "message": "2 patients in several splits"}
    assert headlines(edited(pages, patient_leakage=reported))["Leakage between splits"].verdict == (
        "above the usual limit"
    )
    # Where every property is within its usual limit, and no class is of one source, nothing is left to judge.
    rows = release.ledger[release.ledger["source"] == "mooney"].assign(license="unknown")
    small = {name: {"value": 0.1, "status": "reported"} for name in ("confounding", *PROBES)}
    of_build = {one.question: one.verdict for one in list_headlines(rows, ["Normal"], edited(pages, **small))}
    assert of_build["Confounding"] == "passed"
    assert of_build["Licences"] == "to judge"
    without = headlines(None)
    assert [one.verdict for one in without.values()] == [*["not run"] * 4, "passed"]
    assert {one.command for one in without.values()} == {
        "cxrbuild audit --build DIR", "cxrbuild train-baseline --build DIR", "",
    }  # fmt: skip
    # Which classes share no source is known without an audit.
    assert any("is from mooney" in sentence for sentence in without["Confounding"].sentences)


def test_the_parts_of_an_audit_are_sorted_by_severity(pages: dict[str, Path]) -> None:
    pair = {"kind": "same bytes", "similarity": 1.0, "changes": [], "linked": True}
    split, one_patient = (
        ImagePair(a=name, b=f"{name}-2", crosses=crosses, **pair)
        for name, crosses in (("x", ["split", "patient"]), ("y", []))
    )
    found = {
        one.a: PairFinding(message=one.a, a=one.a, b=one.b, kind="same bytes", crosses=one.crosses)
        for one in (split, one_patient)
    }
    document = edited(
        pages,
        duplicates={"value": 2.0, "findings": list(found.values())},
        duplicate_leakage={"value": 1.0, "status": "failed", "findings": [found["x"]]},
    )
    sections = list_sections(document, [split, one_patient])
    statuses = [(one.check.status, bool(one.check.value)) for one in sections]
    order = [("failed", True), ("reported", True), ("passed", True), ("passed", False), ("reported", False),
             ("not applicable", False)]  # fmt: skip
    ranks = [min(order.index(one), 3) if one[0] != "not applicable" else 4 for one in statuses]
    assert ranks == sorted(ranks)
    by_check = {one.check.id: one for one in sections}
    assert sections[0] is by_check["duplicate_leakage"]
    # A pair is shown once, under its most specific check.
    assert by_check["duplicate_leakage"].pairs == {"In two splits": [split]}
    assert by_check["duplicates"].pairs == {"Of one patient": [one_patient]}
    assert by_check["duplicates"].elsewhere == {"duplicate_leakage": 1}
    for one in sections:
        assert bool(one.next_step) == bool(one.check.value and one.check.status != "passed"), one.check.id


def test_every_check_has_a_next_step(pages: dict[str, Path]) -> None:
    checks = edited(pages, **{check.id: {"value": 1.0, "status": "failed"} for check in CHECKS}).checks
    assert {check.id for check in checks} == {check.id for check in CHECKS}
    assert [check.id for check in checks if not next_step(check)] == []
    assert len({next_step(check) for check in checks}) == len(checks)
    probes = [check for check in checks if check.id.startswith("probe_")]
    (step,) = next_steps(probes)
    assert step.count("a network can learn it") == 1
    assert [check.id for check in probes if next_step(check).partition(".")[0] not in step] == []


@pytest.mark.parametrize("name", ["audit", "release", "diff"])
def test_the_browser_may_run_the_script_of_the_page_alone(name: str, pages: dict[str, Path]) -> None:
    page = pages[name].read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=.(?:https?:|//)""", page)


@pytest.mark.parametrize(
    "page",
    [("release", 1280), *(pytest.param((name, 390), marks=pytest.mark.slow) for name in ("audit", "diff"))],
    indirect=True,
)
def test_no_page_has_a_severe_accessibility_finding(page: object, pytestconfig: pytest.Config) -> None:
    axe = read_axe(pytestconfig)
    assert severe_findings(page, axe, "light") == []
    # The checker does find what is wrong: in the dark scheme, this alone.
    page.execute_script("document.documentElement.removeAttribute('lang')")
    [finding] = severe_findings(page, axe, "dark")
    assert "html-has-lang" in finding
