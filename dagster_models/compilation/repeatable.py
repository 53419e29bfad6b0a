"""Whether another build of a step from the same rows would leave the same relation.

This is an allow-list: what is not known to be repeatable is not, and a run with ``only_changed``
builds it. Only the warehouse knows its functions, so their names are handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dagster_models.compilation.sql_text import parsed_text
from dagster_models.core.materializations import Incremental
from dagster_models.core.model import Project, Step
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.incremental import reads_itself


@dataclass(frozen=True, slots=True)
class Repeatable:
    """``why_not``: the reason why it is not, "" if there is none. Then it depends on ``functions``:
    names, in lower case, some of which are those of functions."""

    why_not: str = ""
    functions: frozenset[str] = frozenset()


#: The kinds of which this is known. A snapshot of the same rows has no new versions.
_KNOWN = frozenset({"view", "table", "incremental", "snapshot", "ephemeral"})


def repeatable(project: Project, step: Step) -> Repeatable:
    why_not = _by_kind(step)
    if why_not or step.kind == "seed":
        return Repeatable(why_not)
    if step.config.deterministic is not None:
        return Repeatable("" if step.config.deterministic else "it says `deterministic: false`")
    if step.kind != "sql":
        return Repeatable(f"a {step.kind} file may depend on anything: see `deterministic`")
    from dagster_models.sql.calls import calls

    functions: set[str] = set()
    for text in filter(None, (step.sql, step.full_sql)):
        why_not = next(_hidden(project, step, text), "")
        try:
            found = calls(text, project.dialect)
        except SqlSyntaxError as error:
            return Repeatable(f"its text cannot be read: {error.what}")
        if found.words and not why_not:
            why_not = f"it says {found.words[0]}"
        if why_not:
            return Repeatable(why_not)
        functions |= found.functions
    for key in set(step.resolved.values()).intersection(project.ephemerals):
        inside = repeatable(project, project.ephemerals[key])
        if inside.why_not:
            return Repeatable(f"{key}, which it contains: {inside.why_not}")
        functions |= inside.functions
    return Repeatable("", frozenset(functions))


def _by_kind(step: Step) -> str:
    """Why a build changes a relation that was built from the same rows; "" if it does not."""
    word = step.config.materialized
    if step.config.pre_statements or step.config.post_statements:
        return "its pre- and post-statements may do something each time"
    if step.config.export is not None:
        return "it exports a file, which may be gone"
    if word not in _KNOWN:
        return f"it is a {word}, of which this is not known"
    if word != "incremental":
        return ""
    how = Incremental.of(step.config)
    if how.strategy != "merge":
        return f"each build with `strategy: {how.strategy}` may change the table"
    if step.full_sql or reads_itself(step):
        return "its query depends on what the table holds"
    return ""


def _hidden(project: Project, step: Step, text: str) -> Iterator[str]:
    """What the text reads that nobody keeps track of."""
    parsed = parsed_text(project, text, queries_only=True)
    if parsed.opaque or parsed.unseen:
        yield "what it reads is not known"
    for reference in parsed.references:
        if reference.name not in step.resolved and not reference.written:
            yield f"it reads {reference.name}, which the project does not declare"
    for *_, function, parts in parsed.suspects:
        yield f"`{function}(...)` may read {'.'.join(parts)}"
    for holder in parsed.placeholders:
        if holder.name not in step.variables and holder.name != "since":
            yield f"it asks for ${holder.name}"
