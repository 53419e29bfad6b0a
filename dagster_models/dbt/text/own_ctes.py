"""Where a relation is read in the CTE that has its name, as in `with orders as (select * from
orders)`: there the bare name means the relation. Most texts of dbt that have such a name have it
there alone, and their tokens show it in a fraction of the time of a parse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dagster_models.sql.dialects.dialect import Dialect

#: What follows the word AS in a CTE.
_QUERY_BEGINS = {"(", "NOT", "MATERIALIZED"}


def read_in_own_cte(
    words: Sequence[str], dialect: Dialect, places: Mapping[int, tuple[int, str]]
) -> set[int]:
    """The *places* of which it is certain. *words*: the tokens of a text, as written; *places*: the
    index of a relation's first word -> the index behind its last word, and its bare name."""
    upper = [*map(str.upper, words)]
    heads = [*_heads(upper)]
    recursive = dialect.always_recursive or "RECURSIVE" in upper
    certain = set[int]()
    for start, (end, name) in places.items():
        body = _body_of(name.upper(), upper, heads)
        if body is None or start not in body or not _is_read(upper, start, end):
            continue
        recurs = "UNION" in upper[body.start : body.stop] or not dialect.second_half_recurs
        if not (recursive and recurs):
            certain.add(start)
    return certain


def _heads(upper: Sequence[str]) -> Iterator[int]:
    """Where the word AS stands between the name of a CTE, or its list of columns, and its query."""
    for at in _places("AS", upper[:-1]):
        if at and upper[at + 1] in _QUERY_BEGINS:
            yield at


def _body_of(name: str, upper: Sequence[str], heads: Sequence[int]) -> range | None:
    """The query of the one CTE of that name; None if there may be another one."""
    named = [at for at in heads if upper[at - 1].strip('"`[]') == name]
    if len(named) != 1 or any(upper[at - 1] == ")" for at in heads):
        return None
    if any(upper[at + 1] == "(" for at in _places(name, upper[:-1])):
        return None  # Spark's `with orders (select ...)`
    begin = named[0] + 1
    while upper[begin] in ("NOT", "MATERIALIZED"):
        begin += 1
    depth = 0
    for end in range(begin, len(upper)):
        depth += (upper[end] == "(") - (upper[end] == ")")
        if depth <= 0:
            return range(begin + 1, end)
    return None


def _places(word: str, words: Sequence[str]) -> Iterator[int]:
    """The indexes of a word."""
    at = -1
    for _ in range(words.count(word)):
        at = words.index(word, at + 1)
        yield at


def _is_read(upper: Sequence[str], start: int, end: int) -> bool:
    """Whether a table is read there: behind JOIN, or behind the FROM of a SELECT. (`extract(day
    from x)` and `is distinct from x` have a FROM of their own.)"""
    if end < len(upper) and upper[end] in (".", "("):
        return False
    if upper[start - 1] == "JOIN":
        return True
    if upper[start - 1] != "FROM" or upper[start - 2] == "DISTINCT":
        return False
    depth = 0
    for word in reversed(upper[: start - 1]):
        depth += (word == ")") - (word == "(")
        if depth < 0:
            return False
        if depth == 0 and word == "SELECT":
            return True
    return False
