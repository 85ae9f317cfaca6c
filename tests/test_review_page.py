"""The review page in a browser, used by keys and clicks."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from accessibility import read_axe, severe_findings
from command import run
from PIL import Image as PillowImage

from cxrbuild.catalog import Review, read_reviews
from cxrbuild.review.page import write_page
from cxrbuild.review.selection import ReviewImage

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium or its driver is missing"),
    pytest.mark.xdist_group("browser"),
]


class Page:
    """The review page in the browser."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        ActionChains(self.driver).send_keys(*(getattr(Keys, key, key) for key in keys)).perform()

    def element(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def boxes(self, selector: str) -> list[dict[str, float]]:
        """Return x, y, width and height of all elements that match."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((element) => {"
            "  const box = element.getBoundingClientRect();"
            "  return { x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height };"
            "})",
            selector,
        )

    def click(self, selector: str) -> None:
        self.element(selector).click()

    def text(self, selector: str) -> str:
        return self.element(selector).text

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.element(selector)).select_by_value(value)

    def cells(self) -> list[str]:
        return [cell.text for cell in self.driver.find_elements("css selector", ".cell")]

    def name(self) -> str:
        return self.text("#name").split()[1]

    def export(self) -> list[Review]:
        return read_reviews(str(self.export_file()), Path())

    def export_file(self) -> Path:
        """Export the reviews; return the new file, whose name is that of no earlier one."""
        before = {*self.downloads.glob("*.csv")}

        def new() -> list[Path]:
            # The browser reserves the name with an empty file, and fills it later.
            return [file for file in {*self.downloads.glob("*.csv")} - before if file.stat().st_size]

        self.click("#export")
        self.until(new)
        (file,) = new()
        return file

    def import_file(self, file: Path) -> None:
        self.element("#import").send_keys(str(file))
        self.until(lambda: file.name in self.text("#message"))

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def file(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("review") / "review.html"
    ran = run("review", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data", "--out", out)
    assert ran.status == 0, ran.err
    return out


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[webdriver.Chrome, Path]]:
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1280,900",
    ):  # fmt: skip
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser, downloads
    browser.quit()


@pytest.fixture
def page(driver: tuple[webdriver.Chrome, Path], file: Path) -> Iterator[Page]:
    """The page as it is opened for the first time."""
    browser, downloads = driver
    forget_marks(browser)
    browser.get(file.as_uri())
    yield Page(browser, downloads)
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def forget_marks(browser: webdriver.Chrome) -> None:
    """Remove what an earlier test marked, so that the next page is loaded once only."""
    if browser.current_url.startswith("file:"):
        browser.execute_script("localStorage.clear()")


def total(page: Page) -> int:
    return page.driver.execute_script("return images.length")


def test_marks_are_set_by_keys_and_exported(page: Page) -> None:
    names = []
    for key in "cabloimtrs":
        names.append(page.name())
        page.press(key)
    assert len(set(names)) == 10
    page.press("ARROW_LEFT", "n")
    page.press('a "note", with commas', "ENTER")
    found = page.export()
    assert [review.path for review in found] == names
    assert [review.mark for review in found] == [
        "clean", "arrow", "shape", "letter", "overlay", "identifier", "marker", "tint", "redacted", "symbol",
    ]  # fmt: skip
    assert [review.marks_finding for review in found[:4]] == [False, True, True, False]
    assert found[-1].note == 'a "note", with commas'
    assert "10 of them marked; 10 marked in all (" in page.text("#count")


def test_marks_persist_when_the_page_is_reloaded(page: Page) -> None:
    first = page.name()
    page.press("a", "f", "ARROW_LEFT", "f")
    page.driver.refresh()
    assert [(r.path, r.mark, r.marks_finding) for r in page.export()] == [(first, "arrow", False)]


def test_everything_can_be_clicked(page: Page) -> None:
    page.click("#advance")
    page.driver.find_elements("css selector", ".cell")[3].click()
    name = page.name()
    page.click('[data-mark="marker"]')
    assert page.name() == name
    assert page.element('[data-mark="marker"]').get_attribute("aria-pressed") == "true"
    page.click("#finding")
    page.element("#note").send_keys("so")
    page.click("#next")
    assert page.name() != name
    page.click("#previous")
    assert page.element("#note").get_attribute("value") == "so"
    assert [(r.path, r.mark, r.marks_finding, r.note) for r in page.export()] == [
        (name, "marker", True, "so")
    ]
    page.click("#remove")
    assert page.export() == []
    page.click("#undo")
    assert [r.mark for r in page.export()] == ["marker"]


def test_a_mark_can_be_undone_or_removed(page: Page) -> None:
    first = page.name()
    page.press("a", "c", "z")
    page.press("z")
    assert page.name() == first
    assert page.export() == []
    page.press("c", "ARROW_LEFT", "DELETE")
    assert page.export() == []


def test_a_note_without_a_mark_is_kept_and_not_exported(page: Page) -> None:
    page.press("n", "clear", "ENTER")
    assert page.export() == []
    assert "Not exported: 1 image with a note but no mark." in page.text("#message")
    page.press("c", "ARROW_LEFT")
    assert [(r.mark, r.note) for r in page.export()] == [("clean", "clear")]


def test_images_are_filtered_by_source_class_proposal_and_review(page: Page) -> None:
    page.choose("#by-label", "Normal")
    shown = page.driver.execute_script("return shown.map((i) => images[i].label)")
    assert set(shown) == {"Normal"}
    page.choose("#by-source", "cohen")
    assert page.text("#rows") == "No image passes the filters."
    page.press("a", "f", "ENTER", "z", "ARROW_RIGHT")
    page.choose("#by-label", "")
    page.choose("#by-proposal", "arrow")
    assert "images/arrow.jpg" in page.driver.execute_script("return shown.map((i) => images[i].path)")
    page.choose("#by-proposal", "")
    page.choose("#by-review", "arrow")
    assert page.cells() == ["arrow"]
    assert page.text("#reviewed") == (
        "Reviewed: arrow, at a finding (one yellow arrowhead). Excluded by the rule annotated; without rules "
        "on reviews the dataset would have it"
    )
    assert page.text("#count").endswith("; 1 not in the dataset")
    assert page.text("#proposed").startswith("Proposed: arrow (27 of 85 such proposals were right)")
    assert len(page.driver.find_elements("css selector", "#boxes div")) >= 1


def test_my_marks_can_be_filtered_and_compared_with_the_reviews(page: Page) -> None:
    page.press("c", "c")
    page.choose("#by-mine", "any")
    assert page.cells() == ["clean", "clean"]
    page.choose("#by-mine", "none")
    assert page.text("#count").startswith(f"{total(page) - 2} of")
    page.choose("#by-mine", "")
    page.choose("#by-review", "arrow")
    page.press("l")
    page.choose("#by-review", "")
    page.choose("#by-mine", "differs")
    assert page.cells() == ["letter"]


def test_a_review_can_be_accepted(page: Page) -> None:
    page.press("ENTER")
    assert page.text("#message") == "This image has no review yet."
    page.choose("#by-review", "arrow")
    page.press("ENTER")
    assert page.export() == [Review("cohen", "images/arrow.jpg", "arrow", True, "one yellow arrowhead")]


def test_a_blind_reader_sees_neither_reviews_nor_proposals(page: Page) -> None:
    page.choose("#by-review", "arrow")
    page.click("#blind")
    assert set(page.cells()) == {""}
    page.driver.execute_script("goTo(shown.findIndex((i) => images[i].path === 'images/arrow.jpg'))")
    assert page.name() == "images/arrow.jpg"
    assert (page.text("#reviewed"), page.text("#proposed")) == ("", "")
    assert page.driver.find_elements("css selector", "#boxes div") == []


def test_what_is_imported_is_exported_again(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    path = page.name()
    source = page.text("#name").split()[0]
    file.write_text(
        "\ufeffsource,path,mark,marks_finding,note\r\n"
        f'{source},{path},arrow,yes,"two ""lines"", and\na comma"\r\n'
        "elsewhere,images/other.jpg,unseen,,\r\n"
    )
    page.import_file(file)
    assert "Imported 2 reviews from own.csv. Kept for the next export: 1 review of images" in page.text(
        "#message"
    )
    assert page.export() == read_reviews(str(file), Path())


def test_the_shipped_reviews_go_in_and_out_unchanged(page: Page) -> None:
    from cxrbuild.catalog import CATALOG

    file = CATALOG / "reviews" / "covid_frontal.csv"
    page.import_file(file)
    shipped = read_reviews("covid_frontal", Path())
    assert sorted(page.export(), key=str) == sorted(shipped, key=str)


def test_a_file_with_problems_is_not_imported_at_all(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "problems.csv"
    lines = [
        "cohen,1,clean,no,",
        "cohen,2,pointer,no,",
        "cohen,3,clean,perhaps,",
        "cohen,1,clean,no,",
        "cohen,4",
    ]
    file.write_text("source,path,mark,marks_finding,note\n" + "".join(f"{line}\n" for line in lines))
    page.import_file(file)
    assert page.text("#message").split("\n")[1:] == [
        "line 3: unknown mark 'pointer'",
        "line 4: marks_finding is 'perhaps'",
        "line 5: cohen 1 is in line 2 already",
        "line 6: 2 cells, not 5",
    ]
    assert page.export() == []
    file.write_text("source;path;mark;marks_finding;note\ncohen;1;clean;no;\n")
    page.import_file(file)
    assert "not a review file" not in page.text("#message")
    assert len(page.export()) == 1
    file.write_text("name,mark\n")
    page.import_file(file)
    assert "its first line must be source,path,mark,marks_finding,note" in page.text("#message")


def test_the_image_can_be_enlarged(page: Page) -> None:
    def width() -> float:
        return page.driver.execute_script("return $('large').getBoundingClientRect().width")

    before = width()
    page.press("v")
    assert width() == pytest.approx(3 * before, rel=0.01)
    page.press("ARROW_RIGHT")
    assert width() < 2 * before


def test_every_pixel_of_the_file_is_shown_and_moved(
    driver: tuple[webdriver.Chrome, Path], tmp_path: Path
) -> None:
    grey = PillowImage.linear_gradient("L").resize((3000, 2400))
    grey.save(tmp_path / "large.png")
    with ThreadPoolExecutor(1) as executor:
        images = [ReviewImage("large", "own", "large.png", "Normal", (tmp_path / "large.png",), None)]
        write_page(images, tmp_path / "page.html", executor, title="own", propose=False)
    browser, downloads = driver
    page = Page(browser, downloads)
    browser.get((tmp_path / "page.html").as_uri())
    page.until(lambda: page.text("#scale").endswith("of 640 \N{MULTIPLICATION SIGN} 512 pixels, reduced"))
    page.press("v")
    page.until(lambda: page.text("#scale") == "100 % of 3,000 \N{MULTIPLICATION SIGN} 2,400 pixels")
    before = page.driver.execute_script("return $('large').getBoundingClientRect()")
    assert before["width"] == pytest.approx(3000, abs=2)
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    after = page.driver.execute_script("return $('large').getBoundingClientRect()")
    assert after["x"] == pytest.approx(before["x"] - 80, abs=1)
    page.press("0")
    page.until(
        lambda: page.driver.execute_script("return $('large').getBoundingClientRect()")["width"] < 1000
    )
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_window_and_level_spread_the_grey_values(page: Page) -> None:
    def transfer(grey: float) -> float:
        slope, intercept = page.driver.execute_script(
            "const f = document.querySelector('#window feFuncG');"
            "return ['slope', 'intercept'].map((name) => Number(f.getAttribute(name)))"
        )
        return grey * slope + intercept

    assert page.driver.execute_script("return $('large').style.filter") == ""
    for _ in range(10):
        page.press("[")
    page.press(".", ".")
    # Half of the grey values, around 0.6.
    assert page.driver.execute_script("return $('large').style.filter") == 'url("#window")'
    assert [transfer(grey) for grey in (0.35, 0.6, 0.85)] == pytest.approx([0, 0.5, 1])
    name = page.name()
    page.element("#window-level").click()
    page.press("ARROW_LEFT")
    assert page.name() == name
    page.click("#next")
    assert page.driver.execute_script("return $('large').style.filter") == ""


def test_the_name_of_the_reader_is_exported_and_kept(page: Page, tmp_path: Path) -> None:
    page.press("c")
    page.element("#reader").send_keys("Ann B.")
    page.press("ENTER", "c")
    file = page.export_file()
    assert re.fullmatch(r"reviews-Ann-B-\d{4}(-\d\d){5}\.csv", file.name)
    assert f"Exported 2 reviews as {file.name}." in page.text("#message")
    assert {(review.mark, review.reader) for review in read_reviews(str(file), Path())} == {
        ("clean", "Ann B.")
    }
    page.driver.refresh()
    assert page.element("#reader").get_attribute("value") == "Ann B."
    # The reviews of another reader keep that reader's name.
    other = tmp_path / "other.csv"
    other.write_text("source,path,mark,marks_finding,note,reader\nelsewhere,1.jpg,tint,no,,Ben\n")
    page.import_file(other)
    assert {review.reader for review in page.export()} == {"Ann B.", "Ben"}


def test_progress_is_counted(page: Page) -> None:
    page.press("c", "c")
    assert f"2 marked in all ({200 // total(page)} %), {total(page) - 2} to go" in page.text("#count")
    assert page.element("#progress").get_property("value") == 2
    assert page.element("#progress").get_property("max") == total(page)


def test_conflicts_show_both_readings_and_take_one(page: Page) -> None:
    page.driver.execute_script(
        "images[0].readings = [['Ann', 'arrow', 'yes', 'left'], ['Ben', 'marker', 'no', '']]; draw()"
    )
    assert page.cells()[0] == "arrow / marker"
    assert [one.text for one in page.driver.find_elements("css selector", "#readings button")] == [
        "Ann: arrow, at a finding (left) 1", "Ben: marker 2",
    ]  # fmt: skip
    page.press("2")
    assert [(review.mark, review.marks_finding) for review in page.export()] == [("marker", False)]


def test_an_unreadable_image_is_shown_as_such_and_can_be_marked(
    driver: tuple[webdriver.Chrome, Path], tmp_path: Path
) -> None:
    PillowImage.new("L", (40, 30), 90).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    images = [
        ReviewImage(name, "own", name, "Normal", (tmp_path / name,), None)
        for name in ("good.png", "bad.png", "lost.png")
    ]
    with ThreadPoolExecutor(1) as executor:
        write_page(images, tmp_path / "page.html", executor, title="own", propose=False)
    browser, downloads = driver
    page = Page(browser, downloads)
    browser.get((tmp_path / "page.html").as_uri())
    assert page.cells() == ["", "cannot be read", "cannot be read"]
    assert not page.element("#problem").is_displayed()
    page.press("ARROW_RIGHT")
    assert page.name() == "bad.png"
    assert page.element("#problem").is_displayed()
    assert "ends before" in page.text("#problem")
    assert not page.element("#large").is_displayed()
    page.press("ARROW_RIGHT", "v", "x")
    assert [(review.path, review.mark) for review in page.export()] == [("lost.png", "unseen")]
    page.choose("#by-proposal", "cannot be read")
    assert page.text("#count").startswith("2 of 3 images shown")
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_on_a_tablet_everything_is_visible(page: Page) -> None:
    page.driver.set_window_size(820, 1180)
    width, height = page.driver.execute_script("return [innerWidth, innerHeight]")
    try:
        boxes = page.boxes("#sheet, #large, #marks, #note, #next, #advance, #export")
        assert len(boxes) == 7
        for box in boxes:
            assert box["width"] > 10
            assert box["height"] > 10
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.driver.set_window_size(1280, 900)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (360, 640), (844, 390)])
def test_on_a_phone_the_image_is_large_and_nothing_is_cut(page: Page, width: int, height: int) -> None:
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        page.driver.refresh()
        [place] = page.boxes("#image")
        assert place["height"] >= max(0.45 * height, 200)
        assert place["y"] + place["height"] <= height
        [image] = page.boxes("#large")
        assert image["height"] > 0.9 * min(place["width"], place["height"])
        if height > width:
            for button in page.boxes("#marks button"):
                assert button["y"] + button["height"] <= height
        # The rest is reached by scrolling down only.
        for selector in ("#marks button", "#details .bar > *", "#sheet", ".files > *", "summary"):
            boxes = page.boxes(selector)
            assert boxes
            for box in boxes:
                assert box["width"] > 10
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert not page.element("#by-label").is_displayed()
        page.click("#filters summary")
        page.choose("#by-label", "Normal")
        assert set(page.driver.execute_script("return shown.map((i) => images[i].label)")) == {"Normal"}
        # An image that is selected on the sheet, below, scrolls into view.
        page.driver.find_elements("css selector", ".cell")[2].click()
        above = page.driver.execute_script("return $('image').getBoundingClientRect().top")
        assert -1 < above < height / 2
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_the_page_has_no_severe_accessibility_finding(page: Page, pytestconfig: pytest.Config) -> None:
    axe = read_axe(pytestconfig)
    page.press("c", "n")
    for scheme in ("light", "dark"):
        assert severe_findings(page.driver, axe, scheme) == []


@pytest.mark.slow
def test_six_thousand_images_do_not_stall(
    driver: tuple[webdriver.Chrome, Path], file: Path, tmp_path: Path
) -> None:
    # As many images as the paper's dataset has, repeated from the demo.
    text = file.read_text()

    def between(start: str) -> tuple[int, int]:
        at = text.index(start) + len(start)
        return at, text.index("</script>", at)

    parts = {name: between(f'id="{name}">') for name in ("document", "thumbnails", "embedded")}
    document = json.loads(text[slice(*parts["document"])])
    thumbnails = text[slice(*parts["thumbnails"])].split("\n")
    count = 6354
    images = [document["images"][i % len(thumbnails)] | {"path": f"{i}.jpg"} for i in range(count)]
    large = text[: parts["document"][0]] + json.dumps(document | {"images": images, "id": "many"})
    large += text[parts["document"][1] : parts["thumbnails"][0]]
    large += (
        "\n".join(thumbnails[i % len(thumbnails)] for i in range(count))
        + text[parts["thumbnails"][1] : parts["embedded"][0]]
    )
    large += text[parts["embedded"][1] :]
    (tmp_path / "many.html").write_text(large)
    browser, downloads = driver
    page = Page(browser, downloads)
    browser.get(file.as_uri())
    few = key_latency(page)
    browser.get((tmp_path / "many.html").as_uri())
    assert "6,354 of 6,354 images" in page.text("#count")
    page.press("END")
    assert page.name() == "6353.jpg"
    assert len(page.cells()) < 200
    # A page with a hundred times the images is not much slower, on any machine.
    assert key_latency(page) < 5 * few + 20
    browser.get_log("browser")


def key_latency(page: Page) -> float:
    """Return the median time in milliseconds that a key takes, with the drawing of the page."""
    return page.driver.execute_script(
        "const spent = [];"
        "for (let i = 0; i < 51; i++) {"
        "  const start = performance.now();"
        "  document.dispatchEvent(new KeyboardEvent('keydown', { key: i % 2 ? 'j' : 'k', bubbles: true }));"
        "  document.body.getBoundingClientRect();"
        "  spent.push(performance.now() - start);"
        "}"
        "return spent.sort((a, b) => a - b)[25];"
    )
