"""Jinja that somebody left in a text of YAML, which nothing renders, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dagster_models.sql.jinja import OF_DBT

_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
#: The first word of dbt's in a tag, and what it is given.
_WORD = re.compile(r"\b(?:(this|target)\b|(ref|source|var|env_var|doc)\s*\(([^()]*)\))")
_PLACEHOLDER = re.compile(r"\{\{-?\s*[A-Za-z_][\w.]*\s*-?\}\}")
_RELATION = re.compile(r"\{\{\s*(?:ref|source)\([^(){}]*\)\s*\}\}")
_QUOTED = re.compile(r"""['"]([^'"]*)['"]""")
_SHOWN = 40  #: characters of a tag


def is_relation(text: str) -> bool:
    """Whether a text is the name of a relation in dbt's words, and nothing else."""
    return _RELATION.fullmatch(text.strip()) is not None


@dataclass(frozen=True, slots=True)
class Jinja:
    """``is_error``: it was meant for dbt; else it only looks like that, and stays what it is.
    ``offset``: where it begins in the text."""

    what: str
    fix: str
    is_error: bool
    offset: int


def jinja_in(text: str) -> Jinja | None:
    """The first Jinja in a text that was meant for dbt, else the first that looks like it; None if
    there is none."""
    tags = [*_TAG.finditer(text)]
    for found in tags:
        tag = found[0]
        if tag[:2] in _OF_TAGS or OF_DBT.match(tag):
            what = f"this is Jinja, which nothing renders: {_shown(tag)}"
            fix = _OF_TAGS.get(tag[:2]) or f"Write {_instead(tag)} instead."
            return Jinja(what, fix, True, found.start())
    for found in tags:
        if _PLACEHOLDER.fullmatch(found[0]):
            what = f"{_shown(found[0])} stays as it is: nothing renders Jinja"
            return Jinja(what, "Write the value itself, if that is meant.", False, found.start())
    return None


def _shown(tag: str) -> str:
    line = " ".join(tag.split())
    return f"`{line}`" if len(line) <= _SHOWN else f"`{line[:_SHOWN]}...`"


def _instead(tag: str) -> str:
    meant = _WORD.search(tag)
    say = _INSTEAD.get(meant[1] or meant[2] or "") if meant else None
    return say(_QUOTED.findall(meant[3] or "")) if meant and say else "the value itself"


_OF_TAGS = {
    "{%": "Write what it would leave of the file.",
    "{#": "Write a comment of YAML, `# ...`, instead.",
}

#: The word -> what to write instead, by the texts that it is given.
_INSTEAD: Mapping[str, Callable[[list[str]], str]] = {
    "doc": lambda given: "the text itself",
    "env_var": lambda given: (
        f"`${{{given[0] if given else 'NAME'}}}` below `targets:` and `vars:` in"
        " dagster_models.yaml, and the value itself elsewhere,"
    ),
    "var": lambda given: (
        f"the value itself (in SQL `${given[0] if given else 'name'}`, with `vars:` in"
        " dagster_models.yaml)"
    ),
    "ref": lambda given: f"the model's name, `{given[-1] if given else 'orders'}`,",
    "source": lambda given: f"the table's name, `{'.'.join(given) or 'raw.orders'}`,",
    "this": lambda given: "the model's own name",
    "target": lambda given: (
        "the value itself (each target has settings of its own in dagster_models.yaml)"
    ),
}
