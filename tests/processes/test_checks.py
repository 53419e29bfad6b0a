"""What the checks of a build find, in every warehouse: thresholds, scope, one scan, examples."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from checked_builds import (
    KINDS,
    OVER_HALF,
    Drawn,
    Known,
    after_build,
    draw,
    of_pairs,
    ordered,
    rows_where,
)
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.checks import Threshold
from dagster_models.core.materializations import (
    Custom,
    Incremental,
    Materialization,
    Partitioned,
    Replace,
    View,
)
from dagster_models.core.messages import CheckOutcome, Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile, PythonCode
from dagster_models.core.stand_ins import OWN_COLUMN, OWN_RELATION, OWN_WINDOW
from dagster_models.core.tasks import BuildTask, ChecksTask, task_from_json, task_to_json
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.execution.outcomes import shown
from dagster_models.processes.server import checks as server_checks
from dagster_models.processes.server.attempt import Stop, run, run_checks
from dagster_models.warehouses.base import WarehouseSession
from systems import System, instrument
from tasks import sql_task, with_sql

#: Random tables; CI runs a share.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "6"))

TASK = sql_task("s.t", "select 1 as n")


def numbers(count: int) -> str:
    """A query of the numbers from 1, as column n."""
    return " union all ".join(f"select {n} as n" for n in range(1, count + 1))


def built(session: WarehouseSession, sql: str, *checks: CheckTask, **more: Any) -> Outcome:
    outcome = (
        run(session, replace(TASK, checks=checks, **more), Stop())
        if not sql
        else run(session, replace(with_sql(TASK, sql), checks=checks, **more), Stop())
    )
    assert Outcome.from_json(outcome.to_json()) == outcome
    return outcome


def found(outcome: Outcome) -> dict[str, tuple[bool, str, int, int | None]]:
    return {it.name: (it.passed, it.severity, it.failures, it.rows) for it in outcome.checks}


# Thresholds --------------------------------------------------------------------------------------

OVER_1 = Threshold("1")


@pytest.mark.parametrize(
    ("more", "failures", "state"),
    [
        ({}, 0, "pass"),
        ({}, 1, "error"),
        ({"severity": "warn"}, 1, "warn"),
        ({"error_if": OVER_1}, 1, "pass"),  # and no warning, as dbt would give
        ({"error_if": OVER_1}, 2, "error"),
        ({"warn_if": OVER_1}, 1, "pass"),
        ({"warn_if": OVER_1}, 9, "warn"),
        ({"warn_if": OVER_1, "error_if": OVER_HALF}, 1, "pass"),
        ({"warn_if": OVER_1, "error_if": OVER_HALF}, 2, "warn"),
        ({"warn_if": OVER_1, "error_if": OVER_HALF}, 5, "warn"),
        ({"warn_if": OVER_1, "error_if": OVER_HALF}, 6, "error"),
        ({"severity": "warn", "error_if": OVER_HALF}, 6, "error"),
    ],
)
def test_thresholds(
    session: WarehouseSession, more: dict[str, Any], failures: int, state: str
) -> None:
    """Of ten rows; the build is published exactly if the state is not error."""
    check = rows_where("c", f"n <= {failures}", **more)
    outcome = built(session, numbers(10), check)
    (result,) = outcome.checks
    assert (result.failures, result.rows) == (failures, 10)
    assert ("pass" if result.passed else result.severity) == state
    assert (outcome.verdict is Verdict.COMMITTED) == (state != "error")


def test_a_percentage_is_exact_and_of_the_rows_in_scope(session: WarehouseSession) -> None:
    third = Threshold("33.333333333333333333", percent=True)
    checks = (
        rows_where("third", "n = 3", where="n <= 3", warn_if=third),
        rows_where("none", "n = 3", where="n > 9", error_if=third),
        CheckTask("query", f"select * from {OWN_RELATION} where n = 3", error_if=third),
        CheckTask("of", f"select 1 from {OWN_RELATION} where n = 3", where="n < 3", warn_if=third),
    )
    outcome = built(session, numbers(5), *checks)
    assert found(outcome) == {
        "third": (False, "warn", 1, 3),
        "none": (True, "error", 0, 0),
        "query": (True, "error", 1, 5),
        "of": (False, "warn", 1, 2),
    }


def test_a_table_check_says_what_it_has_found(session: WarehouseSession) -> None:
    number = "select case when count(*) < 9 then 1 else 0 end, 'it has ' || count(*) || ' rows'"
    check = CheckTask("rows", "", "warn", number=f"{number} from {OWN_RELATION}")
    (result,) = built(session, numbers(3), check).checks
    assert (result.failures, result.found, result.rows) == (1, "it has 3 rows", None)
    assert result.query == f'{number} from "s"."t"'
    (result,) = built(session, numbers(9), check, attempt=2).checks
    assert (result.passed, result.found) == (True, "it has 9 rows")


# One scan ----------------------------------------------------------------------------------------


def queries(session: WarehouseSession) -> list[str]:
    """The texts that the checks send from now on."""
    sent: list[str] = []
    read, count = session.read, session.count

    def reading(sql: str) -> Any:
        sent.append(sql)
        return read(sql)

    def counting(sql: str) -> int:
        sent.append(sql)
        return count(sql)

    session.read, session.count = reading, counting  # type: ignore[method-assign]
    return sent


def random_check(r: random.Random, number: int) -> CheckTask:
    column = r.choice(["a", "b", "c"])
    condition = r.choice(
        [
            f"{column} is null",
            f"{OWN_COLUMN} is null",
            f"not ({column} in (1, 2))",
            f"{column} > {r.randint(-1, 3)}",
            "a = b",
            "a + b > c -- a comment",
            "a is not null or b is null",
            f"(a = {r.randint(0, 3)}) is not true",
        ]
    )
    where = r.choice(["", "", "a > 0", "b is not null", "c is null or a = 1"])
    thresholds = r.choice(
        [{}, {"error_if": Threshold(str(r.randint(0, 9)))}, {"warn_if": Threshold("10", True)}]
    )
    more: dict[str, Any] = {"columns": (column,), "severity": "warn", **thresholds}
    return rows_where(f"c{number}", f"({condition}\n)", where=where, **more)


def test_one_scan_finds_what_each_check_finds(session: WarehouseSession) -> None:
    """On random tables with NULLs, some of them empty; and so says a query of the test's own."""
    for seed in range(HISTORIES):
        r = random.Random(seed)
        given = [
            ", ".join(r.choice(["null", *map(str, range(4))]) for _ in range(3))
            for _ in range(r.choice([0, 1, 30]))
        ]
        session.execute("drop table if exists s.t")
        session.execute("create table s.t (a int, b int, c int)")
        for row in given:
            session.execute(f"insert into s.t values ({row})")
        checks = [random_check(r, number) for number in range(9)]
        checked = server_checks.Checked("s.t", "s.t", ("a", "b", "c"))
        sent = queries(session)
        together = list(server_checks.run(session, checks, checked, server_checks.Known()))
        scans = [text for text in sent if "CASE" in text or text == "SELECT count(*) FROM s.t"]
        assert len(scans) == 1, scans
        apart = list(server_checks.run(session, checks, checked, server_checks.Known(apart=True)))
        timeless = [[replace(it, seconds=0.0) for it in those] for those in (together, apart)]
        assert timeless[0] == timeless[1], seed
        for check, outcome in zip(checks, together, strict=True):
            offends = session.count(check.sent(check.sql, "s.t", list(check.columns)))
            rows = session.count(f"select 1 from s.t where {check.where or 'true'}")
            assert (outcome.error, outcome.failures, outcome.rows) == (None, offends, rows)


