"""LineMatcher finds what difflib finds, of which it is a faster form."""

from __future__ import annotations

import random
from difflib import SequenceMatcher

from dagster_models.util.line_matcher import LineMatcher


def _texts(chance: random.Random) -> tuple[list[str], list[str]]:
    """A text and another version of it. Some of their lines stand in them several times."""
    few = [f"few {it}" for it in range(chance.choice([1, 2, 5]))]
    lines = [*few, *(f"many {it}" for it in range(40))]
    one = [
        chance.choice(few if chance.random() < 0.6 else lines) for _ in range(chance.randrange(25))
    ]
    two = one.copy() if chance.random() < 0.6 else chance.choices(lines, k=chance.randrange(25))
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(two) + 1)
        two[at : at + chance.randrange(4)] = chance.choices(lines, k=chance.randrange(4))
    return one, two


def test_the_blocks_are_those_of_difflib() -> None:
    chance = random.Random(7)
    for _ in range(1500):
        one, two = _texts(chance)
        stock = SequenceMatcher(None, one, two, autojunk=False)
        assert LineMatcher(one, two).get_opcodes() == stock.get_opcodes(), (one, two)


def test_a_part_of_the_texts_is_compared_as_difflib_does_it() -> None:
    chance = random.Random(8)
    for _ in range(1500):
        one, two = _texts(chance)
        rows, columns = (sorted(chance.choices(range(len(it) + 1), k=2)) for it in (one, two))
        stock = SequenceMatcher(None, one, two, autojunk=False)
        part = (*rows, *columns)
        assert LineMatcher(one, two).find_longest_match(*part) == stock.find_longest_match(*part)
