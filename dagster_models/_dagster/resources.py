"""The resources that Dagster hands to the steps of a run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dagster_models._dagster.types import PlanExecutionContext

#: A resource that has this method is asked for another object at each use.
_OF_EACH_USE = "get_object_to_set_on_execution_context"


def make_resource_classes_once(context: PlanExecutionContext) -> None:
    """Let steps of the run that need the same resources share the class that holds these.

    Dagster makes a named tuple for the resources of a step, three times in each step, and Python
    compiles code for its class each time. What a step gets is its own tuple all the same.
    """
    builder = context.scoped_resources_builder
    make, made = builder.build, dict[frozenset[str], Any]()

    def build(required_resource_keys: Collection[str] | None) -> Any:
        keys = frozenset(required_resource_keys or ())
        if keys in made:
            return made[keys]._replace()
        found: Any = make(keys)
        # Of the classes, as Dagster does: a proxy may connect when one of its attributes is read.
        classes = {type(it) for it in found.original_resource_dict.values()}
        if not any(hasattr(it, _OF_EACH_USE) for it in classes):
            made[keys] = found
        return found

    vars(builder)["build"] = build  # the builder is this run's own
