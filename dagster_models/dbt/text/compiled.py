"""What dbt has compiled, turned back: relations become placeholders again, and the CTEs of
ephemeral models, which dbt puts before the text, are cut out."""

from __future__ import annotations

import re
from pathlib import Path

from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.literals import layout

_CTE = "__dbt__cte__"


def compiled_code(node: DbtNode, manifest: Manifest) -> str | None:
    """dbt's text: that of the manifest, or the file in target/compiled, which is there also where
    another model did not compile."""
    if node.compiled_code:
        return node.compiled_code
    return compiled_file(node, manifest.target)


def compiled_file(node: DbtNode, target: Path) -> str | None:
    """The text of a node in the folder `compiled` of a target folder of dbt."""
    file = target / "compiled" / node.package / node.path
    if node.kind == "test" and node.test is not None:
        file = file / str(node.given.get("path") or f"{node.name}.sql")
    if not file.is_file():
        return None
    return file.read_text(encoding="utf-8", errors="replace")


def compiled_text(node: DbtNode, placeholders: Placeholders) -> str:
    """The text with placeholders. Raises NotImportable where there is none, or it has one side."""
    manifest = placeholders.manifest
    text = compiled_code(node, manifest)
    if text is None:
        raise NotImportable("dbt has not compiled it: run `dbt compile`, and import again")
    asks = "macro.dbt.is_incremental" in macros_of_node(node, manifest)
    if asks and node.materialized == "incremental":
        raise NotImportable("it asks is_incremental(), and dbt has compiled one side of it alone")
    text = _turned_back(without_ctes(text, placeholders.dialect), node, placeholders)
    if re.search(r"\{\{|\{%", text):
        raise NotImportable("Jinja is left in what dbt has compiled")
    return text


def without_ctes(text: str, dialect: str) -> str:
    """Cut the CTEs of ephemeral models out, wherever dbt has put them."""
    while _CTE in text and (cut := _cut(text, dialect)) is not None:
        text = cut
    return text


def _cut(text: str, dialect: str) -> str | None:
    """Without one of them: `with x as (...), ` before another CTE, or before the query."""
    try:
        words = layout(text, dialect).words
    except SqlSyntaxError as error:
        raise NotImportable(f"what dbt has compiled has no tokens: {error}") from None
    tokens = [text[it] for it in words]
    for at, word in enumerate(tokens):
        if (
            not word.strip('"`').startswith(_CTE)
            or at < 1
            or tokens[at - 1].lower() not in ("with", ",")
        ):
            continue
        if [it.lower() for it in tokens[at + 1 : at + 3]] != ["as", "("]:
            continue
        end = _closing(tokens, at + 2)
        begin = at - 1
        if tokens[begin] == ",":
            return text[: words[begin].start] + text[words[end].stop :]
        if end + 1 < len(tokens) and tokens[end + 1] == ",":  # `with` stays for the next one
            rest = text[words[end + 1].stop :]
            return text[: words[begin].stop] + rest
        return text[: words[begin].start] + text[words[end].stop :]
    return None


def _closing(tokens: list[str], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at], 0)
        if depth == 0:
            return at
    raise NotImportable("a parenthesis of what dbt has compiled is not closed")


def _turned_back(text: str, node: DbtNode, placeholders: Placeholders) -> str:
    manifest = placeholders.manifest
    known = {
        it.unique_id: it.relation
        for of in (manifest.nodes, manifest.sources)
        for it in of.values()
        if it.relation.written
    }
    first = [node.unique_id, *node.depends_on]
    order = sorted(known, key=lambda it: (it not in first, -len(known[it].written or "")))
    for unique_id in order:
        written = known[unique_id].written or ""
        if written in text:
            pattern = rf"(?<![\w.\"`]){re.escape(written)}(?![\w\"`])"
            text = re.sub(pattern, lambda _, it=unique_id: placeholders.written(it), text)  # type: ignore[misc]
    for unique_id in node.depends_on:
        of = manifest.nodes.get(unique_id)
        if of is not None and of.relation.written is None:
            name = re.escape(_CTE + of.relation.identifier)
            word = placeholders.word(unique_id)
            text = re.sub(rf'"?\b{name}\b"?', lambda _, it=word: it, text)  # type: ignore[misc]
    return text


def macros_of_node(node: DbtNode, manifest: Manifest) -> set[str]:
    """All macros that a node reaches."""
    found: set[str] = set()
    pending = [*node.depends_on_macros]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            macro = manifest.macros.get(name)
            pending += macro.depends_on if macro else ()
    return found
