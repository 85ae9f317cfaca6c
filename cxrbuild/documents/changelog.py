"""The beginning of ``CHANGELOG.md``, which follows from the release alone."""

from __future__ import annotations

from cxrbuild.contents import Contents

CHANGELOG_TITLE = "# Changelog\n"


def changelog_head(contents: Contents) -> str:
    """Return the title, the heading of this version and its notices: the lines before the changes."""
    lines = [CHANGELOG_TITLE, f"## {contents.version} ({contents.document.date})", ""]
    for title, text in contents.notices.items():
        lines += [f"{title}: {text}", ""]
    return "\n".join(lines)