BREAKS = "cast(case when n = 2 then 'no' else '1' end as int) = 2"


@pytest.mark.parametrize("severity", ["warn", "error"])
def test_the_right_check_is_blamed(session: WarehouseSession, severity: Any) -> None:
    """The scan fails for the rows of one check; the others are counted all the same."""
    checks = (
        rows_where("before", "n = 1", severity="warn"),
        rows_where("breaks", BREAKS, severity=severity),
        rows_where("after", "n = 3", severity="warn"),
    )
    outcome = built(session, numbers(3), *checks)
    results = {it.name: it for it in outcome.checks}
    assert (results["before"].failures, results["before"].error) == (1, None)
    assert results["breaks"].error is not None
    assert results["breaks"].error.kind is ErrorKind.BAD_VALUE
    assert (results["breaks"].severity, results["breaks"].passed) == (severity, False)
    if severity == "warn":
        assert outcome.verdict is Verdict.COMMITTED
        assert results["after"].failures == 1
        assert session.query("select count(*) from s.t")[1] == [(3,)]
    else:
        assert outcome.verdict is Verdict.ROLLED_BACK
        assert not session.in_transaction


def test_each_check_has_a_result_after_one_that_cannot_run(
    system: System, session: WarehouseSession
) -> None:
    """Those of the scan are counted; others did not run where an error ends the transaction."""
    checks = (
        rows_where("before", "n = 1", severity="warn"),
        CheckTask("breaks", "select nope"),
        rows_where("counted", "n > 1", store=Relation("s", "failures_counted")),
        CheckTask("query", f"select * from {OWN_RELATION} where n > 1"),
        CheckTask("warns", f"select * from {OWN_RELATION} where n > 2", "warn"),
    )
    outcome = built(session, numbers(3), *checks, builder="b")
    assert outcome.verdict is Verdict.ROLLED_BACK
    results = {it.name: it for it in outcome.checks}
    assert list(results) == [check.name for check in checks]
    assert [results[name].failures for name in ("before", "counted")] == [1, 2]
    rest = [results[name] for name in ("query", "warns")]
    if "savepoints" not in system.capabilities.lacks:
        assert [it.failures for it in rest] == [2, 1]
        assert outcome.notes == ()
        return
    assert [(it.has_run, it.passed, it.severity) for it in rest] == [
        (False, False, "error"),
        (False, False, "warn"),
    ]
    why = "it did not run: the check breaks before it could not, and its error ended the build"
    assert {it.error.message for it in rest if it.error} == {why}
    (note,) = outcome.notes
    assert "rows of counted are not stored: the check breaks could not run" in note


