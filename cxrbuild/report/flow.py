"""The flow chart from the upstream images to the splits, as papers print it."""

from __future__ import annotations

from html import escape

from cxrbuild.contents import Contents

# Narrow, so that the text is readable on a phone.
_WIDTH = 400
_MAIN, _SIDE = (8, 150), (186, 206)
_LINE, _PAD, _GAP = 15, 9, 14


def flow_chart(contents: Contents) -> str:
    """Return the flow chart as an SVG."""
    upstream = contents.upstream()
    steps = [step for step in contents.steps() if step.images]
    drawn: list[str] = []
    left = contents.upstream_images
    y = _box(drawn, _MAIN, 0, [f"{left:,} upstream", *(f"{n:,} {name}" for name, n in upstream.items())])
    for step in steps:
        sources = [f"{n:,} {name}" for name, n in step.by_source.items() if n]
        lines = _wrapped(f"{step.images:,} {step.name}", 28)
        if len(sources) > 1:
            lines += _wrapped(", ".join(sources), 34)
        elif sources:
            lines += _wrapped(f"of {next(name for name, n in step.by_source.items() if n)}", 34)
        top = y + _GAP
        bottom = _box(drawn, _SIDE, top, lines, kind="out")
        left -= step.images
        middle = (top + bottom) / 2
        drawn.append(_line(_centre(_MAIN), y, _centre(_MAIN), bottom))
        drawn.append(_arrow(_centre(_MAIN), middle, _SIDE[0], middle))
        y = bottom
    top = y + _GAP + 6
    drawn.append(_arrow(_centre(_MAIN), y, _centre(_MAIN), top))
    y = kept = _box(drawn, _MAIN, top, [f"{left:,} kept"], kind="kept")
    hidden = sum(contents.count_withheld().values())
    if hidden:
        lines = [f"{hidden:,} without pixels", "in this release"]
        bottom = _box(drawn, _SIDE, top - 4, lines, kind="note")
        drawn.append(_line(_MAIN[0] + _MAIN[1], (top + y) / 2, _SIDE[0], (top + y) / 2, dashed=True))
        y = max(y, bottom)
    counts = contents.count(contents.kept)
    width = (_WIDTH - 16 - 8 * (len(contents.splits) - 1)) // max(len(contents.splits), 1)
    top, lowest = y + 2 * _GAP, y
    for i, split in enumerate(contents.splits):
        place = (8 + i * (width + 8), width)
        total = sum(row[split] for row in counts.values())
        lines = [f"{total:,} {split}"]
        for label, row in counts.items():
            lines += _wrapped(f"{row[split]:,} {label}", max(width // 7, 8))
        drawn.append(_arrow(_centre(_MAIN), kept, _centre(place), top))
        lowest = max(lowest, _box(drawn, place, top, lines, kind="kept"))
    title = f"{contents.upstream_images:,} images upstream, {left:,} kept"
    return (
        f'<svg class="flow" viewBox="0 0 {_WIDTH} {lowest + 2:.0f}" role="img" aria-label="{title}">'
        '<defs><marker id="head" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L6 3L0 6z" class="head"/></marker></defs>' + "".join(drawn) + "</svg>"
    )


def _box(drawn: list[str], place: tuple[int, int], top: float, lines: list[str], kind: str = "main") -> float:
    """Draw a box with a bold first line, and return its lower edge."""
    x, width = place
    height = 2 * _PAD + _LINE * len(lines) - 3
    drawn.append(f'<rect class="{kind}" x="{x}" y="{top + 1:.0f}" width="{width}" height="{height}" rx="5"/>')
    for i, line in enumerate(lines):
        weight = ' class="first"' if i == 0 else ""
        drawn.append(f'<text{weight} x="{x + 9}" y="{top + _PAD + 11 + i * _LINE:.0f}">{escape(line)}</text>')
    return top + height + 1


def _centre(place: tuple[int, int]) -> float:
    return place[0] + place[1] / 2


def _line(x1: float, y1: float, x2: float, y2: float, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="3 3"' if dashed else ""
    return f'<path class="way" d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"{dash}/>'


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="way" d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" marker-end="url(#head)"/>'


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap text; a long name breaks after an underscore or hyphen, else anywhere."""
    import textwrap

    # A zero-width space lets an underscore break, as a hyphen does.
    broken = textwrap.wrap(text.replace("_", "_ \0"), width)
    return [line.replace(" \0", "").replace("\0", "") for line in broken]
