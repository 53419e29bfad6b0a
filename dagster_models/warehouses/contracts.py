"""Whether a relation that was built keeps its contract: asked of the warehouse, which alone knows
that `int4` is an integer, and what a `decimal` without digits is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.contracts import Contract, breaches, table_of
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quoted

if TYPE_CHECKING:
    from dagster_models.warehouses.materializations.hooks import Hooks


def refuse_breach(
    session: Hooks, relation: Relation, contract: Contract, own: Collection[str]
) -> None:
    """Raise WarehouseError if the columns of the relation, which is built in the open transaction,
    are not those of its contract. *own*: those that its kind adds, which it may leave out."""
    types = _normal_types(session, relation, contract)
    refuse_columns(relation, contract, types, session.columns(relation), own)


def refuse_columns(
    relation: Relation,
    contract: Contract,
    types: Sequence[str],
    columns: Sequence[tuple[str, str]],
    own: Collection[str] = (),
) -> None:
    """The same for *columns* that are known. *types*: those of the contract, in the warehouse's own
    words."""
    wrong = breaches(contract, types, columns, own)
    if wrong:
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"{relation} breaks its contract. Nothing was published:\n{table_of(wrong)}\n"
            "Cast or name the columns in the query as the contract says, or change `columns:`",
            name="ContractBroken",
        )


def _normal_types(session: Hooks, relation: Relation, contract: Contract) -> list[str]:
    """The contract's types in the warehouse's own words: those of a table that has them."""
    asked = replace(session.staging, name="dagster_models_contract")
    listed = ",\n".join(f"c{at} {column.type}" for at, column in enumerate(contract.columns))
    try:
        session.change(f"CREATE TEMPORARY TABLE {quoted(asked)} (\n{listed})", lines_before=1)
    except WarehouseError as error:
        if error.kind in (ErrorKind.INTERRUPTED, ErrorKind.CONFLICT) or error.transient:
            raise
        at = error.line or 0
        meant = contract.columns[at - 1 : at] if 0 < at <= len(contract.columns) else ()
        said = "".join(f" of `{it.name}` ({it.place}) `{it.type}`" for it in meant)
        raise unknown_type(relation, error, said) from error
    types = [type_ for _, type_ in session.columns(asked)]
    session.change(f"DROP TABLE {quoted(asked)}")
    return types


def unknown_type(relation: Relation, error: WarehouseError, said: str = "") -> WarehouseError:
    """The error of a contract with a type that the warehouse refuses. *said*: which one it is."""
    return WarehouseError(
        ErrorKind.BAD_COLUMN,
        f"the contract of {relation} names a type{said} that the warehouse refuses:"
        f" {error.message}",
        name="ContractType",
    )
