"""Jinja environments for pages in HTML and documents in Markdown."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from cxrbuild.errors import count_of, noun_of, verb_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


# Filters of every template.
_COUNTING = {"count_of": count_of, "noun_of": noun_of, "verb_of": verb_of}
_CODE = re.compile("`([^`]+)`")
# The end of a link's text, or of a reference's name, before an address that is not of the web or mail.
_OTHER_LINK = re.compile(r"\](?=[(:]\s*(?!https?:|mailto:)[a-z][a-z0-9+.-]*:)", re.IGNORECASE)


# The scripts of every page: sortable tables, enlarged images, lists that fold.
_SCRIPTS = ("tables.js", "images.js", "folds.js")


@cache
def html_environment(package: str) -> Environment:
    """Return the environment for HTML templates next to a package's modules; values are escaped.

    An environment keeps its templates compiled. A template can extend ``shared/page.html.j2``: the frame, the
    style and the scripts of every page.

    Parameters
    ----------
    package
        The package's name, such as ``cxrbuild.report``.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
    from markupsafe import Markup

    shared = PrefixLoader({"shared": PackageLoader("cxrbuild.templates", "")})
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _COUNTING | {"n": lambda number: f"{number:,}", "code": _mark_code}
    script = "".join(map(_read_text, _SCRIPTS))
    environment.globals |= {
        "shared_style": Markup(_read_text("page.css")),  # noqa: S704  a file of this package
        "shared_script": Markup(script),  # noqa: S704  files of this package
        # The browser runs no script with another hash: https://www.w3.org/TR/CSP3/#grammardef-hash-source
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment


def _mark_code(text: str) -> Markup:
    """Return text as HTML, what is in backticks as code."""
    from markupsafe import Markup, escape

    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  its text is escaped


def _read_text(name: str) -> str:
    return (files("cxrbuild.templates") / name).read_text(encoding="utf-8")


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
    environment.filters |= _COUNTING | {"flat": flat, "md": escape_markdown, "cell": escape_cell}
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
