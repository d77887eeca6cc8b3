"""The pages of the documentation, and the blocks of code in them."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("weights/*.md"),
        *ROOT.glob(".github/**/*.md"),
    ]
)
"""All that people read; pages are named by their path below the checkout."""


@dataclass(frozen=True)
class Block:
    """A block of code: its page, the line that it begins at, its text without indentation."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def page_name(page: Path) -> str:
    """A page as tests call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(language: str) -> list[Block]:
    """All blocks in a language, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^ *```{language}\n(.*?)^ *```$", text, re.S | re.M):
            line = text[: match.start(1)].count("\n") + 1
            found.append(Block(page_name(page), line, textwrap.dedent(match[1])))
    return found


def commands() -> dict[str, list[str]]:
    """By page, its commands in order: lines of `sh` blocks, and complete ones within sentences.

    Those within sentences are complete where they name what they work on.
    """
    found: dict[str, list[str]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = []
        for match in re.finditer(r"^ *```sh\n(.*?)^ *```$|`([^`\n]+)`", text, re.S | re.M):
            if match[1] is not None:
                lines += textwrap.dedent(match[1]).replace("\\\n", " ").splitlines()
            elif re.match(r"mlic [a-z ]+ (\w+/|[A-Z]{3,})|python scripts/\w+\.py\b", match[2]):
                lines.append(match[2])
        parts = [part.strip() for line in lines for part in re.split("&&", line)]
        found[page_name(page)] = [part for part in parts if part and not part.startswith("#")]
    return {page: lines for page, lines in found.items() if lines}
