"""A JSON document with a typed, versioned model, read strictly and written the same way every time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import json_bytes, read_json, write_bytes
from cxrbuild.problems import describe_value


@dataclass(frozen=True)
class Problem:
    """Something wrong in a document: the key, empty where it is the document as a whole, and a message."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class DocumentError(CxrbuildError):
    """A JSON document that does not fit its model; ``problems`` lists everything that is wrong with it."""

    def __init__(self, path: Path, kind: str, problems: list[Problem], todo: str) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"not {kind}\n{listed}", where=path, todo=todo)
        self.problems = problems


class Part(BaseModel):
    """A part of a document. Unknown keys are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Document(Part):
    """A JSON document of a build or release.

    Attributes
    ----------
    format
        The version of the document's layout. A document of another format is refused by name.
    """

    FORMAT: ClassVar[int]
    # What the document is, for messages: "the audit.json of an audited build".
    KIND: ClassVar[str]
    # What to do where it cannot be read.
    NEXT_STEP: ClassVar[str]

    format: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a document.

        Raises
        ------
        DocumentError
            The file is not JSON, is of another format or does not fit the model; all problems are listed.
        OSError
            The file cannot be read.
        """
        try:
            content = read_json(path)
        except CxrbuildError as error:
            problem = Problem("", f"not a JSON document: {error.found}")
            raise DocumentError(path, cls.KIND, [problem], cls.NEXT_STEP) from None
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: Any, path: Path) -> Self:
        """Return a document from JSON that was read from a path.

        Raises
        ------
        DocumentError
            The content is of another format or does not fit the model; all problems are listed.
        """
        if not isinstance(content, dict):
            raise DocumentError(path, cls.KIND, [Problem("", "not a JSON object")], cls.NEXT_STEP)
        found = content.get("format")
        if found != cls.FORMAT:
            problem = Problem("format", f"this version of cxrbuild reads {cls.FORMAT}; found {found!r}")
            raise DocumentError(path, cls.KIND, [problem], cls.NEXT_STEP)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise DocumentError(path, cls.KIND, _problems(error), cls.NEXT_STEP) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the document as JSON has it."""
        return self.model_dump(mode="json", by_alias=True)

    def to_bytes(self) -> bytes:
        """Return the document as its file has it: the same bytes for the same content."""
        return json_bytes(self.to_dict())

    def write(self, path: Path) -> None:
        """Write the document atomically."""
        write_bytes(path, self.to_bytes())


def _problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(".".join(str(key) for key in problem["loc"]), describe_value(problem))
        for problem in error.errors()
    ]
