"""The lung masks of a source: an image file next to some of its images that shows where the lungs are."""

from __future__ import annotations

import string
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from cxrbuild.catalog.declarations import Declaration

_PARTS = ("stem", "name", "folder")


def _check_path(path: str) -> str:
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(path) if name is not None]
    except ValueError as error:
        raise ValueError(f"not a template: {error}") from None
    unknown = [name for name in named if name not in _PARTS]
    if unknown:
        raise ValueError(f"no part is called {{{unknown[0]}}}; there are {{stem}}, {{name}} and {{folder}}")
    if not {"stem", "name"} & set(named):
        raise ValueError("needs {stem} or {name}: else all images would have one mask")
    return path


class LungMasks(Declaration):
    """Lung masks that a source has for some of its images, lungs white.

    They are an annotation of the source: no part of the dataset, and no build depends on them.
    """

    path: Annotated[str, AfterValidator(_check_path)] = Field(
        description="path of an image's mask in the source: `{folder}`, `{name}` and `{stem}` are the folder "
        "of the image, its file name, and that name without its suffix"
    )
    description: str = Field("", description="how the masks were made")
    citation: str | None = Field(None, description="what to cite")

    def path_for(self, image: str) -> str:
        """Return the path of an image's mask within the source.

        Parameters
        ----------
        image
            The image's path within the source.

        Examples
        --------
        >>> LungMasks(path="masks/{stem}_mask.png").path_for("images/a.b.jpg")
        'masks/a.b_mask.png'
        """
        path = PurePosixPath(image)
        return self.path.format(stem=path.stem, name=path.name, folder=path.parent)
