"""A snapshot answers what its query returned at the time of each build, in every warehouse."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Replace,
    Snapshot,
    View,
)
from dagster_models.core.messages import Outcome
from dagster_models.core.model import Relation
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from dagster_models.warehouses.mariadb.session import MariaSession
from dagster_models.warehouses.materializations import snapshot
from tasks import sql_task

#: Random histories of each warehouse; CI runs a share.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "6"))

pytestmark = pytest.mark.also_of("mariadb")

Row = tuple[Any, ...]
Key = tuple[int, str]
Build = Callable[..., Outcome]
START = datetime(2024, 1, 1)


#: What some of the words of these tests are in MariaDB, whose text of a DATETIME(6) has all digits.
_MARIADB = [
    (r"cast\((u|valid_\w+|dbt_updated_at) as varchar\)", r"substr(cast(\1 as char), 1, 19)"),
    (r"cast\(null as varchar\)", "cast(null as char(9))"),
    (r"cast\('a' as varchar\)", "cast('a' as char(9))"),
    (r" as varchar\)", " as char)"),
    (r" as timestamp\)", " as datetime(6))"),
    (r"null::int", "cast(null as int)"),
    (r"is not distinct from", "<=>"),
    (r"extract\(epoch from (\S+) - (.+?)\)", r"(timestampdiff(microsecond, \2, \1) / 1000000)"),
    (r'"([\w ]+)"', r"`\1`"),
    (r"rename to ", "rename to s."),
    (r"'infinity'", "'9999-12-31'"),
    (r"timestamp '([\d :-]+)'", r"cast('\1' as datetime(6))"),
]


def spoken(session: WarehouseSession, sql: str) -> str:
    """The SQL in the words of the session's warehouse."""
    for word, own in _MARIADB if isinstance(session, MariaSession) else ():
        sql = re.sub(word, own, sql)
    return sql


@pytest.fixture
def session(session: WarehouseSession, monkeypatch: pytest.MonkeyPatch) -> WarehouseSession:
    """It is asked in its own words."""
    for name in ("query", "execute"):
        sent = getattr(session, name)
        monkeypatch.setattr(session, name, lambda sql, sent=sent: sent(spoken(session, sql)))
    return session


