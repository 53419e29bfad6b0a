"""Which models and seeds a part of a YAML file may be about that nobody can read.

They would be built otherwise than the file says, and without its checks. So each of them has the
error: those whose names are written in it, or all of its folder if it names none of them.
"""

from __future__ import annotations

import re

from dagster_models.project.yaml.nodes import NOT_READ, YamlNode

#: A word that is a whole key or value, as the name of a model is wherever it stands.
_WORD = re.compile(
    r"""(?:^|[-:,\[{?|>]|[&!][\w!-]+)\s*["']?([A-Za-z0-9_.]+)["']?\s*(?=$|[:,\]}#])""", re.MULTILINE
)
#: What may hide a name.
_ESCAPE = re.compile(r"\\[xuU]")
_KEY = re.compile(r"""^["']?([\w-]+)["']?\s*:""", re.MULTILINE)
#: Keys of a file that say nothing of models and seeds.
_OF_OTHERS = frozenset({"version", "sources", "unit_tests"}) | NOT_READ


def words_of(text: str) -> frozenset[str]:
    """The words of a text that may be names, in lower case."""
    return frozenset(word.lower() for word in _WORD.findall(text))


def words_in(node: YamlNode) -> frozenset[str]:
    """The same of a part that can be read as YAML."""
    found: set[str] = set()
    pending, seen = [node], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node.value, dict):
            found.update(key.lower() for key in node.value)
            pending += node.value.values()
        elif isinstance(node.value, list):
            pending += node.value
        elif node.value is not None:
            found.add(str(node.written or node.value).strip().lower())
    return frozenset(found)


def is_of_others(text: str) -> bool:
    """Whether a file says nothing of models and seeds, by the keys in it."""
    keys = set(_KEY.findall(text))
    return bool(keys) and keys <= _OF_OTHERS


def is_hidden(text: str, names: frozenset[str]) -> bool:
    """Whether a text that cannot be read as YAML hides which models and seeds it is about; *names*
    are those of all of them."""
    return _ESCAPE.search(text) is not None or names.isdisjoint(words_of(text))
