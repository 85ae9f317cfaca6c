"""A proposal: what was decided, how certainly and why, and the two files that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cxrbuild.curation.findings import OtherFindings
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.files import write_bytes
from cxrbuild.notebook import result_html
from cxrbuild.shell import assign, quote, remove

Certainty = Literal["sure", "likely", "not sure", "not found"]
NONE = "none"


@dataclass(frozen=True)
class Decision:
    """One decision of a proposal.

    Attributes
    ----------
    subject
        What was decided: ``images``, ``finding``, ``patient_id`` and so on.
    choice
        What was chosen, such as a column of the metadata; ``None`` where nothing was.
    certainty
        ``sure`` where the name and the values agree, ``likely`` where one of them speaks for the choice,
        ``not sure`` where a person has to look, ``not found`` where nothing in the files speaks for a choice.
    reason
        Why, as a clause.
    alternatives
        What else could be chosen.
    """

    subject: str
    choice: str | None
    certainty: Certainty
    reason: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordCount:
    """A word of the metadata, how many images have it, and what the proposal makes of it.

    Attributes
    ----------
    column
        Our column: ``finding``, ``view_position`` and so on.
    word
        Upstream's word.
    rows
        The number of images that have it. Of a table, its rows count, each once for every image that it
        names, or once without one; of the finding, the images that no step before the rules excludes.
    meaning
        Our value or class, ``None`` where the word means that the value is not known, or has no class.
    """

    column: str
    word: str
    rows: int
    meaning: str | None


@dataclass(frozen=True)
class Answers:
    """What a person decided before or after looking at a proposal.

    Attributes
    ----------
    columns
        For our column the column of the metadata to take, or ``none``.
    public
        Whether the files are published, with their names and patient numbers.
    name
        The name of the source; ``None`` takes the folder's.
    license
        The SPDX identifier of the images' licence.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    name: str | None = None
    license: str = "unknown"


@dataclass(frozen=True)
class Proposal:
    """A source and a recipe for some files.

    Attributes
    ----------
    name
        The source's name.
    root
        The folder that the source's paths start from.
    images, rows
        The number of image files found, and of rows of metadata, ``None`` where there is no table.
    decisions
        What was decided, in the order in which the files are read.
    words
        The words that were found, most frequent first.
    classes
        The images that each class has in the train and test split of a trial plan, see `is_estimate`.
    source, recipe
        The two files as text.
    unused
        The columns of the table that nothing is taken from.
    excluded
        The images that steps before the rules exclude, so that their findings are not counted.
    parts
        The table and the folder of the images, where the folder of both has images of others too.
    other_findings
        The findings without a class of kept images that have a class by another finding.
    to_credit
        The licences that require attribution, where the source names nobody to credit: a public release of
        these images is refused.
    """

    name: str
    root: Path
    images: int
    rows: int | None
    decisions: tuple[Decision, ...]
    words: tuple[WordCount, ...]
    classes: Mapping[str, Mapping[str, int]]
    source: str
    recipe: str
    unused: tuple[str, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    other_findings: OtherFindings = field(default_factory=OtherFindings)
    to_credit: tuple[str, ...] = ()

    @property
    def undecided(self) -> list[Decision]:
        """The decisions that a person has to look at."""
        return [decision for decision in self.decisions if decision.certainty == "not sure"]

    @property
    def hashes_patients(self) -> bool:
        """Whether the source has patient numbers, and replaces them by a hash."""
        named = any(one.subject == "patient_id" and one.choice is not None for one in self.decisions)
        return named and 'patient_id = "hash"' in self.source

    @property
    def is_estimate(self) -> bool:
        """Whether `plan` gives other numbers of images by split than the trial.

        The trial has patient numbers as they are, so that it needs no key. With a share, each number is drawn
        by its hash; exact counts are the same whichever patients are drawn.
        """
        return bool(self.classes) and self.hashes_patients and "[split.test]\nshare" in self.recipe

    @property
    def allows_empty(self) -> bool:
        """Whether the split names classes that it may have no image of."""
        return "\nallow_empty = " in self.recipe

    def commands(self, out: Path) -> list[str]:
        """Return the commands that build a dataset from the two files in a folder."""
        source, recipe = (quote(path) for path in self.paths(out))
        folder = out / f"{self.name}-files" if self.parts else self.root
        # The current folder has no name that means the same elsewhere.
        folder = Path.cwd() if folder == Path() else folder
        lines = [
            *self._copies(folder),
            f"cxrbuild fetch {source} --from {self.name}={quote(folder)} --pin",
            f"cxrbuild plan --recipe {recipe}",
            f"cxrbuild curate --recipe {recipe}",
        ]
        key = assign("CXRBUILD_PATIENT_KEY", "python -c 'import secrets; print(secrets.token_hex())'")
        return [key, *lines] if self.hashes_patients else lines

    def _copies(self, folder: Path) -> list[str]:
        """Return the commands that copy the source's parts into a folder without the images of others."""
        parents = dict.fromkeys((folder / part).parent for part in self.parts)
        copies = [
            f"cp -R {quote(self.root / part)} {quote(f'{(folder / part).parent}/')}" for part in self.parts
        ]
        # PowerShell makes one folder at a time.
        return [*(f"mkdir -p {quote(parent)}" for parent in parents), *copies]

    def paths(self, out: Path) -> tuple[Path, Path]:
        """Return the paths of the source and of the recipe in a folder."""
        return out / f"{self.name}.toml", out / f"{self.name}-recipe.toml"

    def require_free(self, out: Path) -> None:
        """Refuse to overwrite a file.

        Raises
        ------
        CxrbuildError
            A file of the proposal is in the folder already.
        """
        if out.exists() and not out.is_dir():
            raise CxrbuildError("not a folder", where=out, todo="Name another one with --out DIR")
        if there := [path for path in self.paths(out) if path.exists()]:
            raise CxrbuildError(
                "there is a file already, and it is not overwritten", where=name_some(there),
                todo=f"If you no longer need its content, run `{remove(there)}` and this "
                "command again; else choose another folder with --out DIR, or another name with --name NAME",
            )  # fmt: skip

    def write(self, out: Path | str = ".") -> list[Path]:
        """Write the source and the recipe.

        Parameters
        ----------
        out
            The folder, which is made if it does not exist.

        Returns
        -------
        list of Path
            The source's file and the recipe's.

        Raises
        ------
        CxrbuildError
            One of the files is there already; nothing is written.
        OSError
            A file cannot be written.
        """
        self.require_free(Path(out))
        paths = list(self.paths(Path(out)))
        for path, text in zip(paths, (self.source, self.recipe), strict=True):
            write_bytes(path, text.encode())
        return paths

    def to_dict(self) -> dict[str, Any]:
        """Return the proposal as JSON has it."""
        return {
            "name": self.name,
            "root": str(self.root),
            "images": self.images,
            "rows": self.rows,
            "decisions": [asdict(decision) for decision in self.decisions],
            "undecided": [decision.subject for decision in self.undecided],
            "unused": list(self.unused),
            "excluded": dict(self.excluded),
            "other_findings": asdict(self.other_findings),
            "words": [asdict(word) for word in self.words],
            "classes": {label: dict(counts) for label, counts in self.classes.items()},
            "source": self.source,
            "recipe": self.recipe,
        }

    def _repr_html_(self) -> str:
        return result_html(
            f"Proposal of {self.name}: {count_of(self.images, 'image')}",
            header=["subject", "from", "", "because"],
            rows=[[one.subject, one.choice or "none", one.certainty, one.reason] for one in self.decisions],
        )
