"""Which films a person is to look at."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.catalog import Review
from cxrbuild.catalog.rule import ReviewedRule
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.lockfile import source_folder
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.curation import Plan


@dataclass(frozen=True)
class Film:
    """A film to look at.

    Attributes
    ----------
    image_id, source, path, label
        Which film it is; ``path`` is from the source's root.
    file
        Where it can be read: the source film where it is at hand, which has its colours, else the build's.
    review
        What a person saw on it, ``None`` where nobody has looked.
    """

    image_id: str
    source: str
    path: str
    label: str
    file: Path
    review: Review | None


def films_of_build(build: Path, data: Path, reviews: Sequence[Review] = ()) -> list[Film]:
    """Return the films that a build holds.

    Parameters
    ----------
    build
        The build's folder.
    data
        The folder that ``fetch`` filled; the source films in it are taken before the build's grey ones.
    reviews
        What people saw, in place of what the build says of the same film.

    Raises
    ------
    CxrbuildError
        There is no build, or a film of it is neither in it nor among the sources.
    """
    manifest = build / "manifest.parquet"
    if not manifest.is_file():
        raise CxrbuildError(
            "no build is here", where=build, expected="a manifest.parquet, as `curate` writes it"
        )
    records = read_records(manifest)
    given = {(review.source, review.path): review for review in reviews}
    _refuse_unknown(records, given, build)
    films, vanished = [], []
    for row in records.to_dict("records"):
        source, path = row["source"], row["source_path"]
        original, jpeg = source_folder(data, source) / path, build / row["jpeg_path"]
        if not original.is_file() and not jpeg.is_file():
            vanished.append(jpeg)
        file = original if original.is_file() else jpeg
        review = given.get((source, path)) or _review(row)
        films.append(Film(row["image_id"], source, path, row["label"], file, review))
    if vanished:
        raise CxrbuildError(
            f"{len(vanished)} films of the build are gone",
            where=build,
            found=name_some(vanished, 3),
            todo="Run `cxrbuild curate` again, which makes them anew, or name the sources with --data",
        )
    return films


def films_of_plan(plan: Plan, data: Path) -> list[Film]:
    """Return the films at hand that a recipe keeps, and those that it leaves out for a mark alone.

    Parameters
    ----------
    plan
        The recipe's plan.
    data
        The folder that ``fetch`` filled.
    """
    marked = [rule.name for rule in plan.declared.recipe.rules if isinstance(rule, ReviewedRule)]
    records = plan.records
    records = records[
        records["label"].notna() & (records["exclusion"].isna() | records["exclusion"].isin(marked))
    ]
    given = {(review.source, review.path): review for review in plan.declared.reviews}
    films = [
        Film(
            row["image_id"], row["source"], row["source_path"], row["label"],
            source_folder(data, row["source"]) / row["source_path"],
            given.get((row["source"], row["source_path"])),
        )
        for row in records.to_dict("records")
    ]  # fmt: skip
    return [film for film in films if film.file.is_file()]


def choose_films(
    films: Sequence[Film],
    *,
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    unreviewed: bool = False,
) -> list[Film]:
    """Choose films by source and class; none named: all.

    Raises
    ------
    CxrbuildError
        No film is left.
    """
    chosen = [
        film
        for film in films
        if (not sources or film.source in sources)
        and (not labels or film.label in labels)
        and (not unreviewed or film.review is None or film.review.mark == "unseen")
    ]
    if not chosen:
        raise CxrbuildError(
            "no film is left to look at",
            expected=f"sources of {', '.join(sorted({f.source for f in films})) or 'none'}; "
            f"classes of {', '.join(sorted({f.label for f in films})) or 'none'}",
            found=f"{len(films):,} films, of which "
            + " and ".join(_asked(sources, labels, unreviewed=unreviewed)),
            todo="Ask for less, or fetch the sources first" if films else "Fetch the sources first",
        )
    return chosen


def _asked(sources: Sequence[str], labels: Sequence[str], *, unreviewed: bool) -> list[str]:
    asked = [f"the source {' or '.join(sources)}"] * bool(sources)
    asked += [f"the class {' or '.join(labels)}"] * bool(labels)
    asked += ["no review yet"] * unreviewed
    return asked or ["all were asked for"]


def _review(row: Mapping[Hashable, Any]) -> Review | None:
    import pandas as pd

    if pd.isna(row["review"]):
        return None
    judged = None if pd.isna(row["marks_finding"]) else bool(row["marks_finding"])
    return Review(row["source"], row["source_path"], row["review"], judged, "")


def _refuse_unknown(records: pd.DataFrame, given: Mapping[tuple[str, str], Review], build: Path) -> None:
    """Refuse reviews if none of them is of this build: most likely they are another dataset's."""
    known = set(zip(records["source"], records["source_path"], strict=True))
    if given and not known & set(given):
        raise CxrbuildError(
            "the reviews name no film of this build",
            where=build,
            found=name_some((path for _, path in given), 3),
        )
