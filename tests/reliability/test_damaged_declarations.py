"""Declarations, reviews, locks and documents with damage: each is read, or refused with one message."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from figures import Figures

from cxrbuild.artifact import open_artifact
from cxrbuild.catalog import read_links, read_recipe, read_reviews, read_source
from cxrbuild.errors import CxrbuildError
from cxrbuild.lockfile import read_lock

pytestmark = pytest.mark.slow
DAMAGES = int(os.environ.get("CXRBUILD_DAMAGES", "1000"))
WORDS = [
    b"", b"\0", b"nan", b"-1", b"1e999", b"9" * 5000, b"0x", b"true", b"null", b"''", b'""', b"{}", b"[]",
    b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"..", b"../../etc", b"\xff\xfe", b"\xed\xa0\x80", b"\r",
    "\u202e\U0001f9a0".encode(), b"2026-02-30", b"[[rules]]", b"=", b",", b'"', b"\n",
    b"A" * 70_000, b"(?P<a>(",
]  # fmt: skip
Read = Callable[[Path], object]
FILES: dict[str, tuple[str, Read]] = {
    "recipe": ("declared/recipe.toml", lambda path: read_recipe(str(path))),
    "source": ("declared/cohen.toml", lambda path: read_source(str(path))),
    "listing": ("declared/cohen.tsv", lambda path: read_source(str(path.with_name("cohen.toml"))).listing),
    "reviews": ("declared/seen.csv", lambda path: read_reviews(str(path), Path())),
    "links": ("declared/linked.csv", lambda path: read_links(str(path), Path())),
    "lock": ("data/sources.lock.json", lambda path: read_lock(path.parent)),
    "build": ("build/build.json", lambda path: open_artifact(path.parent).document),
}


def damaged(content: bytes, random_: random.Random) -> bytes:
    """Return a file's content with one to five damages."""
    changed = bytearray(content)
    for _ in range(random_.choice([1, 1, 1, 2, 5])):
        at = random_.randrange(len(changed) + 1)
        match random_.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([random_.randrange(256)])
            case 1:
                del changed[at : at + random_.randrange(1, 80)]
            case 2:
                changed[at:at] = random_.choice(WORDS)
            case _:
                # A whole value or line becomes another word.
                end = changed.find(random_.choice([b"\n", b",", b'"', b"="]), at)
                changed[at : end if end > at else at + 5] = random_.choice(WORDS)
    return bytes(changed)


@pytest.fixture
def folder(demo: Path, tmp_path: Path) -> Path:
    """The demo's declarations, lock and documents, with a file of reviews and one of links."""
    shutil.copytree(demo / "declared", tmp_path / "declared")
    for name in (
        "data/sources.lock.json",
        "build/build.json",
        "build/ledger.parquet",
        "build/manifest.parquet",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(demo / name, tmp_path / name)
    (tmp_path / "declared/seen.csv").write_text(
        "source,path,mark,marks_finding,note\ncohen,images/arrow.jpg,arrow,yes,one\ncohen,images/b.png,clean,no,\n"
    )
    (tmp_path / "declared/linked.csv").write_text(
        "source_a,path_a,source_b,path_b,kind,note\ncohen,a.png,figure1,b.png,duplicate,seen\n"
    )
    return tmp_path


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_read_or_refused(folder: Path, figures: Figures, kind: str) -> None:
    name, read = FILES[kind]
    path = folder / name
    whole = path.read_bytes()
    random_ = random.Random(kind)
    for _ in range(DAMAGES):
        content = damaged(whole, random_)
        path.write_bytes(content)
        figures.add("damaged declarations and documents")
        try:
            read(path)
        except (CxrbuildError, OSError) as error:
            figures.add("refused with a message")
            assert str(error)  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"{kind}: {content[:3000]!r}") from error