def test_each_check_of_a_kind_of_the_project_has_a_result(
    system: System, session: WarehouseSession
) -> None:
    """Its build cannot be repeated without the check that cannot run."""
    how = Custom("kinds.latest.Latest", {})
    session.read_before(TASK.relation, how)
    session.execute("create table s.t as select 1 as n")
    every = f"select * from {OWN_RELATION}"
    checks = [CheckTask(name, every, "warn") for name in ("before", "breaks", "after")]
    checks[1] = replace(checks[1], sql="select nope")
    before, breaks, after = built(session, "", *checks, materialization=how).checks
    assert (before.failures, breaks.has_run, after.failures) == (1, True, int(after.has_run))
    assert breaks.error is not None
    assert after.has_run == ("savepoints" not in system.capabilities.lacks)


@pytest.mark.feature("savepoints")
def test_a_check_that_cannot_run_costs_no_second_build(session: WarehouseSession) -> None:
    builds: list[int] = []
    instrument(session, before_build=lambda: builds.append(1))
    broken = (rows_where("a", BREAKS, severity="warn"), CheckTask("b", "select nope", "warn"))
    outcome = built(session, numbers(3), *broken, rows_where("c", "n = 1", severity="warn"))
    assert outcome.verdict is Verdict.COMMITTED
    assert [it.failures for it in outcome.checks] == [0, 0, 1]
    assert len(builds) == 1


# Scope -------------------------------------------------------------------------------------------

UNIQUE = (
    f"select k, count(*) as n_records from {OWN_RELATION}"
    f" where k in (select k from {OWN_WINDOW}) group by k having count(*) > 1"
)


def scoped(name: str, condition: str, scope: Any) -> CheckTask:
    return replace(rows_where(name, condition, severity="warn"), scope=scope)


def of_keys(*given: tuple[int, int]) -> str:
    listed = " union all ".join(f"select {k} as k, {v} as v" for k, v in given)
    return f"select * from ({listed}) as given"


