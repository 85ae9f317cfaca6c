"""Sources, recipes, reviews and links: declared in files, read strictly."""

from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.link import Link, find_contradictions, read_links
from cxrbuild.catalog.recipe import DEFAULT_RECIPE, Recipe, read_recipe, recipe_names
from cxrbuild.catalog.review import Review, read_reviews
from cxrbuild.catalog.source import Source, read_source, source_names

__all__ = [
    "CATALOG",
    "DEFAULT_RECIPE",
    "Link",
    "Recipe",
    "Review",
    "Source",
    "find_contradictions",
    "read_links",
    "read_recipe",
    "read_reviews",
    "read_source",
    "recipe_names",
    "source_names",
]
