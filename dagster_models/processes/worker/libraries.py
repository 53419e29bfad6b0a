"""The libraries that a step has loaded, which the template then imports for the later ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

from dagster_models.core.tasks import ScriptTask, Task, project_root_of

#: Libraries that the template imports once a step has needed them. polars is not among them, as its
#: import starts threads.
WARM = ("numpy", "pandas", "pyarrow")


def loaded_libraries(task: Task, before: Collection[str]) -> list[str]:
    """The modules of WARM that the step has loaded, but for the project's own of that name.
    *before*: those of the template."""
    if isinstance(task, ScriptTask) and task.environment is not None:
        return []  # of versions of its own
    root = project_root_of(task)
    inside = os.path.join(root, "") if root else "\0"
    return [
        name
        for name in set(sys.modules).difference(before)
        if name.partition(".")[0] in WARM
        and not (getattr(sys.modules[name], "__file__", None) or "").startswith(inside)
    ]
