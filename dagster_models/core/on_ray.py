"""What says that a Python step runs on a Ray cluster, and where that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The address that asks for a cluster of the run's own, on its machine.
OWN_CLUSTER = "local"


@dataclass(frozen=True, slots=True)
class RayNeeds:
    """What a step reserves in the cluster, as Ray counts it. ``path``, ``line`` and ``column``:
    where the project says so."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0  #: bytes; 0 reserves none
    resources: tuple[tuple[str, float], ...] = ()  #: the cluster's own, by name
    path: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class RayCluster:
    """``address``: as written, with ``${NAME}``; "" is what RAY_ADDRESS says, or the cluster that
    this machine is part of. ``project_dir``: the project's folder on the nodes; "" is the same path
    as here."""

    address: str = ""
    project_dir: str = ""


#: Of a project that names none.
USUAL_CLUSTER = RayCluster()


@dataclass(frozen=True, slots=True)
class OnRay:
    """Where a task runs that a cluster gets."""

    cluster: RayCluster
    needs: RayNeeds

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OnRay:
        needs = dict(data["needs"])
        needs["resources"] = tuple((str(name), amount) for name, amount in needs["resources"])
        return cls(RayCluster(**data["cluster"]), RayNeeds(**needs))
