"""What a type of warehouse lacks, refused where a task is built: the load has refused it already,
unless a run has chosen the target."""

from __future__ import annotations

from dagster_models.core.extras import Extras
from dagster_models.core.materializations import Materialization
from dagster_models.core.target_types import TargetType
from dagster_models.errors import ErrorKind, WarehouseError


def refuse_kind(target: TargetType, how: Materialization, known: tuple[type, ...]) -> None:
    """Raise WarehouseError unless the materialization is of a *known* class, and asks for nothing
    that the target lacks."""
    if not isinstance(how, known):
        word = type(how).__name__.lower()
        why = target.lacks.get(word, "it is not known here")
        raise WarehouseError(ErrorKind.UNSUPPORTED, f"`materialized: {word}`: {why}")
    for key, lack in (
        ("merge_update_columns", "merge_columns"),
        ("merge_exclude_columns", "merge_columns"),
        ("incremental_predicates", "predicates"),
    ):
        if lack in target.lacks and getattr(how, key, None):
            what = f"`{key}`: {target.lacks[lack]}"
            raise WarehouseError(ErrorKind.UNSUPPORTED, what)


def refuse_extras(target: TargetType, extras: Extras) -> None:
    """Raise WarehouseError if the task asks for something that the target lacks."""
    for key, used in (
        ("statements", extras.before or extras.after),
        ("grants", extras.grants),
        ("indexes", extras.indexes),
        ("index_types", any(index.type for index in extras.indexes)),
        ("comments", extras.comment is not None or extras.column_comments is not None),
    ):
        if used and key in target.lacks:
            raise WarehouseError(ErrorKind.UNSUPPORTED, f"{key}: {target.lacks[key]}")
