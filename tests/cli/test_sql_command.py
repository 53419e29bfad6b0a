"""`sql` reads, and what its query calls cannot write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli_cases import run
from session_runs import Runs
from systems import System

#: A value of the type, and what the warehouse's own shell prints.
PRINTED = {
    "duckdb": [
        (
            "170141183460469231731687303715884105727::hugeint",
            "170141183460469231731687303715884105727",
        ),
        (
            "340282366920938463463374607431768211455::uhugeint",
            "340282366920938463463374607431768211455",
        ),
        ("interval '14 months 3 days 4 hours'", "1 year 2 months 3 days 04:00:00"),
        ("'0101'::bit", "0101"),
        ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("{'a': 1, 'b': null}", "{'a': 1, 'b': NULL}"),
        ("map {'k': [1, 2]}", "{k=[1, 2]}"),
        ("[date '2024-01-05', null]", "[2024-01-05, NULL]"),
        ("union_value(num := 2)", "2"),
        ("'10:00:00+02'::timetz", "10:00:00+02"),
        ("'b'::enum('a', 'b')", "b"),
        ("'\\xAA\\x00a'::blob", "\\xAA\\x00a"),
        ("timestamp 'infinity'", "infinity"),
        ("date '294247-01-10'", "294247-01-10"),
        ("timestamp_ns '2024-01-01 10:00:00.123456789'", "2024-01-01 10:00:00.123456789"),
        ("'nan'::double", "nan"),
        ("true", "true"),
        ("null::integer", "NULL"),
    ],
    "postgres": [
        ("1e100::numeric + 0.5", "1" + "0" * 56 + "..."),
        ("'NaN'::numeric", "NaN"),
        ("'-Infinity'::float8", "-Infinity"),
        ("array[[1, null], [3, 4]]", "{{1,NULL},{3,4}}"),
        ("array['a b', null]", '{"a b",NULL}'),
        ("int4range(1, 5)", "[1,5)"),
        ("'{[1,3),[7,9)}'::int4multirange", "{[1,3),[7,9)}"),
        ("'10.0.0.1'::inet", "10.0.0.1"),
        ("'10.0.0.0/8'::cidr", "10.0.0.0/8"),
        ("'{\"a\": [1, 2]}'::json", '{"a": [1, 2]}'),
        ("'{\"a\":[1,2]}'::jsonb", '{"a": [1, 2]}'),
        ("'-infinity'::timestamp", "-infinity"),
        ("'infinity'::date", "infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("interval '14 months 3 days'", "1 year 2 mons 3 days"),
        ("'10:00:00+02'::timetz", "10:00:00+02"),
        ("B'0101'", "0101"),
        ("'\\xaa00'::bytea", "\\xaa00"),
        ("point(1, 2)", "(1,2)"),
        ("row(null, null)", "(,)"),
        ("'s.a'::regclass", "s.a"),
        ("true", "t"),
        ("null::integer", "NULL"),
    ],
}

FUNCTION = (
    "create table s.w (x int); create function s.f() returns int language sql"
    " as 'insert into s.w values (1) returning x'"
)


def test_what_a_query_calls_cannot_write(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = Runs(root := tmp_path / "p")
    runs.write_on(system, monkeypatch, {"models/s/a.sql": "select 1 as n"})
    runs.run()
    with runs.connect() as session:
        session.execute("create sequence s.q")
        if system.name == "postgres":
            session.execute(FUNCTION)
    assert run(root, "sql", "select n + 1 as m from a") == 0
    assert "2" in capsys.readouterr().out
    writing = ["select nextval('s.q')"] + ["select s.f()"] * (system.name == "postgres")
    for query in writing:
        assert run(root, "sql", query) == 1
        assert "read-only" in capsys.readouterr().err.lower().replace("read only", "read-only")
    with runs.connect() as session:
        assert session.query("select nextval('s.q')") == [(1,)]
        if system.name == "postgres":
            assert session.query("select count(*) from s.w") == [(0,)]
    with pytest.raises(SystemExit):
        run(root, "sql", "select 1", "--limit", "-1")
    values, printed = zip(*PRINTED[system.name], strict=True)
    assert run(root, "sql", f"select {', '.join(values)}") == 0, capsys.readouterr().err
    assert re.split(r"\s{2,}", capsys.readouterr().out.splitlines()[2].rstrip()) == [*printed]
    assert run(root, "sql", "select 1 as v, 2 as v") == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["1", "2"]
