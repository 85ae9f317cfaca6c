"""The pages of an audit and of a release in a browser, on a wide screen and on a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import open_browser

from cxrbuild.auditing.audit import audit
from cxrbuild.catalog import read_recipe
from cxrbuild.releasing import release
from cxrbuild.report.page import describe_statuses

ALLOWED = "The recipe allows up to 1."


@pytest.fixture(scope="module")
def pages(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(demo / "build", folder / "build")
    recipe = (demo / "declared" / "recipe.toml").read_text()
    # The demo's metadata predicts the class; this recipe allows it.
    (folder / "recipe.toml").write_text(
        recipe[: recipe.index("[audit]")] + "[audit.limits]\nconfounding = 1\n"
    )
    audit(folder / "build", read_recipe(str(folder / "recipe.toml")))
    release(folder / "build", "1.0.0", folder / "release")
    return {"audit": folder / "build" / "audit.html", "release": folder / "release" / "report.html"}


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
        (["not applicable"], ["1 check not applicable to this build."]),
    ],
)
def test_statuses_are_described_in_sentences(statuses: list[str], sentences: list[str]) -> None:
    assert describe_statuses(statuses) == sentences


def test_checks_without_a_limit_do_not_count_as_passed() -> None:
    held, reported = describe_statuses(["passed", "reported", "reported"])
    assert held == "1 check with a limit: all passed."
    assert reported.startswith("2 checks without a limit in the recipe")


@pytest.mark.parametrize("name", ["audit", "release"])
def test_the_pages_say_which_checks_have_a_limit(
    name: str, pages: dict[str, Path], checks: dict[str, dict[str, object]]
) -> None:
    page = pages[name].read_text()
    statuses = [str(check["status"]) for check in checks.values()]
    assert {"passed", "reported"} <= set(statuses)
    for sentence in describe_statuses(statuses):
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


@pytest.mark.xdist_group("browser")
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
