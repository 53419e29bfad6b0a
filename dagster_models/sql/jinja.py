"""Jinja that somebody left in a text, and what the project has in its place.

Braces in comments, literals and quoted names stay what they are, and so do DuckDB's structs, also
as the keys of a map: `map {{'a': 1}: 2}`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.executed_comments import opened
from dagster_models.util.positions import Lines

#: `{{'a': 1}: 2}` and `{#1: 2}` (a column by its position) are DuckDB's.
_OPENING = re.compile(r"""\{\{(?!\s*(?:\w+|'[^']*'|"[^"]*")\s*:(?!:))|\{%|\{#(?!\d+\s*:)""")
_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_NAMES = "ref|source|var|env_var|config|this|is_incremental"
_WORD = re.compile(rf"\b({_NAMES})\b(?:\s*\(([^)]*)\))?")
_CALL = re.compile(r"\{\{-?\s*([\w.]+)\s*\(")
_TEXT = re.compile(r"""['"]([^'"]*)['"]""")
_ARGUMENT = re.compile(r"""(\w+)\s*=\s*('[^']*'|"[^"]*"|\[[^\]]*\]|[\w.]+)""")
_PLAIN = re.compile(r"""(?:'|")([A-Za-z_][\w.]*)(?:'|")""")
#: What a header says where nobody can read what `config(...)` says.
_SETTING = {"@model": "materialized: table", "@check": "severity: warn"}
#: What was meant for dbt, whatever it stands in: one of its values, a call, or a statement.
OF_DBT = re.compile(
    r"\{\{-?\s*(?:this|target|run_started_at|invocation_id|is_incremental)\b\s*(?:[(.|~\[]|-?\}\})"
    r"|\{\{-?\s*[\w.]+\s*\("
    r"|\{\{(?:(?!\}\}).)*?\b(?:(?:ref|source|var|env_var|config|doc)\s*\(|target\.\w)"
    r"|\{%-?\s*(?:if|elif|else|endif|for|endfor|set|endset|do|macro|call|filter|raw|docs)\b",
    re.DOTALL,
)
#: What to do about Jinja in a literal.
IN_LITERAL = "Write a variable, such as `$day`, instead of the text."
_SHOWN = 40  #: characters of a tag


#: The name of a model or seed in dbt -> what the project builds of that name, in words; "" if
#: nothing, and None if that is not known.
Built: TypeAlias = Callable[[str], str | None]


def unknown(name: str) -> None:
    return None


def refuse_jinja(
    text: str,
    dialect: str,
    header: str = "@model",
    *,
    in_literals: bool = False,
    built: Built = unknown,
) -> None:
    """Raise SqlSyntaxError where Jinja begins, with what takes the place of all of it: *built* has
    the names. *header* is how a header of such a file begins. *in_literals*: also for what dbt
    would render in a literal, as a condition that is sent as it is may find nothing, and so
    pass."""
    if (at := _first(text, dialect)) is None:
        for line, column, written in jinja_in_literals(text, dialect) if in_literals else ():
            what = f"this is Jinja, which nothing renders: {written}"
            raise SqlSyntaxError(what, line, column, IN_LITERAL)
        return
    tags = [match[0] for match in _TAG.finditer(text, at)]
    fixes = dict.fromkeys(fix for tag in tags for fix in _fixes(tag, header, built))
    fix = "Models are plain SQL, without Jinja. Write " + "; ".join(fixes or _OTHERWISE) + "."
    what = f"this is Jinja, which nothing renders: {_shown(tags[0] if tags else text[at:])}"
    raise SqlSyntaxError(what, *Lines(text).place(at), fix)


def jinja_in_literals(text: str, dialect: str) -> Iterator[tuple[int, int, str]]:
    """(line, column, what it is) of literals and quoted names that hold what dbt would render, and
    which are sent as they are."""
    if "{" not in text or OF_DBT.search(text) is None:
        return
    from dagster_models.sql.tokens import TokenizedText

    source = TokenizedText(text, dialect)
    for token in source.tokens:
        written = text[token.start : token.end + 1]
        if OF_DBT.search(written):
            yield *source.lines.place(token.start), _shown(written)


def _first(text: str, dialect: str) -> int | None:
    """Where Jinja begins outside of comments, literals and quoted names, None if it does not."""
    if "{" not in text or not _OPENING.search(text):
        return None
    from sqlglot import TokenError

    from dagster_models.sql.literals import sqlglot_dialect

    tokenizer = sqlglot_dialect(dialect)
    plain = opened(text) if dialect_of(dialect).executes_comments else text
    inside = _inside(plain, dialect)
    for match in _OPENING.finditer(plain):
        at = match.start()
        if inside(at):
            continue
        try:  # if a word in its place is a token, it is in none of these
            tokens = tokenizer.tokenize(plain[:at] + " x")
        except TokenError:
            continue
        if tokens and tokens[-1].start == at + 1:
            return at
    return None


def _inside(text: str, dialect: str) -> Callable[[int], bool]:
    """Whether a place is surely within a comment or a literal, by the tokens of the whole text. A
    comment may hold a whole template, and each place of it would take as long as the text."""
    from dagster_models.sql.literals import layout
    from dagster_models.sql.rewriting.token_rewriter import TEXTS

    try:
        of = layout(text, dialect)
    except SqlSyntaxError:
        return lambda _: False
    tokens, comments = of.tokens, of.comments
    starts = [token.start for token in tokens]
    begins = [place.start for place in comments]

    def inside(at: int) -> bool:
        if (index := bisect_left(begins, at) - 1) >= 0 and at < comments[index].stop:
            return True
        index = bisect_left(starts, at) - 1
        return index >= 0 and at <= tokens[index].end and tokens[index].token_type in TEXTS

    return inside


def _fixes(tag: str, header: str, built: Built) -> Iterator[str]:
    if tag.startswith("{#"):
        yield "`/* ... */` instead of `{# ... #}`"
        return
    known = [*_WORD.finditer(tag)]
    for match in known:
        if match[1] == "config":
            settings = f"/* {header} {_settings(match[2] or '') or _SETTING[header]} */"
            yield f"a header, `{settings}`, instead of {_shown(match[0])}"
            continue
        given = _TEXT.findall(match[2] or "")
        say = _INSTEAD.get(match[1])
        yield say(given, _shown(match[0])) if say else _named(match, given, built)
    if not known and (macro := _CALL.match(tag)):
        yield (
            f"the SQL that `{macro[1]}` writes (what several models share may be a function, an"
            " ephemeral model or a `def sql(vars)`)"
        )
    elif not known:
        yield from _OTHERWISE


def _named(match: re.Match[str], given: list[str], built: Built) -> str:
    """What to write instead of a `ref` or `source`."""
    it, there = _shown(match[0]), built(given[-1]) if given else None
    if match[1] == "ref":
        if there:
            return f"{there} instead of {it}"
        nobody = ", which no file of the project has" if there == "" else ""
        return f"the model's name, `{given[-1] if given else 'orders'}`{nobody}, instead of {it}"
    table = f"`{'.'.join(given) or 'raw.orders'}`"
    if there:
        return f"{there} instead of {it}, or {table} if that is a table which others load"
    return f"the table's name, {table}, instead of {it} (sources.yaml describes it)"


def _settings(arguments: str) -> str:
    """The arguments of `config(...)` as YAML in one line, as far as they are texts, lists of these,
    numbers, and true and false."""
    found = []
    for name, value in _ARGUMENT.findall(arguments):
        plain = _PLAIN.sub(r"\1", value)
        found.append(f"{name}: {plain.lower() if plain in ('True', 'False') else plain}")
    return found[0] if len(found) == 1 else f"{{{', '.join(found)}}}" if found else ""


def _shown(written: str) -> str:
    line = " ".join(written.split())
    return f"`{line}`" if len(line) <= _SHOWN else f"`{line[:_SHOWN]}...`"


_OTHERWISE = ("a Python file with `def sql(vars)` for SQL that is generated",)

#: The word -> what to write instead, by the texts that it is given, and by what is written.
_INSTEAD: Mapping[str, Callable[[list[str], str], str]] = {
    "var": lambda given, it: (
        f"`${given[0] if given else 'name'}` instead of {it} (`vars:` in dagster_models.yaml"
        " gives it a value)"
    ),
    "env_var": lambda given, it: (
        f"`$name` instead of {it} (`vars: {{name: {{env: {given[0] if given else 'NAME'}}}}}` in"
        " dagster_models.yaml)"
    ),
    "this": lambda given, it: "the model's own name instead of `this`",
    "is_incremental": lambda given, it: (
        "a region, `/* @incremental */ ... /* @end */`, instead of `if is_incremental()`"
    ),
}
