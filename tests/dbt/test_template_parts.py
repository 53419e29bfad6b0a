"""The parts of a template are those of Jinja's own lexer, which takes longer to find them."""

from __future__ import annotations

import random

import pytest
from jinja2 import TemplateSyntaxError

from dagster_models.dbt.text import parts as module
from dagster_models.dbt.text.parts import parts

CUT = (
    "select 1\n\n",
    "",
    "\n",
    "a{{ x }}b{{- y -}} \n c {# d }} #}e{#- f -#}  g",
    "{%- if x -%} 1 {%+ else +%} 2 {% endif %}\n",
    "{{ {'a': {'b': [1, (2)]}} }}{{ f({'a': {}}) }}{{ '}}' }}{{ \"%}\" }}{{ a != 'it%}' }}",
    "{% set x = a %}{{ a % 2 }}{{ - 1 }}{{ a +}}",
    "{ { x } }{ % x % }",
)
LEFT = (
    r"{{ 'it\'s' }}",
    "a\r\n{{ x }}",
    "{% raw %}{{ x }}{% endraw %}",
    "{{ x",
    "{# x",
    "{{ (x] }}",
    "{{ ä }}",
    "{{ x ? y }}",
    "{{ x %}",
    "{% x }}",
    "{{ 'x }}",
)


def lexed(text: str) -> object:
    try:
        return tuple(module._lexed(text))
    except TemplateSyntaxError as error:
        return str(error)


@pytest.mark.parametrize("text", CUT)
def test_a_plain_text_is_cut_at_its_braces(text: str) -> None:
    assert tuple(module._cut(text)) == lexed(text)


@pytest.mark.parametrize("text", LEFT)
def test_what_is_not_plain_is_left_to_the_lexer(text: str) -> None:
    with pytest.raises(module._NotPlain):
        tuple(module._cut(text))
    try:
        found: object = parts(text)
    except TemplateSyntaxError as error:
        found = str(error)
    assert found == lexed(text)


def test_texts_of_any_pieces() -> None:
    chance, cut = random.Random(3), 0
    pieces = ["{{", "}}", "{%", "%}", "{#", "#}", "-", "+", " ", "\n", "'", '"', "(", ")", "{", "}"]
    pieces += ["[", "]", "a", "1", "%", "!=", "if x", "{{ a }}", "{%- set x = {} -%}", "$", "'}}'"]
    for _ in range(3000):
        text = "".join(chance.choices(pieces, k=chance.randint(1, 9)))
        try:
            found = tuple(module._cut(text))
        except module._NotPlain:
            continue
        cut += 1
        assert found == lexed(text), text
    assert cut > 300  # most of the others have a brace that is not closed