@pytest.mark.parametrize(
    "how",
    [
        Incremental("append"),
        Incremental("delete+insert", ("k",)),
        Incremental("merge", ("k",)),
    ],
)
def test_a_window_has_the_new_rows(session: WarehouseSession, how: Materialization) -> None:
    """The old row 1 offends, and so does the new row 3."""
    checks = (
        scoped("window", "v < 0", "window"),
        scoped("table", "v < 0", "table"),
        scoped("named", "t.v < 0", "window"),
        CheckTask("twice", UNIQUE, "warn", scope="window"),
    )
    first = built(session, of_keys((1, -1), (2, 1)), *checks, materialization=how)
    assert {name: it[2:] for name, it in found(first).items()} == {
        "window": (1, 2),  # all of it is new
        "table": (1, 2),
        "named": (1, 2),
        "twice": (0, None),
    }
    second = built(session, of_keys((2, 5), (3, -3)), *checks, materialization=how, attempt=2)
    assert second.verdict is Verdict.COMMITTED
    total = session.count("select * from s.t")
    assert {name: it[2:] for name, it in found(second).items()} == {
        "window": (1, 2),
        "table": (2, total),
        "named": (1, 2),
        "twice": (int(how == Incremental("append")), None),
    }
    assert {it.sample for it in second.checks if it.name in ("window", "named")} == {(("3", "-3"),)}
    # Nothing of it is left in the session, and the next build works.
    third = built(session, of_keys((9, 9)), *checks, materialization=how, attempt=3)
    assert third.verdict is Verdict.COMMITTED


def test_a_window_of_partitions(session: WarehouseSession) -> None:
    """Each transaction checks what it has replaced, and together they add up."""

    def partitions(*keys: int) -> Materialization:
        wanted = tuple(Partition(str(key), ValueWindow((str(key),))) for key in keys)
        return Incremental("replace", partitioned=Partitioned("k", wanted, batch=1))

    text = of_keys((1, -1), (1, 1), (2, -2), (3, 3), (3, -3))
    checks = (
        replace(scoped("window", "v < 0", "window"), warn_if=OVER_HALF),
        scoped("table", "v < 0", "table"),
    )
    outcome = built(session, text, *checks, materialization=partitions(1, 2, 3))
    assert outcome.verdict is Verdict.COMMITTED
    assert found(outcome) == {
        # half of 1 and of 3, and all of 2: that is too many there
        "window": (False, "warn", 3, 5),
        "table": (False, "warn", 3, 5),
    }
    outcome = built(session, text, *checks, materialization=partitions(3), attempt=2)
    assert found(outcome) == {"window": (True, "warn", 1, 2), "table": (False, "warn", 3, 5)}


@pytest.mark.parametrize("how", [Incremental("append"), None])
def test_a_window_hides_no_table_of_the_schema_main(
    session: WarehouseSession, how: Materialization | None
) -> None:
    """There DuckDB has its temporary relations, too."""
    session.prepare(["main"])
    main = {"relation": Relation("main", "t"), "step": "main.t"}
    first, second = of_rows((1, 1, -1), (1, 2, 1)), of_rows((2, 3, -3))
    built(session, first, materialization=how or of_partitions(1), **main)
    checks = (
        scoped("window", "v < 0", "window"),
        scoped("table", "v < 0", "table"),
        scoped("named", "t.v < 0", "window"),
        CheckTask("twice", UNIQUE, "warn", scope="window"),
    )
    second_one = how or of_partitions(2)
    outcome = built(session, second, *checks, materialization=second_one, attempt=2, **main)
    assert {name: it[2:] for name, it in found(outcome).items()} == {
        "window": (1, 1),
        "table": (2, 3),
        "named": (1, 1),
        "twice": (0, None),
    }


def of_partitions(*keys: int, batch: int | None = 1, earlier: int = 0) -> Incremental:
    """A build of these partitions of column p, after as many *earlier* ones."""
    every = tuple(Partition(str(key), ValueWindow((str(key),))) for key in keys)
    how = Partitioned("p", every[earlier:], batch=batch, earlier=every[:earlier])
    return Incremental("replace", partitioned=how)


