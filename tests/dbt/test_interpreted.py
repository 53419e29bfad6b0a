"""Templates that are evaluated part by part: each text is what Jinja's own compiler makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import TemplateError, TemplateSyntaxError

from dagster_models.dbt.text.interpreted import interpreted
from dagster_models.dbt.text.template import environment, expression, rendered, template


class Asked:
    """A callable that counts, so that an expression which is evaluated twice is seen."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def shown(*arguments: Any, **named: Any) -> str:
    return f"{arguments}{named}"


def context() -> dict[str, Any]:
    return {
        **environment().globals,
        "ask": Asked(),
        "shown": shown,
        "later": True,
        "empty": [],
        "names": ["b", "a"],
        "of": {"items": 1, "day": {"hour": 7}, "n": 3, "no": None},
        "text": "Orders",
    }


READ = (
    "select 1\n",
    "select 1\n\n",
    "a {{ text }} b {{- text -}} c {%+ if later +%} d {% endif %}\n",
    "{# a comment {{ text }} #}{{ text }}",
    "{{ -1 }}{{ - 1 }}{{ 1 - 2 }}{{ 2 * 3 + 1 }}",
    "{{ unknown }}|{{ unknown is defined }}|{{ of.unknown }}|{{ of['unknown'] }}",
    "{{ none }}{{ true }}{{ 1.50 }}{{ 'a' 'b' }}{{ () }}{{ (1, 'x') }}{{ 1, 2 }}",
    "{{ of.items is callable }}{{ of['items'] }}{{ of.day.hour }}{{ names[0] }}{{ names[5] }}",
    "{{ shown(1, 'x', key=[1, {'a': of.n}]) }}{{ text.upper() }}{{ text.lower().title() }}",
    "{{ text | upper }}{{ names | sort | join(', ') }}{{ unknown | default('d', true) }}",
    "{{ names ~ names.append('c') }}",
    "{{ text ~ of.n ~ none }}{{ 'n' in of }}{{ 'x' not in of }}{{ of.n >= 3 and later }}",
    "{{ 'yes' if later else 'no' }}{{ not later or text }}{{ text is string }}{{ of.n is odd }}",
    "{% if later %}a{% endif %}{% if not later %}b{% else %}c{% endif %}",
    "{%- if of.n == 1 -%} 1 {%- elif of.n == 3 -%} 3 {% elif unknown.x %}4{%- else %}{% endif %}",
    "{% if later %}{% if empty %}x{% elif later %}y{% endif %}{% endif %}",
    "{% set n = of.n + 1 %}{{ n }}{% if later %}{% set n = n + 1 %}{% endif %}{{ n }}",
    "{{ late }}{% if not later %}{% set late = 1 %}{% endif %}{{ late }}",
    "{% do names.append('c') %}{{ names }}{% do ask() %}{{ ask() }}",
    "{% set text = text | lower %}{{ text }}{% if(later) %}({{ text }}){% endif %}",
    "{{ text.__class__ }}{{ of.__init__ }}",
    "{{ '{}'.format(of.n) }}{{ '%s' | format(text) }}{{ names | selectattr('x') | list }}",
)
LEFT = (
    "{% for it in names %}{{ it }}{% endfor %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1) }}",
    "{% raw %}{{ text }}{% endraw %}",
    "{% set x %}block{% endset %}{{ x }}",
    "{% set a, b = 1, 2 %}{{ a }}",
    "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}",
    "{{ shown(*names) }}{{ shown(**of) }}",
    "{{ names[1:] }}{{ 7 // 2 }}{{ 1 < of.n < 4 }}{{ text if later }}",
    "{% call shown() %}x{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{{ self }}",
    "{{ shown(a=1, a=2) }}",  # Python refuses it
    f"{{{{ {'1' * 5000} }}}}",
    f"{{% if {'1' * 5000} %}}{{% endif %}}",
    f"{{% set x = {'[' * 300}{']' * 300} %}}",
    f"{{{{ {'(' * 300}1{')' * 300} }}}}",
    f"{'{% if x %}' * 500}{'{% endif %}' * 500}",
)
WRONG = (
    "{% if later %}a",
    "{% endif %}",
    "{% if later %}{% else %}{% elif later %}{% endif %}",
    "{% if later %}{% endif now %}",
    "{% else if later %}",
    "{{ text | no_filter }}",
    "{% if text is no_test %}{% endif %}",
    "{{ text + }}",
    "{{ unknown.x.y }}",
    "{{ unknown() }}",
    "{% nothing %}",
)


@pytest.mark.parametrize("text", READ)
def test_it_is_what_the_compiler_makes(text: str) -> None:
    read = interpreted(text)

    assert read is not None
    assert read(context()) == rendered(template(text), context())
    assert read(context()) == rendered(template(text), context())  # nothing stays of the first one


@pytest.mark.parametrize("text", LEFT)
def test_any_other_tag_is_left_to_the_compiler(text: str) -> None:
    assert interpreted(text) is None


@pytest.mark.parametrize("text", WRONG)
def test_an_error_is_that_of_the_compiler(text: str) -> None:
    with pytest.raises(TemplateError) as expected:
        rendered(template(text), context())

    read = interpreted(text)

    with pytest.raises(TemplateError) as found:
        read(context()) if read is not None else rendered(template(text), context())
    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))


def test_what_an_expression_calls_is_called_once() -> None:
    given = context()
    read = interpreted("{{ ask() }}{% if ask() %}{{ ask() }}{% endif %}{% set x = ask() %}{{ x }}")

    assert read is not None
    assert read(given) == "134"
    assert given["ask"].times == 4


@pytest.mark.parametrize(
    "text",
    [
        *("ref('orders')", " ref( \"my.orders\" , 'v-2') ", "source('a', 'b')", "var('x',\n'y')"),
        *("ref('orders'", "ref('a', 'b', 'c')", "ref('a',)", "ref()", "ref(orders)", "ref('ä')"),
        *("ref('a' 'b')", "ref('it\\'s')", "ref('a\\x41')", "ref('a').b", "-ref('a')", "not('a')"),
        *("var('x', none)", "var('x', default='y')", "ref(\"a')", "a.ref('b')", "ref ('a')"),
    ],
)
def test_a_plain_call_is_the_tree_that_jinja_reads(text: str) -> None:
    try:
        (output,) = environment().parse("{{ " + text + " }}").body
        tree: object = output.nodes[0]  # type: ignore[attr-defined]
    except TemplateSyntaxError:
        tree = None
    assert expression(text) == tree
