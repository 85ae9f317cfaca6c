"""Write the review page: one self-contained HTML file on which a reader marks images."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, astuple, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from cxrbuild import __version__
from cxrbuild.catalog.review import MARKS, Review
from cxrbuild.convert import MAX_PIXELS
from cxrbuild.errors import count_of
from cxrbuild.executors import run_batches
from cxrbuild.files import require_file_place, write_bytes
from cxrbuild.marks import KINDS, MAX_SIDE, MEASURED
from cxrbuild.notebook import result_html
from cxrbuild.progress import Progress, silent
from cxrbuild.review.rendering import Rendered, render
from cxrbuild.review.selection import ReviewImage

_logger = logging.getLogger(__name__)

# The key that sets each mark. Other actions use f, j, k, n, q, v, z, 0, 1, 2 and signs.
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
_SCRIPTS = ("csv.js", "filters.js", "view.js", "page.js")
# Up to this number, images are embedded by default; each takes about 20 kB.
_MAX_EMBEDDED = 1000


@dataclass(frozen=True)
class UnreadableImage:
    """An image that the page cannot show, and the problem with its file."""

    source: str
    path: str
    problem: str


@dataclass(frozen=True)
class ReviewPage:
    """A review page that was written.

    Attributes
    ----------
    page
        The HTML file.
    bytes
        Its size.
    images
        The number of images on it.
    reviewed
        The number of them that a person has judged.
    unseen
        The number of them that are marked ``unseen``: they have a review, and nobody has judged them.
    excluded
        The number of them that each rule on reviews alone excludes from the dataset.
    embedded
        Whether the page holds the large images too.
    proposed
        The number of images for which each kind of mark is proposed.
    unreadable
        The images that cannot be read; the page shows the problem instead.
    """

    page: Path
    bytes: int
    images: int
    reviewed: int
    unseen: int
    excluded: dict[str, int]
    embedded: bool
    proposed: dict[str, int]
    unreadable: tuple[UnreadableImage, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the result as a JSON document."""
        return asdict(self) | {"page": str(self.page)}

    def _repr_html_(self) -> str:
        return result_html(
            f"Review page: {count_of(self.images, 'image')}, {self.reviewed:,} of them with a review",
            [f"{self.page}, {self.bytes / 1e6:,.1f} MB. Open it in a browser."],
            ["proposed", "images"],
            list(self.proposed.items()),
        )


def write_page(
    images: Sequence[ReviewImage],
    out: Path,
    executor: Executor,
    *,
    title: str,
    propose: bool = True,
    embed: bool | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> ReviewPage:
    """Write a page on which a reader marks images.

    The page needs only a browser: no network, no server. The browser keeps the marks, and exports them as a
    review file. An image that cannot be read stays on the page, with the problem in its place.

    Parameters
    ----------
    images
        The images, in the order of the page.
    out
        The HTML file to write.
    executor
        Where images are read and searched.
    title
        The name of the dataset.
    propose
        Search the images for marks and show the proposals.
    embed
        Embed the large images, or link the image files, which must keep their paths then. ``None``: embed up
        to a thousand images.
    max_pixels
        The most pixels of an image, as the recipe declares them; a larger image is shown as a problem.
    progress
        Reports the number of images done.

    Raises
    ------
    CxrbuildError
        The page cannot be written to ``out``.
    """
    require_file_place(out)
    if embed is None:
        embed = len(images) <= _MAX_EMBEDDED
    by_id: dict[str, Rendered] = {}
    job = partial(render, propose=propose, embed=embed, max_pixels=max_pixels)
    with progress("images", len(images), "image") as bar:
        batches = [(image.image_id, image.files) for image in images]
        for (image_id, _), done in run_batches(executor, job, batches, ahead=64):
            by_id[image_id] = done
            if done.problem:
                # By id: the path may be of a source whose names identify patients.
                _logger.debug("cannot be read: %s (%s)", image_id, done.problem)
            bar.update(1)
    rendered = [by_id[image.image_id] for image in images]
    document = {
        "title": title,
        "id": hashlib.sha256("\n".join(image.image_id for image in images).encode()).hexdigest()[:16],
        "version": __version__,
        "marks": {mark: {"key": key, "description": MARKS[mark]} for mark, key in KEYS.items()},
        "kinds": KINDS if propose else {},
        "measured": MEASURED if propose else {},
        "max_side": MAX_SIDE,
        "images": [_describe(image, by_id[image.image_id], out.parent) for image in images],
    }
    page = _fill_template(
        title,
        document,
        thumbnails=[image.thumbnail for image in rendered],
        embedded=[image.large for image in rendered] if embed else [],
    )
    write_bytes(out, page)
    _logger.info("wrote %s: %d images, %d bytes", out, len(images), len(page))
    return ReviewPage(
        page=out,
        bytes=len(page),
        images=len(images),
        reviewed=sum(image.is_judged for image in images),
        unseen=sum(image.review is not None and not image.is_judged for image in images),
        excluded=dict(Counter(image.excluded for image in images if image.excluded is not None)),
        embedded=embed,
        proposed=dict(
            Counter(kind for image in rendered for kind in {mark.kind for mark in image.proposals})
        ),
        unreadable=tuple(
            UnreadableImage(image.source, image.path, by_id[image.image_id].problem)
            for image in images
            if by_id[image.image_id].problem
        ),
    )


def _place(file: Path, folder: Path) -> str:
    """Return the path of a file from the page's folder; the whole path where that is on another drive."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.resolve().as_posix()


def _describe(image: ReviewImage, rendered: Rendered, folder: Path) -> dict[str, object]:
    """Return what the page's script needs to know about an image."""
    review = image.review
    return {
        "source": image.source,
        "path": image.path,
        "label": image.label,
        "file": _place(rendered.file, folder),
        "size": [rendered.width, rendered.height],
        "review": None if review is None else _answers(review),
        "proposals": [
            [mark.kind, *(round(number, 3) for number in astuple(mark)[1:])] for mark in rendered.proposals
        ],
        "excluded": image.excluded or "",
        "readings": [[one.reader, *_answers(one)] for one in image.readings],
        "problem": rendered.problem,
    }


def _answers(review: Review) -> list[str]:
    return [review.mark, {True: "yes", False: "no", None: ""}[review.marks_finding], review.note]


def _fill_template(
    title: str, document: Mapping[str, object], *, thumbnails: Sequence[bytes], embedded: Sequence[bytes]
) -> bytes:
    from markupsafe import Markup

    from cxrbuild.templates import html_environment

    environment = html_environment("cxrbuild.review")
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}

    def base64_lines(contents: Sequence[bytes]) -> Markup:
        return Markup("\n".join(base64.b64encode(content).decode() for content in contents))  # noqa: S704

    page = environment.get_template("page.html.j2").render(
        title=title,
        document=document,
        thumbnails=base64_lines(thumbnails),
        embedded=base64_lines(embedded),
        style=Markup(_read_text("page.css")),  # noqa: S704
        script=Markup("".join(map(_read_text, _SCRIPTS))),  # noqa: S704
    )
    return page.encode()


def _read_text(name: str) -> str:
    return (files("cxrbuild.review") / name).read_text(encoding="utf-8")
