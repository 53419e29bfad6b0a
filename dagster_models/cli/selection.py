"""What the selections of the commands may ask, and the options with which they are given."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dagster_models.cli.compared import compared
from dagster_models.cli.project import is_there
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.model import Key, Project, Step
from dagster_models.core.tags import values_by_tag
from dagster_models.errors import SelectionError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from dagster_models.project.selection import Facts, Node, select
from dagster_models.project.targets import usable_target
from dagster_models.reporting.journal import last_run_on
from dagster_models.reporting.results import StepResult
from dagster_models.util.nearest import nearest

_HELP = "e.g. stg_orders+, +marts.orders, tag:nightly, path:models/marts, changed+, failed+"


def add_selection(parser: argparse.ArgumentParser) -> None:
    add_words(parser, _HELP)
    parser.add_argument("-s", "--select", nargs="+", default=[], metavar="SELECT", help="the same")


def add_words(
    parser: argparse.ArgumentParser, text: str, nargs: str = "*", metavar: str = "SELECT"
) -> None:
    """A selection whose words are arguments, and not an option, too; *text* is its help."""
    parser.add_argument("selection", nargs=nargs, metavar=metavar, help=text)
    exclude = "what is left out"
    parser.add_argument("--exclude", nargs="+", default=[], metavar="SELECT", help=exclude)


def selected(options: argparse.Namespace) -> tuple[str, str]:
    """What to select, and what to exclude; "" for nothing said.

    Raises SelectionError for an empty selection: a variable of the shell that is not set, probably.
    """
    words = [*options.selection, *options.select]
    if words and not any(map(str.strip, words)):
        raise SelectionError(
            "the selection is empty, so it matches nothing: leave it out to mean all"
        )
    return " ".join(words), " ".join(options.exclude)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the words of a command select of things that belong to steps and sources, and have names
    of their own: ``named`` things, and all of those of ``owners``; but neither ``excluded`` ones,
    nor any of those whose owner is not among ``kept``."""

    named: Collection[str]
    owners: Collection[str]
    excluded: Collection[str]
    kept: Collection[str]

    def has(self, owner: Key, names: Collection[str]) -> bool:
        """Whether a thing of this owner is selected, which has these names, in lower case."""
        if str(owner) not in self.kept or not set(self.excluded).isdisjoint(names):
            return False
        return str(owner) in self.owners or not set(self.named).isdisjoint(names)


def wanted(
    project: Project, options: argparse.Namespace, things: Mapping[Key, Collection[str]], noun: str
) -> Wanted:
    """What the options say of *things*: the names of each owner's, in lower case.

    Raises:
        SelectionError: a word is none of these names, and no selection of models and sources.
    """
    selected(options)  # refuses blank words
    known = {name for names in things.values() for name in names}
    every = [str(owner) for owner in things]

    def apart(words: Sequence[str]) -> tuple[set[str], str]:
        named = {word.lower() for word in words if word.lower() in known}
        return named, " ".join(word for word in words if word.lower() not in named)

    words = [*options.selection, *options.select]
    (named, rest), (excluded, others) = apart(words), apart(options.exclude)
    try:
        owners = select_names(project, rest, "", options.target) if rest else ()
        kept = select_names(project, "*", others, options.target) if others else every
    except SelectionError as error:
        close = nearest((rest or others).lower(), known)
        begin = " Or did" if error.suggested else "; did"
        hint = f"{begin} you mean the {noun} {close[0]}?" if close else ""
        raise SelectionError(f"{error}{hint}") from error
    return Wanted(named, owners if words else every, excluded, kept)


def select_steps(project: Project, options: argparse.Namespace, target: str | None) -> list[Step]:
    """The steps and ephemeral models that the options select, in their order.

    Raises:
        SelectionError: it is not a selection, or matches nothing.
    """
    text, exclude = selected(options)
    items = {str(key): step for key, step in (*project.steps.items(), *project.ephemerals.items())}
    if not (text or exclude):
        return list(items.values())
    names = select_names(project, text, exclude, target)
    found = [items[name] for name in names if name in items]
    if names and not found and text:
        raise SelectionError(f"`{text}` selects only what the project reads, and does not build")
    return found


def select_names(project: Project, text: str, exclude: str, target: str | None) -> list[str]:
    """The names of the steps, ephemeral models and sources that a selection means.

    Raises:
        SelectionError: it is not a selection, or matches nothing.
    """
    return list(select(project_nodes(project), text, facts_of(project, target), exclude))


def project_nodes(project: Project) -> Iterator[Node]:
    """What a selection may know of the steps, ephemeral models and sources of a project."""
    yield from (_source_node(key) for key in project.sources)
    steps = (*project.steps.values(), *project.ephemerals.values())
    yield from (_node(project, step) for step in steps)


def facts_of(project: Project, target: str | None) -> Facts:
    """What has changed and failed, as names of steps."""

    def changed(ref: str) -> Collection[str]:
        if ref:
            comparison = compared(Path(project.root), ref).comparison
            return [str(it.key) for it in comparison.changes if it.kind != "removed"]
        wrong = [str(key) for key, step in project.steps.items() if step.problems]
        return [*built_by_other_code(project, target), *wrong]  # which have no code version

    return Facts(changed, lambda: failed_last(project, target))


def failed_last(project: Project, target: str | None) -> list[str]:
    """The steps that the project's last run on a target has not brought to an end: they or their
    checks have failed, or they were canceled, or it died before."""
    name = target or project.default_target
    contents = last_run_on(project.target_path, name)
    if contents is None:
        raise SelectionError(
            f"`failed` is of the project's last run on target {name}, and there was none yet"
        )
    bad = {result.step: not_brought_to_an_end(result) for result in contents.steps}
    if contents.end is None and contents.header is not None:
        bad |= {step: True for step in contents.header.steps if step not in bad}
    return [step for step, is_bad in bad.items() if is_bad]


def not_brought_to_an_end(result: StepResult) -> bool:
    """Whether ``failed`` means the step: also if its checks failed after all models."""
    return result.state in ("failed", "canceled") or result.failed_later


def built_by_other_code(project: Project, target: str | None) -> list[str]:
    """The steps whose relation is not there, or was built by other code than today's."""
    chosen = usable_target(project, target)
    relations = {
        key: relation_for(project, key, chosen)
        for key, step in project.steps.items()
        if step.relation is not None
    }
    if not is_there(chosen):
        return list(map(str, relations))
    try:
        with connect(warehouse_address(project, chosen)) as session:
            versions = {
                proof.relation: proof.code_version
                for proof in session.last_proofs(relations.values())
            }
            there = {str(relation) for relation in session.there(relations.values())}
    finally:
        leave_all()
    return [
        str(key)
        for key, relation in relations.items()
        if versions.get(str(relation)) != project.steps[key].code_version
        or not (str(relation) in there or project.steps[key].built_as == "function")
    ]


def _source_node(key: Key) -> Node:
    words = (key.name, f"{key.schema}/{key.name}")
    return Node(str(key), words, folder=key.schema, kinds=frozenset({"source"}), is_source=True)


def _node(project: Project, step: Step) -> Node:
    key, config = step.key, step.config
    path = "/".join((*project.key_prefix, key.schema, key.name))
    return Node(
        name=str(key),
        words=(key.name, f"{key.schema}/{key.name}", path),
        upstream=tuple(map(str, step.upstream)),
        path=step.location.path,
        folder=key.schema,
        group=config.group or key.schema,
        owners=config.owner,
        kinds=frozenset({step.kind, step.built_as, *config.kinds}),
        tags=values_by_tag(config.tags),
    )
