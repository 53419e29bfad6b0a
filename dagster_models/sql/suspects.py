"""Functions that nobody has looked at: what they are given may be the name of a table.

Whether a function reads a table cannot be seen. If the project has a table of a name that it is
given (`f('raw.orders')`, and in FROM `f(raw, orders)` too), or a query in a text, its reader is
warned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp

_QUERY = re.compile(r"\s*(select|with|from|table|values)\s", re.IGNORECASE)
#: Of a function that makes one value, whose texts may begin with a word like "from".
_WHOLE_QUERY = re.compile(r"\s*(select|with)\s.*\sfrom\s", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"""[\w"`\[\]$]+(\.[\w"`\[\]$]+){0,2}""")
_NAMED = (exp.Kwarg, exp.PropertyEQ, exp.EQ, exp.Alias)
#: Functions of one value that take the name of a table or dictionary, in any dialect.
_TAKES_A_NAME = re.compile(r"dictget\w*|dicthas|pg_\w+_size|to_regclass|table_to_xml\w*", re.I)
REGCLASS = "regclass"
_MAKERS = (exp.Table, exp.Lateral, exp.TableFromRows)


@dataclass(frozen=True, slots=True)
class Given:
    """What a function is given: the parts of names, those that are texts first, and whether one of
    its texts is a query."""

    function: str
    texts: tuple[tuple[str, ...], ...]
    columns: tuple[tuple[str, ...], ...]
    query: bool

    def names(self, is_around: Callable[[str], bool]) -> Iterator[tuple[str, ...]]:
        """The names that may be those of tables. ``is_around``: whether a FROM item has that
        name, so that `name.column` is a column."""
        yield from self.texts
        yield from (c for c in self.columns if len(c) > 1 and not is_around(c[0]))


def may_name_table(text: str) -> bool:
    """Whether a function that makes one value may read a table by this text, unless it is one that
    ``takes_a_name``."""
    return ("." in text and _NAME.fullmatch(text) is not None) or (
        _WHOLE_QUERY.match(text) is not None
    )


def takes_a_name(function: str) -> bool:
    return _TAKES_A_NAME.fullmatch(function) is not None


def makes_rows(node: exp.Anonymous) -> bool:
    """Whether the function is an item of a FROM list, `table(f(x))` among them."""
    parent = node.parent
    if isinstance(parent, exp.Dot):
        parent = parent.parent
    if isinstance(parent, exp.Anonymous) and parent.name.lower() == "table":
        parent = parent.parent
    return isinstance(parent, _MAKERS)


def given_to(node: exp.Anonymous) -> Given:
    """What the function is given. One that is no item of a FROM list is given columns, if they are
    not texts; a text without a dot, as in `f('orders')`, is mostly a value there."""
    values = [item.expression if isinstance(item, _NAMED) else item for item in node.expressions]
    texts = [value.name for value in values if isinstance(value, exp.Literal) and value.is_string]
    if not makes_rows(node):
        bare = takes_a_name(node.name)
        found = (_split(text) for text in texts if _NAME.fullmatch(text))
        names = tuple(parts for parts in found if bare or len(parts) > 1)
        return Given(node.name, names, (), any(_WHOLE_QUERY.match(text) for text in texts))
    named = [_parts(value) for value in values]
    columns = [parts for value, parts in zip(values, named, strict=True) if _is_column(value)]
    pairs = [(*one, *two) for one, two in pairwise(named) if len(one) == len(two) == 1]
    return Given(
        node.name,
        (*(_split(text) for text in texts if _NAME.fullmatch(text)), *pairs, _own_name(node)),
        tuple(columns),
        any(_QUERY.match(text) for text in texts),
    )


def text_cast_to_table(node: exp.Cast) -> Iterator[tuple[str, ...]]:
    """The parts of `'raw.orders'` in `'raw.orders'::regclass`; nothing for other casts."""
    name, to = node.this, node.args.get("to")
    is_regclass = isinstance(to, exp.ObjectIdentifier) and str(to.this).lower() == REGCLASS
    if is_regclass and isinstance(name, exp.Literal) and (parts := _parts(name)):
        yield parts


def _own_name(node: exp.Anonymous) -> tuple[str, ...]:
    """A view with parameters is called as a function is."""
    parent = node.parent
    if isinstance(parent, exp.Dot):
        return (*(part.name for part in parent.this.find_all(exp.Identifier)), node.name)
    if isinstance(parent, exp.Table):
        outer = (parent.args.get("catalog"), parent.args.get("db"))
        return (*(part.name for part in outer if part is not None), node.name)
    return (node.name,)


def _is_column(value: exp.Expr) -> bool:
    return isinstance(value, exp.Column) and not isinstance(value.this, exp.Star)


def _parts(value: exp.Expr) -> tuple[str, ...]:
    if isinstance(value, exp.Column) and _is_column(value):
        return tuple(part.name for part in value.parts)
    if isinstance(value, exp.Literal) and value.is_string and _NAME.fullmatch(value.name):
        return _split(value.name)
    return ()


def _split(name: str) -> tuple[str, ...]:
    return tuple(part.strip('"`[]') for part in name.split("."))