@pytest.fixture
def build(session: WarehouseSession, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds s.t, as a new attempt each time; ``at`` is what the clock says, in hours."""
    attempt = 0

    def build(sql: str, how: Materialization, at: float) -> Outcome:
        nonlocal attempt
        attempt += 1
        monkeypatch.setattr(snapshot, "utc_now", lambda: START + timedelta(hours=at))
        task = sql_task("s.t", spoken(session, sql))
        task = replace(task, materialization=how, attempt=attempt, builder="project")
        return run(session, task, Stop())

    return build


def moment(hours: float) -> str:
    return f"timestamp '{START + timedelta(hours=hours)}'"


def asked(session: WarehouseSession, sql: str) -> list[Row]:
    return sorted((tuple(row) for row in session.query(sql)[1]), key=str)


CHECK = Snapshot("check", ("k",))
BY_TIME = Snapshot("timestamp", ("k",), "u")


def versions(session: WarehouseSession, columns: str = "v") -> list[Row]:
    """Each version of s.t with its hours; None for one that is open."""
    hour = "cast(round(extract(epoch from {0} - {1}) / 3600.0, 3) as varchar)"
    start, end = (hour.format(name, moment(0)) for name in ("valid_from", "valid_to"))
    rows = session.query(f"select {columns}, {start}, {end} from s.t order by k, valid_from")[1]
    return [
        (*row[:-2], *(None if hours is None else float(hours) for hours in row[-2:]))
        for row in map(tuple, rows)
    ]


# Histories ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """A row of the source, without its key. ``hour`` is when it was changed."""

    v: int | None
    w: str | None
    hour: float
    z: int | None = None


@dataclass
class History:
    """A source that changes between builds. Under the strategy timestamp, whatever changes gets a
    later time; only what was gone may come back with its old one."""

    chance: random.Random
    how: Snapshot
    live: dict[Key, Values] = field(default_factory=dict)
    gone: dict[Key, Values] = field(default_factory=dict)
    wide: bool = False  #: it has got a column

    KEYS = tuple(itertools.product((0, 1), ("x", "", "a|b", "a")))

    def states(self) -> Iterator[tuple[float, dict[Key, Values], bool]]:
        widened = self.chance.choice([3, 5, 99])
        for build in range(1, 9):
            self.wide = build >= widened
            if self.chance.random() < 0.9:
                for key in self.KEYS:
                    self._change(key, build)
            yield float(build), dict(self.live), self.wide

    def _change(self, key: Key, build: int) -> None:
        roll = self.chance.random()
        if key in self.live:
            if roll < 0.2:
                self.gone[key] = self.live.pop(key)
            elif roll < 0.5:
                self.live[key] = self._values(build)
            elif roll < 0.6 and self.wide and self.how.strategy == "check":
                self.live[key] = replace(self.live[key], z=self.chance.choice([None, 5]))
        elif key in self.gone and roll < 0.25:  # with its old time
            back = self.gone.pop(key)
            if self.how.strategy == "check" or self.how.hard_deletes != "ignore":
                back = replace(self._values(build), hour=back.hour)
            self.live[key] = back
        elif roll < 0.5:
            self.gone.pop(key, None)
            self.live[key] = self._values(build)

    def _values(self, build: int) -> Values:
        pick = self.chance.choice
        hour = build - pick([1, 7, 30, 59]) / 60  # after the build before
        z = pick([None, 5, 6]) if self.wide else None
        return Values(pick([None, 1, 2]), pick(["a", "a|b", "", None]), hour, z)


def source(live: dict[Key, Values], wide: bool) -> str:
    """The query that returns these rows."""

    def text(value: Any) -> str:
        return "null" if value is None else repr(value)

    types = {"k": "int", "l": "varchar", "v": "int", "w": "varchar", "u": "timestamp", "z": "int"}
    names = list(types)[: 6 if wide else 5]
    none = ", ".join(f"cast(null as {types[name]}) as {name}" for name in names)
    lines = [f"select {none} where 1 = 0"]
    for key, it in live.items():
        cells = [*map(text, (*key, it.v, it.w)), moment(it.hour), text(it.z)]
        lines.append(f"select {', '.join(cells[: len(names)])}")
    return "\nunion all ".join(lines)


def as_rows(live: dict[Key, Values]) -> list[Row]:
    return sorted(
        (
            (*key, it.v, it.w, str(START + timedelta(hours=it.hour)), it.z)
            for key, it in live.items()
        ),
        key=str,
    )


def expected(how: Snapshot, before: dict[Key, Values], now: dict[Key, Values]) -> Changes:
    """What a build counts; *before* is what the snapshot takes for current."""
    new = sum(key not in before for key in now)
    gone = 0 if how.hard_deletes == "ignore" else sum(key not in now for key in before)
    known = [(before[key], now[key]) for key in now if key in before]
    if how.strategy == "timestamp":
        return Changes("snapshot", None, new, sum(b.hour > a.hour for a, b in known), gone)
    return Changes("snapshot", None, new, sum(a != b for a, b in known), gone)


KINDS = [
    (strategy, deletes)
    for strategy in ("check", "timestamp")
    for deletes in ("ignore", "invalidate", "new_record")
]


@pytest.mark.parametrize(("strategy", "deletes"), KINDS)
def test_random_histories(
    session: WarehouseSession, build: Build, strategy: str, deletes: str
) -> None:
    """Time travel: at the time of each build, the table is what its query returned then."""
    for seed in range(max(2, -(-HISTORIES // len(KINDS)))):
        session.execute("drop table if exists s.t")
        updated_at = "u" if strategy == "timestamp" else ""
        open_end = ("", "9999-12-31 00:00:00")[seed % 2]
        how = Snapshot(strategy, ("k", "l"), updated_at, (), deletes, open_end)
        history = History(random.Random(f"{strategy} {deletes} {seed}"), how)
        current: dict[Key, Values] = {}
        seen: list[tuple[float, list[Row]]] = []
        ended: set[Row] = set()
        for at, live, wide in history.states():
            story = (strategy, deletes, open_end, seed, at)
            sql = source(live, wide)
            outcome = build(sql, how, at)
            assert outcome.error is None, story
            assert outcome.changes == expected(how, current, live), story
            current = {**current, **live} if deletes == "ignore" else live
            seen.append((at, as_rows(current)))
            rows = asked(session, "select * from s.t")
            again = build(sql, how, at + 0.01)
            assert again.changes == Changes("snapshot", None, 0, 0, 0), story
            assert asked(session, "select * from s.t") == rows, story
            ended = refuse_rewritten(session, how, ended)
        for at, rows in seen:
            assert travel(session, how, at) == rows, (strategy, deletes, open_end, seed, at)
        refuse_unsound(session, how)


def is_open(how: Snapshot) -> str:
    return f"valid_to = timestamp '{how.open_end}'" if how.open_end else "valid_to is null"


def has_z(session: WarehouseSession) -> bool:
    return "z" in session.query("select * from s.t limit 0")[0]


def refuse_rewritten(session: WarehouseSession, how: Snapshot, before: set[Row]) -> set[Row]:
    """The versions that have ended; those that had ended *before* are as they were."""
    listed = (
        "k, l, v, w, cast(u as varchar), cast(valid_from as varchar), cast(valid_to as varchar)"
    )
    now = set(asked(session, f"select {listed} from s.t where not ({is_open(how)})"))
    assert before <= now
    return now


def travel(session: WarehouseSession, how: Snapshot, at: float) -> list[Row]:
    """What the query returned at that hour, as the snapshot remembers it."""
    kept = " and not is_deleted" if how.hard_deletes == "new_record" else ""
    return asked(
        session,
        f"select k, l, v, w, cast(u as varchar), {'z' if has_z(session) else 'null'} from s.t"
        f" where valid_from <= {moment(at)}"
        f" and ({is_open(how)} or valid_to > {moment(at)}){kept}",
    )


def refuse_unsound(session: WarehouseSession, how: Snapshot) -> None:
    """No version is empty, none overlaps another, one at most is open, and neighbours differ."""
    assert not asked(session, "select 1 from s.t where valid_to <= valid_from")
    pair = "s.t as x join s.t as y on x.k = y.k and x.l = y.l and x.valid_from < y.valid_from"
    overlap = "x.valid_to is null or x.valid_to > y.valid_from"
    assert not asked(session, f"select 1 from {pair} where {overlap}")
    twice = "select k, l, valid_from from s.t group by 1, 2, 3 having count(*) > 1"
    assert not asked(session, twice)
    names = ["v", "w", "u", *(["z"] if has_z(session) else [])]
    names += ["is_deleted"] if how.hard_deletes == "new_record" else []
    same = " and ".join(f"x.{name} is not distinct from y.{name}" for name in names)
    assert not asked(session, f"select 1 from {pair} where x.valid_to = y.valid_from and {same}")


# Single cases ------------------------------------------------------------------------------------


def rows(*given: Row) -> str:
    """A query of the columns k, v and u (an hour)."""
    lines = [
        f"select {k}, {'null' if v is None else repr(v)}, {'null' if u is None else moment(u)}"
        for k, v, u in given
    ]
    typed = "cast(null as int) as k, cast(null as varchar) as v, cast(null as timestamp) as u"
    return " union all ".join([f"select {typed} where 1 = 0", *lines])


def failure(outcome: Outcome) -> str:
    assert outcome.error is not None
    return outcome.error.message


def test_the_versions_of_each_strategy(session: WarehouseSession, build: Build) -> None:
    for how, starts in ((CHECK, (1, 2)), (BY_TIME, (0.5, 1.5))):
        session.execute("drop table if exists s.t")
        assert build(rows((1, "a", 0.5)), how, 1).changes == Changes("snapshot", None, 1, 0, 0)
        assert build(rows((1, "b", 1.5)), how, 2).changes == Changes("snapshot", None, 0, 1, 0)
        first, second = starts
        assert versions(session) == [("a", first, second), ("b", second, None)]


def test_the_record_says_what_was_changed(session: WarehouseSession, build: Build) -> None:
    build(rows((1, "a", 0), (2, "a", 0)), CHECK, 1)
    how = replace(CHECK, hard_deletes="invalidate")
    outcome = build(rows((2, "b", 0), (3, "a", 0), (4, "a", 0)), how, 2)
    assert outcome.changes == Changes("snapshot", None, 2, 1, 1)
    (commit,) = session.last_proofs()
    assert (commit.changes, commit.rows) == (outcome.changes, outcome.rows)
    assert outcome.rows in (5, None)  # versions, where counting them is cheap
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_rows_without_a_sound_key_fail(session: WarehouseSession, build: Build) -> None:
    bad = {"NULL in unique_key (k)": ("null", "x", 0), "k=1, rows=2": (1, "x", 0)}
    for first in (True, False):  # the first build is guarded, too
        for what, row in bad.items():
            assert what in failure(build(rows((1, "a", 0), row), CHECK, 1))
        if first:
            assert build(rows((1, "a", 0)), CHECK, 1).error is None
    assert versions(session) == [("a", 1, None)]


@pytest.mark.parametrize("u", ["null", "timestamp 'infinity'", "timestamp '2200-01-01'"])
def test_rows_without_a_moment_fail(session: WarehouseSession, build: Build, u: str) -> None:
    bad = f"{rows((1, 'b', 1))} union all select 2, 'x', {u}"
    assert "in updated_at (u)" in failure(build(bad, BY_TIME, 2))
    build(rows((1, "a", 0)), BY_TIME, 1)
    assert "k=2, u=" in failure(build(bad, BY_TIME, 2))
    assert versions(session) == [("a", 0, None)]


def test_updated_at_must_be_a_time(build: Build) -> None:
    assert "the type" in failure(build(f"select k, k as u from ({rows()}) as q", BY_TIME, 1))
    missing = replace(BY_TIME, updated_at="changed")
    assert "updated_at: the query has no column `changed`" in failure(build(rows(), missing, 1))


def test_a_time_with_a_zone_becomes_utc(session: WarehouseSession, build: Build) -> None:
    if isinstance(session, MariaSession):
        pytest.skip("a cast to a moment is not in its SQL: see test_mariadb.py")
    session.execute("set timezone = 'America/New_York'")
    for hours, value in ((0, "a"), (1, "b")):
        at = f"2024-01-01 0{hours + 2}:00:00+02"
        sql = f"select 1 as k, '{value}' as v, cast('{at}' as timestamp with time zone) as u"
        assert build(sql, BY_TIME, hours + 0.5).error is None
    assert versions(session) == [("a", 0, 1), ("b", 1, None)]


def test_a_date_is_its_beginning(session: WarehouseSession, build: Build) -> None:
    build("select 1 as k, 'a' as v, date '2024-01-01' as u", BY_TIME, 5)
    build("select 1 as k, 'b' as v, date '2024-01-02' as u", BY_TIME, 30)
    assert versions(session) == [("a", 0, 24), ("b", 24, None)]


@pytest.mark.parametrize("deletes", ["invalidate", "new_record"])
def test_clocks_that_are_wrong(session: WarehouseSession, build: Build, deletes: str) -> None:
    """A server's clock is put back, and a source's clock is ahead: no version is empty."""
    check = replace(CHECK, hard_deletes=deletes)
    by_time = replace(BY_TIME, hard_deletes=deletes)
    for how, given in (
        (check, [(9, ((1, "a", 0),)), (3, ((1, "b", 0),)), (2, ()), (1, ((1, "c", 0),))]),
        (by_time, [(1, ((1, "a", 99),)), (2, ()), (3, ((1, "b", 1),)), (4, ((1, "c", 98),))]),
    ):
        session.execute("drop table if exists s.t")
        for at, state in given:
            assert build(rows(*state), how, at).error is None
        assert not asked(session, "select 1 from s.t where valid_to <= valid_from")
        pair = "s.t as x join s.t as y on x.k = y.k and x.valid_from < y.valid_from"
        overlap = "x.valid_to is null or x.valid_to > y.valid_from"
        assert not asked(session, f"select 1 from {pair} where {overlap}")
        assert [v for v, _, end in versions(session) if end is None] == ["c"]


def test_only_chosen_columns_are_compared(session: WarehouseSession, build: Build) -> None:
    how = replace(CHECK, check_cols=("V",))
    build(rows((1, "a", 0)), how, 1)
    assert build(rows((1, "a", 7)), how, 2).changes == Changes("snapshot", None, 0, 0, 0)
    assert build(rows((1, None, 7)), how, 3).changes == Changes("snapshot", None, 0, 1, 0)
    assert versions(session) == [("a", 1, 3), (None, 3, None)]
    wrong = replace(CHECK, check_cols=("w",))
    assert "check_cols: the query has no column `w`" in failure(build(rows(), wrong, 4))


def test_a_time_that_did_not_move_is_no_change(session: WarehouseSession, build: Build) -> None:
    build(rows((1, "a", 0)), BY_TIME, 1)
    assert build(rows((1, "b", 0)), BY_TIME, 2).changes == Changes("snapshot", None, 0, 0, 0)


@pytest.mark.parametrize("deletes", ["ignore", "invalidate", "new_record"])
def test_rows_that_were_made_before_another_build(
    session: WarehouseSession, build: Build, deletes: str
) -> None:
    """A Python model reads before its turn: its older rows would take back newer ones."""
    how = replace(CHECK, hard_deletes=deletes)
    first = rows((1, "a", 0), (2, "a", 0))
    build(first, how, 1)
    newer = (rows((1, "b", 0), (2, "a", 0)), rows((1, "b", 0)), rows((1, "b", 0), (2, "a", 0)))
    for at, state in enumerate(newer, 2):
        reading = session.read_before(Relation("s", "t"), how)
        session.discard()
        assert build(state, replace(how, reading=reading), at).error is None, "nothing came between"
        outcome = build(first, replace(how, reading=reading), at + 0.5)
        if deletes == "ignore" and at > 2:  # nothing had changed
            break
        assert "another run has written s.t since this model read it" in failure(outcome)
        assert outcome.error is not None
        assert outcome.error.transient


# Settings that change ----------------------------------------------------------------------------


def test_hard_deletes_may_change(session: WarehouseSession, build: Build) -> None:
    def deletes(word: str) -> Snapshot:
        return replace(CHECK, hard_deletes=word)

    build(rows((1, "a", 0), (2, "a", 0)), deletes("ignore"), 1)
    assert build(rows((1, "a", 0)), deletes("new_record"), 2).error is None
    marked = [("a", False, 1, None), ("a", False, 1, 2), ("a", True, 2, None)]
    assert versions(session, "v, is_deleted") == marked
    same = Changes("snapshot", None, 0, 0, 0)
    for word in ("ignore", "invalidate", "new_record"):  # a mark stays one
        assert build(rows((1, "a", 0)), deletes(word), 3).changes == same
    assert build(rows((1, "a", 0), (2, "a", 0)), deletes("ignore"), 4).changes == replace(
        same, inserted=1
    )
    assert versions(session, "v, is_deleted")[-2:] == [("a", True, 2, 4), ("a", False, 4, None)]


def test_what_open_versions_hold_may_change(session: WarehouseSession, build: Build) -> None:
    for at, end in enumerate(["", "9999-12-31 00:00:00", "3000-01-01 00:00:00", ""], 1):
        how = replace(CHECK, open_end=end)
        counts = (1, 0, 0) if at == 1 else (0, 1, 0)
        outcome = build(rows((1, str(at), 0), (2, "a", 0)), how, at)
        if at > 1:
            assert outcome.changes == Changes("snapshot", None, *counts)
        open_ = "valid_to is null" if not end else f"valid_to = timestamp '{end}'"
        assert asked(session, f"select v from s.t where {open_}") == [(str(at),), ("a",)]


def test_another_strategy(session: WarehouseSession, build: Build) -> None:
    """A column that says when a row was changed is added: each row gets one version with it."""
    build("select 1 as k, cast('a' as varchar) as v", CHECK, 1)
    assert build(rows((1, "a", 2)), BY_TIME, 3).changes == Changes("snapshot", None, 0, 1, 0)
    assert build(rows((1, "a", 2)), BY_TIME, 4).changes == Changes("snapshot", None, 0, 0, 0)
    assert versions(session) == [("a", 1, 2), ("a", 2, None)]


def test_another_key(session: WarehouseSession, build: Build) -> None:
    """It must tell the open versions apart, too: else some would stay open for ever."""
    build(
        "select 1 as k, 1 as m, 'a' as v union all select 1, 2, 'a'",
        replace(CHECK, unique_key=("k", "m")),
        1,
    )
    before = versions(session)
    narrower = failure(build("select 1 as k, 1 as m, 'b' as v", CHECK, 2))
    assert "unique_key (k) does not tell apart the open versions" in narrower
    wider = replace(CHECK, unique_key=("k", "m", "n"))
    assert "k=1, m=1, n=NULL" in failure(build("select 1 as k, 1 as m, 1 as n, 'a' as v", wider, 2))
    assert versions(session) == before


# Columns -----------------------------------------------------------------------------------------


def test_the_names_of_what_is_added(session: WarehouseSession, build: Build) -> None:
    names = {"valid_from": "dbt from", "valid_to": "dbt_to", "is_deleted": "gone"}
    how = replace(CHECK, hard_deletes="new_record", **names)
    build("select 1 as k, 'a' as valid_from, true as is_deleted", how, 1)
    build("select 1 as k, 'b' as valid_from, true as is_deleted", how, 2)
    build("select 1 as k, 'b' as valid_from, true as is_deleted where 1 = 0", how, 3)
    found = session.query('select valid_from, gone from s.t order by "dbt from"')[1]
    assert [tuple(row) for row in found] == [("a", False), ("b", False), ("b", True)]


DBT_NAMES = {"scd_id": "dbt_scd_id", "scd_updated_at": "dbt_updated_at"}


def dbt_hash(session: WarehouseSession, *values: object) -> str:
    """dbt's `snapshot_hash_arguments`, of values as SQL writes them as text."""
    digits = ".000000" if isinstance(session, MariaSession) else ""
    texts = (f"{it}{digits}" if isinstance(it, datetime) else str(it) for it in values)
    return hashlib.md5("|".join(texts).encode()).hexdigest()


def identities(session: WarehouseSession) -> list[Row]:
    told = "dbt_scd_id, cast(dbt_updated_at as varchar)"
    found = session.query(f"select k, {told} from s.t order by k, valid_from")[1]
    return [tuple(row) for row in found]


def test_each_version_has_the_identity_that_dbt_gives_it(
    session: WarehouseSession, build: Build
) -> None:
    how = replace(BY_TIME, hard_deletes="new_record", **DBT_NAMES)
    build(rows((1, "a", 0), (2, "b", 1)), how, 5)
    build(rows((1, "c", 2)), how, 6)
    first, later = dbt_hash(session, 2, START + timedelta(hours=1)), START + timedelta(hours=6)
    assert identities(session) == [
        (1, dbt_hash(session, 1, START), str(START)),
        (1, dbt_hash(session, 1, START + timedelta(hours=2)), str(START + timedelta(hours=2))),
        (2, first, str(START + timedelta(hours=1))),
        (2, dbt_hash(session, first, later), str(later)),
    ]
    names = [name for name, _ in session.columns(sql_task("s.t", "").relation)]
    own = ["dbt_scd_id", "dbt_updated_at", "valid_from", "valid_to", "is_deleted"]
    assert names[-5:] == own


def test_by_checks_the_identity_has_the_time_of_the_build(
    session: WarehouseSession, build: Build
) -> None:
    how = replace(CHECK, unique_key=("k", "v"), **DBT_NAMES)
    build("select 1 as k, 'a' as v union all select 2, ''", how, 1)
    at = START + timedelta(hours=1)
    assert identities(session) == [
        (1, dbt_hash(session, 1, "a", at), str(at)),
        (2, dbt_hash(session, 2, "", at), str(at)),
    ]


def test_the_identity_of_a_date_is_of_its_own_text(session: WarehouseSession, build: Build) -> None:
    how = replace(BY_TIME, **DBT_NAMES)
    build("select 1 as k, date '2024-02-03' as u", how, 1)
    assert identities(session) == [(1, dbt_hash(session, 1, "2024-02-03"), "2024-02-03 00:00:00")]


def test_a_row_that_is_back_with_its_old_time_has_an_identity_of_its_own(
    session: WarehouseSession, build: Build
) -> None:
    how = replace(BY_TIME, hard_deletes="invalidate", **DBT_NAMES)
    build(rows((1, "a", 0)), how, 1)
    build("select 1 as k, 'a' as v, timestamp '2024-01-01' as u where 1 = 0", how, 2)
    build(rows((1, "a", 0)), how, 3)
    back = dbt_hash(session, 1, START + timedelta(hours=3))
    assert identities(session) == [
        (1, dbt_hash(session, 1, START), str(START)),
        (1, back, str(START)),
    ]


def test_a_snapshot_gets_identities_from_the_build_that_names_them(
    session: WarehouseSession, build: Build
) -> None:
    build(rows((1, "a", 0), (2, "a", 0)), BY_TIME, 1)
    how = replace(BY_TIME, hard_deletes="new_record", **DBT_NAMES)
    assert build(rows((1, "b", 2)), how, 3).error is None
    at, gone = START + timedelta(hours=2), START + timedelta(hours=3)
    assert identities(session) == [
        (1, None, None),
        (1, dbt_hash(session, 1, at), str(at)),
        (2, None, None),
        (2, dbt_hash(session, dbt_hash(session, 2), gone), str(gone)),
    ]
    assert build(rows((1, "b", 2)), how, 4).changes == Changes("snapshot", None, 0, 0, 0)


def test_the_querys_own_column_is_not_ours(session: WarehouseSession, build: Build) -> None:
    how = replace(CHECK, hard_deletes="new_record")
    sql = "select 1 as k, {} as is_deleted"
    refused = failure(build(sql.format("true"), how, 1))
    assert "`snapshot_meta_column_names: {is_deleted: ...}`" in refused
    how = replace(CHECK, hard_deletes="invalidate")  # then it is the query's
    for at, value, counts in (
        (1, "true", (1, 0, 0)),
        (2, "true", (0, 0, 0)),
        (3, "false", (0, 1, 0)),
    ):
        assert build(sql.format(value), how, at).changes == Changes("snapshot", None, *counts)


def test_columns_come_and_go(session: WarehouseSession, build: Build) -> None:
    build("select 1 as k, 'a' as v union all select 2, 'a'", CHECK, 1)
    wider = "select 1 as k, 'a' as v, null::int as z union all select 2, 'a', 5"
    assert build(wider, CHECK, 2).changes == Changes("snapshot", None, 0, 1, 0)
    narrower = "select 1 as k, null::int as z union all select 2, 5"
    assert build(narrower, CHECK, 3).changes == Changes("snapshot", None, 0, 0, 0)
    assert build("select 1 as k, 6 as z", CHECK, 4).changes == Changes("snapshot", None, 0, 1, 0)
    assert versions(session, "k, v, z") == [
        (1, "a", None, 1, 4),
        (1, None, 6, 4, None),
        (2, "a", None, 1, 2),
        (2, "a", 5, 2, None),
    ]


def test_columns_that_may_not_change(session: WarehouseSession, build: Build) -> None:
    build("select 1 as k, 1 as v", CHECK, 1)
    said = failure(build("select 1 as k, 1.5 as v", CHECK, 2))
    assert "of another type: `v`" in said
    assert "ALTER TABLE" in said
    assert "full_refresh" not in said
    strict = replace(CHECK, on_schema_change="fail")
    said = failure(build("select 1 as k, 1 as v, 2 as z", strict, 2))
    assert "set `on_schema_change: append_new_columns`" in said
    blind = replace(CHECK, on_schema_change="ignore")
    assert build("select 1 as k, 1 as v, 2 as z", blind, 2).changes == Changes(
        "snapshot", None, 0, 0, 0
    )
    assert versions(session) == [(1, 1, None)]


# What is there already ---------------------------------------------------------------------------


def test_a_table_that_is_no_snapshot_stays(session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.t as select 1 as k, 'mine' as v")
    said = failure(build(rows((1, "a", 0)), CHECK, 1))
    assert "no snapshot with these columns: it has no column `valid_from`" in said
    assert asked(session, "select * from s.t") == [(1, "mine")]


def test_a_table_of_the_model_before_it_was_a_snapshot_stays(
    session: WarehouseSession, build: Build
) -> None:
    """Its own valid_from and valid_to are not taken for those of a snapshot."""
    given = f"select 1 as k, 'a' as v, {moment(0)} as valid_from, {moment(9)} as valid_to"
    assert build(given, Replace(), 1).error is None
    for how in (CHECK, replace(CHECK, hard_deletes="new_record")):
        assert "before it became a snapshot" in failure(build("select 1 as k, 'b' as v", how, 2))
    assert len(asked(session, "select * from s.t")) == 1
    session.execute("alter table s.t rename to old")
    assert build("select 1 as k, 'b' as v", CHECK, 3).error is None
    session.execute("drop table s.t; alter table s.old rename to t")
    session.execute("create table s.t2 as select * from s.t; drop table s.t")
    session.execute("alter table s.t2 rename to t")  # by hand: somebody says that it is a history
    assert build("select 1 as k, 'b' as v", CHECK, 10).error is None


def test_a_column_that_the_query_returned_is_not_our_mark(
    session: WarehouseSession, build: Build
) -> None:
    """Neither before deletions are marked nor after it."""
    assert build("select 1 as k, 'a' as v, true as is_deleted", CHECK, 1).error is None
    assert build("select 1 as k, 'a' as v", CHECK, 2).changes == Changes("snapshot", None, 0, 0, 0)
    marking = replace(CHECK, hard_deletes="new_record")
    said = failure(build("select 1 as k, 'b' as v", marking, 3))
    assert "a column `is_deleted`, which is not the mark" in said
    assert ("COMMENT 'dag" if isinstance(session, MariaSession) else "SET DEFAULT false") in said
    assert asked(session, "select k, v, is_deleted from s.t") == [(1, "a", True)]
    named = replace(marking, is_deleted="gone")
    assert build("select 2 as k, 'b' as v", named, 4).changes == Changes("snapshot", None, 1, 0, 1)
    assert asked(session, "select k, gone from s.t") == [(1, False), (1, True), (2, False)]
    assert asked(session, "select is_deleted from s.t where k = 1") == [(True,), (True,)]


def test_a_view_becomes_the_table(session: WarehouseSession, build: Build) -> None:
    session.execute("create view s.t as select 1 as k")
    assert build(rows((1, "a", 0)), BY_TIME, 1).error is None
    assert versions(session) == [("a", 0, None)]


def test_a_history_that_something_else_began(session: WarehouseSession, build: Build) -> None:
    """Its other columns stay; its open versions go on."""
    session.execute(
        "create table s.t as select 1 as k, 'a' as v, nullif('x', '') as scd_id,"
        f" {moment(0)} as dbt_from, timestamp '9999-12-31' as dbt_to"
    )
    how = replace(CHECK, valid_from="dbt_from", valid_to="dbt_to")
    assert build("select 1 as k, 'a' as v", how, 1).changes == Changes("snapshot", None, 0, 0, 0)
    assert build("select 1 as k, 'b' as v", how, 2).changes == Changes("snapshot", None, 0, 1, 0)
    assert asked(session, "select v, scd_id from s.t") == [("a", "x"), ("b", None)]


@pytest.mark.parametrize(
    "how",
    [Replace(), View(), Incremental("merge", ("k",)), Incremental("append", full_refresh=True)],
    ids=repr,
)
def test_a_model_that_is_no_snapshot_any_more_leaves_the_history(
    session: WarehouseSession, build: Build, how: Materialization
) -> None:
    assert build("select 1 as k, 1 as v", CHECK, 0).succeeded
    assert build("select 1 as k, 2 as v", CHECK, 1).succeeded
    before = versions(session)
    outcome = build("select 1 as k, 3 as v", how, 2)
    assert outcome.error is not None
    assert outcome.error.name == "HistoryInTheWay"
    assert versions(session) == before
    assert build("select 1 as k, 3 as v", CHECK, 3).succeeded  # it goes on as a snapshot
    session.execute("drop table s.t")
    assert build("select 1 as k, 3 as v", how, 4).succeeded
    assert build("select 1 as k, 4 as v", how, 5).succeeded
