"""Executors of Dagster that run each step on another machine, and what models lose under them.

The jobs of a project always run under models_executor. Another executor runs its models only where
the code location, or a job in Python, has one. Nobody knows which that is before a step runs.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster_models.compilation.tasks import TargetStep

#: The name of the executor -> where it runs a step. Each name is the one that Dagster shows.
ELSEWHERE: Mapping[str, str] = {
    "k8s": "in a pod of its own",
    "celery-k8s": "in a pod of its own",
    "docker": "in a container of its own",
    "celery-docker": "in a container of its own",
    "ecs": "in a task of its own",
    "celery": "on a worker of Celery",
    "dask": "on a worker of Dask",
    "ray": "on a worker of Ray",
}
_LOST = (
    "The executor {executor} runs each step {where}. It publishes the same tables with the same"
    " commit records, but fail_fast, checks: after, only_changed, on_error: continue, the order by"
    " past durations, `explain`, `report` and `retry` are those of models_executor and do nothing"
    " here; and a canceled step may go on for a while. Let models_executor run the models"
    " (docs/deployment.md)"
)
_FILE = (
    "{path} is a file: unless it is on a volume that all of these share, what this step builds is"
    " gone when it ends"
)


def what_is_lost(executor: str, target_step: TargetStep) -> str:
    """What there is to say of a step under the executor of this name; "" for nothing."""
    where = ELSEWHERE.get(executor)
    if where is None:
        return ""
    said = _LOST.format(executor=executor, where=where)
    if setting := target_step.target.type.file_setting:
        path = target_step.target.settings.get(setting)
        said = f"{_FILE.format(path=path)}. {said}"
    return said
