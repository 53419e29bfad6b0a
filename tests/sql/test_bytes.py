"""Names are replaced and every other byte stays: ten dialects, all their quotes, strings and
comments, put together at random. What must come out is known from how the text was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Reference
from dagster_models.project.targets import usable_target
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.fill_in import compile_sql, quote
from dagster_models.sql.parse import parse_sql
from project_cases import load, write_project


@dataclass(frozen=True)
class Style:
    """How a dialect writes names, strings and comments. ``quotes``: pairs around a name, and what
    the second is doubled by in it ("" where it cannot stand in one)."""

    quotes: tuple[tuple[str, str, str], ...]
    strings: tuple[str, ...]
    comments: tuple[str, ...] = ()
    dots: bool = True  #: a quoted name may have dots
    slashes: bool = True  #: a quoted name with a slash is a table's, not a file's


DOUBLE, TICK, BRACKET = ('"', '"', '""'), ("`", "`", "``"), ("[", "]", "]]")
DOUBLED = "'it''s \"orders\" from orders'"
ESCAPED = "'\\' from orders \\\\'"
DOLLARS = ("$$ from 'orders' $$", '$q$ from $$ "orders" $q$')
NESTED = "/* from /* from orders */ 🛫 ' */"
STYLES = {
    "duckdb": Style((DOUBLE,), (DOUBLED, *DOLLARS), slashes=False),
    "postgres": Style(
        (DOUBLE,), (DOUBLED, *DOLLARS, "E'\\' from orders'", "B'101'", "U&'\\0061'"), (NESTED,)
    ),
    "redshift": Style((DOUBLE,), (DOUBLED, "$$ from 'orders' $$")),
    "snowflake": Style((DOUBLE,), (DOUBLED, ESCAPED, DOLLARS[0]), ("// from 'orders\n",)),
    "trino": Style((DOUBLE,), (DOUBLED, "X'1F'")),
    "bigquery": Style(
        (("`", "`", ""),),
        ('"from orders"', ESCAPED, "'''from\n'orders'\n'''", '"""from "orders" """', "r'\\from o'"),
        ("# from `orders\n",),
        dots=False,
    ),
    "databricks": Style((TICK,), ('"from orders"', ESCAPED, "r'\\from orders'")),
    "mysql": Style((TICK,), (DOUBLED, '"from orders"', ESCAPED), ("# from `orders\n",)),
    "clickhouse": Style((DOUBLE, TICK), (DOUBLED, ESCAPED), ("# from `orders\n",)),
    "tsql": Style((BRACKET, DOUBLE), (DOUBLED, "N'from orders'"), (NESTED,)),
}
PLAIN = ["orders", "Orders", "tbl_2", "Étage"]
ODD = ["orders", "my table", "from", "🛫 é", "--x", "it's", "a%b", "x;y", "$$z"]
EVERYWHERE = ("/* from orders 🛫 */", "-- from \"orders' 🛬\r\n", "/**/", "-- \u2028 \u0301\n")


class Maker:
    """Draws pieces: (what is written, what must be sent)."""

    def __init__(self, draw: st.DrawFn, dialect: str) -> None:
        self.draw, self.dialect, self.style = draw, dialect, STYLES[dialect]
        self.names: list[tuple[str, ...]] = []  #: the parts of each

    def gap(self) -> str:
        fillers = [" ", "\t", "\n", "\r\n", *EVERYWHERE, *self.style.comments]
        return " " + "".join(self.draw(st.lists(st.sampled_from(fillers), max_size=3))) + "\n"

    def string(self) -> str:
        return self.draw(st.sampled_from(self.style.strings))

    def part(self) -> tuple[str, str]:
        """A name as it is written, and what it folds to."""
        if self.draw(st.booleans()):
            name = self.draw(st.sampled_from(PLAIN))
            return name, dialect_of(self.dialect).fold(name)
        opening, closing, doubled = self.draw(st.sampled_from(self.style.quotes))
        odd = [*ODD, *(["a.b"] if self.style.dots else []), *([f"x{closing}y"] if doubled else [])]
        odd += ["/* y"] if self.style.slashes else []
        name = self.draw(st.sampled_from(odd))
        written = name.replace(closing, doubled) if doubled else name
        return f"{opening}{written}{closing}", dialect_of(self.dialect).fold(name, quoted=True)

    def table(self) -> tuple[str, str]:
        parts = [self.part() for _ in range(self.draw(st.integers(1, 2)))]
        folded = tuple(name for _, name in parts)
        self.names.append(folded)
        schema, name = ("main", *folded)[-2:]
        relation = f"{quote('dev_' + schema, self.dialect)}.{quote(name + '_v2', self.dialect)}"
        written = self.draw(st.sampled_from([".", ".", " . "])).join(text for text, _ in parts)
        if self.draw(st.booleans()):
            alias = f" as t{len(self.names)}"
            return written + alias, relation + alias
        return written, f"{relation} AS {quote(name, self.dialect)}"


@st.composite
def texts(draw: st.DrawFn, dialect: str) -> tuple[str, str, list[tuple[str, ...]]]:
    make = Maker(draw, dialect)
    pieces = [("select", ""), (make.string(), ""), (", 1", ""), ("from", ""), make.table()]
    for _ in range(draw(st.integers(0, 2))):
        pieces += [("cross join", ""), make.table()]
    pieces += [("where", ""), (make.string(), ""), ("is not null", "")]
    gaps = [make.gap() for _ in pieces]
    written = "".join(gap + text for gap, (text, _) in zip(gaps, pieces, strict=True))
    sent = "".join(gap + (new or text) for gap, (text, new) in zip(gaps, pieces, strict=True))
    return written, sent, make.names


def relation_of(dialect: str, reference: Reference) -> str:
    schema, name = ("main", *reference.parts)[-2:]
    return f"{quote('dev_' + schema, dialect)}.{quote(name + '_v2', dialect)}"


@pytest.mark.parametrize("dialect", STYLES)
@settings(max_examples=60, deadline=None)  # each dialect
@given(data=st.data())
def test_every_other_byte_stays(dialect: str, data: st.DataObject) -> None:
    written, sent, names = data.draw(texts(dialect))
    parsed = parse_sql(written, dialect)
    if dialect in ("bigquery", "redshift"):  # `from t, t.items` is an array of t there
        firsts = {parts[0].lower() for parts in names if len(parts) > 1}
        assume(firsts.isdisjoint(parts[-1].lower() for parts in names))
    assert [reference.parts for reference in parsed.references] == names
    compiled = compile_sql(written, parsed, dialect, lambda r: relation_of(dialect, r), {})
    if len({dialect_of(dialect).alias(parts[-1]) for parts in names}) == len(names):
        assert compiled == sent  # else some are called by their whole name
    assert compile_sql(written, parsed, dialect, lambda _: None, {}) == written


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_file_as_editors_write_it(bom: bytes, tmp_path: Path) -> None:
    """A byte order mark is not part of the text. Line ends and everything else are."""
    text = "/* @model\r\ndescription: é\r\n*/\r\n\tselect '🛫\r\n' as x\r\nfrom b -- ende\r\n"
    root = write_project(tmp_path, {"models/b.sql": "select 1 as x"})
    (root / "models" / "a.sql").write_bytes(bom + text.encode())
    project = load(root, environ={})
    step = project.steps[Key("main", "a")]
    sent = compile_step(project, step, usable_target(project))
    assert sent == text.replace("from b", 'from "main"."b"')
    assert [(ref.line, ref.column) for ref in step.references] == [(6, 6)]
