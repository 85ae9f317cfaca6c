"""Jinja environments for pages in HTML and documents in Markdown."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


# The end of a link's text, or of a reference's name, before an address that is not of the web or mail.
_OTHER_LINK = re.compile(r"\](?=[(:]\s*(?!https?:|mailto:)[a-z][a-z0-9+.-]*:)", re.IGNORECASE)


@cache
def html_environment(package: str) -> Environment:
    """Return the environment for HTML templates next to a package's modules; values are escaped.

    An environment keeps its templates compiled.

    Parameters
    ----------
    package
        The package's name, such as ``cxrbuild.report``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["n"] = lambda number: f"{number:,}"
    return environment


@cache
def markdown_environment(package: str) -> Environment:
    """Return the environment for Markdown templates next to a package's modules.

    The filter ``md`` escapes HTML in declared text, ``cell`` escapes a table's cell too, and ``flat`` joins
    lines.

    Parameters
    ----------
    package
        The package's name, such as ``cxrbuild.documents``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, ""),
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  Markdown: the filters escape
    )
    environment.filters |= {"flat": flat, "md": escape_markdown, "cell": escape_cell}
    return environment


def flat(text: str) -> str:
    """Return text on one line."""
    return " ".join(text.split())


def escape_markdown(text: str) -> str:
    r"""Return text without raw HTML, which Markdown would pass on, and with links to the web and mail alone.

    Examples
    --------
    >>> escape_markdown("a <script> & b")
    'a &lt;script> &amp; b'
    >>> print(escape_markdown("[a](javascript:b) [c](https://example.org)"))
    [a\](javascript:b) [c](https://example.org)
    """
    return _OTHER_LINK.sub(r"\\]", text.replace("&", "&amp;").replace("<", "&lt;"))


def escape_cell(text: str) -> str:
    r"""Return text as a cell of a Markdown table.

    Examples
    --------
    >>> print(escape_cell("a|b"))
    a\|b
    """
    return escape_markdown(flat(text)).replace("|", "\\|")
