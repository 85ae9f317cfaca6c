"""Check that a tag, the version, the changelog and the citation agree. The release workflow runs this."""

import re
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def only(pattern: str, file: str) -> str | None:
    """Return what the group of a pattern matches in a file, or None where no line matches."""
    match = re.search(pattern, (CHECKOUT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else None


def problems(tag: str) -> list[str]:
    """Return a sentence for each file that does not agree with the tag."""
    version = only(r'^__version__ = "(.*)"$', "cxrbuild/__init__.py")
    found = []
    if tag != f"v{version}":
        found.append(f"cxrbuild/__init__.py: expected the version of the tag {tag}; found {version}")
    cited = only(r"^version: (.*)$", "CITATION.cff")
    if cited != version:
        found.append(f"CITATION.cff: expected version: {version}; found {cited}")
    heading = rf"^## \[{re.escape(str(version))}\] - (\d{{4}}-\d{{2}}-\d{{2}})$"
    day = only(heading, "CHANGELOG.md")
    if day is None:
        found.append(f"CHANGELOG.md: expected a heading `## [{version}] - YYYY-MM-DD`; found none")
    elif (released := only(r"^date-released: '?([\d-]+)'?$", "CITATION.cff")) != day:
        found.append(f"CITATION.cff: expected date-released: {day}, as in CHANGELOG.md; found {released}")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make check-version TAG=v1.2.3")
    if found := problems(sys.argv[1]):
        sys.exit("The version is not ready for release:\n" + "\n".join(found))
