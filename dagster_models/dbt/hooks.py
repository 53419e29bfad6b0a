"""The hooks of a model or seed -> statements in the transaction of its build."""

from __future__ import annotations

import re

from dagster_models.dbt.remarks import Weight
from dagster_models.dbt.rendering import NotRendered, Rendering
from dagster_models.dbt.saying import Saying
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.statements import refuse_other_statements

KEYS = ("pre-hook", "post-hook", "pre_hook", "post_hook")
_THIS = re.compile(r"\{\{\s*this\s*\}\}")


def hook_keys(said: Saying, rendering: Rendering, dialect: str) -> None:
    for ours, words in (
        ("pre_statements", ("pre-hook", "pre_hook")),
        ("post_statements", ("post-hook", "post_hook")),
    ):
        hooks = [hook for word in words for hook in said.setting(word) or ()]
        found = [_statement(said, words[0], hook, rendering, dialect) for hook in hooks]
        if statements := [it for it in found if it]:
            said.values[ours] = statements


def _statement(said: Saying, word: str, hook: object, rendering: Rendering, dialect: str) -> str:
    """The statement; "" if there is none."""
    given = hook if isinstance(hook, dict) else {"sql": hook}
    written = str(given.get("sql") or "").strip()
    shown = f"the {word} `{' '.join(written.split())[:80]}`"
    if given.get("transaction") is False:
        said.remark(f"{shown} runs outside of the transaction", Weight.DIFFERS)
        return ""
    plain = _THIS.sub("$this", written)
    sql: str | NotRendered = plain
    if "{{" in plain or "{%" in plain:
        sql = rendering.of_text(said.node.unique_id, written)
    if isinstance(sql, NotRendered):
        said.remark(f"{shown}: {sql.reason}", Weight.DIFFERS)
        return ""
    sql = sql.strip().rstrip(";").rstrip()
    try:
        if sql:
            refuse_other_statements(sql, dialect)
    except SqlSyntaxError as error:
        said.remark(f"{shown}: {error.what}", Weight.DIFFERS)
        return ""
    return sql
