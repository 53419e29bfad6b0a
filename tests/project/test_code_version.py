"""The code version: it changes with what a step builds, and with nothing else."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_models import load_project
from dagster_models.core.model import Config, Project
from dagster_models.sql.canonical import SHOWN_OR_RUN, canonical_words, content_config
from dagster_models.sql.parse import parse_sql
from project_cases import load, write_project
from running import make_project


def make(root: Path, files: dict[str, str]) -> Project:
    shutil.rmtree(root, ignore_errors=True)
    return load(write_project(root, files), environ={})


def versions(root: Path, files: dict[str, str]) -> dict[str, str]:
    return {str(key): step.code_version for key, step in make(root, files).steps.items()}


# --- SQL: any query, and what may be done to it ----------------------------------------------

GAPS = ["\n", "\t ", " -- it's (a, comment;\n", " /* with x as ( */ ", "\r\n\r\n"]


@dataclass(frozen=True)
class Query:
    """CTEs that each read some of the earlier ones, in any order that keeps this, and a SELECT."""

    ctes: tuple[tuple[str, tuple[str, ...]], ...]  #: name -> what it reads
    numbers: tuple[int, ...]

    def words(self, order: tuple[int, ...] | None = None) -> list[str]:
        parts: list[list[str]] = []
        for index in order or range(len(self.ctes)):
            name, reads = self.ctes[index]
            tables = " , ".join(reads) if reads else "base"
            body = f"{name} as ( select {self.numbers[index]} as Num , 'It''sA' as s from {tables}"
            parts.append([*body.split(" "), "where", "x", ">", "1", ")"])
        joined = [word for part in parts for word in [",", *part]][1:]
        last = self.ctes[-1][0]
        return ["WITH", *joined, "select", "*", "from", last, "order by", '"Num"']

    def orders(self) -> Iterator[tuple[int, ...]]:
        position = {name: index for index, (name, _) in enumerate(self.ctes)}
        for order in itertools.permutations(range(len(self.ctes))):
            place = {index: at for at, index in enumerate(order)}
            if all(
                place[position[read]] < place[index]
                for index, (_, reads) in enumerate(self.ctes)
                for read in reads
            ):
                yield order


@st.composite
def queries(draw: st.DrawFn) -> Query:
    count = draw(st.integers(1, 4))
    names = [f"c{i}" for i in draw(st.permutations(range(count)))]
    ctes = []
    for index, name in enumerate(names):
        reads = draw(st.sets(st.sampled_from(names[:index]))) if index else set()
        ctes.append((name, tuple(sorted(reads))))
    return Query(tuple(ctes), tuple(draw(st.permutations(range(10)))))


def spaced(words: list[str], random: Random) -> str:
    return "".join(word + random.choice([" ", " ", *GAPS]) for word in words)


def recased(word: str, random: Random) -> str:
    if word[0] in "'\"" or word in ("Num", "s"):  # the case of a column's name is contents
        return word
    return random.choice([word, word.upper(), word.title()])


def normalized(text: str, dialect: str = "duckdb") -> str:
    return parse_sql(text, dialect).normalized


@settings(max_examples=150, deadline=None)
@given(queries(), st.randoms(use_true_random=False))
def test_comments_spaces_case_and_the_order_of_ctes_do_not_matter(
    query: Query, random: Random
) -> None:
    first = normalized(" ".join(query.words()))
    order = random.choice(list(query.orders()))
    words = [recased(word, random) for word in query.words(order)]
    assert normalized(spaced(words, random) + ";") == first


@settings(max_examples=150, deadline=None)
@given(queries(), st.data())
def test_every_other_change_of_a_word_matters(query: Query, data: st.DataObject) -> None:
    words = query.words()
    first = normalized(" ".join(words))
    at = data.draw(st.integers(0, len(words) - 1))
    changes = {
        "*": "c9.*",
        ">": "<",
        "1": "2",
        "x": "y",
        "'It''sA'": "'it''sa'",
        '"Num"': '"num"',
        "Num": "num",
        "base": "other",
    }
    changed = changes.get(words[at]) or (str(int(words[at]) + 10) if words[at].isdigit() else "")
    if changed:
        assert normalized(" ".join([*words[:at], changed, *words[at + 1 :]])) != first


def test_ctes_that_name_each_other_keep_their_order() -> None:
    one = "with a as (select 1 as x from b), b as (select 2 as x) select * from a"
    two = "with b as (select 2 as x), a as (select 1 as x from b) select * from a"
    assert normalized(one) != normalized(two)
    # The alphabet must not put b before what reads another b.
    one, two = (text.replace("a as", "z as").replace("from a", "from z") for text in (one, two))
    assert normalized(one) != normalized(two)
    # Quoted or not, it is one name.
    assert normalized(one.replace("from b", 'from "B"')) != normalized(
        two.replace("from b", 'from "B"')
    )


@pytest.mark.parametrize(
    "text",
    [
        "with a as (with c as (select 1 i), b as (select 2 i) select * from b, c) select * from a",
        "with recursive b(i) as (select 1), a as materialized (select 2 i) select * from a, b",
        "select * from (with z as (select 1 i), y as not materialized (select 2 i) from z, y)",
    ],
)
def test_inner_and_decorated_ctes(text: str) -> None:
    """The canonical form is itself SQL that returns the same rows."""
    swapped = normalized(text)
    assert swapped != " ".join(text.split())
    assert normalized(swapped) == swapped
    with duckdb.connect() as connection:
        rows = connection.execute(text).fetchall()
        assert connection.execute(swapped).fetchall() == rows


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("with 5 as five, 3 as three select five, three", "clickhouse"),
        ("select * from unnest(array[2, 1]) with ordinality, t", "postgres"),
        ("with b(i) as (select 1), select i from b", "duckdb"),
        ("select top 3 with ties a from t order by a", "tsql"),
    ],
)
def test_other_withs_stay_as_they_are(text: str, dialect: str) -> None:
    words = text.split()
    assert canonical_words(words) == words


# --- configuration and references ------------------------------------------------------------


def test_settings_are_distinguished() -> None:
    assert {field.name for field in fields(Config)} >= SHOWN_OR_RUN
    assert content_config(Config()) == "{}"
    assert content_config(Config(materialized="table")) != "{}"
    shown = Config(description="x", owner=("a@b.c",), tags=("t",), pool="p", priority=1)
    assert content_config(shown) == "{}"


def test_what_a_reference_means_matters(tmp_path: Path) -> None:
    sources = "sources: [{name: raw, schema: one, tables: [orders]}]"
    files = {"models/a.sql": "select * from orders", "models/sources.yaml": sources}
    first = versions(tmp_path, files)
    moved = {**files, "models/sources.yaml": sources.replace("one", "two")}
    assert versions(tmp_path, moved) != first
    described = {**files, "models/sources.yaml": sources.replace("one,", "one, description: x,")}
    assert versions(tmp_path, described) == first


def test_a_check_is_not_part_of_the_contents(tmp_path: Path) -> None:
    files = {"models/a.sql": "select 1 as x", "models/b.sql": "select 1 as x"}
    checked = {**files, "checks/c.sql": "/* @check model: a */ select * from a, b where false"}
    checked["models/b.sql"] = "/* @model columns: {x: {checks: [unique]}} */ select 1 as x"
    assert versions(tmp_path, checked) == versions(tmp_path, files)


# --- Python ----------------------------------------------------------------------------------

PYTHON = {
    "models/a.py": "import pandas\nfrom shop.rows import rows\nLIMIT = 3\n\n"
    "def model(warehouse):\n    return rows(warehouse.sql('select $n as x from b'), LIMIT)\n",
    "models/b.sql": "select 1 as x",
    "shop/__init__.py": "",
    "shop/rows.py": "from .words import WORD\nfrom . import deep\n\ndef rows(r, n): return r\n",
    "shop/words.py": "WORD = 'w'\n",
    "shop/deep/__init__.py": "from ..far import FAR\n",
    "shop/far.py": "FAR = 1\n",
    "shop/unused.py": "NOTHING = 1\n",
    "scripts/s.py": "import _near\nprint(_near.X)\n",
    "scripts/_near.py": "X = 1\n",
    "dagster_models.yaml": "name: p\nvars: {n: 1, other: 1}\n",
}


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("models/a.py", "LIMIT = 3", "LIMIT  =  3  # rows"),
        ("models/a.py", "import pandas", '"""Docs."""\nimport pandas'),
        ("models/a.py", "def model(warehouse):", 'def model(\n    warehouse\n):\n    """Why."""'),
        ("shop/words.py", "'w'", '"w"  # a comment'),
        ("shop/unused.py", "1", "2"),
        ("dagster_models.yaml", "other: 1", "other: 2"),
        ("models/b.sql", "1", "2"),
    ],
)
def test_what_does_not_matter_to_python(path: str, old: str, new: str, tmp_path: Path) -> None:
    assert old in PYTHON[path]
    changed = {**PYTHON, path: PYTHON[path].replace(old, new)}
    before, after = versions(tmp_path, PYTHON), versions(tmp_path, changed)
    assert before["main.a"] == after["main.a"]
    assert before["scripts.s"] == after["scripts.s"]


@pytest.mark.parametrize(
    ("path", "old", "new", "step"),
    [
        ("models/a.py", "LIMIT = 3", "LIMIT = 4", "main.a"),
        ("models/a.py", "from b", "from b where x > 1", "main.a"),
        ("shop/rows.py", "return r", "return r[:n]", "main.a"),
        ("shop/words.py", "'w'", "'v'", "main.a"),
        ("shop/deep/__init__.py", "FAR", "FAR as NEAR", "main.a"),
        ("shop/far.py", "1", "2", "main.a"),
        ("dagster_models.yaml", "n: 1", "n: 2", "main.a"),
        ("scripts/_near.py", "1", "2", "scripts.s"),
    ],
)
def test_what_matters_to_python(path: str, old: str, new: str, step: str, tmp_path: Path) -> None:
    assert old in PYTHON[path]
    changed = {**PYTHON, path: PYTHON[path].replace(old, new)}
    before, after = versions(tmp_path, PYTHON), versions(tmp_path, changed)
    assert {name for name in before if before[name] != after[name]} == {step}


QUERIES = """
TABLE = "b"
QUERY = f"select x as Total from {TABLE} where x > 1"
SHOWN = "select x from b"