def of_rows(*given: tuple[int, int, int | None]) -> str:
    listed = " union all ".join(
        f"select {p} as p, {k} as k, cast({'null' if v is None else v} as int) as v"
        for p, k, v in given
    )
    return f"select * from ({listed}) as given"


def warning(r: random.Random, name: str, condition: str, **more: Any) -> CheckTask:
    limit = r.choice([Threshold(str(r.randint(0, 4))), Threshold(str(r.randint(0, 90)), True)])
    check = rows_where(name, condition, where=r.choice(["", "k > 1"]), warn_if=limit, **more)
    return check if name == "rows" else replace(check, condition="")


def test_batches_change_nothing_of_what_a_check_says(session: WarehouseSession) -> None:
    """Its state, its numbers and its rows are those of a build in one transaction."""
    how = of_partitions(*range(1, 5), batch=None)
    for seed in range(HISTORIES):
        r = random.Random(f"batches {seed}")
        old, new = (
            of_rows(*((p, r.randint(0, 5), r.choice([None, -1, 1])) for p in (1, 2, 3, 4) * often))
            for often in (2, r.randint(1, 3))
        )
        keys = r.sample(range(1, 5), r.randint(2, 4))
        checks = (
            warning(r, "rows", "v < 0", scope="window"),
            warning(r, "query", "v is null", scope="window"),
            warning(r, "table", "v < 0", scope="table"),
            CheckTask("twice", UNIQUE, "warn", scope="window"),
            CheckTask("mean", f"select * from (select avg(v) as m from {OWN_RELATION}) as q"
                      " where m > 0", "warn", scope="window"),
        )  # fmt: skip
        seen = []
        for batch in (None, 1, 2):
            session.execute("drop table if exists s.t")
            run_id = f"{seed} {batch}"
            built(session, old, materialization=how, run_id=run_id)
            outcome = built(
                session,
                new,
                *checks,
                materialization=of_partitions(*keys, batch=batch),
                run_id=run_id,
                attempt=2,
            )
            assert outcome.verdict is Verdict.COMMITTED
            assert [len(it.sample) for it in outcome.checks] == [
                min(5, it.failures) for it in outcome.checks
            ]
            few = {it.name: sorted(it.sample, key=str) for it in outcome.checks if it.failures < 6}
            seen.append((found(outcome), few))
        assert seen[1:] == seen[:1] * 2, (seed, keys, old, new, checks)


def test_a_threshold_holds_for_all_transactions_of_a_run(session: WarehouseSession) -> None:
    """Also for those of an earlier attempt; nothing that exceeds it is published."""
    rows = of_rows(*((p, k, -1) for p in (1, 2, 3) for k in (1, 2)), (3, 3, 1))
    check = scoped("c", "v < 0", "window")
    limits = replace(check, error_if=Threshold("3"), warn_if=Threshold("1"))
    outcome = built(session, rows, limits, materialization=of_partitions(1, 2, 3))
    assert (outcome.verdict, outcome.partitions) == (Verdict.ROLLED_BACK, ("1",))
    assert found(outcome) == {"c": (False, "error", 4, 4)}
    again = of_partitions(1, 2, 3, earlier=1)
    outcome = built(session, rows, limits, materialization=again, attempt=2)
    assert (outcome.verdict, outcome.partitions) == (Verdict.ROLLED_BACK, ())
    assert found(outcome) == {"c": (False, "error", 4, 4)}
    assert session.query("select distinct p from s.t")[1] == [(1,)]
    more = replace(limits, error_if=Threshold("6"))
    outcome = built(session, rows, more, materialization=again, attempt=3)
    assert (outcome.verdict, outcome.partitions) == (Verdict.COMMITTED, ("2", "3"))
    assert found(outcome) == {"c": (False, "warn", 6, 7)}


def test_a_check_that_cannot_run_in_one_of_the_transactions(session: WarehouseSession) -> None:
    """It has no number for the build, and the others have that of all transactions."""
    checks = (
        scoped("breaks", "cast(case when k = 2 then 'no' else '1' end as int) = 2", "window"),
        scoped("counted", "v < 0", "window"),
    )
    rows = of_rows((1, 1, -1), (2, 2, -1), (3, 3, -1))
    outcome = built(session, rows, *checks, materialization=of_partitions(1, 2, 3))
    assert outcome.verdict is Verdict.COMMITTED
    breaks, counted = outcome.checks
    assert breaks.error is not None
    assert (counted.failures, counted.rows) == (3, 3)


