"""Let dbt compile the models of a project without an account, as if nothing were built yet.

    cd PROJECT && DBT_PYTHON tests/bench/dbt_compile.py [--vars YAML]

DBT_PYTHON is a Python that has dbt and its adapter. The profiles.yml of the project may be a
made-up one. ``get_relation`` finds nothing. Whatever else asks the warehouse is an error of that
model alone, while ``dbt compile`` would end there. The texts are in target/manifest.json.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import dbt.adapters
from dbt.adapters.base.impl import BaseAdapter
from dbt.cli.main import dbtRunner
from dbt.task.compile import CompileTask
from dbt.task.runnable import GraphRunnableTask
from dbt_common.exceptions import DbtRuntimeError

ASKS = (
    "execute",
    "get_columns_in_relation",
    "list_relations_without_caching",
    "list_schemas",
)
COMPILE = [
    *("--no-version-check", "--quiet", "compile", "--no-introspect", "--no-populate-cache"),
    *("--profiles-dir", ".", "--select", "resource_type:model"),
]


def main() -> None:
    sys.path.remove(str(Path(__file__).parent))  # where dbt would take `dbt_...` for its plugins
    for adapter in pkgutil.iter_modules(dbt.adapters.__path__):
        importlib.import_module(f"dbt.adapters.{adapter.name}")
    for kind in below(BaseAdapter):
        for name in ASKS:
            if name in vars(kind):
                setattr(kind, name, refusing(name))
        if "get_relation" in vars(kind):
            kind.get_relation = nothing
    GraphRunnableTask._mark_dependent_errors = nothing
    CompileTask.raise_on_first_error = no
    done = dbtRunner().invoke([*COMPILE, *sys.argv[1:]])
    if done.exception is not None:
        raise SystemExit(f"dbt: {done.exception}")
    print(dict(Counter(str(it.status) for it in done.result)))


def below(kind: type[Any]) -> Iterator[type[Any]]:
    """The class and all that are derived from it."""
    yield kind
    for inner in kind.__subclasses__():
        yield from below(inner)


def refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise DbtRuntimeError(f"{name}() asks the warehouse")

    return refuse


def nothing(*_: Any, **__: Any) -> None:
    return None


def no(*_: Any) -> bool:
    return False


if __name__ == "__main__":
    main()
