"""Regular expressions that mean the same in each warehouse that the check may run in, or an error.

Python's parser reads the pattern, and only what RE2 (DuckDB) and PostgreSQL's own engine both know
is let through: an escape that one of them reads as something else would check something else.
"""

from __future__ import annotations

import re
import warnings

from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode

#: What is not the same in each warehouse, outside of a set of characters -> what to write instead.
_APART = (
    (r"\(\?<?[=!]", "looks ahead or behind", "Use `matches` and `not_matches` together."),
    (r"\\[1-9]", "refers back to a group", "Write an `expression`."),
    (r"\(\?P?[<'(>P]", "names a group", "Use `(...)` or `(?:...)`."),
    (r"\(\?[a-zA-Z-]+[:)]", "sets a flag", "Write `[aA]`, or an `expression` with upper()."),
    (r"[*+?}]\+", "has a possessive quantifier", "Delete the second sign."),
    (r"\{,", "has a quantifier without its least number", "Write `{0,`."),
)
_FORMS = r"\\[bBmMyYZzpPkgGQECRXKNUuxcehHVlL0]|\[\[[.=]"
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
_ESCAPED = re.compile(r"\\\\")


def pattern(node: YamlNode) -> str:
    """A regular expression."""
    written = fields.text(node)
    if not written:
        raise BadValue("expected a regular expression, got nothing", node.place)
    plain = _ESCAPED.sub("__", _CLASS.sub("a", written))
    if found := re.search(_FORMS, plain):
        what = f"warehouses read `{found[0]}` in a regular expression differently"
        raise BadValue(what, node.place, "Write the characters themselves, as in `[a-z]`.")
    outside = _SET.sub("c", plain)
    for apart, what, fix in _APART:
        if found := re.search(apart, outside):
            what = f"the regular expression {what}: `{found[0]}`"
            raise BadValue(what, node.place, fix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(plain)
    except (re.error, OverflowError, RecursionError) as error:
        what = f"the regular expression is not valid: {error}"
        raise BadValue(what, node.place, "In YAML, put it in single quotes.") from None
    return written
