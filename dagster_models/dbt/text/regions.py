"""The two readings of an incremental model of dbt as one text with marked regions (sql/regions.py).

Each function is certain of its text, or returns None: both readings have the tokens that dbt has.
"""

from __future__ import annotations

import re

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.literals import layout
from dagster_models.sql.regions import full_text
from dagster_models.util.line_matcher import LineMatcher

_SINCE = re.compile(
    r"(>=?)\s*\(\s*select\s+max\(\s*(?:\w+\s*\.\s*)?(\w+)\s*\)(?:\s+as\s+\w+)?\s+from\s+"
    r"(?:[\w\"`]+\s*\.\s*)*[\"`]?(zdbt\d+z)[\"`]?(?:\s+(?:as\s+)?(?!where\b)\w+)?\s*\)",
    re.IGNORECASE,
)
_OWN = "zdbt0z"
#: What ``region`` writes around its two texts.
REGION_MARKS = re.compile(r"/\* @(?:incremental|end) \*/|/\* @full|\*/")
_REGION = re.compile(r"/\* @incremental \*/.*?(?=/\* @(?:end|full))", re.DOTALL)


def region(incremental: str, full: str) -> str:
    """One region: what the text is in a later build, and what it is in a build in full."""
    if not full.strip():
        return f"/* @incremental */{_closed(incremental)}/* @end */"
    inner = f"/* @full{_closed(_uncommented(full))}*/"
    return f"/* @incremental */{_closed(incremental)}{inner}" if incremental.strip() else inner


def with_regions(incremental: str, full: str, dialect: str) -> str | None:
    """A text whose readings are these two, by their lines; None if no text has them."""
    if incremental == full or _words(incremental, dialect) == _words(full, dialect):
        return incremental
    for made in (_by_lines(incremental, full), region(f"\n{incremental}\n", f"\n{full}\n")):
        if reads_as(made, incremental, full, dialect):
            return made
    return None


def reads_as(text: str, incremental: str, full: str, dialect: str) -> bool:
    """Whether the readings of a text have the tokens of these two."""
    try:
        in_full = full_text(text, dialect)
    except SqlSyntaxError:
        return False
    if in_full is None and text.strip() == incremental.strip() == full.strip():
        return True
    later, whole = _words(text, dialect), _words(incremental, dialect)
    if later != whole:
        return False
    if in_full is None and incremental == full:
        return True
    return (later if in_full is None else _words(in_full, dialect)) == _words(full, dialect)


def with_since(text: str, own: str) -> tuple[str, str | None]:
    """`> (select max(t) from this)` in a region becomes `> $since`: the text, and the column. *own*
    is the placeholder of the model. Other forms stay, as does a text with several columns."""
    inside = "".join(_REGION.findall(text))
    found = [it for it in _SINCE.finditer(inside) if it[3] == own]
    named = {it[2].lower() for it in found}
    if len(named) != 1 or inside.count(own) != len(found) or text.count(own) != len(found):
        return text, None
    column = found[0][2]
    return _REGION.sub(lambda it: _SINCE.sub(r"\1 $since", it[0]), text), column


def since_of(text: str, own: str, column: str) -> str:
    """The same in what dbt has compiled, where *own* is the model's relation as dbt writes it."""
    marked = text.replace(own, _OWN)

    def written(found: re.Match[str]) -> str:
        is_since = found[3] == _OWN and found[2].lower() == column.lower()
        return f"{found[1]} $since" if is_since else found[0]

    return _SINCE.sub(written, marked).replace(_OWN, own)


def _by_lines(incremental: str, full: str) -> str:
    one, two = incremental.splitlines(keepends=True), full.splitlines(keepends=True)
    pieces = []
    for kind, i, j, k, m in LineMatcher(one, two).get_opcodes():
        mine, other = "".join(one[i:j]), "".join(two[k:m])
        if kind == "equal" or not (mine.strip() or other.strip()):
            pieces.append(mine)
        else:
            pieces.append(region(f"\n{mine}" if "\n" in mine[:-1] else f" {mine}", other) + "\n")
    return "".join(pieces)


def _closed(text: str) -> str:
    """The text with a blank or a line break at both ends, so that no line comment goes on."""
    text = text if text[:1].isspace() else f" {text}"
    if "--" in text.rpartition("\n")[2]:
        return f"{text}\n"
    return text if text[-1:].isspace() else f"{text} "


def _uncommented(text: str) -> str:
    """Without block comments: within a comment they would end it."""
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def _words(text: str, dialect: str) -> list[str] | None:
    try:
        return layout(text, dialect).said(text)
    except SqlSyntaxError:
        return None