def test_the_window_of_what_others_write_along_is_the_table(session: WarehouseSession) -> None:
    """A column that the new rows do not have: what it holds is known of the table alone."""
    how = Incremental("append", on_schema_change="append_new_columns")
    built(session, "select 1 as k, 1 as v", materialization=how)
    check = scoped("c", "v is null", "window")
    outcome = built(session, "select 2 as k", check, materialization=how, attempt=2)
    assert {name: it[2:] for name, it in found(outcome).items()} == {"c": (1, 2)}


def test_rows_that_a_trigger_changes_are_looked_at_in_the_table(
    system: System, session: WarehouseSession
) -> None:
    if system.name != "postgres":
        return  # DuckDB has no triggers
    how = Incremental("append")
    built(session, "select 1 as k, 1 as v", materialization=how)
    session.execute(
        "create function s.negate() returns trigger language plpgsql as"
        " $$ begin new.v := -new.v; return new; end $$"
    )
    session.execute(
        "create trigger negate before insert on s.t for each row execute function s.negate()"
    )
    check = replace(scoped("c", "v < 0", "window"), severity="error")
    outcome = built(session, "select 2 as k, 2 as v", check, materialization=how, attempt=2)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert found(outcome) == {"c": (False, "error", 1, 2)}


def test_a_check_alone_is_of_the_table(session: WarehouseSession) -> None:
    session.execute("create table s.t as select * from (" + of_keys((1, -1), (1, 2)) + ") as g")
    checks = (scoped("c", "v < 0", "window"), CheckTask("twice", UNIQUE, scope="window"))
    task = ChecksTask("r", "s.t", 1, TASK.relation, checks)
    outcome = run_checks(session, task, Stop())
    assert outcome.verdict is Verdict.FAILED
    assert {it.name: it.failures for it in outcome.checks} == {"c": 1, "twice": 1}


# Offending rows ----------------------------------------------------------------------------------


def test_some_rows_are_shown_as_text(session: WarehouseSession) -> None:
    wide = ", ".join(f"{n} as c{n}" for n in range(30))
    sql = f"select {wide}, 'it''s' as word, cast(null as int) as nothing, 1.50 as d"
    check = CheckTask("c", f"{sql}, 2 as d from {OWN_RELATION};", "warn", ("word",))
    (result,) = built(session, numbers(9), check).checks
    assert result.failures == 9
    assert len(result.sample) == 5
    assert len(result.sample_columns) == 20
    assert result.sample[0][:3] == ("it's", "0", "1")
    (result,) = built(
        session,
        "select 'it''s' as word, cast(null as int) as nothing, 1.50 as d",
        rows_where("c", "true", severity="warn", limit=1),
        attempt=2,
    ).checks
    assert result.sample_columns == ("word", "nothing", "d")
    assert result.sample == (("it's", None, "1.50"),)
    assert result.query == 'select * from "s"."t" where coalesce(true, false)'


def test_the_columns_of_the_check_come_first(session: WarehouseSession) -> None:
    wide = ", ".join(f"{n} as c{n}" for n in range(30))
    check = rows_where("c", "true", severity="warn", columns=("C29", "c0"), limit=200)
    (result,) = built(session, f"select {wide} from ({numbers(120)}) as given", check).checks
    assert result.sample_columns[:3] == ("c0", "c29", "c1")
    assert len(result.sample) == 100


def test_secrets_are_hidden_before_a_value_is_cut() -> None:
    long = "x" * 190 + "hunter2 hunter2"
    outcome = CheckOutcome("c", "warn", 1, sample=((long, None),), query="select 'hunter2'")
    (check,) = shown(Outcome("s.t", 1, Verdict.COMMITTED, checks=(outcome,)), ["hunter2"]).checks
    assert check.sample == (("x" * 190 + "*** ***", None),)
    assert check.query == "select '***'"


