"""Variables of a project: their types, and the values that come from outside of its files.

    vars:
      late_minutes: 15                                   # its type is that of the value
      first_day: {type: date, default: 2024-01-01, env: FIRST_DAY}
      regions: {type: [text], default: [emea]}
      api_key: {type: text, env: API_KEY, secret: true}  # never shown, and from there alone
      tenant: ${TENANT}                                  # an environment variable that must be set

What comes from outside goes before what files say: the environment, and before that what a run or
a command is given. A file's own value, in its header, goes before the project's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dagster_models.core.model import EMPTY, Location
from dagster_models.project.problems import Noted, Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, named_entries, read_mapping
from dagster_models.project.yaml.nodes import YamlNode, node_of, read_yaml
from dagster_models.util.environment import filled, names_in
from dagster_models.util.nearest import suggest

TYPES = ("text", "integer", "number", "boolean", "date", "timestamp")
_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class GivenText:
    """Values from outside, as YAML (or JSON): ``{name: value}``. ``origin`` is how a message names
    the place: ``--vars``, ``run config``."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Variables:
    """``values``: name -> value for all models; ``types``: of those that declare one; ``outside``:
    values that go before those of files; ``secrets``: name -> the environment variable that has its
    value; ``environ`` fills in ``${NAME}``."""

    values: Mapping[str, Any] = EMPTY
    types: Mapping[str, str] = EMPTY
    outside: Mapping[str, YamlNode] = field(default_factory=dict)
    secrets: Mapping[str, str] = EMPTY
    environ: Mapping[str, str] = field(default=EMPTY, compare=False, repr=False)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The texts that nobody is shown."""
        return tuple(str(self.values[name]) for name in sorted(self.secrets))

    def of_file(
        self, own: Mapping[str, Any], places: Mapping[str, Location], report: Report
    ) -> dict[str, Any]:
        """The values for a file whose header or folders set *own* ones."""
        found = {**self.values, **own}
        for name, value in own.items():
            place = places.get(name, Location("dagster_models.yaml"))
            type_ = self.types.get(name, "")
            node = _filled(name, node_of(value, place), self.environ, report, type_)
            unset = node.value is None and value is not None  # which is reported
            found[name] = None if unset else _typed_or_reported(name, node, type_, report)
            if name in self.secrets:
                fix = "Its value comes from the environment alone."
                report(problem(f"the variable `{name}` is a secret", place, fix))
            if name in self.outside:
                type_ = self.types.get(name) or type_of(value)
                found[name] = _typed_or_reported(name, self.outside[name], type_, report)
        return found

    def refuse_unknown(self, of_files: Iterable[Mapping[str, Any]], report: Report) -> None:
        """Report the given variables that no file knows."""
        known = set(self.values).union(*of_files)
        for name, node in self.outside.items():
            if name not in known:
                fix = suggest(name, known, "Variables") if known else "Declare it under `vars:`."
                report(problem(f"there is no variable `{name}`", node.place, fix))


def type_of(value: Any) -> str:
    """The type of a value; "" if it may have any."""
    if isinstance(value, (list, tuple)):
        types = {type_of(item) for item in value}
        if types <= {"integer", "number"} and len(types) == 2:
            types = {"number"}
        return f"[{types.pop()}]" if len(types) == 1 else "[]"
    if isinstance(value, bool):
        return "boolean"
    kinds = (("integer", int), ("number", float), ("text", str))
    found = next((name for name, kind in kinds if isinstance(value, kind)), "")
    if isinstance(value, dt.datetime):
        return "timestamp"
    return "date" if isinstance(value, dt.date) else found


def typed(value: Any, type_: str) -> Any:
    """The value as one of the type; "" and "[]" stand for any, and for a list of any.

    Raises ValueError if it is of another type.
    """
    if not type_:
        return value
    if type_.startswith("["):
        if not isinstance(value, (list, tuple)):
            raise ValueError
        return [typed(item, type_[1:-1]) for item in value]
    found = type_of(value)
    if found == type_ or (type_, found) == ("number", "integer"):
        return value
    if found == "text" and type_ == "date":  # JSON and run configs have no dates
        return dt.date.fromisoformat(value)
    if found == "text" and type_ == "timestamp":
        return dt.datetime.fromisoformat(value)
    raise ValueError


def _typed_or_reported(name: str, node: YamlNode, type_: str, report: Report) -> Any:
    value = node.plain()
    try:
        return typed(value, type_)
    except ValueError:
        said = fields.describe(node)
        what = f"the variable `{name}` is {type_}, and its value here is {said}"
        report(problem(what, node.place, "Write a value of that type."))
        return value


# --- reading ---------------------------------------------------------------------------------


def _type(node: YamlNode) -> str:
    inner = node.value
    if isinstance(inner, list) and len(inner) == 1:
        return f"[{fields.OneOf(*TYPES)(inner[0])}]"
    return fields.OneOf(*TYPES)(node)


KEYS: Mapping[str, Reader] = {
    "type": _type,
    "default": fields.as_is,
    "env": fields.text,
    "secret": fields.boolean,
    "description": fields.text,
}


def read_variables(
    node: YamlNode | None,
    environ: Mapping[str, str],
    given: GivenText | None,
    report: Report,
) -> Variables:
    """``vars:`` of the project file, with what the environment and *given* say."""
    values: dict[str, Any] = {}
    types: dict[str, str] = {}
    outside: dict[str, YamlNode] = {}
    secrets: dict[str, str] = {}
    for name, place, item in named_entries(node, "vars", report):
        if isinstance(item.value, dict):
            noted = Noted(report)
            found = read_mapping(item, KEYS, noted)
            if not noted.problems:
                _declared(name, place, found, environ, report, values, types, outside, secrets)
            values.setdefault(name, None)  # it is known, so its uses are not reported
        else:
            values[name] = _plain(name, _filled(name, item, environ, report), report)
    inferred = {name: type_of(value) for name, value in values.items()}
    for name, value_node in _given(given, report).items():
        if name in secrets:
            fix = "A run's config is shown: set the environment variable instead."
            report(problem(f"the variable `{name}` is a secret", value_node.place, fix))
            continue
        outside[name] = value_node
    for name, value_node in outside.items():
        if name in values or name in types:
            type_ = types.get(name) or inferred.get(name, "")
            values[name] = _typed_or_reported(name, value_node, type_, report)
    for name, value in values.items():
        if value is _MISSING:
            values[name] = None
            place = node.keys[name] if node is not None else Location("dagster_models.yaml")
            fix = "Give it a `default:`, set its environment variable (`env:`), or pass --vars."
            report(problem(f"the variable `{name}` has no value", place, fix))
    return Variables(values, types, outside, secrets, environ)


def _declared(
    name: str,
    place: Location,
    found: Mapping[str, Any],
    environ: Mapping[str, str],
    report: Report,
    values: dict[str, Any],
    types: dict[str, str],
    outside: dict[str, YamlNode],
    secrets: dict[str, str],
) -> None:
    """Put what `{type: ..., default: ..., env: ...}` says of a variable into the mappings."""
    default: YamlNode | None = found.get("default")
    type_ = found.get("type", "")
    values[name] = _MISSING
    if default is not None:
        known = _filled(name, default, environ, report, type_)
        plain = _plain(name, known, report)
        type_ = type_ or type_of(plain)
        given = known.value is not None or default.value is None  # else that is reported
        values[name] = _typed_or_reported(name, known, type_, report) if given else None
    if type_:
        types[name] = type_
    if found.get("secret"):
        secrets[name] = found.get("env", "")
        if default is not None or "env" not in found:
            fix = "Write `env: NAME`, and no `default:`: this file is not secret."
            report(problem(f"the variable `{name}` is a secret", place, fix))
    if "env" in found and found["env"] in environ:
        text = environ[found["env"]]
        try:
            outside[name] = node_of(_of_text(text, type_), place)
        except ValueError:
            said = "another value" if found.get("secret") else f"{text!r}"
            what = f"the variable `{name}` is {type_}, and the environment variable"
            report(problem(f"{what} {found['env']} holds {said}", place))
            values[name] = None if values[name] is _MISSING else values[name]


def _filled(
    name: str, node: YamlNode, environ: Mapping[str, str], report: Report, type_: str = ""
) -> YamlNode:
    """The value, in which `${NAME}` stands for the environment variable: as a value of the type, or
    of the one that its text has."""
    if isinstance(node.value, list):
        inner = type_[1:-1]
        every = [_filled(name, item, environ, report, inner) for item in node.value]
        return replace(node, value=every)
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    if unset := [it for it in names_in(node.value) if it not in environ]:
        what = f"the variable `{name}` needs the environment variable {', '.join(unset)}"
        fix = f"Set it, or write `{name}: {{default: ..., env: {unset[0]}}}`."
        report(problem(what, node.place, fix))
        return replace(node, value=None)
    text = filled(node.value, environ)
    try:
        return replace(node, value=_of_text(text, type_) if type_ else _value_of(text))
    except ValueError:
        report(problem(f"the variable `{name}` is {type_}, and `{node.value}` is not", node.place))
        return replace(node, value=None)


def _value_of(text: str) -> Any:
    """The value that a text plainly is. 007 is a text: as a number it would lose its zeros."""
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)", text, re.ASCII):
        return int(text)
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)\.\d+", text, re.ASCII):
        return float(text)
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(text)
    return text


def _of_text(text: str, type_: str) -> Any:
    """The value of an environment variable. Raises ValueError for one of another type."""
    if type_.startswith("["):
        return [_of_text(item.strip(), type_[1:-1]) for item in text.split(",") if item.strip()]
    if type_ == "integer" and re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        return int(text)
    if type_ == "number":
        return float(text)
    if type_ == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return typed(text, type_ or "text")


def _given(given: GivenText | None, report: Report) -> dict[str, YamlNode]:
    node = read_yaml(given.text, given.origin, report) if given is not None else None
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        report(problem("expected names and values", node.place, "Write `{name: value}`."))
        return {}
    for name, _, item in node.items():
        _plain(name, item, report)
    return dict(node.value)


def _plain(name: str, node: YamlNode, report: Report) -> Any:
    """The value; what cannot be written as SQL is reported."""
    try:
        return fields.variables(YamlNode({name: node}, node.place, {name: node.place}))[name]
    except BadValue as wrong:
        report(problem(f"`{name}`: {wrong.what}", wrong.place, wrong.fix))
        return wrong.rest[name]


def without_secrets(values: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
    """What user code that runs at load is given: what it returns is kept in caches."""
    return {name: value for name, value in values.items() if name not in variables.secrets}
