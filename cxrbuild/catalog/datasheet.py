"""What a reader must know of a dataset before use: the questions of a datasheet, answered in the recipe."""

from __future__ import annotations

from pydantic import Field

from cxrbuild.catalog.declarations import Declaration


class Datasheet(Declaration):
    """The `[datasheet]` of a recipe, told by its releases' card and Croissant file.

    The questions are those of Gebru et al.: Datasheets for Datasets (arXiv 1803.09010), and of Croissant's
    RAI vocabulary (https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html).
    """

    creator: str = Field("not stated", description="who makes the dataset")
    homepage: str | None = Field(None, description="where a person reads about it")
    keywords: list[str] = Field(default_factory=list, description="words to find it by")
    motivation: str = Field("", description="why it was made")
    collection: str = Field("", description="how the images came together")
    annotation: str = Field("", description="how the labels came about")
    sensitive: str = Field("", description="what it says of persons")
    biases: list[str] = Field(default_factory=list, description="the known biases")
    limitations: list[str] = Field(default_factory=list, description="what it cannot tell")
    uses: list[str] = Field(default_factory=list, description="what it is good for")
    misuses: list[str] = Field(default_factory=list, description="what it must not be used for")
    social_impact: str = Field("", description="what good or harm its use may do")
    maintenance: str = Field("", description="what becomes of it, and where to report a fault")
