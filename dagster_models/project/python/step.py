"""The Python files of a step: its own, and what it runs of the project's other modules.

A module that a file imports is run from top to bottom. A function of it is followed only where it
is mentioned, so that a step does not depend on what another one reads through the same module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dagster_models.errors import SqlSyntaxError
from dagster_models.project.python.held import ALONE, WRAPPED, Around, Held, Passing
from dagster_models.project.python.imports import Modules
from dagster_models.project.python.names import joined
from dagster_models.project.python.outline import ANY, REGISTRY, Mention, Outline, outline
from dagster_models.project.python.reads import (
    Parts,
    PythonFile,
    imports_of,
    parsed,
    read_part,
    read_python,
)

_Part = tuple[str, str]  #: the path of a file, and one of the parts of its outline


def read_step(
    path: str, source: str, modules: Modules, entry: str = "model"
) -> dict[str, PythonFile]:
    """What the file *path* of a step says, and what it runs of the project's modules, by path.
    *entry*: the function that the step calls.

    Raises SqlSyntaxError if *source* is not Python. A module that is none is left out: importing it
    fails.
    """
    others = {}
    for other, text in modules.imported(source).items():
        if other != path and _is_readable(text):
            others[other] = text
    if not others:
        return {path: read_python(source, entry)}
    texts = {path: source, **others}
    walk = _StepWalk(path, {name: outline(text) for name, text in texts.items()}, modules)
    parts = walk.parts()
    names = {name for file, text in texts.items() for name in _modules(file, text, modules)}
    around = Around(modules=frozenset(names), entry=entry)
    while True:  # what one file says about the warehouse may change what another one means
        files = {file: read_part(text, around, parts.get(file)) for file, text in texts.items()}
        known = _merged(around, files, texts, walk)
        if known == around:
            return files
        around = known


def _is_readable(text: str) -> bool:
    try:
        read_part(text, ALONE)
    except SqlSyntaxError:
        return False
    return True


def _modules(path: str, source: str, modules: Modules) -> dict[str, str]:
    """The imports of a file that are modules of the project, with their paths."""
    found = {name: modules.find(name, path) for name in imports_of(source)}
    return {name: at[0] for name, at in found.items() if at is not None and not at[1]}


def _merged(
    around: Around, files: Mapping[str, PythonFile], texts: Mapping[str, str], walk: _StepWalk
) -> Around:
    given = set(around.given)
    takes: set[Passing] = set(around.takes)
    for path, file in files.items():
        given |= file.around.given
        for name, place in file.passes:
            targets = list(walk.resolve(name, path))
            if targets and all(
                not rest and _takes(texts[at], part, place, around) for at, part, rest in targets
            ):
                takes.add((name, place))
                given |= {part for _, part, _ in targets if place != WRAPPED}
    return replace(
        around,
        given=frozenset(given),
        takes=frozenset(takes),
        stored=any(file.around.stored for file in files.values()),
        exporting=frozenset(
            name
            for path, text in texts.items()
            for name, at in _modules(path, text, walk.modules).items()
            if at in files and files[at].exports
        ),
    )


def _takes(source: str, part: str, place: int | str, around: Around) -> bool:
    """Whether a function or class of a module takes the warehouse there as its `warehouse`."""
    _, names = parsed(source)
    bindings = names.module.bindings.get(part, ())
    return len(bindings) == 1 and Held(names, around).takes(bindings[0].node, place)


@dataclass(frozen=True, slots=True)
class _StepWalk:
    """The walk from the step's own file *entry* to all parts of modules that it may run.

    A method is run if its class is used and anything of its name is.
    """

    entry: str
    outlines: Mapping[str, Outline]
    modules: Modules
    _certain: set[_Part] = field(default_factory=set)
    _possible: set[_Part] = field(default_factory=set)

    def parts(self) -> dict[str, Parts]:
        """The parts of each module. Those of the entry are left out: all of it counts."""
        start = [(self.entry, part) for part in self.outlines[self.entry].mentions]
        start += [(path, "") for path in self.outlines]
        self._follow(start, self._certain, certain=True)
        self._follow([*self._certain], self._possible, certain=False)
        return {
            path: Parts(_of(path, self._certain), _of(path, self._possible - self._certain))
            for path in self.outlines
            if path != self.entry
        }

    def _follow(self, todo: list[_Part], found: set[_Part], *, certain: bool) -> None:
        attributes: set[str] = set()
        waiting: dict[str, list[_Part]] = {}  # methods, by their names
        while todo:
            part = todo.pop()
            if part in found:
                continue
            found.add(part)
            path, name = part
            known = self.outlines[path]
            todo += self._mentioned(part, certain=certain)
            new = known.attributes[name] - attributes
            attributes |= new
            todo += [method for attribute in new for method in waiting.pop(attribute, ())]
            if REGISTRY in attributes and not certain:
                todo += [(at, one) for at, other in self.outlines.items() for one in other.classes]
            for method in known.methods(name):
                used = method in attributes or method.startswith("__")
                item = (path, f"{name}.{method}")
                (todo if used else waiting.setdefault(method, [])).append(item)
            if ANY in attributes and not certain:
                todo += [method for methods in waiting.values() for method in methods]

    def _mentioned(self, part: _Part, *, certain: bool) -> Iterator[_Part]:
        path, name = part
        for mention in self.outlines[path].mentions[name]:
            # What a module only lists, nobody may ever call: `LOADERS = {"a": load_a}`.
            listed = path != self.entry and not name and not mention.called
            targets = list(self.targets(mention, path))
            if not certain or (len(targets) == 1 and not listed):
                yield from targets

    def targets(self, mention: Mention, path: str) -> Iterator[_Part]:
        """The parts that a mention in the file *path* may mean; all of a module that is handed on
        as a whole."""
        if not mention.imported:
            yield path, mention.name
            return
        for module, part, _ in self.resolve(mention.name, path):
            for name in [part] if part else self.outlines[module].mentions:
                yield module, name

    def resolve(self, name: str, path: str) -> Iterator[tuple[str, str, str]]:
        """The module and the part that a dotted name in the file *path* may mean, and the rest of
        the name. The part is "" for a whole module."""
        seen: set[tuple[str, str]] = set()
        todo = [(name, path)]
        while todo:
            found = self.modules.find(*todo.pop())
            if found is None or found in seen or found[0] not in self.outlines:
                continue
            seen.add(found)
            module, rest = found
            known = self.outlines[module]
            first, _, tail = rest.partition(".")
            if first in known.mentions:
                yield module, first, tail
            elif known.imported.get(first):
                todo += [(".".join(filter(None, (n, tail))), module) for n in known.imported[first]]
            else:
                todo += [(joined(star, rest), module) for star in known.stars]
                if "__getattr__" in known.mentions:
                    yield module, "__getattr__", tail


def _of(path: str, parts: set[_Part]) -> frozenset[str]:
    return frozenset(name for at, name in parts if at == path)
