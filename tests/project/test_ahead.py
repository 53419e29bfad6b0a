"""A cold load traces each text with the tree that it was parsed to, by a guess of what it reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.model import Key, Project
from dagster_models.sql.tokens import TokenizedText
from project_cases import load as load_plainly
from project_cases import load_with_caches, write_project

SOURCES = """
sources:
  - name: raw
    tables:
      - name: orders
        columns: {id: {type: INTEGER}, at: {type: TIMESTAMP}}
"""
PYTHON = '''"""@model
materialized: table
columns: {id: {type: INTEGER}}
"""
def model(warehouse):
    return warehouse.sql("select 1 as id")
'''
#: What reads something comes before it in the alphabet.
GUESSED = {
    "models/sources.yaml": SOURCES,
    "models/a.sql": "with b as (select id, at from b) select b.*, s.label from b join s on true",
    "models/b.sql": 'select id, at from main."c" -- from nowhere',
    "models/c.sql": "/* @model\nmaterialized: ephemeral\n*/ select id, at from raw.orders",
    "models/d.sql": "select p.id, x.any from p left join elsewhere.x on x.id = p.id",
    "models/e.sql": "/* @model\nmaterialized: incremental\nsince: at\n*/ select at from a"
    " /* @incremental */ where at > (select max(at) from e) /* @end */",
    "models/p.py": PYTHON,
    "seeds/s.csv": "label\nx\n",
}
#: Names that are not found, or that mean something else when all files are known.
MISTAKEN = {
    "models/a.sql": "select z.id, y.id as other from q, z, other.y",
    "models/f.sql": "/* @model\nmaterialized: function\narguments: {n: INTEGER}\n"
    "returns: INTEGER\n*/ select $n + 1",
    "models/g.sql": "select f(id) as id from z",
    "models/q.sql": "select id, f(id) as f from z where id in (select id from seeds.s)",
    "seeds/s.csv": "id\n1\n",
    "models/y.sql": "select 'y' as id from z",
    "models/other/y.sql": "select 2 as id from main.y",
    "models/z.sql": "select 1 as id",
    "dagster_models.yaml": "name: p\nunknown_references: ignore\nunknown_columns: warn\n",
}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each text was parsed, for its names or for its columns."""
    counted: Counter[str] = Counter()
    parse = TokenizedText._parse

    def count(self: TokenizedText) -> Any:
        counted[self.text] += 1
        return parse(self)

    monkeypatch.setattr(TokenizedText, "_parse", count)
    return counted


def cold_and_plain(root: Path) -> Project:
    found = load_with_caches(root)
    plain = load_plainly(root)
    assert found == plain
    assert list(found.steps) == list(plain.steps)
    return found


def test_a_text_is_parsed_once_for_its_names_and_its_columns(
    tmp_path: Path, parsed: Counter[str]
) -> None:
    root = write_project(tmp_path, GUESSED)
    load_with_caches(root)
    texts = [text for path, text in GUESSED.items() if path.endswith(".sql")]
    assert {text: parsed[text] for text in texts} == dict.fromkeys(texts, 1)
    steps = cold_and_plain(root).steps
    (_, at, label) = steps[Key("main", "a")].trace.columns
    assert at.sources == ((("main", "b"), "at"),)
    (_, at) = steps[Key("main", "b")].trace.columns
    assert at.sources == ((("raw", "orders"), "at"),)  # through the ephemeral model
    assert label.sources == ((("seeds", "s"), "label"),)


def test_what_was_guessed_wrong_is_traced_again(tmp_path: Path, parsed: Counter[str]) -> None:
    root = write_project(tmp_path, MISTAKEN)
    a = cold_and_plain(root).steps[Key("main", "a")]
    assert [column.sources for column in a.trace.columns] == [
        ((("main", "z"), "id"),),
        ((("other", "y"), "id"),),
    ]


def test_models_that_read_each_other_are_reported_as_always(tmp_path: Path) -> None:
    files = {
        "models/a.sql": "select 1 as n from b where 'x' = 'from c'",
        "models/b.sql": "select 1 as n -- from a",
        "models/c.sql": "select n from a",
    }
    assert len(cold_and_plain(write_project(tmp_path, files)).steps) == 3
