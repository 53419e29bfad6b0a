"""What a macro without arguments has returned to one text, for the next text that calls it.

Some projects ask a macro for all their settings in each model, and it takes longer than all else in
the text. Such a call is a function of what it asks: names of its context, values of `target` and
`var()`. So its first run is recorded. If another text gives each question the same answer, the
result is the same. The questions are asked again each time, so that they are noted for that text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import getitem
from typing import Any, TypeAlias

from jinja2.utils import Namespace, missing

#: The objects of one text whose answers can be compared with those of another's.
_ASKABLE = frozenset({"target", "var"})
_SCALARS = frozenset({str, int, float, bool, type(None)})
#: What all texts have, and one of them may change.
_MUTABLE = frozenset({dict, list, set})

_Question: TypeAlias = tuple[str, Callable[..., Any], tuple[Any, ...], tuple[type, ...]]
"""The name of what is asked, how, the arguments and their types (1 is True to Python)."""


class _NotCopied(Exception):
    """A value has a part that a copy would not have."""


@dataclass(frozen=True, slots=True)
class RepeatedCall:
    """``names``: what it found in its context by name; ``asked``: the type of what it asked, and
    the answer; ``called``: the unique_ids of the macros that it called, itself included."""

    value: Any
    names: Mapping[str, Any]
    asked: Mapping[_Question, tuple[type, Any]]
    called: frozenset[str]

    def holds(self, context: Mapping[str, Any]) -> bool:
        """Whether the call would find and be answered the same in this context."""
        if any(context.get(name, missing) is not it for name, it in self.names.items()):
            return False
        for (name, how, arguments, _), (kind, before) in self.asked.items():
            of = context.get(name)
            if type(of) is not kind:
                return False
            try:
                answer = how(of, *arguments)
            except Exception:  # which the call itself will raise
                return False
            if type(answer) is not type(before) or answer != before:
                return False
        return True

    def result(self) -> Any:
        """A value of its own for each caller, which may change it."""
        return _copied(self.value, set())


class Recording(Mapping[str, Any]):
    """A context that records what it is asked. ``shared``: what is the same for all texts of the
    package. ``is_whole``: nothing was asked so far that only this text can answer."""

    def __init__(self, context: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        self._context, self._shared = context, shared
        self.is_whole = True
        self._names: dict[str, Any] = {}
        self._asked: dict[_Question, tuple[type, Any]] = {}

    def of(self, value: Any, called: frozenset[str]) -> RepeatedCall | None:
        """The recorded call that has returned the value; None if it has to be called each time."""
        try:
            own = _copied(value, set())
        except _NotCopied:
            return None
        if not self.is_whole:
            return None
        # copies, as a macro that it has called and that is its caller, too, goes on asking here
        return RepeatedCall(own, self._names.copy(), self._asked.copy(), called)

    def answered(self, name: str, how: Callable[..., Any], *arguments: Any) -> Any:
        """What the context's object of that name answers."""
        of = self._context[name]
        answer = how(of, *arguments)
        if all(type(it) in _SCALARS for it in (answer, *arguments)):
            self._asked[name, how, arguments, (*map(type, arguments),)] = type(of), answer
        else:
            self.is_whole = False
        return answer

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 (it is that method)

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str) and name not in self._context:
            self._found(name, missing)
        return name in self._context

    def __getitem__(self, name: str) -> Any:
        value = self._context[name]
        if value is self._context:  # `context`
            return self
        if name in _ASKABLE and name not in self._shared:
            return _Asked(self, name)
        self._found(name, value)
        return value

    def _found(self, name: str, value: Any) -> None:
        self._names[name] = value
        if self._shared.get(name, missing) is not value or type(value) in _MUTABLE:
            self.is_whole = False

    def __iter__(self) -> Iterator[str]:
        self.is_whole = False
        return iter(self._context)

    def __len__(self) -> int:
        self.is_whole = False
        return len(self._context)

    def __getattr__(self, name: str) -> Any:
        """`context.update()` and its like."""
        self.is_whole = False
        return getattr(self._context, name)


class _Asked:
    """`target` or `var` of a context, whose answers are recorded."""

    def __init__(self, recording: Recording, name: str) -> None:
        self._recording, self._name = recording, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        how = partial(_call, **named) if named else _call
        return self._recording.answered(self._name, how, *arguments)

    def get(self, *arguments: Any) -> Any:
        return self._recording.answered(self._name, _get, *arguments)

    def __getitem__(self, name: Any) -> Any:
        return self._recording.answered(self._name, getitem, name)

    def __getattr__(self, name: str) -> Any:
        return self._recording.answered(self._name, getattr, name)

    def __str__(self) -> str:
        return str(self._recording.answered(self._name, str))


def _call(of: Any, *arguments: Any, **named: Any) -> Any:
    return of(*arguments, **named)


def _get(of: Any, *arguments: Any) -> Any:
    return of.get(*arguments)


def _copied(value: Any, met: set[int]) -> Any:
    """A copy. Raises _NotCopied, also where one object is two parts of the value."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if id(value) in met:
        raise _NotCopied
    met.add(id(value))
    if kind is list or kind is tuple:
        return kind(_copied(it, met) for it in value)
    if kind is dict:
        return {_copied(key, met): _copied(it, met) for key, it in value.items()}
    if kind is Namespace:  # which gives its attributes by name alone
        return Namespace(_copied(object.__getattribute__(value, "_Namespace__attrs"), met))
    raise _NotCopied
