"""The datasheet of a dataset: what a reader must know before use."""

from __future__ import annotations

from pydantic import Field

from cxrbuild.catalog.credit import Funding, Person, RelatedWork, UsageCondition
from cxrbuild.catalog.declarations import Declaration

NOT_STATED = "not stated"


class Datasheet(Declaration):
    """The `[datasheet]` of a recipe. The card and the Croissant file of a release show it.

    The questions are those of Gebru et al.: Datasheets for Datasets (arXiv 1803.09010), and of Croissant's
    RAI vocabulary (https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html).
    """

    creator: str = Field(NOT_STATED, description="the organization or group that makes the dataset")
    persons: list[Person] = Field(
        default_factory=list, description="persons who make it, in the order of a citation"
    )
    funding: list[Funding] = Field(default_factory=list, description="who paid for it")
    related: list[RelatedWork] = Field(default_factory=list, description="works that belong to it")
    usage: list[UsageCondition] = Field(
        default_factory=list, description="conditions of use, in addition to the licences of the images"
    )
    homepage: str | None = Field(None, description="address of a page about it")
    keywords: list[str] = Field(default_factory=list, description="keywords for search")
    motivation: str = Field("", description="why it was made")
    collection: str = Field("", description="how the images were collected")
    annotation: str = Field("", description="how the images were labelled")
    sensitive: str = Field("", description="what it reveals about persons")
    biases: list[str] = Field(default_factory=list, description="the known biases")
    limitations: list[str] = Field(default_factory=list, description="what it cannot show")
    uses: list[str] = Field(default_factory=list, description="intended uses")
    misuses: list[str] = Field(default_factory=list, description="uses that are out of the question")
    social_impact: str = Field("", description="possible benefits and harms of its use")
    maintenance: str = Field("", description="how it is maintained, and where to report errors")
