"""The documentation is one site: it has every page, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from paths import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = {path.name for path in DOCS.glob("*.md")}


def test_the_site_is_written_without_a_warning(tmp_path: Path) -> None:
    """Warnings (a page that is left out, a link without an end) are errors, as it is strict."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in tmp_path.glob("*.html")} - {"404"} == {
        page.removesuffix(".md") for page in PAGES
    }
    start = (tmp_path / "index.html").read_text(encoding="utf-8")
    for page in PAGES - {"index.md"}:
        assert f'href="{page.removesuffix(".md")}.html"' in start, page
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)', start)
    assert fetched == [], "the site works without a network"


def test_every_page_has_a_test_that_runs_its_blocks() -> None:
    tests = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        if path != Path(__file__)
    )
    for page in PAGES:
        if "\n```" in (DOCS / page).read_text(encoding="utf-8"):
            assert f'"{page}"' in tests or f"docs/{page}" in tests, page
