"""Metadata in the names of folders and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from cxrbuild.catalog.reader import Inventory, Reader
from cxrbuild.ingest.path_groups import check_groups, read_groups
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd


class FoldersReader(Reader):
    """Metadata in the names of folders and files."""

    kind: Literal["folders"]
    pattern: str = Field(description="regular expression on the path; its named groups are the columns")
    images: list[str] = Field(description="glob patterns of the image files")

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        return check_groups(pattern)

    def read(self, inventory: Inventory, images: Sequence[str], progress: Progress) -> pd.DataFrame:  # noqa: ARG002
        """Return the pattern's named groups; a path that does not fit has no row."""
        return read_groups(self.pattern, images)
