"""What Jinja of dbt finds by name, beside macros. Nothing here reaches a warehouse: what would ask
it is refused with its name.

https://docs.getdbt.com/reference/dbt-jinja-functions lists these names.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import yaml

from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.text.errors import NeedsWarehouse, NotImportable
from dagster_models.dbt.text.literal_dates import counted_between
from dagster_models.dbt.text.macros import Macros, Return
from dagster_models.dbt.text.relations import ColumnObject, NamedColumn, RelationObject
from dagster_models.dbt.text.variables import own_copy

#: How the names begin of environment variables that dbt lets no text have.
SECRET = "DBT_ENV_SECRET"


@dataclass(slots=True)
class Seen:
    """What a text was given that may be another tomorrow: what it asked for -> the value.
    ``variables``: the values of the project that `var()` gave; ``moment``: now, for the text."""

    frozen: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    moment: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.timezone.utc))

    def note(self, what: str, value: Any) -> Any:
        self.frozen[what] = str(value)
        return value


class Adapter:
    """``adapter`` in a macro of *package*. *columns_of* answers get_columns_in_relation()."""

    def __init__(
        self,
        macros: Macros,
        package: str,
        kind: str,
        quote: str,
        columns_of: Callable[[Any], list[NamedColumn]],
    ) -> None:
        self._macros, self._package, self._kind, self._quote = macros, package, kind, quote
        self.get_columns_in_relation = columns_of
        self.Relation = RelationMaker(quote)
        self.behavior = _Nothing()

    def dispatch(self, macro_name: str, macro_namespace: str | None = None, **_: Any) -> Any:
        return self._macros.dispatch(self._package, macro_name, macro_namespace)

    def type(self) -> str:
        return self._kind

    def quote(self, name: str) -> str:
        return f"{self._quote}{name}{self._quote}"

    def quote_as_configured(self, name: str, part: str = "identifier") -> str:
        return self.quote(name)

    def execute(self, sql: str, *_: Any, **__: Any) -> tuple[str, list[tuple[int]]]:
        """The rows of a query whose answer stands in it. Raises NeedsWarehouse for any other."""
        found = counted_between(sql, self._kind)
        if found is None:
            raise NeedsWarehouse("adapter.execute()")
        return "", [(found,)]

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)
        return refusing(f"adapter.{name}()")


class Results:
    """``store_result()`` and ``load_result()``: what ``Adapter.execute`` has answered to a text."""

    def __init__(self) -> None:
        self._rows = dict[str, list[tuple[int]]]()

    def store(self, name: str, response: Any = None, agate_table: Any = None) -> str:
        if not isinstance(agate_table, list):
            raise NeedsWarehouse("store_result()")
        self._rows[name] = agate_table
        return ""

    def load(self, name: str) -> _Answer:
        if name not in self._rows:
            raise NeedsWarehouse("load_result()")
        return _Answer(self._rows[name])


class _Answer:
    """A result, of which the rows alone are known: dbt's has a table and a response, too."""

    def __init__(self, rows: list[tuple[int]]) -> None:
        self.data = rows

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NeedsWarehouse(f"`{name}` of a result")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class _Nothing:
    """dbt's behavior flags: each is off."""

    def __getattr__(self, name: str) -> bool:
        if name.startswith("__"):
            raise AttributeError(name)
        return False


class RelationMaker:
    """``api.Relation``."""

    Table, View, CTE = "table", "view", "cte"

    def __init__(self, quote: str) -> None:
        self._quote = quote

    def create(
        self,
        database: str | None = None,
        schema: str | None = None,
        identifier: str | None = None,
        type: str | None = None,
        **_: Any,
    ) -> RelationObject:
        return RelationObject(database, schema, identifier, quote_character=self._quote, type=type)


class ConfigObject:
    """``config``: calls of it do nothing, as the manifest has their result. What a text changes in
    a value is for this text alone."""

    def __init__(self, node: DbtNode) -> None:
        self._config = node.config
        self._given = dict[str, Any]()

    def forget(self) -> None:
        """Give the text, which is rendered once more, the values as they were."""
        self._given.clear()

    def __call__(self, *_: Any, **__: Any) -> str:
        return ""

    def set(self, *_: Any) -> str:
        return ""

    def get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        return self._value(name) if name in self._config else default

    def require(self, name: str, validator: Any = None) -> Any:
        if name not in self._config:
            raise NotImportable(f"config.require({name!r}): it is not set")
        return self._value(name)

    def meta_get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        return (self.get("meta") or {}).get(name, default)

    def _value(self, name: str) -> Any:
        if name not in self._given:
            self._given[name] = own_copy(self._config[name])
        return self._given[name]

    def persist_relation_docs(self) -> bool:
        return bool((self._config.get("persist_docs") or {}).get("relation"))

    def persist_column_docs(self) -> bool:
        return bool((self._config.get("persist_docs") or {}).get("columns"))


