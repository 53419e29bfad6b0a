"""``runner:`` of a Python model or script, and ``ray:`` of dagster_models.yaml."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from dagster_models.core.model import Location, Step, Target
from dagster_models.core.on_ray import RayCluster, RayNeeds
from dagster_models.errors import Problem
from dagster_models.project.problems import problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode

RUNNERS = ("local", "ray")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB|MiB|GiB|TiB)\Z")
#: A resource that every cluster has, by Ray's name -> our key.
_OWN_KEYS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory"}
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def amount(node: YamlNode) -> float:
    """How much of a resource: a number, 0 or more."""
    value = node.value
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise BadValue(f"expected a number, got {fields.describe(node)}", node.place)
    if not 0 <= value < math.inf:
        raise BadValue(f"expected 0 or more, got {value}", node.place)
    if value > 1 and value != int(value):
        fix = "Ray counts whole ones, or a part of one."
        raise BadValue(f"{value} is more than 1 and no whole number", node.place, fix)
    return float(value)


def size(node: YamlNode) -> int:
    """A number of bytes, written with its unit."""
    found = _SIZE.match(node.value.strip()) if isinstance(node.value, str) else None
    if found is None or not float(found[1]):
        fix = "Write a number and a unit, such as 500MB or 8GB."
        raise BadValue(f"expected a size, got {fields.describe(node)}", node.place, fix)
    return int(float(found[1]) * _BYTES[found[2]])


def resources(node: YamlNode) -> tuple[tuple[str, float], ...]:
    """Amounts of the cluster's own resources, by name."""
    if not isinstance(node.value, dict):
        fix = "Write `resources: {name: 1}`, with the names that the nodes were started with."
        raise BadValue(f"expected names, got {fields.describe(node)}", node.place, fix)
    for key, place, _ in node.items():
        if word := _OWN_KEYS.get(key):
            raise BadValue(f"`{key}` has a key of its own", place, f"Write `{word}:` beside it.")
    return tuple((key, amount(item)) for key, _, item in node.items())


NEEDS_KEYS: dict[str, Reader] = {
    "cpus": amount,
    "gpus": amount,
    "memory": size,
    "resources": resources,
}


def runner(node: YamlNode) -> RayNeeds | None:
    """`ray`, or `{ray: {cpus, gpus, memory, resources}}`; None for `local`."""
    values: dict[str, Any] = {}
    if isinstance(node.value, dict):
        values = _needs(node)
    elif fields.OneOf(*RUNNERS)(node) == "local":
        return None
    place = node.place
    return RayNeeds(**values, path=place.path, line=place.line, column=place.column)


def _needs(node: YamlNode) -> dict[str, Any]:
    fields.refuse_unknown(node, ("ray",))
    needs = node.value.get("ray")
    if needs is None:
        raise BadValue("`ray` is missing", node.place, "Write `runner: {ray: {cpus: 2}}`.")
    if needs.value is not None and not isinstance(needs.value, dict):
        fix = "Write `runner: ray`, or `runner: {ray: {cpus: 2}}`."
        raise BadValue(f"expected keys, got {fields.describe(needs)}", needs.place, fix)
    return fields.values_of(needs, NEEDS_KEYS) if needs.value else {}


RAY_KEYS: dict[str, Reader] = {"address": fields.text, "project_dir": fields.text}


def cluster(node: YamlNode) -> RayCluster:
    """`{address, project_dir}`."""
    if not isinstance(node.value, dict):
        fix = "Write `ray: {address: ...}`."
        raise BadValue(f"expected keys, got {fields.describe(node)}", node.place, fix)
    found = RayCluster(**fields.values_of(node, RAY_KEYS))
    if found.project_dir and not found.project_dir.startswith("/"):
        fix = "Write the absolute path of the project's folder on the nodes."
        place = node.value["project_dir"].place
        raise BadValue(f"`{found.project_dir}` is no absolute path", place, fix)
    return found


# A step and its target ---------------------------------------------------------------------------


def runs_python(step: Step) -> bool:
    """Whether a runner of its own means something: a warehouse runs all that is SQL."""
    return step.kind in ("python", "script")


def on_ray(step: Step, target: Target) -> RayNeeds | None:
    """What the step reserves in a Ray cluster; None if it runs on this machine."""
    reachable = runs_python(step) and target.type.from_elsewhere
    return step.config.runner if reachable else None


def wrong_runner(step: Step, target: Target | None) -> Iterator[Problem]:
    """What cannot be as ``runner`` says."""
    needs = step.config.runner
    if needs is None:
        return
    place = Location(needs.path, needs.line, needs.column)
    if not runs_python(step):
        if needs.path == step.location.path:  # else it is a folder's, for its Python files
            what = "`runner: ray` is for Python models and scripts; a warehouse runs SQL"
            yield problem(what, place, "Delete it.")
    elif step.config.export is not None:
        what = "`export` beside `runner: ray`: the files would be written on the node that runs it"
        yield problem(what, place, "Export from a SQL model that reads this one.")
    elif target is not None and not target.type.from_elsewhere:
        why = f"no other machine can have a session in a warehouse of the type `{target.type}`"
        if target.type.file_setting:
            why = f"its {target.type} file is open on one machine"
        what = f"`runner: ray` does nothing on the target `{target.name}`: {why}"
        fix = "Its steps run in processes of this machine; on a server they run on Ray."
        yield problem(what, place, fix, "warning")
