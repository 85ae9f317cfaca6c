"""What `mkdocs` does to a page: links that leave docs/ lead to the repository, hidden code is removed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parent.parent
_HIDDEN = re.compile(r"^<!-- .*?-->\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(((?:\.\./)+)([^)\s#]*)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Make the anchors of headings as GitHub makes them, so that a link works in both places."""
    config["mdx_configs"].setdefault("toc", {})["slugify"] = anchor
    return config


def anchor(heading: str, separator: str = "-") -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 - of mkdocs
    """Return the text of a page as the site shows it."""
    return _LINK.sub(lambda link: f"]({_in_repository(config['repo_url'], link)})", _HIDDEN.sub("", markdown))


def _in_repository(repository: str, link: re.Match[str]) -> str:
    """Return the address of a file or folder outside docs/."""
    kind = "tree" if (CHECKOUT / link[2]).is_dir() else "blob"
    return f"{repository.rstrip('/')}/{kind}/main/{link[2]}{link[3] or ''}"
