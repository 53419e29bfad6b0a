"""What Jinja finds by name in a template, where it is another thing than in an import.

What has another value in each run, or in each load, is refused: the text is rendered once, and
would keep the value of that moment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

from dagster_models.dbt.templates.errors import Refused
from dagster_models.dbt.templates.questions import Question
from dagster_models.dbt.text.context import SECRET
from dagster_models.dbt.text.variables import own_copy
from dagster_models.project.templates import ModelTemplate, TemplateProject
from dagster_models.util.nearest import suggest

_MISSING: Any = object()
_STARTED = "Write `$run_started_at`, without quotes, which each run fills in."
_CLOCK = "Write `current_timestamp`, or `$run_started_at`, into the SQL."


@dataclass
class TemplateAsks:
    """What one template has asked for. ``config``: what `config()` was given, in ``config_line``;
    ``settings``: the names that `config.get` was asked for."""

    questions: set[Question] = field(default_factory=set)
    config: dict[str, Any] = field(default_factory=dict)
    config_line: int = 1
    settings: set[str] = field(default_factory=set)

    def about(self, *question: str) -> None:
        self.questions.add(question)


class TemplateConfig:
    """``config`` in a template: a call of it is a part of the header."""

    def __init__(self, template: ModelTemplate, asked: TemplateAsks) -> None:
        self._template, self._asked = template, asked

    def __call__(self, given: Mapping[str, Any] | None = None, **named: Any) -> str:
        self._asked.config.update({**(given or {}), **named})
        return ""

    def set(self, name: str, value: Any) -> str:
        self._asked.config[name] = value
        return ""

    def get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        self._asked.settings.add(name)
        return own_copy(self._template.settings(self._asked.config).get(name, default))

    def require(self, name: str, validator: Any = None) -> Any:
        if (found := self.get(name, _MISSING)) is _MISSING:
            fix = f"Give it: `{{{{ config({name}=...) }}}}`, or in the header."
            raise Refused(f"config.require({name!r}): it is not set", fix)
        return found

    def meta_get(self, name: str, default: Any = None, validator: Any = None) -> Any:
        return (self.get("meta") or {}).get(name, default)

    def persist_relation_docs(self) -> bool:
        return bool((self.get("persist_docs") or {}).get("relation"))

    def persist_column_docs(self) -> bool:
        return bool((self.get("persist_docs") or {}).get("columns"))


class TemplateVar:
    """``var`` in a template: the project's variables, and the model's own."""

    def __init__(self, template: ModelTemplate, asked: TemplateAsks) -> None:
        self._values, self._asked = own_copy(template.variables), asked

    def __call__(self, name: str, default: Any = _MISSING) -> Any:
        if self.has_var(name):
            return self._values[name]
        if default is _MISSING:
            fix = "Set it under `vars:` in dagster_models.yaml or in the header."
            if self._values:
                fix = f"{suggest(name, self._values, 'Variables')} {fix}"
            raise Refused(f"var({name!r}) has no value", fix)
        return default

    def has_var(self, name: str) -> bool:
        self._asked.about("var", name)
        return name in self._values


class TemplateTarget(Mapping[str, Any]):
    """``target`` in a template: that of the load."""

    def __init__(self, project: TemplateProject, asked: TemplateAsks) -> None:
        self._values, self._asked = project.target, asked

    def __getitem__(self, name: str) -> Any:
        self._asked.about("target", name)
        if name not in self._values:
            fix = f"Write `jinja: {{target: {{{name}: ...}}}}` into dagster_models.yaml."
            raise Refused(f"target.{name} is not known", fix)
        return own_copy(self._values[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        self._asked.about("target", name)
        return own_copy(self._values.get(name, default))

    def __iter__(self) -> Any:
        raise Refused("a template cannot loop over `target`", "Ask for its values by their names.")

    def __str__(self) -> str:
        raise Refused("a template cannot write all of `target`", "Write one of its values.")

    def __len__(self) -> int:
        return len(self._values)


def env_var_of(project: TemplateProject, asked: TemplateAsks) -> Callable[..., str]:
    def read(name: str, default: str | None = None) -> str:
        if name.startswith(SECRET) or name in project.secrets:
            what = f"env_var({name!r}) is a secret, and the text of a model is shown"
            fix = "Secrets belong to `targets:` in dagster_models.yaml."
            if name in project.secrets:
                fix = f"Write `${project.secrets[name]}`, without quotes, which each run fills in."
            raise Refused(what, fix)
        asked.about("env_var", name)
        value = project.environ.get(name, default)
        if value is None:
            fix = f"Set it, or give a default: `env_var('{name}', '...')`."
            raise Refused(f"env_var({name!r}): the variable is not set", fix)
        return str(value)

    return read


class Unknown:
    """A value that a load does not have: any use of it is refused."""

    def __init__(self, what: str, fix: str) -> None:
        self._what, self._fix = what, fix

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused(self._what, self._fix)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    __str__ = __html__ = __call__ = __getitem__ = __iter__ = __add__ = __sub__ = _refuse
    __bool__ = __eq__ = __lt__ = __gt__ = __len__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def unknown_values() -> dict[str, Unknown]:
    """The names of dbt whose values no load has."""
    each = "has another value in each run, and the template is rendered when it is loaded"
    return {
        "run_started_at": Unknown(f"run_started_at {each}", _STARTED),
        "invocation_id": Unknown(f"invocation_id {each}", "Delete it."),
        "graph": Unknown("`graph` is dbt's manifest, which a load does not have", "Write names."),
    }


class _Date(dt.date):
    @classmethod
    def today(cls) -> NoReturn:
        raise Refused("date.today() would be the day of the load", _CLOCK)


class _DateTime(dt.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> NoReturn:
        raise Refused("datetime.now() would be the moment of the load", _CLOCK)

    today = utcnow = now


def modules_without_clock(modules: SimpleNamespace) -> SimpleNamespace:
    """dbt's `modules`, whose datetime does not ask the clock."""
    own = {"date": _Date, "datetime": _DateTime}
    moments = SimpleNamespace(**{**vars(modules.datetime), **own})
    return SimpleNamespace(**{**vars(modules), "datetime": moments})
