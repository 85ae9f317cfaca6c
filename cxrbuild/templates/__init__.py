"""Jinja environments for pages in HTML and documents in Markdown, and what all pages share."""

from cxrbuild.templates.environments import (
    escape_cell,
    escape_markdown,
    flat,
    html_environment,
    markdown_environment,
)

__all__ = ["escape_cell", "escape_markdown", "flat", "html_environment", "markdown_environment"]
