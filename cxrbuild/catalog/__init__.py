"""What is declared, not coded: sources, recipes, rules and reviews, read strictly from their files."""

from cxrbuild.catalog.recipe import DEFAULT_RECIPE, Recipe, read_recipe, recipe_names
from cxrbuild.catalog.review import Link, Review, contradictions, read_links, read_reviews
from cxrbuild.catalog.source import CATALOG, Source, read_source, source_names

__all__ = [
    "CATALOG",
    "DEFAULT_RECIPE",
    "Link",
    "Recipe",
    "Review",
    "Source",
    "contradictions",
    "read_links",
    "read_recipe",
    "read_reviews",
    "read_source",
    "recipe_names",
    "source_names",
]
