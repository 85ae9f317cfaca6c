"""Find which class of a dataset each class word of a list means."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.lists.context import ListContext

if TYPE_CHECKING:
    import pandas as pd

# A word means the class of its images where so many are of one class, and this share of them.
_LEAST_IMAGES = 3
_LEAST_SHARE = 0.8


@dataclass(frozen=True)
class ClassWord:
    """A class word of the lists, and the class of the dataset that it means.

    Attributes
    ----------
    word
        The word.
    label
        The class; ``None`` where none is sure.
    by
        ``name``: the class has the same name, apart from case, spaces and hyphens. ``images``: most images of
        the word that are in both have this class. ``None`` where no class is sure.
    images
        The number of images of the word that are in both, by class of the dataset.
    """

    word: str
    label: str | None
    by: Literal["name", "images"] | None
    images: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"word": self.word, "label": self.label, "by": self.by, "images": self.images}


def class_words(context: ListContext) -> list[ClassWord]:
    """Return each class word of the lists with the class of the dataset that it means.

    Parameters
    ----------
    context
        The rows, and the dataset.
    """
    assert context.dataset is not None
    kept = context.dataset.kept
    rows = context.rows[context.rows["label"].notna()]
    both = rows[rows["member"].isin(kept.index)].drop_duplicates(["label", "member"])
    label = kept["label"].loc[both["member"].astype("int64")].set_axis(both.index)
    counts: dict[str, dict[str, int]] = {}
    for (word, one), number in Counter(zip(both["label"], label, strict=True)).items():
        counts.setdefault(word, {})[one] = number
    named = _by_name(kept["label"])
    return [_class_word(word, named, counts.get(word, {})) for word in sorted(set(rows["label"]))]


def label_of_word(words: Sequence[ClassWord]) -> dict[str, str]:
    """Return the class of each word that is sure to have one."""
    return {one.word: one.label for one in words if one.label is not None}


def _by_name(labels: pd.Series) -> dict[str, str]:
    names: dict[str, list[str]] = {}
    for label in labels.dropna().unique():
        names.setdefault(_plain(label), []).append(str(label))
    # Two classes whose names differ in case alone: a word can mean either.
    return {plain: found[0] for plain, found in names.items() if len(found) == 1}


def _class_word(word: str, named: dict[str, str], images: dict[str, int]) -> ClassWord:
    if label := named.get(_plain(word)):
        return ClassWord(word, label, "name", images)
    total = sum(images.values())
    most = max(images, key=lambda one: images[one], default=None)
    if most is not None and images[most] >= max(_LEAST_IMAGES, _LEAST_SHARE * total):
        return ClassWord(word, most, "images", images)
    return ClassWord(word, None, None, images)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.casefold())
