"""``{{ env_var('X') }}`` in profiles.yml, as our settings have it."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

#: With its name. What else the expression computes is not read.
ENV_VAR = re.compile(r"\{\{\s*env_var\(\s*['\"](\w+)['\"]\s*(?:,[^)]*)?\)[^}]*\}\}")

_ASKS = re.compile(r"\{\{.*env_var\s*\(", re.DOTALL)
_ALONE = re.compile(r"\A\$\{(\w+)-\}\Z")
_NAME = re.compile(r"[^\W\d]\w*", re.ASCII)  # as those of settings

#: Filters that leave a text as it is written.
_CONVERSIONS = ("int", "float", "string", "as_bool", "as_native", "as_number", "as_text")
#: What a default may not have, as `${NAME-default}` ends with it.
_MARKS = re.compile(r"[{}$]")


def from_environment(value: Any) -> Any:
    """dbt's `{{ env_var('X', 'default') }}` as `${X-default}`, and what `~` joins to it beside it:
    the default counts where the variable is not set, and not where it is empty. Of any other
    expression (``is_computed``) the variable alone is left, without its default, so that somebody
    has to say what it is. So it is with an empty default, if nothing stands beside the variable."""
    if not isinstance(value, str) or not _ASKS.search(value):
        return value
    written = _whole(value)
    return ENV_VAR.sub(r"${\1}", value) if written is None else _ALONE.sub(r"${\1}", written)


def is_computed(value: Any) -> bool:
    """Whether ``from_environment`` loses a part of the text."""
    return isinstance(value, str) and bool(_ASKS.search(value)) and _whole(value) is None


def _whole(value: str) -> str | None:
    """All that a text says; None for what settings cannot say."""
    try:
        parts = [_written(it) for it in Environment().parse(value).body]
    except TemplateSyntaxError:
        return None
    return None if None in parts else "".join(filter(None, parts))


def _written(node: nodes.Node) -> str | None:
    """None for what settings cannot say."""
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, (nodes.Output, nodes.Concat)):
        parts = [_written(it) for it in node.nodes]
        return None if None in parts else "".join(filter(None, parts))
    if isinstance(node, nodes.Filter) and node.name in _CONVERSIONS and node.node is not None:
        return _written(node.node)
    if isinstance(node, nodes.Const):
        return _text(node)
    return _variable(node) if isinstance(node, nodes.Call) else None


def _variable(call: nodes.Call) -> str | None:
    if not isinstance(call.node, nodes.Name) or call.node.name != "env_var" or not call.args:
        return None
    name, *more = call.args
    if not isinstance(name, nodes.Const) or not _NAME.fullmatch(str(name.value)):
        return None
    default = [*more, *(it.value for it in call.kwargs if it.key == "default"), None][0]
    text = _text(default) if isinstance(default, nodes.Const) else None
    return f"${{{name.value}}}" if text is None else f"${{{name.value}-{text}}}"


def _text(const: nodes.Const) -> str | None:
    value = const.value
    is_plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return None if not is_plain or _MARKS.search(str(value)) else str(value)
