"""The text of each imported model beside the one that dbt has compiled, token by token.

Our text is read as a run reads it: by the project that was loaded, with its resolution of names and
its variables. Then each name is again the relation as dbt writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dagster_models.core.model import Key, Project, Step
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.report import ImportReport, ReportedModel
from dagster_models.dbt.text.compiled import without_ctes
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.regions import since_of
from dagster_models.errors import SqlSyntaxError, UnreadableSql
from dagster_models.sql.fill_in import PlainSql, compile_sql
from dagster_models.sql.literals import layout
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.unread import read_tokens

_NEAR = 8  #: tokens of a difference that are shown
FULL, LATER = "build in full", "later build"


class TextState(Enum):
    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class TextResult:
    """``sides``: the readings of an incremental model that are dbt's; () for any other model.
    ``what``: how the text differs, or why it was not compared, or what was not."""

    unique_id: str
    path: str
    state: TextState
    sides: tuple[str, ...] = ()
    what: str = ""


#: A token, or a name of ours: how dbt may have written it, and how it stands in our text.
_Piece = tuple[tuple[str, ...], ...]


def verify_texts(
    manifest: Manifest,
    compiled: Mapping[str, Sequence[str]],
    project: Project,
    report: ImportReport,
    edited: frozenset[str],
) -> tuple[TextResult, ...]:
    """*compiled*: what dbt has compiled of a model, by its unique_id: each text is one side of it.
    *edited*: the paths of files that are not as the import has written them."""
    verifying = _VerifyingTexts(manifest, project, NodeNames(manifest))
    return tuple(
        verifying.result(it, list(dict.fromkeys(compiled.get(it.unique_id, ()))), it.path in edited)
        for it in report.models
    )


class _VerifyingTexts:
    def __init__(self, manifest: Manifest, project: Project, names: NodeNames) -> None:
        self.manifest, self.project, self.names = manifest, project, names
        self.dialect = project.dialect
        self.written: dict[Key, list[str]] = {}
        for unique_id in names.places:
            relation = manifest.nodes[unique_id].relation
            cte = f"__dbt__cte__{relation.identifier}"
            self.written[names.key_of(unique_id)] = (
                [relation.written] if relation.written else [cte, f'"{cte}"', f"`{cte}`"]
            )
        for unique_id, source in manifest.sources.items():
            if unique_id not in names.same and source.relation.written:
                self.written[names.key_of(unique_id)] = [source.relation.written]

    def result(self, model: ReportedModel, theirs: Sequence[str], is_edited: bool) -> TextResult:
        def not_compared(what: str) -> TextResult:
            return TextResult(model.unique_id, model.path, TextState.NOT_COMPARED, (), what)

        if model.disabled:
            return not_compared("it is not imported")
        if not theirs:
            return not_compared("dbt has not compiled it")
        key = self.names.places[model.unique_id].key
        step = self.project.steps.get(key) or self.project.ephemerals.get(key)
        if step is None or not step.sql:
            return not_compared("there is no SQL of it here")
        if step.problems:
            return not_compared(f"its file is wrong: {step.problems[0]}")
        if step.config.partitions is not None:
            return not_compared("dbt narrows what a microbatch reads in its SQL, and we do not")
        try:
            sides, what = self._sides(step, self.manifest.nodes[model.unique_id], theirs)
        except (SqlSyntaxError, NotImportable, TypeError) as error:
            return not_compared(f"it cannot be read: {error}")
        # dbt's own texts differ from each other by the moment. One of them is enough.
        differs = what and not (sides and model.frozen)
        if what:
            what = _because(what, model, is_edited)
        elif len(sides) == 1 and sides != ("",):
            other = LATER if sides == (FULL,) else FULL
            what = f"the text of a {other} was not compared, as dbt has compiled one alone"
        state = TextState.DIFFERS if differs else TextState.EQUAL
        return TextResult(model.unique_id, model.path, state, tuple(filter(None, sides)), what)

    def _sides(
        self, step: Step, node: DbtNode, theirs: Sequence[str]
    ) -> tuple[tuple[str, ...], str]:
        """The readings that are dbt's ("" for a text that has one), and the first difference."""
        readings = {FULL: step.full_sql or step.sql, LATER: step.sql}
        if step.config.materialized != "incremental":
            readings = {"": step.sql}
        found: dict[str, None] = {}
        differences = []
        for text in theirs:
            differs = {
                side: self._difference(step, node, ours, text, side == LATER)
                for side, ours in readings.items()
            }
            equal = [side for side, what in differs.items() if not what]
            found |= dict.fromkeys(equal)
            if not equal:
                differences.append(next(iter(differs.values())))
        return tuple(found), differences[0] if differences else ""

    def _difference(self, step: Step, node: DbtNode, ours: str, theirs: str, is_later: bool) -> str:
        """Where our text leaves dbt's; "" if it does not."""
        theirs = without_ctes(theirs, self.dialect)
        if is_later and step.config.since and node.relation.written:
            theirs = since_of(theirs, node.relation.written, step.config.since.column)
        expected = layout(theirs, self.dialect).said(theirs)
        at, line = 0, 1
        for piece, line in self._pieces(step, ours):
            for choice in piece:
                if tuple(expected[at : at + len(choice)]) == choice:
                    at += len(choice)
                    break
            else:
                return _shown(line, piece[-1], expected[at:])
        return "" if at == len(expected) else _shown(line, (), expected[at:])

    def _pieces(self, step: Step, text: str) -> Iterator[tuple[_Piece, int]]:
        """The text in pieces, each with its line."""
        variables = {**step.variables, "since": PlainSql("$since")}
        text = compile_sql(
            text, _parsed(text, self.dialect), self.dialect, lambda it: None, variables
        )
        parsed = _parsed(text, self.dialect)
        names = self._names(step, parsed)
        words = layout(text, self.dialect).words
        at = 0
        while at < len(words):
            start, line = words[at].start, text.count("\n", 0, words[at].start) + 1
            end, written = names.get(start, (words[at].stop, []))
            own = []
            while at < len(words) and words[at].start < end:
                own.append(text[words[at]])
                at += 1
            choices = [tuple(layout(it, self.dialect).said(it)) for it in written]
            yield (*choices, tuple(own)), line

    def _names(self, step: Step, parsed: ParsedSql) -> dict[int, tuple[int, list[str]]]:
        """The start of each name -> its end, and how dbt writes it."""
        found: dict[int, tuple[int, list[str]]] = {}
        for it in parsed.references:
            key = step.resolved.get(it.name)
            if key in self.written and not it.in_string:
                found[it.start] = (it.end, self.written[key])
        for qualifier in parsed.qualifiers:
            if qualifier.reference in found:
                found[qualifier.start] = (qualifier.end, found[qualifier.reference][1])
        return found


def _parsed(text: str, dialect: str) -> ParsedSql:
    try:
        return parse_sql(text, dialect)
    except UnreadableSql:
        return read_tokens(text, dialect)


def _shown(line: int, ours: Sequence[str], theirs: Sequence[str]) -> str:
    here = f"`{' '.join(ours)}`" if ours else "nothing more"
    there = f"`{' '.join(theirs[:_NEAR])}`" if theirs else "nothing more"
    return f"line {line} has {here}, and dbt has {there}"


def _because(what: str, model: ReportedModel, is_edited: bool) -> str:
    if is_edited:
        return f"{what}; the file was edited here"
    if model.frozen:
        return f"{what}; values of the moment of the import stand in it: {', '.join(model.frozen)}"
    return what
