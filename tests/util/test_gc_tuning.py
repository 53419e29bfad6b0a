"""What is loaded stays: the collector passes over it, until the next load and at exit."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from dagster_models.util import gc_tuning
from dagster_models.util.gc_tuning import a_load, frozen_heap


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has loaded nothing, whatever the other tests did in this one."""
    monkeypatch.setattr(gc_tuning, "_frozen", False)
    monkeypatch.setattr(gc_tuning, "_frozen_by_a_run", False)
    yield
    gc.unfreeze()


def garbage() -> weakref.ref[Cycle]:
    return weakref.ref(Cycle())


def test_a_load_is_passed_over_until_the_next_one() -> None:
    with a_load():
        kept = garbage()
    gc.collect()
    assert kept() is not None
    with a_load():
        gc.collect()
    assert kept() is None


def test_the_collector_does_not_go_through_a_load_at_its_end() -> None:
    collected: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        collected.append(info["generation"])

    gc.collect()
    gc.callbacks.append(note)
    try:
        with a_load():
            kept = [[number] for number in range(50_000)]
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == 50_000
    assert collected == []


def test_what_a_run_makes_is_collected_and_what_was_there_is_passed_over() -> None:
    before = garbage()
    with frozen_heap():
        made = garbage()
        gc.collect()
        assert made() is None
        assert before() is not None
    gc.collect()
    assert before() is None


def test_after_a_load_a_run_leaves_it_frozen_and_the_next_ones_freeze_nothing_more() -> None:
    with a_load():
        loaded = garbage()
    with frozen_heap():
        made = garbage()
    gc.collect()
    assert (loaded() is None, made() is None) == (False, True)
    between = garbage()
    with frozen_heap():
        gc.collect()
        assert between() is None
    with a_load():
        gc.collect()
    assert loaded() is None


def test_the_exit_of_a_process_that_has_loaded_collects_what_is_garbage_then_and_no_more() -> None:
    program = (
        "from dagster_models.util.gc_tuning import a_load\n"
        "class Cycle:\n"
        "    def __init__(self, name): self.name, self.itself = name, self\n"
        "    def __del__(self): print(self.name, flush=True)\n"
        "with a_load(): loaded = Cycle('loaded')\n"
        "in_use = Cycle('in use')\n"
        "Cycle('garbage')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "garbage\n", "")
