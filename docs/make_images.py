"""Make the images of the documentation from a run of the demo: `python docs/make_images.py`.

They show synthetic images only. Chromium draws the pages; the bytes depend on its version and on the fonts,
so no test compares them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent / "images"
_WIDTH, _HEIGHT = 1000, 1400


def main() -> None:
    """Make every image."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build = folder / "demo" / "build"
        recipe = folder / "demo" / "declared" / "recipe.toml"
        _run("demo", folder / "demo")
        _run("audit", "--build", build, "--recipe", recipe)
        _run("release", "1.0.0", "--build", build, "--out", folder / "release")
        _run("review", "--build", build, "--out", folder / "review.html", "--source", "cohen")
        browser = _browser(folder / "profile")
        try:
            _save_element(browser, folder / "release" / "report.html", "svg.flow", "flow-chart")
            _save_top(browser, folder / "release" / "report.html", "report", 1000)
            _save_top(browser, build / "audit.html", "audit", 1150)
            _save_top(browser, folder / "review.html", "review", 700)
        finally:
            browser.quit()


def _run(*words: object) -> None:
    # An audit whose checks fail ends with 3, and has its page.
    done = subprocess.run([sys.executable, "-m", "cxrbuild", *map(str, words), "--quiet"], check=False)
    if done.returncode not in (0, 3):
        sys.exit(done.returncode)


def _browser(profile: Path) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
        f"--window-size={_WIDTH},{_HEIGHT}", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=driver)


def _save_element(browser: Any, page: Path, selector: str, name: str) -> None:
    browser.get(page.as_uri())
    element = browser.find_element("css selector", selector)
    _write(element.screenshot_as_png, name)


def _save_top(browser: Any, page: Path, name: str, height: int) -> None:
    """Save the top of a page."""
    import io

    from PIL import Image

    browser.get(page.as_uri())
    with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as whole:
        top = io.BytesIO()
        whole.crop((0, 0, whole.width, min(height, whole.height))).save(top, "PNG")
    _write(top.getvalue(), name)


def _write(data: bytes, name: str) -> None:
    """Write an image with the 64 colours that a page needs: a tenth of the bytes."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").quantize(64).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
