"""Write one self-contained page on which a person judges films."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import astuple, dataclass
from functools import partial
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.catalog.review import MARKS
from cxrbuild.executors import run_batches
from cxrbuild.files import write_bytes
from cxrbuild.marks.detection import KINDS, Proposal, find_marks
from cxrbuild.marks.image import read_film
from cxrbuild.marks.regions import SIDE, scan_film
from cxrbuild.progress import Progress, silent
from cxrbuild.review.selection import Film

if TYPE_CHECKING:
    from PIL.Image import Image

# The key that gives each mark. Those taken by other deeds: f, j, k, n, q, v, z.
KEYS = {
    "clean": "c",
    "arrow": "a",
    "shape": "b",
    "letter": "l",
    "overlay": "o",
    "identifier": "i",
    "marker": "m",
    "symbol": "s",
    "tint": "t",
    "redacted": "r",
    "edge-glyph": "g",
    "scout": "u",
    "screen-photo": "p",
    "unseen": "x",
}
_THUMB_SIDE = 128
_THUMB_QUALITY = 50
_VIEW_QUALITY = 60
# Up to so many films the page holds their large views too; some 20 kB each.
_MOST_VIEWS = 1000


@dataclass(frozen=True)
class _Pictures:
    thumb: bytes
    view: bytes
    width: int
    height: int
    proposals: list[Proposal]


def write_page(
    films: Sequence[Film],
    out: Path,
    executor: Executor,
    *,
    title: str,
    propose: bool = True,
    views: bool | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write a page with a thumbnail of every film, to judge them on.

    The page needs nothing but a browser: no network, no server. What a person judges stays in the browser and
    can be exported as a review file.

    Parameters
    ----------
    films
        What it shows, in that order.
    out
        The HTML file to write.
    executor
        Where the thumbnails are made.
    title
        What the dataset is called.
    propose
        Search the films for marks, and show what was found.
    views
        Whether the page holds the large views too; else it shows the films' own files, which must stay where
        they are. ``None``: of up to a thousand films.
    progress
        Told how many films are done.

    Returns
    -------
    dict
        ``page``, ``bytes``, ``films``, ``reviewed``, ``views``, and how many films each kind of mark was
        ``proposed`` on.

    Raises
    ------
    CxrbuildError
        A film cannot be read.
    """
    holds_views = len(films) <= _MOST_VIEWS if views is None else views
    made: dict[str, _Pictures] = {}
    work = partial(_pictures, propose=propose, view=holds_views)
    with progress("films", len(films), "film") as bar:
        items = [(film.image_id, film.file) for film in films]
        for (image_id, _), done in run_batches(executor, work, items, ahead=64):
            made[image_id] = done
            bar.update(1)
    pictures = [made[film.image_id] for film in films]
    rows = [_row(film, made[film.image_id], out.parent) for film in films]
    document = {
        "title": title,
        "id": hashlib.sha256("\n".join(f.image_id for f in films).encode()).hexdigest()[:16],
        "version": __version__,
        "marks": {mark: {"key": KEYS[mark], "words": MARKS[mark]} for mark in KEYS},
        "kinds": KINDS if propose else {},
        "films": rows,
    }
    page = _filled(
        "page.html",
        title=html.escape(title),
        style=_text("page.css"),
        script=_text("csv.js") + _text("page.js"),
        # Within a script element, only `<` can end it.
        document=json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        thumbs="\n".join(base64.b64encode(p.thumb).decode() for p in pictures),
        views="\n".join(base64.b64encode(p.view).decode() for p in pictures) if holds_views else "",
    ).encode()
    write_bytes(out, page)
    return {
        "page": str(out),
        "bytes": len(page),
        "films": len(films),
        "reviewed": sum(film.review is not None for film in films),
        "views": holds_views,
        "proposed": dict(Counter(kind for p in pictures for kind in {m.kind for m in p.proposals})),
    }


def _pictures(item: tuple[str, Path], *, propose: bool, view: bool) -> _Pictures:
    from PIL.Image import Resampling

    image = read_film(item[1], SIDE)
    thumb = image.copy()
    thumb.thumbnail((_THUMB_SIDE, _THUMB_SIDE), Resampling.BOX)
    return _Pictures(
        thumb=_webp(thumb, _THUMB_QUALITY),
        view=_webp(image, _VIEW_QUALITY) if view else b"",
        width=image.width,
        height=image.height,
        proposals=find_marks(scan_film(image)) if propose else [],
    )


def _webp(image: Image, quality: int) -> bytes:
    stream = BytesIO()
    image.save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()


def _row(film: Film, pictures: _Pictures, folder: Path) -> dict[str, Any]:
    review = film.review
    return {
        "source": film.source,
        "path": film.path,
        "label": film.label,
        "file": Path(os.path.relpath(film.file, folder)).as_posix(),
        "size": [pictures.width, pictures.height],
        "review": None if review is None else [review.mark, _yes_no(review.marks_finding), review.note],
        "proposals": [[p.kind, *(round(x, 3) for x in astuple(p)[1:])] for p in pictures.proposals],
    }


def _yes_no(judged: bool | None) -> str:
    return "" if judged is None else "yes" if judged else "no"


def _filled(name: str, **parts: str) -> str:
    """Fill a template's ``{{name}}``; what is filled in is not looked at again."""
    pieces = _text(name).split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        part, _, rest = piece.partition("}}")
        filled += [parts[part], rest]
    return "".join(filled)


def _text(name: str) -> str:
    return (files("cxrbuild.review") / name).read_text(encoding="utf-8")
