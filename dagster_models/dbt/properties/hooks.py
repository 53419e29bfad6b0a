"""The hooks of a model or seed -> statements in the transaction of its build."""

from __future__ import annotations

import re

from dagster_models.dbt.project.interfaces import NotRendered, Rendering
from dagster_models.dbt.project.manifest import POST_HOOK, PRE_HOOK
from dagster_models.dbt.project.remarks import Weight
from dagster_models.dbt.properties.header import ImportedHeader
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.statements import refuse_other_statements

KEYS = (*PRE_HOOK, *POST_HOOK)
_THIS = re.compile(r"\{\{\s*this\s*\}\}")


def hook_keys(header: ImportedHeader, rendering: Rendering, dialect: str) -> None:
    for ours, words in (
        ("pre_statements", PRE_HOOK),
        ("post_statements", POST_HOOK),
    ):
        hooks = [hook for word in words for hook in header.setting(word) or ()]
        found = [_statement(header, words[0], hook, rendering, dialect) for hook in hooks]
        if statements := [it for it in found if it]:
            header.values[ours] = statements


def _statement(
    header: ImportedHeader, word: str, hook: object, rendering: Rendering, dialect: str
) -> str:
    """The statement; "" if there is none."""
    given = hook if isinstance(hook, dict) else {"sql": hook}
    written = str(given.get("sql") or "").strip()
    shown = f"the {word} `{' '.join(written.split())[:80]}`"
    if given.get("transaction") is False:
        header.remark(f"{shown} runs outside of the transaction", Weight.DIFFERS)
        return ""
    plain = _THIS.sub("$this", written)
    sql: str | NotRendered = plain
    if "{{" in plain or "{%" in plain:
        sql = rendering.of_text(header.node.unique_id, written)
    if isinstance(sql, NotRendered):
        header.remark(f"{shown}: {sql.reason}", Weight.DIFFERS)
        return ""
    sql = sql.strip().rstrip(";").rstrip()
    try:
        if sql:
            refuse_other_statements(sql, dialect)
    except SqlSyntaxError as error:
        header.remark(f"{shown}: {error.what}", Weight.DIFFERS)
        return ""
    return sql
