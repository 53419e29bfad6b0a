"""Random histories of builds, in processes that are killed at any moment: each time the table is as
it was before the build or as a plain Python model says, the commit records agree, and the next
build goes on from there.

DAGSTER_MODELS_HISTORIES=500 runs as many of each kind and warehouse; with -s it says how many
kills there were, and what they left.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from plain_models import KINDS_OF_MODELS, Kind
from test_snapshot import START

from dagster_models.core.materializations import Materialization
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import Query
from lives import NO_KILL, Build, Kill, Lives, State, count_kills
from systems import System
from tasks import sql_task

#: Random histories of each kind and warehouse; CI runs a share.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "1"))
#: Of a history: its last one is not killed.
LIVES = 4
BUILDS_OF_A_LIFE = 2
#: About what a life does: each statement is two acts.
ACTS = 70


@dataclass(frozen=True)
class Known:
    """What is there: a state of the oracle's, and all records."""

    state: Any
    records: list[list[Any]]


@dataclass
class Try:
    """A build, and what is there before it and after each of its transactions. ``at``: how many of
    these are committed."""

    build: Build
    given: Any
    chain: list[Known]
    at: int = 0

    @property
    def last(self) -> Known:
        return self.chain[-1]

    @property
    def is_committed(self) -> bool:
        return self.chain[self.at] is self.last

    @property
    def fate(self) -> str:
        """Where a kill has met it."""
        return (
            f"{'before' if not self.at else 'after' if self.is_committed else 'between its'} COMMIT"
        )


class Chronicle:
    """One history, and what the oracle says of it."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._attempt = self._number = 0

    def new(self, before: Known) -> Try:
        self._number += 1
        return self._tried(*self._kind.draw(self._number), before)

    def again(self, it: Try) -> Try:
        """The same build as another attempt, after one that is not committed as a whole."""
        task = it.build.task
        assert isinstance(task.content, Query)
        return self._tried(task.materialization, task.content.sql, it.given, it.chain[it.at])

    def _tried(self, how: Materialization, sql: str, given: Any, before: Known) -> Try:
        self._attempt += 1
        task = replace(sql_task("s.t", sql, attempt=self._attempt), materialization=how)
        now = START + timedelta(hours=self._number, seconds=self._attempt)
        chain, part = [before], count()
        for wanted in self._kind.apply(before.state, how, given, now):
            records = [[self._attempt, next(part), *record] for record in wanted.records]
            chain.append(Known(wanted.state, [*chain[-1].records, *records]))
        return Try(Build(task, now), given, chain)

    def seen(self, known: Known) -> State:
        """What a reader sees then."""
        table = None if known.state is None else self._kind.table(known.state)
        return State(table, known.records)


def play(system: System, kind: str, seed: int, lives: Lives) -> Counter[str]:
    """Live a history. Return how often a kill came before a build was committed, and so on."""
    chance, kills = random.Random(f"{kind} {seed}"), Counter[str]()
    chronicle = Chronicle(KINDS_OF_MODELS[kind](seed, chance))
    possible, killed, tries = [Known(None, [])], None, list[Try]()
    for number in range(LIVES + 1):
        life = lives.begin(system, fresh=number == 0)
        found = [at for at, it in enumerate(possible) if chronicle.seen(it) == life.began]
        assert found, (kind, seed, number, possible, life.began)
        if killed is not None:
            killed.at += found[0]
            tries = _after_a_kill(chronicle, chance, killed)
            kills[killed.fate] += 1
        if number == LIVES:
            life.work()
            break
        while len(tries) < BUILDS_OF_A_LIFE:
            tries.append(chronicle.new(tries[-1].last if tries else possible[found[0]]))
        kill = _kill(chance) if number < LIVES - 1 else NO_KILL
        work = life.work([it.build for it in tries], kill)
        story = (kind, seed, number, kill, tries, work)
        for it, (outcome, state) in zip(tries, work.done, strict=False):
            verdict = Verdict.ROLLED_BACK if len(it.chain) == 1 else Verdict.COMMITTED
            assert (outcome.verdict, state) == (verdict, chronicle.seen(it.last)), story
            possible = [it.last]
        rest = tries[len(work.done) :]
        killed = rest[0] if rest and work.ended and work.prepared else None
        assert work.ended == (-9 if rest else work.ended), story
        assert work.ended == 0 or kill != NO_KILL, story
        if killed is not None:
            possible = killed.chain[killed.at :]
        tries = []
    return kills


def _kill(chance: random.Random) -> Kill:
    if chance.random() < 0.2:
        return Kill(seconds=chance.uniform(0.01, 0.2))
    return Kill(act=chance.randint(1, ACTS))


def _after_a_kill(chronicle: Chronicle, chance: random.Random, it: Try) -> list[Try]:
    """What is built next: the same attempt, as of a run that does not know of its commit; another
    attempt, as of one that has looked; or the next build."""
    roll = chance.random()
    if roll < 0.4:
        return [it]
    return [chronicle.again(it)] if roll < 0.8 and not it.is_committed else []


@pytest.mark.parametrize("kind", KINDS_OF_MODELS)
def test_random_histories_with_kills(system: System, lives: Lives, kind: str) -> None:
    what = f"{system.name}, {kind}"
    assert count_kills(what, HISTORIES, lambda seed: play(system, kind, seed, lives))
