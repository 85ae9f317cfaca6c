"""How exact a copy of the pinned sources is, as `fetch`, `plan`, `curate` and `audit` report it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxrbuild.artifact.build import SourceExactness
    from cxrbuild.cli.output import Output


def report_exactness(output: Output, exactness: Mapping[str, SourceExactness]) -> None:
    """Report by source how many images are those of the pin, and what is known where they are not."""
    from cxrbuild.exactness import describe_exactness, exactness_table, is_exact

    # Nothing can be compared with a pin that is not there.
    if not any(one.verified or one.other_bytes or one.name_only for one in exactness.values()):
        return
    if not is_exact(exactness):
        output.table(*exactness_table(exactness))
        output.show("")
    for sentence in describe_exactness(exactness):
        output.show(sentence)
