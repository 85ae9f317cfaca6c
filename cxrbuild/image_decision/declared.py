"""The declaration of a source of a build or release."""

from __future__ import annotations

from cxrbuild.catalog import Recipe, Source, read_source, source_names


def declared_source(name: str, recipe: Recipe | None) -> Source | None:
    """Return the declaration of a source, ``None`` where there is none to read.

    Parameters
    ----------
    name
        The source's name.
    recipe
        The recipe with its sources; ``None``: those that are shipped.
    """
    if recipe is not None:
        sources = [read_source(one, recipe.folder) for one in recipe.sources]
        return next((source for source in sources if source.name == name), None)
    return read_source(name) if name in source_names() else None
