"""The stages of an audit and of a search for duplicates, as a person sees them."""

from __future__ import annotations

READING = "reading images"
FINDING, COMPARING, COMPARING_PIXELS = "finding candidates", "comparing images", "comparing pixels"
CHECKING, DRAWING = "checking", "drawing the page"

AUDIT = (READING, FINDING, COMPARING, COMPARING_PIXELS, CHECKING, DRAWING)