def refusing(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise NeedsWarehouse(what)

    return refuse


def env_var(seen: Seen) -> Callable[..., str]:
    def read(name: str, default: str | None = None) -> str:
        value = None if name.startswith(SECRET) else os.environ.get(name, default)
        if value is None:
            raise NotImportable(f"env_var({name!r}): the variable is not set")
        seen.note(f"env_var({name!r})", value)
        return str(value)

    return read


class TargetObject:
    """``target``: it is another one tomorrow, so what is asked of it is noted."""

    def __init__(self, values: Mapping[str, Any], seen: Seen) -> None:
        self._values, self._seen = values, seen

    def get(self, name: str, default: Any = None) -> Any:
        return self._seen.note(f"target.{name}", self._values.get(name, default))

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise NotImportable(
                f"target.{name} is not known, as an import reads no profile: give it with"
                " --target-values"
            )
        return self.get(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]


def static_context(column: type[ColumnObject], quote: str) -> dict[str, Any]:
    """The names whose values are the same for each node."""
    return {
        "return": _return,
        "log": _quiet,
        "print": _quiet,
        "debug": _quiet,
        "execute": True,
        "exceptions": SimpleNamespace(
            raise_compiler_error=_raise,
            raise_not_implemented=_raise,
            raise_database_error=_raise,
            raise_contract_error=_raise,
            warn=_quiet,
            warn_once=_quiet,
        ),
        "fromjson": _or_default(json.loads),
        "tojson": _to_json,
        "fromyaml": _or_default(_from_yaml),
        "toyaml": _to_yaml,
        "set": _or_default(set),
        "set_strict": set,
        "zip": _zip,
        "zip_strict": _zip,
        "local_md5": _md5,
        "diff_of_two_dicts": _difference,
        "api": SimpleNamespace(Column=column, Relation=RelationMaker(quote)),
        "Column": column,
        "modules": _modules(),
        "flags": SimpleNamespace(FULL_REFRESH=False, WHICH="run", FAIL_FAST=False, EMPTY=False),
        "store_raw_result": refusing("store_raw_result()"),
        "load_agate_table": refusing("load_agate_table()"),
        "submit_python_job": refusing("submit_python_job()"),
        "thread_id": "MainThread",
        "selected_resources": [],
        "invocation_args_dict": {},
        "dbt_metadata_envs": {},
        "try_or_compiler_error": _call,
        "validation": SimpleNamespace(any=_quiet),
    }


def _return(value: Any = None) -> NoReturn:
    raise Return(value)


def _quiet(*_: Any, **__: Any) -> str:
    return ""


def _raise(message: Any = "", *_: Any) -> NoReturn:
    raise NotImportable(f"the text raises an error of its own: {str(message).strip()}")


def _or_default(function: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(value: Any, default: Any = None) -> Any:
        try:
            return function(value)
        except (TypeError, ValueError, yaml.YAMLError):
            return default

    return call


def _to_json(value: Any, default: Any = None, sort_keys: bool = False) -> Any:
    try:
        return json.dumps(value, sort_keys=sort_keys)
    except (TypeError, ValueError):
        return default


def _from_yaml(text: str) -> Any:
    """As ``yaml.safe_load``, with the parser in C where PyYAML has it."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _to_yaml(value: Any, default: Any = None, sort_keys: bool = False) -> Any:
    try:
        return yaml.safe_dump(value, sort_keys=sort_keys)
    except (ValueError, yaml.YAMLError):
        return default


def _zip(*values: Iterable[Any], default: Any = None) -> Any:
    try:
        return zip(*values, strict=False)
    except TypeError:
        return default


def _md5(value: str) -> str:
    return hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if other.get(key) != value}


def _call(_: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return function(*arguments, **named)


def _modules() -> SimpleNamespace:
    """Of the modules, what dbt gives of them. Without pytz its users are refused."""
    try:
        import pytz  # type: ignore[import-untyped,unused-ignore]
    except ImportError:  # Dagster brings it today
        zones: Any = refusing("modules.pytz")
    else:
        zones = SimpleNamespace(**{name: getattr(pytz, name) for name in pytz.__all__})
    moments = ("date", "datetime", "time", "timedelta", "tzinfo")
    return SimpleNamespace(
        datetime=SimpleNamespace(**{name: getattr(dt, name) for name in moments}),
        re=SimpleNamespace(**{name: getattr(re, name) for name in re.__all__}),
        itertools=SimpleNamespace(
            **{name: getattr(itertools, name) for name in dir(itertools) if name[0] != "_"}
        ),
        pytz=zones,
    )
