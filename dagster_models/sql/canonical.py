"""What decides the contents of a step, in a canonical form: two that mean the same have the same.

    canonical_words(words)   the tokens of a query, with its CTEs in one order
    content_config(config)   the settings that decide what is built, of those that were set
    version_of(*parts)       16 hex digits

The form is made of the text's own tokens, never of SQL that is generated from the tree: a parser
may drop what it does not understand, and a change of meaning would go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dagster_models.core.model import Config

#: Settings that say how a step is shown, found, ordered or run, and not what it builds. Any other
#: setting decides the contents, so that a new one is safe before it is exact. ``alias`` and
#: ``schema`` are part of the relation, ``column_types`` of the seed's version, and what is in the
#: last line of project.drafts.extras.
SHOWN_OR_RUN = frozenset(
    {
        *("alias", "schema", "column_types", "enabled"),
        *("description", "owner", "group", "tags", "meta", "columns", "contract"),
        *("upstream", "downstream", "pool", "priority"),
        *("retries", "on_error", "timeout_seconds", "full_refresh", "on_code_change", "batch"),
        *("automation", "upstream_partitions", "deterministic", "freshness", "runner"),
        *("pre_statements", "post_statements", "grants", "indexes", "persist_docs"),
        "export",
    }
)


_CONTENT = tuple(
    (field.name, field.default) for field in fields(Config) if field.name not in SHOWN_OR_RUN
)
_encode = json.JSONEncoder(sort_keys=True, default=str).encode


def version_of(*parts: str) -> str:
    """16 hex digits that stand for all that decides what a step builds."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def canonical(values: Mapping[str, Any]) -> str:
    """A mapping as text, the same for equal ones."""
    return _encode(values)


def content_config(config: Config) -> str:
    """The settings that decide the contents, without those at their default: a new release with a
    new setting leaves every version as it is."""
    values = {}
    for name, default in _CONTENT:
        value = getattr(config, name)
        if value is not default and value != default:  # nearly all are the default itself
            values[name] = value
    return canonical(values)


def canonical_words(words: Sequence[str]) -> list[str]:
    """The words of a query with the CTEs of each WITH in one order.

    Two CTEs can change places if neither says the other's name: then the one that is first in the
    alphabet goes first. A CTE that names another one keeps its place behind (or before) it:
    ``with a as (select * from b), b as (...)`` reads a table b, and the other way round it would
    read the CTE.
    """
    if "with" not in words:  # nearly every CTE's body
        return list(words)
    closing = _closings(words)
    result: list[str] = []
    index = 0
    while True:
        try:
            after = words.index("with", index) + 1
        except ValueError:
            return [*result, *words[index:]]
        result += words[index:after]
        index = after
        if index < len(words) and words[index] == "recursive":
            result.append(words[index])
            index += 1
        ctes, end = _ctes(words, index, closing)
        if ctes:
            # What is inside has WITHs of its own.
            result += _joined(_ordered([canonical_words(cte) for cte in ctes]))
            index = end


def _closings(words: Sequence[str]) -> dict[int, int]:
    """The index of each opening parenthesis -> that of its closing one."""
    stack: list[int] = []
    closing = {}
    for index in [i for i, word in enumerate(words) if word in _PARENTHESES]:
        if words[index] == "(":
            stack.append(index)
        elif stack:
            closing[stack.pop()] = index
    return closing


_PARENTHESES = frozenset("()")


def _ctes(
    words: Sequence[str], start: int, closing: Mapping[int, int]
) -> tuple[list[Sequence[str]], int]:
    """The words of each ``name [(columns)] as [[not] materialized] (...)`` from *start* on, and
    where they end. There are none in ``with ordinality`` and ``with ties``."""
    ctes: list[Sequence[str]] = []
    at = start
    while True:
        body = _body(words, at, closing)
        if body is None:
            return ([], start) if not ctes else (ctes, at - 1)
        end = closing[body] + 1
        ctes.append(words[at:end])
        if end >= len(words) or words[end] != ",":
            return ctes, end
        at = end + 1


def _body(words: Sequence[str], at: int, closing: Mapping[int, int]) -> int | None:
    """The index of the parenthesis that opens the body of the CTE at *at*."""
    at += 1
    if at in closing:
        at = closing[at] + 1
    if at >= len(words) or words[at] != "as":
        return None
    at += 1
    while at < len(words) and words[at] in ("not", "materialized"):
        at += 1
    return at if at in closing else None


def _joined(ctes: Sequence[Sequence[str]]) -> list[str]:
    result = list(ctes[0])
    for cte in ctes[1:]:
        result += [",", *cte]
    return result


def _ordered(ctes: Sequence[list[str]]) -> list[list[str]]:
    """The CTEs in an order that keeps dependent ones as they are: at each turn, the first in the
    alphabet among those that do not wait for another."""
    if len(ctes) == 1:
        return list(ctes)
    names = [_bare(cte[0]) for cte in ctes]
    bare = {word: _bare(word) for word in {word for cte in ctes for word in cte}}
    said = [{bare[word] for word in cte} for cte in ctes]
    before: list[set[int]] = [
        {i for i in range(j) if names[i] in said[j] or names[j] in said[i]}
        for j in range(len(ctes))
    ]
    left = list(range(len(ctes)))
    done: set[int] = set()
    result = []
    while left:
        free = (index for index in left if before[index] <= done)
        first = min(free, key=lambda index: ctes[index])
        left.remove(first)
        done.add(first)
        result.append(ctes[first])
    return result


def _bare(word: str) -> str:
    """A name without its spelling: a quoted one may mean the same as an unquoted one."""
    return word.strip('"`[]').lower()