def test_a_view_is_checked_in_one_scan(session: WarehouseSession) -> None:
    checks = tuple(rows_where(f"c{n}", f"n = {n}", severity="warn") for n in (1, 2))
    outcome = built(session, numbers(3), *checks, materialization=View())
    assert [(it.failures, it.rows) for it in outcome.checks] == [(1, 3), (1, 3)]


def test_a_check_task_travels() -> None:
    check = replace(rows_where("c", "n > 1"), warn_if=OVER_HALF, scope="window", limit=3)
    task = replace(TASK, checks=(check,), materialization=Replace())
    sent = task_from_json(task_to_json(task))
    assert isinstance(sent, BuildTask)
    assert sent.checks == (check,)


# What is published -------------------------------------------------------------------------------


class Client:
    """Runs some of a build's checks as Python functions: it reads all rows, and counts."""

    def __init__(self, chance: random.Random, drawn: Drawn) -> None:
        plain = (it for it in drawn.checks if it.task.condition and it.task.store is None)
        self._offending = {it.task.name: it.offending for it in plain if chance.random() < 0.7}
        self.tasks = tuple(map(self._in_python, drawn.tasks))

    def _in_python(self, task: CheckTask) -> CheckTask:
        if task.name not in self._offending:
            return task
        return replace(task, sql="", condition="", code=PythonCode(LoadedFile(task.name)))

    def __call__(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        if "ask" in message:
            self._name = message["ask"]["check"]
            return {"op": "query", "sql": f"select k, v from {message['ask']['relation']}"}
        if "error" in message:
            return {"op": "found", "error": {"kind": "user_code", "message": "it failed"}}
        rows = [(k, v) for k, v in message["rows"]]
        failures = len(self._offending[self._name](rows, rows))
        none = {"description": "", "checked": None, "columns": [], "sample": [], "query": ""}
        return {"op": "found", "failures": failures, "path": "", **none}


def test_what_is_published_satisfies_its_checks(session: WarehouseSession) -> None:
    """Random builds whose statements fail at random, or are interrupted: readers see what a plain
    Python model says of one of their transactions, and by its count none exceeds what the checks
    of the build allow. tests/warehouses/test_checked_histories.py kills them besides."""
    published = refused = 0
    for seed in range(HISTORIES):
        r = random.Random(f"published {seed}")
        session.execute("drop table if exists s.t")
        before, kinds = Known(), r.choice(KINDS)
        for attempt in range(5):
            drawn = draw(r, kinds)
            expected = after_build(drawn, attempt, before, checked=True)
            client = Client(r, drawn)
            failing = r.choice([None, None, "read", "count", "change", "publish"])
            error = r.choice([ErrorKind.IO, ErrorKind.INTERRUPTED])
            task = replace(
                TASK,
                checks=client.tasks,
                materialization=drawn.materialization,
                attempt=attempt,
                run_id=f"h{seed}",
            )
            with failing_at(session, failing, r.randint(0, 3), error):
                outcome = run(session, with_sql(task, of_pairs(drawn.given)), Stop(), ask=client)
            committed = outcome.verdict is Verdict.COMMITTED
            is_there = session.there([TASK.relation])
            rows = ordered(session.query("select k, v from s.t")[1]) if is_there else None
            chain = [it for it in expected.chain if it.table == rows]
            assert chain, (seed, attempt, drawn, rows)
            if committed or failing is None:
                assert (committed, rows) == (not expected.fails, expected.chain[-1].table)
            if failing is None and not committed:
                assert outcome.error is not None
                assert outcome.error.kind is ErrorKind.CHECK_FAILED
            published, refused = published + committed, refused + (not committed)
            before = chain[-1]
    assert published > HISTORIES
    assert refused > HISTORIES


@contextmanager
def failing_at(
    session: WarehouseSession, method: str | None, number: int, kind: ErrorKind
) -> Iterator[None]:
    """Let one call of a method fail. The transaction is not told, as if the network had."""
    if method is None:
        yield
        return
    usual, calls = getattr(session, method), count()

    def fails(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            raise WarehouseError(kind, "it failed")
        return usual(*arguments, **named)

    setattr(session, method, fails)
    try:
        yield
    finally:
        setattr(session, method, usual)
