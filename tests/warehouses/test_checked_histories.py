"""Random histories of builds with checks, in processes that are killed at any moment.

``checks: each``: what readers see satisfies the error checks of the builds that wrote it, whatever
was killed. ``after``: readers see what was built, and checks that come to their end say what is
true of it, and change nothing. In both, the table of the rows that failed a check has all of those
of the last build whose checks were over, or still those of an earlier one.

DAGSTER_MODELS_HISTORIES=300 runs as many of each mode and warehouse; with -s it says how many
kills there were, and what they met.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from checked_builds import (
    KINDS,
    STORE,
    Drawn,
    Expected,
    Known,
    Rows,
    after_build,
    after_checks,
    draw,
    of_pairs,
    ordered,
    rows_where,
)
from dagster_models.core.checks import Severity
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import BuildTask, ChecksTask
from lives import NO_KILL, Build, Kill, Lives, State, count_kills
from systems import System, T
from tasks import sql_task

HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "2"))
#: Of a history: its last one is not killed.
LIVES = 4
#: About what a life does: each statement is two acts.
ACTS = 140


@dataclass(frozen=True)
class Try:
    """A build, or checks alone, and what must come of it."""

    drawn: Drawn
    task: BuildTask | ChecksTask
    expected: Expected


class History:
    """What is tried next, in one of the modes."""

    def __init__(self, mode: str, seed: int) -> None:
        self.chance = random.Random(f"checked {mode} {seed}")
        self._kinds = self.chance.choice(KINDS)
        self._mode, self._attempt = mode, 0

    def next(self, before: Known) -> list[Try]:
        """A build, and after it in the mode ``after`` its checks."""
        return self._tried(draw(self.chance, self._kinds), before)

    def again(self, killed: Try, found: Known) -> list[Try]:
        """What is left of a build that was killed, as a retry does it."""
        if isinstance(killed.task, ChecksTask):
            return [self._checks(killed.drawn, found)]
        done = sum(attempt == killed.task.attempt for attempt, _ in found.records)
        drawn, at = killed.drawn, done * killed.drawn.batch
        if not done:
            return self._tried(drawn, found)
        if drawn.kind != "batches" or at >= len(drawn.keys):
            return self.next(found)
        keys, earlier = drawn.keys[at:], (*drawn.earlier, *drawn.keys[:at])
        return self._tried(replace(drawn, keys=keys, earlier=earlier), found)

    def _tried(self, drawn: Drawn, before: Known) -> list[Try]:
        self._attempt += 1
        each = self._mode == "each"
        task = sql_task("s.t", of_pairs(drawn.given), attempt=self._attempt, builder="b")
        task = replace(
            task, checks=drawn.tasks if each else (), materialization=drawn.materialization
        )
        built = Try(drawn, task, after_build(drawn, self._attempt, before, checked=each))
        return [built] if each else [built, self._checks(drawn, built.expected.chain[-1])]

    def _checks(self, drawn: Drawn, before: Known) -> Try:
        self._attempt += 1
        task = ChecksTask("r", "s.t", self._attempt, T, drawn.tasks, builder="b")
        return Try(drawn, task, after_checks(drawn, before))


def play(system: System, mode: str, seed: int, lives: Lives) -> Counter[str]:
    """Live a history. Return how often a kill came before a build was committed, and so on."""
    history, kills = History(mode, seed), Counter[str]()
    possible, killed = [Known()], None
    for number in range(LIVES + 1):
        life = lives.begin(system, fresh=number == 0)
        found = known(life.began)
        assert found in possible, (mode, seed, number, possible, killed)
        if killed is not None:
            kills[_fate(killed, found)] += 1
        if number == LIVES:
            life.work()
            break
        retries = killed is not None and history.chance.random() < 0.7
        tries = history.again(killed, found) if killed and retries else history.next(found)
        tries += history.next(tries[-1].expected.chain[-1])
        kill = _kill(history.chance) if number < LIVES - 1 else NO_KILL
        work = life.work([Build(it.task) for it in tries], kill)
        story = (mode, seed, number, kill, tries, work)
        for it, (outcome, state) in zip(tries, work.done, strict=False):
            assert _seen(outcome) == _wanted(it), story
            assert outcome.notes == (), story
            assert known(state) == it.expected.chain[-1], story
        rest = tries[len(work.done) :]
        assert work.ended == (-9 if rest else work.ended), story
        assert work.ended == 0 or kill != NO_KILL, story
        killed = rest[0] if rest and work.prepared else None
        possible = [*killed.expected.chain] if killed else [_last(tries, rest)]
    return kills


def _last(tries: list[Try], rest: list[Try]) -> Known:
    """What is there after those that came to their end."""
    return rest[0].expected.chain[0] if rest else tries[-1].expected.chain[-1]


def known(state: State) -> Known:
    return Known(
        _as_rows(state.table),
        tuple((attempt, part) for attempt, part, *_ in state.records),
        _as_rows(state.stored),
    )


def _as_rows(table: list[dict[str, str | None]] | None) -> Rows | None:
    if table is None:
        return None
    pairs = [(row["k"], row["v"]) for row in table]
    return ordered([(int(k or ""), None if v is None else int(v)) for k, v in pairs])


def _seen(outcome: Outcome) -> tuple[Verdict, dict[str, tuple[int, str]]]:
    states = {
        it.name: (it.failures, "" if it.passed else it.severity)
        for it in outcome.checks
        if it.error is None
    }
    return outcome.verdict, states


def _wanted(it: Try) -> tuple[Verdict, dict[str, tuple[int, str]]]:
    if isinstance(it.task, ChecksTask):
        return Verdict.FAILED if it.expected.fails else Verdict.DONE, it.expected.found
    return Verdict.ROLLED_BACK if it.expected.fails else Verdict.COMMITTED, it.expected.found


def _fate(killed: Try, found: Known) -> str:
    """What a kill has met."""
    last = killed.expected.chain[-1]
    what = "checks" if isinstance(killed.task, ChecksTask) else "a build"
    if found == last:
        return f"{what} at its end"
    if what == "checks":
        return "checks before their end"
    if killed.expected.fails:
        return f"{what} that its checks let fail"
    committed = found.records == last.records
    return (
        f"{what} after COMMIT, before its rows were stored"
        if committed
        else f"{what} before COMMIT"
    )


def _kill(chance: random.Random) -> Kill:
    if chance.random() < 0.2:
        return Kill(seconds=chance.uniform(0.01, 0.3))
    return Kill(act=chance.randint(1, ACTS))


@pytest.mark.parametrize("mode", ["each", "after"])
def test_random_histories_of_checks_with_kills(system: System, lives: Lives, mode: str) -> None:
    what = f"{system.name}, {mode}"
    assert count_kills(what, HISTORIES, lambda seed: play(system, mode, seed, lives))


@pytest.mark.parametrize("severity", ["error", "warn"])
def test_a_kill_between_the_end_of_a_build_and_the_storing_of_its_rows(
    system: System, lives: Lives, severity: Severity
) -> None:
    """Right after its ROLLBACK, or its COMMIT: the build has its end, and the rows that failed the
    check are, as a whole, those of the build before, until the next one."""
    check = rows_where("c", "v < 0", severity=severity, store=STORE)

    def build(attempt: int, *values: int) -> Build:
        sql = of_pairs([(k, v) for k, v in enumerate(values)])
        return Build(sql_task("s.t", sql, attempt=attempt, checks=(check,), builder="b"))

    life = lives.begin(system, fresh=True)
    warns = replace(check, severity="warn")
    first = build(1, -1, 1)
    ((outcome, state),) = life.work([Build(replace(first.task, checks=(warns,)))]).done
    assert outcome.verdict is Verdict.COMMITTED
    assert known(state).stored == ((0, -1),)
    ends = {"error": "rollbacks", "warn": "commits"}[severity]
    work = lives.begin(system).work([build(2, -5, -6)], Kill(act=1, **{ends: 1}))
    assert (work.ended, work.done) == (-9, [])
    life = lives.begin(system)
    began = known(life.began)
    assert began.table == (((0, -1), (1, 1)) if severity == "error" else ((0, -5), (1, -6)))
    assert began.stored == ((0, -1),)
    ((_, state),) = life.work([build(3, -7, 7)]).done
    assert known(state).stored == ((0, -7),)
