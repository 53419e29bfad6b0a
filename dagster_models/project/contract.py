"""``contract: true``: a model's relation has exactly the columns and types of its ``columns:``.

What can be known of that when the project is loaded is compared here. The warehouse compares again
what was built, before it is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dagster_models.core.contracts import MISSING, NOT_DECLARED, Contract, ContractColumn, breaches
from dagster_models.core.materializations import Snapshot
from dagster_models.core.model import Column, Location, Step
from dagster_models.project.config import EPHEMERAL, FUNCTION
from dagster_models.project.problems import Report, place_of, problem
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.util.nearest import suggest

_WITHOUT = {
    EPHEMERAL: ("an ephemeral model has no relation", "Make it a view, or delete the key."),
    FUNCTION: ("a function's contract is `returns`", "Delete the key."),
}
#: Each build gives the relation the columns of the query as it is now, and no others.
REBUILT = frozenset({"view", "table"})
#: A type as it may stand in CREATE TABLE; quoted are the names of an enum, and of fields.
_TYPE = re.compile(r"""[A-Za-z_"](?:[\w (),.\[\]]|"[^"]*"|'[^']*')*\Z|"[^"]+"\Z""")


def has_contract(step: Step) -> bool:
    return step.config.contract and step.config.materialized not in _WITHOUT


def contract_of(step: Step) -> Contract | None:
    """The contract of a model; None without one."""
    if not has_contract(step):
        return None
    columns = (ContractColumn(it.name, it.type, _short(it.location)) for it in step.config.columns)
    return Contract(tuple(columns), _short(place_of("contract", step)))


def _short(place: Location) -> str:
    return f"{place.path}:{place.line}"


def check_contract(step: Step, header: YamlNode | None, report: Report) -> None:
    """Report a contract that says too little, or of what has no columns of its own."""
    written: Mapping[str, Location] = header.keys if header is not None else {}
    place = written.get("contract", step.location)
    without = _WITHOUT.get(step.config.materialized)
    if without is not None:
        if "contract" in written and step.config.contract:
            report(problem(f"`contract` has no meaning here: {without[0]}", place, without[1]))
        return
    if not step.config.contract:
        return
    if not step.config.columns:
        fix = "Add `columns: {name: {type: ...}}` with all columns."
        report(problem("the contract has no columns", place, fix))
    for column in step.config.columns:
        if not column.type:
            what = f"the contract does not say the type of `{column.name}`"
            fix = "Add it as in a CAST: `type: bigint`, `type: decimal(18, 2)`, ..."
            report(problem(what, column.location, fix))
        elif not _TYPE.match(column.type) or not _closed(column.type):
            what = f"`{column.type}` is no type of a column"
            fix = "Write it as in a CAST: bigint, decimal(18, 2), timestamp with time zone, ..."
            report(problem(what, column.location, fix))
    seen: dict[str, Column] = {}
    for column in step.config.columns:
        first = seen.setdefault(column.name, column)
        if first is not column:
            what = f"the contract has `{column.name}` twice (first on line {first.location.line})"
            report(problem(what, column.location, "Keep one of the two."))


def _closed(type_: str) -> bool:
    return all(type_.count(one) == type_.count(other) for one, other in ("()", "[]"))


def compare(step: Step, dialect: Dialect, report: Report) -> None:
    """Report how what is known of the query's columns differs from the contract. It is an error if
    the relation could not keep its contract, and a warning if what is known may be out of date."""
    contract = contract_of(step)
    if contract is None or step.kind != "sql" or not contract.columns:
        return
    schema, key = step.trace.schema, dialect.type_key
    found = [(name, key(type_)) for name, type_ in schema.columns]
    types = [key(column.type) for column in contract.columns]
    own: tuple[str, ...] = ()
    if step.config.materialized == "snapshot":
        own = Snapshot.of(step.config).own_columns
    certain = schema.certain and dialect.columns_measured
    certain = certain and step.config.materialized in REBUILT
    severity = "error" if certain else "warning"
    shown = {name.lower(): type_ for name, type_ in schema.columns}
    places = {column.name: column.location for column in step.config.columns}
    names = [name for name, _ in schema.columns]
    for it in breaches(contract, types, found, own):
        if it.found == MISSING:
            if schema.closed:
                what = f"the contract has `{it.name}`, a column that the query does not return"
                fix = suggest(it.name, names, "Columns")
                report(problem(what, places[it.name], fix, severity))
        elif it.declared == NOT_DECLARED:
            what = f"the query returns `{it.name}`, a column that the contract does not have"
            fix = "Add it to `columns:`, or leave it out of the query."
            report(problem(what, place_of("contract", step), fix, severity))
        else:
            real = shown[it.name.lower()]
            what = f"the contract says {it.declared} for `{it.name}`, and the query makes it {real}"
            fix = f"Cast it in the query, or write `type: {real}`."
            report(problem(what, places[it.name], fix, severity))
