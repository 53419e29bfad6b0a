"""How the models of a project are partitioned, once the lineage of their columns is known: by which
column, and how their partitions correspond to those of what they read.

What the lineage does not prove is asked for and never guessed: Dagster would take the partitions of
two models for the same ones in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from dagster_models.core.model import Key, Source, Step
from dagster_models.core.partitions import (
    UNITS,
    How,
    PartitionsConfig,
    PartitionSet,
    StepPartitions,
    coarser,
)
from dagster_models.core.traced import Kept, TracedColumn
from dagster_models.project.incremental import incremental
from dagster_models.project.problems import Report, place_of, problem
from dagster_models.util.nearest import suggest

#: Columns by which something is partitioned, each with what is left of its time.
Descent = frozenset[Kept]
_NOWHERE: Descent = frozenset()

_RESERVED = re.compile(r"\$(partition|read)_(start|end|key)\b")
_ASK = "`upstream: {%s: {partitions: last}}` (or all, or same)"


def resolve_partitions(
    steps: Mapping[Key, Step],
    sources: Mapping[Key, Source],
    sets: Mapping[str, PartitionSet],
    report: Report,
) -> dict[Key, Step]:
    """The steps, in the same topological order, those that are partitioned with how they are.
    Problems are reported."""
    found = dict(steps)
    if not any(step.config.partitions for step in steps.values()):
        return found
    resolver = _Resolver(found, sources, sets, report)
    for key, step in steps.items():
        if step.config.partitions is not None and incremental(step):
            found[key] = resolver.resolved(step, step.config.partitions)
    return found


class _Resolver:
    """``descents``: step -> column in lower case -> the columns of partitioned relations of which
    each of its values is one; of a partitioned step, its own column."""

    def __init__(
        self,
        steps: Mapping[Key, Step],
        sources: Mapping[Key, Source],
        sets: Mapping[str, PartitionSet],
        report: Report,
    ) -> None:
        self.steps, self.sources, self.sets, self.report = steps, sources, sets, report
        self.descents: dict[Key, dict[str, Descent]] = {}

    def resolved(self, step: Step, config: PartitionsConfig) -> Step:
        """The step with its partitions; without them where a problem is reported."""
        wrong = self.wrong_set(config)
        by = config.by
        if not wrong:
            by, wrong = (by, None) if by else self.inferred(step, config)
            wrong = wrong or self.wrong_column(step, config, by)
        upstream: dict[Key, How] = {}
        if not wrong:
            upstream, wrong = self.upstream(step, config, by)
        if wrong:
            if not step.problems:
                self.report(problem(wrong[0], place_of("partitions", step), wrong[1]))
            if (known := self.sets.get(config.of)) is None:
                return step
            # It cannot be built, and Dagster shows it with its partitions all the same.
            return replace(step, partitions=StepPartitions(known, by, config.read, config.widen))
        for what, line, column, read in self.spanning(step, config, by):
            place = replace(step.location, line=line, column=column)
            fix = (
                "say what it reads: e.g. `read: [-6, 0]` in `partitions:`, and `where ... >="
                " $read_start and ... < $read_end` in the query."
            )
            if what == "LIMIT":
                fix = f"S{fix[1:]}"
            elif what == "a self join":
                fix = f"If its rows are of one `{by}`, compare that, too; if not, {fix}"
            else:
                fix = f"If its groups have one `{by}` each, put that into its keys; if not, {fix}"
            what += (
                " looks at the rows of all partitions: each build of one reads all of"
                f" {', '.join(read)}"
            )
            self.report(problem(what, place, fix, "warning"))
        made = StepPartitions(self.sets[config.of], by, config.read, config.widen, upstream)
        return replace(step, partitions=made)

    # -- the set and the column ----------------------------------------------------------------

    def wrong_set(self, config: PartitionsConfig) -> tuple[str, str] | None:
        found = self.sets.get(config.of)
        if found is None:
            if not self.sets:
                fix = "Define it in dagster_models.yaml: `partitions: {daily: {every: day, ...}}`."
            else:
                fix = suggest(config.of, self.sets, "There are")
            return f"there are no partitions named `{config.of}`", fix
        if not found.is_timed and (config.read != (0, 0) or config.widen):
            key = "widen" if config.widen else "read"
            return f"`{key}` is about windows of time, and `{config.of}` is a list of values", (
                "Delete it."
            )
        if config.widen and UNITS.index(config.widen) <= UNITS.index(found.unit or "hour"):
            return f"`widen: {config.widen}` is not wider than a partition of `{config.of}`", (
                "Delete it."
            )
        return None

    def inferred(self, step: Step, config: PartitionsConfig) -> tuple[str, tuple[str, str] | None]:
        """The one column that keeps the partitioned columns of what the step reads."""
        fits = [it.name for it in step.trace.columns if it.name and self.keeps(it, config)]
        if len(fits) == 1:
            return fits[0], None
        if fits:
            names = " and ".join(f"`{name}`" for name in fits)
            what = f"the partitions of {step.key} may be by {names}"
            return "", (what, f"Say which: `partitions: {{of: {config.of}, by: {fits[0]}}}`.")
        what = (
            f"the column of the partitions of {step.key} is not known: none keeps one by which what"
            " it reads is partitioned"
        )
        timed = [it.name for it in step.trace.columns if it.name and _is_time(it.type)]
        names = ", ".join(f"`{name}`" for name in timed)
        fix = f"Say which it is: `partitions: {{of: {config.of}, by: {(timed or ['column'])[0]}}}`."
        return "", (what, f"{fix} Columns of a time: {names}." if timed else fix)

    def keeps(self, column: TracedColumn, config: PartitionsConfig) -> bool:
        """Whether a column keeps columns by which something is partitioned, and is no coarser than
        a partition."""
        found = self.descent(column)
        coarsest = config.widen or self.sets[config.of].unit
        return bool(found) and all(
            UNITS.index(unit) <= UNITS.index(coarsest) for _, _, unit in found
        )

    def wrong_column(self, step: Step, config: PartitionsConfig, by: str) -> tuple[str, str] | None:
        schema, of = step.trace.schema, self.sets[config.of]
        types = {name.lower(): type_ for name, type_ in schema.columns}
        types |= {it.name.lower(): it.type for it in step.config.columns if it.type}
        type_ = types.get(by.lower(), "").upper()
        if schema.closed and by.lower() not in types:
            what = f"`by` names `{by}`, a column that {step.key} does not have"
            return what, suggest(by, [name for name, _ in schema.columns], "Columns")
        if not of.is_timed or not type_:
            return None
        if not _is_time(type_):
            what = f"{step.key} has partitions of time by `{by}`, whose type is {type_}"
            return what, "Use a column of dates or timestamps, or cast it in the query."
        if type_ == "DATE" and of.ticks_within_days:
            what = f"`{by}` is a date, and partitions of `{of.name}` begin within a day"
            return what, "Use a column of timestamps, or partitions of whole days."
        return None

    # -- descent -------------------------------------------------------------------------------

    def descent(self, column: TracedColumn) -> Descent:
        """The columns of partitioned relations of which each value of *column* is one."""
        found: set[Kept] = set()
        for key, name, unit in column.kept:
            before = self.descent_of(Key(*key), name)
            if not before:
                return _NOWHERE
            found |= {(key, name, coarser(unit, left)) for key, name, left in before}
        return frozenset(found)

    def descent_of(self, key: Key, name: str) -> Descent:
        """The same of a column of something upstream."""
        own: Descent = frozenset({((key.schema, key.name), name.lower(), "")})
        if (source := self.sources.get(key)) is not None:
            by = source.partitions.by if source.partitions else ""
            return own if by and by.lower() == name.lower() else _NOWHERE
        step = self.steps.get(key)
        if step is None:
            return _NOWHERE
        if step.config.partitions is not None:
            made = step.partitions
            return own if made is not None and made.by.lower() == name.lower() else _NOWHERE
        if key not in self.descents:
            self.descents[key] = {}  # a step that reads itself
            columns = ((it.name.lower(), self.descent(it)) for it in step.trace.columns if it.name)
            self.descents[key] = dict(columns)
        return self.descents[key].get(name.lower(), _NOWHERE)

    # -- what is read --------------------------------------------------------------------------

    def upstream(
        self, step: Step, config: PartitionsConfig, by: str
    ) -> tuple[dict[Key, How], tuple[str, str] | None]:
        asked = {
            step.resolved[n]: h
            for n, h in step.config.upstream_partitions.items()
            if n in step.resolved
        }
        columns = (it for it in step.trace.columns if it.name.lower() == by.lower())
        reached = {Key(*key) for it in columns for key, _, _ in self.descent(it)}
        found: dict[Key, How] = {}
        for key in step.upstream:
            how, wrong = self.how(key, config, key in reached, asked.get(key, ""))
            if wrong:
                return {}, (f"{step.key} reads {key}, {wrong[0]}", wrong[1])
            if how:
                found[key] = how
        return found, None

    def how(
        self, key: Key, config: PartitionsConfig, reached: bool, asked: str
    ) -> tuple[How | None, tuple[str, str] | None]:
        """How the partitions correspond to those of *key*; None if that has none."""
        own = self.sets[config.of]
        if key in self.sources:  # of another Dagster asset, perhaps
            how = asked or ("same" if reached else "")
            return self.offset(how, config), None
        other = self.steps[key].partitions if key in self.steps else None
        if other is None:
            if asked and not (key in self.steps and self.steps[key].config.partitions):
                return None, ("which has no partitions", f"Delete `partitions: {asked}`.")
            return None, None
        ask = _ASK % str(key)
        if asked == "same" and other.of != own:
            what = f"whose partitions are `{other.of.name}` and not `{own.name}`"
            return None, (what, "Write `partitions: last` or `partitions: all`.")
        if asked:
            return self.offset(asked, config), None
        if not reached:
            what = (
                f"which is partitioned by `{other.by}`, and the column of its own partitions is not"
                " known to be made of that"
            )
            return None, (what, f"Say in the header which partitions it needs: {ask}.")
        if other.of == own:
            return self.offset("same", config), None
        zones = {own.timezone, other.of.timezone}
        if own.is_timed and other.of.is_timed and len(zones) == 1 and config.read == (0, 0):
            return "overlapping", None
        what = f"whose partitions are `{other.of.name}` and not `{own.name}`"
        return None, (what, f"Say in the header which partitions it needs: {ask}.")

    def offset(self, how: str, config: PartitionsConfig) -> How | None:
        if how == "same" and config.read != (0, 0):
            return "read"
        return how or None  # type: ignore[return-value]

    # -- what reads beyond its partition -------------------------------------------------------

    def spanning(
        self, step: Step, config: PartitionsConfig, by: str
    ) -> Iterator[tuple[str, int, int, list[str]]]:
        """What the query computes over rows of all partitions: (what, line, column, of what)."""
        if config.read != (0, 0) or _RESERVED.search(step.sql) or step.sql_line:
            return
        columns = (it for it in step.trace.columns if it.name.lower() == by.lower())
        kept = {(key, name.lower()) for it in columns for key, name, _ in it.kept}
        for what, line, column, names, keys in step.trace.spanning:
            read = sorted({".".join(key) for key, _ in kept if key in names})
            if read and not _meet(keys, kept):
                yield what, line, column, read


def _meet(
    keys: Iterable[tuple[tuple[str, str], str]], kept: set[tuple[tuple[str, str], str]]
) -> bool:
    return not kept.isdisjoint((key, name.lower()) for key, name in keys)


def _is_time(type_: str) -> bool:
    return type_.upper().startswith(("DATE", "TIMESTAMP"))
