"""``dagster-models clean --relations``: what the project has built and no model builds any more."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dagster_models.cli.project import add_target, counted, folder_of, is_there, load
from dagster_models.cli.selection import add_words
from dagster_models.compilation.leftovers import leftovers
from dagster_models.compilation.tasks import builder_of, warehouse_address
from dagster_models.core.built import Built
from dagster_models.core.model import Project, Target
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.selection import Node, select
from dagster_models.project.targets import usable_target

HELP = "list what no model builds any more, and drop it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    relations = "the tables and views in the warehouse that this project has built (by its commit"
    relations += " records), and that nobody has replaced since"
    parser.add_argument("--relations", action="store_true", required=True, help=relations)
    add_target(parser)
    only = "only those of these names and schemas (the models that built them are gone)"
    add_words(parser, only)
    parser.add_argument("--yes", action="store_true", help="drop them (default: only list them)")


def run(options: argparse.Namespace) -> int:
    project = load(folder_of(options), columns=False)  # whole: a broken model is not a leftover
    target = usable_target(project, options.target)
    if not is_there(target):
        print(_nothing(project, target))
        return 0
    try:
        return _clean(project, target, options)
    finally:
        leave_all()


def _clean(project: Project, target: Target, options: argparse.Namespace) -> int:
    builder = builder_of(project, target)
    with connect(warehouse_address(project, target)) as session:
        found = leftovers(project, target, session.built_by(builder))
        if not found:
            print(_nothing(project, target))
            return 0
        found = _selected(found, options)
        print(f"{builder} has built these on target {target.name}, and no model builds them now:")
        for built in found:
            print(_line(built))
        old = [built for built in found if not built.kept]
        if not options.yes:
            if old:
                print("Nothing was dropped. `--yes` drops what is not kept.")
            return 0
        kept = _drop(session, old, builder)
    for relation, error in kept:
        why = error.message.removeprefix(f"{relation} is kept: ")
        print(f"Not dropped: {relation}: {why}")
    print(f"Dropped {counted(len(old) - len(kept), 'relation')}.")
    return 1 if kept else 0


def _selected(found: Sequence[Built], options: argparse.Namespace) -> list[Built]:
    """Those that the options select, by the names that their models had.

    Raises:
        SelectionError: it is not a selection, or matches none of them.
    """
    nodes = []
    for built in found:
        schema, _, name = built.commit.step.partition(".")
        words = (name, built.relation.name, str(built.relation))
        nodes.append(Node(built.commit.relation, words=words, folder=schema))
    text, exclude = " ".join(options.selection), " ".join(options.exclude)
    names = set(select(nodes, text, None, exclude))
    return [built for built in found if built.commit.relation in names]


def _nothing(project: Project, target: Target) -> str:
    builder = builder_of(project, target)
    return f"All relations that {builder} has built on target {target.name} have their models."


def _line(built: Built) -> str:
    commit = built.commit
    kind = "view " if built.is_view else "table"
    line = f"  {kind} {built.relation}  (step {commit.step}, {commit.committed_at[:16]}"
    line += f", run {commit.run_id[:8]})"
    return f"{line}\n        kept: {built.kept}" if built.kept else line


def _drop(
    session: Session, old: Sequence[Built], builder: str
) -> list[tuple[object, WarehouseError]]:
    """Drop them, readers before what they read; those that cannot be, and why."""
    left = list(old)
    while True:
        refused = []
        for built in left:
            try:
                session.drop(built.relation, builder)
            except WarehouseError as error:
                if error.kind is ErrorKind.LOST:
                    raise
                refused.append((built, error))
        if len(refused) == len(left) or not refused:
            return [(built.relation, error) for built, error in refused]
        left = [built for built, _ in refused]
