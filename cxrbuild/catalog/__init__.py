"""Sources, recipes, reviews, links and corrections: declared in files, read strictly."""

from cxrbuild.catalog.correction import Correction, read_corrections
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.image_list import (
    ImageList,
    check_list,
    list_names,
    read_image_list,
    read_source_or_list,
)
from cxrbuild.catalog.link import Link, find_contradictions, read_links
from cxrbuild.catalog.recipe import (
    DEFAULT_RECIPE,
    Recipe,
    read_recipe,
    recipe_names,
    recipes_in,
)
from cxrbuild.catalog.review import Review, format_reviews, read_reviews
from cxrbuild.catalog.source import Source, read_source, source_names

__all__ = [
    "CATALOG",
    "DEFAULT_RECIPE",
    "Correction",
    "ImageList",
    "Link",
    "Recipe",
    "Review",
    "Source",
    "check_list",
    "find_contradictions",
    "format_reviews",
    "list_names",
    "read_corrections",
    "read_image_list",
    "read_links",
    "read_recipe",
    "read_reviews",
    "read_source",
    "read_source_or_list",
    "recipe_names",
    "recipes_in",
    "source_names",
]