def model(warehouse):
    print(SHOWN)
    warehouse.execute("insert into c select 'a  b' from b order by 1")
    warehouse.sql(SHOWN)
    where = " where x = 1"
    warehouse.sql("select x, y from b" + where)
    return warehouse.sql(QUERY)
"""


def version_of_python(root: Path, code: str) -> str:
    files = {"models/a.py": code, "models/b.sql": "select 1 as x, 2 as y", "seeds/c.csv": "x\n1\n"}
    return versions(root, files)["main.a"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('f"select x as', 'f"select  x\tas'),
        ('> 1"', '>1 -- the rest"'),
        ('TABLE = "b"', 'TABLE = "/* all of */ b"'),
        ('f"select x as Total from {TABLE} where x > 1"', '"select x as Total from b where x > 1"'),
        ('f"select x as Total', 'f"""\n  -- why\n  select x as Total""" f"'),
        ("insert into c", "insert   into /* it */ c"),
        ("order by", "order   by"),
        ('"select x, y from b" + where', 'f"select x, y from b{where}"'),
        ('" where x = 1"', '"\\n where x  =  1;"'),
    ],
)
def test_comments_and_spaces_of_queries_do_not_matter(old: str, new: str, tmp_path: Path) -> None:
    assert QUERIES.count(old) == 1
    changed = version_of_python(tmp_path, QUERIES.replace(old, new))
    assert changed == version_of_python(tmp_path, QUERIES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("as Total", "as total"),  # what its frame calls the column
        ("'a  b'", "'a b'"),
        ("x > 1", "x > 2"),
        ('TABLE = "b"', 'TABLE = "main.b"'),
        ('SHOWN = "select x', 'SHOWN = "select  x'),  # printed too
        ('" where x = 1"', '" where x = 1 or true"'),
        ("print(SHOWN)", "print(SHOWN, QUERY)"),
        ("return warehouse.sql(QUERY)", "return warehouse.sql(QUERY).df()"),
    ],
)
def test_what_may_matter_in_queries_matters(old: str, new: str, tmp_path: Path) -> None:
    code = QUERIES.replace(old, new)
    assert version_of_python(tmp_path, code) != version_of_python(tmp_path, QUERIES)


def test_what_fills_a_hole_matters(tmp_path: Path) -> None:
    code = (
        "def model(warehouse, i=1):\n    return warehouse.sql(f'select x from b where x = {i}')\n"
    )
    changed = code.replace("{i}", "{i + 1}")
    assert version_of_python(tmp_path, changed) != version_of_python(tmp_path, code)


@pytest.mark.parametrize(
    "use",
    [
        "print(QUERY)",
        "len(TABLE)",
        "f'{QUERY}'",
        "globals()['QUERY']",
        "import sys; sys.modules[__name__].QUERY",
        "OTHER = TABLE; print(OTHER)",
        "def f():\n    global QUERY",
        "QUERY.strip()",
    ],
)
def test_a_text_that_is_used_otherwise_counts_as_it_is(use: str, tmp_path: Path) -> None:
    code = f"{QUERIES}\n{use}\n"
    old, new = ('TABLE = "b"', 'TABLE = " b"') if "TABLE" in use else ("x > 1", "x  > 1")
    changed = version_of_python(tmp_path, code.replace(old, new))
    assert changed != version_of_python(tmp_path, code)


# --- as Dagster's UI shows it ----------------------------------------------------------------


def statuses(root: Path, instance: dg.DagsterInstance) -> dict[str, StaleStatus]:
    graph = load_project(root).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {
        key.to_user_string(): resolver.get_status(key) for key in graph.materializable_asset_keys
    }


@pytest.mark.slow
def test_a_comment_leaves_assets_synced_and_a_change_of_meaning_does_not(tmp_path: Path) -> None:
    files = {
        "models/staging/orders.sql": "with b as (select 1 as i), a as (select 2 as j)\n"
        "select i, j from a, b",
        "models/marts/totals.sql": "select count(*) as n from orders",
    }
    project = make_project(tmp_path, files)
    synced = {"staging/orders": StaleStatus.FRESH, "marts/totals": StaleStatus.FRESH}
    assert project.run().code == 0
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        assert statuses(project.root, instance) == synced
        rewritten = "/* @model description: new */ WITH a AS (select 2 as j), -- why\n"
        rewritten += "b AS (SELECT 1 AS i) select i, j FROM a, b;"
        project.write({"models/staging/orders.sql": rewritten})
        assert statuses(project.root, instance) == synced
        project.write({"models/staging/orders.sql": rewritten.replace("2", "3")})
        assert statuses(project.root, instance)["staging/orders"] is StaleStatus.STALE
        project.write(files)
        assert statuses(project.root, instance) == synced
