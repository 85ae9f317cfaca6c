"""The classes that findings become, and the split that has each class in train and in test."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cxrbuild.catalog.class_name import class_name_problems

# More classes than this are an ontology, which a person has to group.
MOST_CLASSES = 20
# A class with this many groups has test images with a share of 0.2: 0.8 to the 40th is one in 7,500; and
# with this many it has images to train on: 0.2 to the 6th is one in 15,000.
_MANY_GROUPS = 40
_SOME_GROUPS = 6
_SHARE = 0.2
# Groups of one size may add up to one of these and not to another.
_EXACT_SHARES = (0.2, 0.25, 0.15, 0.33, 0.5)
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Kept:
    """The images of a class that a trial keeps, and in how many groups they are."""

    images: int
    groups: int


@dataclass(frozen=True)
class ProposedSplit:
    """What ``[split]`` says: upstream's own splits, or a share or exact counts that are drawn.

    Attributes
    ----------
    declared
        Upstream's words with our splits.
    share
        The share of the groups for the test split.
    counts
        The number of test images, by class.
    allow_empty
        The classes that a split may have no image of, by split.
    """

    declared: Mapping[str, str] = field(default_factory=dict)
    share: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    allow_empty: Mapping[str, Sequence[str]] = field(default_factory=dict)


def class_name(word: str) -> str:
    """Return a word as the name of a class, which is also a folder's name.

    Examples
    --------
    >>> class_name("Nodule/Mass"), class_name("COVID-19"), class_name("aux")
    ('Nodule-Mass', 'COVID-19', 'aux_')
    """
    kinds = ((sign, unicodedata.category(sign)[0]) for sign in word)
    name = "".join(sign if kind in "LMN" or sign in " -_+.()" else "-" for sign, kind in kinds)
    name = re.sub(r" {2,}", " ", name).strip(" -_+.()")[:_LONGEST_NAME].rstrip(" .")
    if not name:
        return "class"
    return name if not class_name_problems([name]) else f"{name[: _LONGEST_NAME - 1]}_"


def first_classes(findings: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return classes with their words, the most frequent first: a class for each word.

    Words that differ only in case, or that become one folder, are one class.
    """
    counts = Counter(word for row in findings for word in row)
    classes: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        name = class_name(word)
        name = names.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if name in classes or len(classes) < MOST_CLASSES:
            classes.setdefault(name, []).append(word)
    return classes


def drop_small(
    classes: dict[str, list[str]], count: Callable[[dict[str, list[str]]], Mapping[str, Kept]]
) -> tuple[dict[str, list[str]], Mapping[str, Kept], dict[str, Kept]]:
    """Drop classes that cannot be in two splits, the smallest first.

    An image with findings of two classes is excluded, so that other classes grow when one is dropped.

    Parameters
    ----------
    classes
        Classes with their words.
    count
        Returns what a trial keeps of each class.

    Returns
    -------
    classes, kept, small
        The remaining classes, what a trial keeps of them, and for each word of the others what it kept.
    """
    kept = count(classes)
    small_ones: dict[str, Kept] = {}
    while len(classes) > 1:
        small = [name for name in classes if kept.get(name, Kept(0, 0)).groups < 2]
        if not small:
            break
        least = min(small, key=lambda name: (kept.get(name, Kept(0, 0)).images, -list(classes).index(name)))
        same = kept.get(least, Kept(0, 0)).images
        dropped = {name for name in small if kept.get(name, Kept(0, 0)).images == same}
        if len(dropped) == len(classes):
            dropped.discard(next(iter(classes)))
        small_ones |= {word: kept.get(name, Kept(0, 0)) for name in dropped for word in classes[name]}
        classes = {name: words for name, words in classes.items() if name not in dropped}
        kept = count(classes)
    return classes, kept, small_ones


def splits_to_try(kept: Mapping[str, Kept], *, mixed: bool) -> list[ProposedSplit]:
    """Return the splits to try in turn: the first is the best one that can be certain.

    The draw of a share depends on the names of the groups, and so on the secret that hashes patient numbers:
    it is certain only with many groups. Whether exact counts can be drawn depends on the groups' sizes alone,
    where no group has images of two classes.

    Parameters
    ----------
    kept
        What a trial keeps of each class.
    mixed
        Whether a group has images of two classes.
    """
    share = ProposedSplit(share=_SHARE)
    few = [name for name, one in kept.items() if one.groups < _MANY_GROUPS]
    if not few:
        return [share]
    tries = []
    for part in () if mixed else _EXACT_SHARES:
        counts = {
            name: min(max(1, round(part * one.images)), max(one.images - 1, 0)) for name, one in kept.items()
        }
        none = [name for name, count in counts.items() if not count]
        tries.append(ProposedSplit(counts=counts, allow_empty={"test": none} if none else {}))
    very_few = [name for name in few if kept[name].groups < _SOME_GROUPS]
    allowed = {"train": very_few, "test": few}
    allow_empty = {split: names for split, names in allowed.items() if names}
    return [*tries, replace(share, allow_empty=allow_empty)]
