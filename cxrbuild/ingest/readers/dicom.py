"""Metadata in DICOM headers, and in the names of folders and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from cxrbuild.catalog.reader import Inventory, Reader
from cxrbuild.ingest.header import KEYS, KEYWORDS
from cxrbuild.ingest.path_groups import check_groups, read_groups
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd


class DicomReader(Reader):
    """Metadata in the headers of DICOM files."""

    kind: Literal["dicom"]
    images: list[str] = Field(["**"], description="glob patterns of the files to read")
    pattern: str | None = Field(
        None, description="regular expression on the path; its named groups are columns next to the keywords"
    )

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        return None if pattern is None else check_groups(pattern, (*KEYWORDS, *KEYS))

    @property
    def reads_images(self) -> bool:
        """Yes: the header is the row."""
        return True

    @property
    def images_are_dicom(self) -> bool:
        """Yes: a file without a DICOM header has no row."""
        return True

    def read(self, inventory: Inventory, images: Sequence[str], progress: Progress) -> pd.DataFrame:  # noqa: ARG002
        """Return the pattern's named groups of every available image; `ingest` adds the header's elements."""
        import pandas as pd

        paths = [path for path in images if path in inventory.available]
        values = pd.DataFrame(index=pd.MultiIndex.from_arrays([paths, paths], names=["place", "path"]))
        return values if self.pattern is None else values.join(read_groups(self.pattern, paths)).fillna("")
