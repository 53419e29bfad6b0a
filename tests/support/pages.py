"""Pages of docs/, whose blocks the tests run."""

from __future__ import annotations

import re

from paths import REPOSITORY


class Page(str):
    """The text of a page, or of a section of it."""

    __slots__ = ()

    @classmethod
    def of(cls, name: str) -> Page:
        """The page of that name in docs/."""
        return cls((REPOSITORY / "docs" / name).read_text(encoding="utf-8"))

    def section(self, title: str) -> Page:
        """What is below the one heading that matches *title*, with the headings below that."""
        wanted = rf"^(##+) {title}\n(.*?)(?=^## |\Z)"
        ((level, found),) = re.findall(wanted, self, re.MULTILINE | re.DOTALL)
        return Page(re.split(rf"^#{{2,{len(level)}}} ", found, maxsplit=1, flags=re.MULTILINE)[0])

    def blocks(self, language: str) -> list[str]:
        """The texts of the code blocks whose language matches, in their order."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self, re.MULTILINE | re.DOTALL)

    def block(self, language: str) -> str:
        """The only one of them."""
        (found,) = self.blocks(language)
        return found
