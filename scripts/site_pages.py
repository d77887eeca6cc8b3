"""Hooks of MkDocs: pages that lie outside of docs/, and links that lead to them.

README, CHANGELOG and others must lie at the top of the checkout. The site has them, too; links in
them and to them are made to lead to pages of the site.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "weights/README.md": "model-cards.md",
}
"""Paths on the site, by paths in the checkout."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from elsewhere."""
    for source, page in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links between files of the checkout into links between pages of the site."""
    del config, files
    sources = {site: source for source, site in ELSEWHERE.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        there = ELSEWHERE.get(there, there.removeprefix("docs/"))
        target = posixpath.relpath(there, posixpath.dirname(page.file.src_uri) or ".")
        return f"]({target}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, markdown)
