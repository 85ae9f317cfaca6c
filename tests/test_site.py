"""The documentation site builds without a warning, and asks no other host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command import CHECKOUT

README_LINES = 100  # two screens


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: strictly."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=CHECKOUT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_has_a_place(site: Path) -> None:
    pages = {page.stem for page in (CHECKOUT / "docs").glob("*.md")} - {"index"}
    assert {page.parent.name for page in site.glob("*/index.html")} == pages


def test_links_within_the_site_lead_to_a_heading(site: Path) -> None:
    anchors = {
        page: set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))
        for page in site.glob("**/*.html")
    }
    dead = []
    for page in anchors:
        for link in re.findall(r'href="((?:\.\./)*[\w-]*/?#[^"]+)"', page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path / "index.html").resolve() if path else page
            if anchor not in anchors.get(target, set()) and page.name != "404.html":
                dead.append(f"{page.parent.name}: {link}")
    assert not dead


def test_no_hidden_code_and_no_other_host(site: Path) -> None:
    for page in site.glob("**/index.html"):
        text = page.read_text(encoding="utf-8")
        assert "<!-- bash" not in text
        assert "<!-- python" not in text
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]*"', text)
        assert not re.findall(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="https?://[^"]*"', text)


def test_links_out_of_the_pages_lead_to_the_repository(site: Path) -> None:
    text = (site / "architecture" / "index.html").read_text(encoding="utf-8")
    assert 'href="https://github.com/cxrbuild/cxrbuild/tree/main/cxrbuild/ingest/readers"' in text
    assert 'href="https://github.com/cxrbuild/cxrbuild/blob/main/cxrbuild/exclusions.py"' in text


def test_there_are_four_kinds_of_pages() -> None:
    text = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
    kinds = [next(iter(entry)) for entry in yaml.safe_load(text)["nav"]]
    assert kinds == ["Home", "Tutorial", "How-to", "Reference", "Explanation"]


def test_the_readme_is_short_and_its_images_exist() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES
    images = re.findall(r'<img src="([^"]+)" width="\d+" alt="[^"]{20,}">', text)
    assert len(images) == text.count("<img ") == 2
    assert all((CHECKOUT / image).is_file() for image in images)
