"""What a notebook shows of a result: a title, sentences and a table, as short HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from numbers import Integral

from cxrbuild.errors import printable

# The rows of a table: a notebook is read, and the result has all.
_MOST = 20


def result_html(
    title: str = "",
    sentences: Iterable[str] = (),
    header: Sequence[str] = (),
    rows: Iterable[Sequence[object]] = (),
) -> str:
    """Return a result as HTML: its title, sentences, and the first rows of a table.

    Parameters
    ----------
    title, sentences
        Texts; an empty one is omitted.
    header
        The titles of the columns.
    rows
        The cells: numbers with separators for thousands, ``yes`` or ``no``, nothing for ``None``, text.

    Examples
    --------
    >>> result_html("demo-cxr 1.0.0", ["Complete."], ["class", "images"], [["a < b", 1200]])
    '<p><b>demo-cxr 1.0.0</b></p><p>Complete.</p><table><tr><th>class</th><th>images</th></tr><tr><td>a &lt; \
b</td><td>1,200</td></tr></table>'
    """
    listed = list(rows)
    parts = [f"<p><b>{_text(title)}</b></p>"] if title else []
    parts += [f"<p>{_text(sentence)}</p>" for sentence in sentences if sentence]
    if listed:
        head = _row("th", header) if any(header) else ""
        body = "".join(_row("td", row) for row in listed[:_MOST])
        parts.append(f"<table>{head}{body}</table>")
    if (more := len(listed) - _MOST) > 0:
        parts.append(f"<p>and {more:,} more</p>")
    return "".join(parts)


def _row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_cell(cell)}</{tag}>' for cell in cells)}</tr>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    # Those of NumPy too.
    return f"{int(value):,}" if isinstance(value, Integral) else _text(value)


def _text(value: object) -> str:
    return escape(printable(value))
