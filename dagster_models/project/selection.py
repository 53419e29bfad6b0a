"""Selections: the words of dbt and the syntax of Dagster in one language, over any graph of names.

    stg_orders+  2+marts.orders  +marts.orders+1  stg_*  marts  models/marts  tag:nightly
    path:  file:  key:  tag:  group:  owner:  kind:  source:  changed  changed:HEAD~3  failed  *
    a b  a or b     union          a,b  a and b   intersection
    not a   (a b)+  sinks(a)  roots(a)

``parse`` makes a tree of a text, and ``select`` finds its names in a graph. A part of a selection
that matches nothing is an error with the nearest names, as it would otherwise be a misspelt name
that is left out in silence. ``changed`` and ``failed`` may match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import reduce
from typing import TypeAlias

from dagster_models.errors import SelectionError
from dagster_models.util.nearest import nearest


@dataclass(frozen=True, slots=True)
class Node:
    """What a selection may know of a step or asset. ``name`` identifies it in its graph, ``words``
    are the other names by which it may be called, and ``path`` is that of its file."""

    name: str
    words: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    path: str = ""
    folder: str = ""  #: its schema
    group: str = ""
    owners: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    is_source: bool = False  #: it is read, and nothing here builds it


@dataclass(frozen=True, slots=True)
class Facts:
    """What a selection may ask that no file says: names. ``changed`` is given a git ref, or ""."""

    changed: Callable[[str], Collection[str]]
    failed: Callable[[], Collection[str]]


@dataclass(frozen=True, slots=True)
class Leaf:
    method: str  #: "" for a bare name
    value: str
    text: str  #: as written


@dataclass(frozen=True, slots=True)
class Stretch:
    """``up`` and ``down``: how many levels; None for all."""

    of: Selection
    up: int | None
    down: int | None


@dataclass(frozen=True, slots=True)
class Both:
    of: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class Either:
    of: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class Not:
    of: Selection


@dataclass(frozen=True, slots=True)
class Ends:
    of: Selection
    sinks: bool


Selection: TypeAlias = Leaf | Stretch | Both | Either | Not | Ends

_WORDS = re.compile(r"\s+|(?:\"[^\"]*\"|[^\s,()\"])+|[,()]")
_UP, _DOWN = re.compile(r"(\d*)\+"), re.compile(r"\+(\d*)$")
_METHOD = re.compile(r"([a-z_.]+):(?=.)")
_FACTS = ("changed", "failed")
#: What dbt's users write -> what to write instead.
_OF_DBT = {
    "state": "changed, or changed:main",
    "result": "failed",
    "fqn": "the name alone",
    "resource_type": "kind:",
    "config.materialized": "kind:",
    "config.tags": "tag:",
    "config.schema": "the schema's name alone",
    "package": "path:",
}


def parse(text: str) -> Selection:
    """Raises SelectionError for a text that is not a selection."""
    parser = _Parser(text)
    found = parser.either()
    if parser.at < len(parser.words):
        raise _wrong(text, f"`{parser.words[parser.at]}` is not expected")
    return found


def select(nodes: Iterable[Node], text: str, facts: Facts | None, exclude: str = "") -> list[str]:
    """The names that *text* selects and *exclude* does not, in the order of the nodes; "" selects
    all. ``facts``: None where nobody can know them.

    Raises:
        SelectionError: a text is not a selection, or a part of it matches nothing. That together
            they match nothing is an error too, unless they say `changed` or `failed`.
    """
    graph = _Graph({node.name: node for node in nodes}, facts)
    found = graph.find(parse(text)) if text.strip() else set(graph.nodes)
    left = found - graph.find(parse(exclude)) if exclude.strip() else found
    if not left and not graph.asked:
        what = f"the selection `{text or '*'}` matches nothing"
        raise SelectionError(f"{what} that `{exclude}` does not exclude" if found else what)
    return [name for name in graph.nodes if name in left]


class _Parser:
    """Reads words into a tree: `or` and blanks bind least, then `and` and commas, then `not`."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        if "".join(_WORDS.findall(text)) != text:
            raise _wrong(text, "a quote is not closed")
        self.words = _WORDS.findall(text)

    def peek(self) -> str:
        """The next word that is not blank, "" at the end."""
        while self.at < len(self.words) and self.words[self.at].isspace():
            self.at += 1
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def either(self) -> Selection:
        found = [self.both()]
        while (word := self.peek()) not in ("", ")", ","):
            self.at += word == "or"
            found.append(self.both())
        return found[0] if len(found) == 1 else Either(tuple(found))

    def both(self) -> Selection:
        found = [self.one()]
        while self.peek() in ("and", ","):
            self.at += 1
            found.append(self.one())
        return found[0] if len(found) == 1 else Both(tuple(found))

    def one(self) -> Selection:
        word = self.take()
        if word == "not":
            return Not(self.one())
        opens = self.at < len(self.words) and self.words[self.at] == "("
        if word == "(" or (opens and word != ""):
            return self.group(word)
        if word in ("", ")", ",", "and", "or"):
            what = f"a name is missing before `{word}`" if word else "a name is missing at the end"
            raise _wrong(self.text, what)
        return self.leaf(word)

    def group(self, word: str) -> Selection:
        """`(a b)`, `2+(a)+`, `sinks(a)`: *word* comes before the parenthesis, or is it."""
        begins = "" if word == "(" else word
        if begins:
            self.at += 1
        inner = self.either()
        if self.take() != ")":
            raise _wrong(self.text, "a parenthesis is not closed")
        after = self.words[self.at] if self.at < len(self.words) else ""
        down = re.fullmatch(r"\+(\d*)", after)
        self.at += down is not None
        up = _UP.match(begins)
        name = begins[up.end() :] if up else begins
        if name not in ("", "sinks", "roots"):
            raise _wrong(self.text, f"`{name}(` is not known; there are sinks( and roots(")
        return _stretch(Ends(inner, name == "sinks") if name else inner, up, down)

    def leaf(self, word: str) -> Selection:
        up = _UP.match(word)
        plain = word[up.end() :] if up else word
        if down := _DOWN.search(plain):
            plain = plain[: down.start()]
        return _stretch(_leaf(plain, self.text), up, down)


def _stretch(of: Selection, up: re.Match[str] | None, down: re.Match[str] | None) -> Selection:
    return Stretch(of, _levels(up), _levels(down)) if up or down else of


def _levels(match: re.Match[str] | None) -> int | None:
    if match is None:
        return 0
    return int(match[1]) if match[1] else None


def _leaf(word: str, text: str) -> Leaf:
    if not word:
        raise _wrong(text, "a name is missing beside `+`")
    if word.startswith("@"):
        fix = f"{word[1:]}+ and what that needs is `+({word[1:]}+)`"
        raise _wrong(text, f"`@` is not known; {fix}")
    method = _METHOD.match(word)
    if method is None:
        plain = word.replace('"', "")
        return Leaf(plain, "", word) if plain in _FACTS else Leaf("", plain, word)
    return Leaf(method[1], word[method.end() :].replace('"', ""), word)


def _wrong(text: str, what: str) -> SelectionError:
    return SelectionError(f"`{text}` is not a selection: {what}")


class _Graph:
    """``asked``: whether the selection depends on what has changed or failed."""

    def __init__(self, nodes: Mapping[str, Node], facts: Facts | None) -> None:
        self.nodes, self.facts, self.asked = nodes, facts, False
        self._down: dict[str, list[str]] = {}
        for node in nodes.values():
            for name in node.upstream:
                self._down.setdefault(name, []).append(node.name)

    def find(self, selection: Selection) -> set[str]:
        if isinstance(selection, Leaf):
            return self._leaf(selection)
        if isinstance(selection, Stretch):
            found = self.find(selection.of)
            above = self._walk(found, lambda name: self.nodes[name].upstream, selection.up)
            below = self._walk(found, lambda name: self._down.get(name, ()), selection.down)
            return above | below
        if isinstance(selection, Not):
            return set(self.nodes) - self.find(selection.of)
        if isinstance(selection, Ends):
            return self._ends(self.find(selection.of), selection.sinks)
        parts = [self.find(part) for part in selection.of]
        joined = set.union if isinstance(selection, Either) else set.intersection
        return reduce(joined, parts)

    def _ends(self, found: set[str], sinks: bool) -> set[str]:
        """Those below (or above) which no other one is, whatever lies between."""

        def beside(name: str) -> Iterable[str]:
            return self.nodes[name].upstream if sinks else self._down.get(name, ())

        nearest_ones = {near for name in found for near in beside(name) if near != name}
        return found - self._walk(nearest_ones & self.nodes.keys(), beside, None)

    def _walk(
        self, found: set[str], beside: Callable[[str], Iterable[str]], levels: int | None
    ) -> set[str]:
        seen, last = set(found), set(found)
        while last and levels != 0:
            last = {near for name in last for near in beside(name) if near in self.nodes} - seen
            seen |= last
            levels = None if levels is None else levels - 1
        return seen

    def _leaf(self, leaf: Leaf) -> set[str]:
        if leaf.method in _FACTS:
            return self._known_elsewhere(leaf)
        if leaf.method == "" and leaf.value == "*":
            return set(self.nodes)
        if leaf.method == "":
            return self._named(leaf)
        values = _METHODS.get(leaf.method)
        if values is None:
            instead = _OF_DBT.get(leaf.method)
            known = ", ".join([*(f"{it}:" for it in _METHODS), *_FACTS])
            what = f"`{leaf.method}:` of `{leaf.text}` is not known"
            raise SelectionError(
                f"{what}: write {instead}" if instead else f"{what}; there are {known}"
            )
        wanted = leaf.value.lower().strip("/")
        given = {name: [it.lower() for it in values(node)] for name, node in self.nodes.items()}
        found = {name for name, its in given.items() if any(_like(it, wanted) for it in its)}
        if not found:
            every = {it for its in given.values() for it in its}
            raise _nothing(leaf.text, wanted, every, f"{leaf.method}:")
        return found

    def _named(self, leaf: Leaf) -> set[str]:
        wanted = leaf.value.lower()
        by_name = {node.name: [node.name, *node.words] for node in self.nodes.values()}
        for given in (
            by_name,
            {node.name: [node.folder] for node in self.nodes.values()},
            {node.name: _paths(node) for node in self.nodes.values()},
        ):
            found = {
                name for name, its in given.items() if any(_like(it.lower(), wanted) for it in its)
            }
            if found:
                return found
            wanted = wanted.strip("/").removeprefix("./")
        every = {it for its in by_name.values() for it in its}
        raise _nothing(leaf.text, wanted, every | {node.folder for node in self.nodes.values()})

    def _known_elsewhere(self, leaf: Leaf) -> set[str]:
        if self.facts is None:
            what = f"`{leaf.text}` is known when a run begins, and not when the project is loaded"
            raise SelectionError(f"{what}: write it in `dagster-models run`")
        self.asked = True
        ours = self.facts.failed() if leaf.method == "failed" else self.facts.changed(leaf.value)
        return {name for name in ours if name in self.nodes}


def _like(given: str, wanted: str) -> bool:
    if "[" in wanted or "*" in wanted or "?" in wanted:
        return fnmatchcase(given, wanted)
    return given == wanted


def _nothing(text: str, wanted: str, every: Collection[str], method: str = "") -> SelectionError:
    what = f"`{text}` matches nothing"
    if close := nearest(wanted, every, 3):
        names = " or ".join(method + it for it in close)
        return SelectionError(f"{what}; did you mean {names}?", suggested=True)
    known = sorted(it for it in every if it)[:10] if method else ()
    return SelectionError(f"{what}; there are {', '.join(known)}" if known else what)


def _paths(node: Node) -> list[str]:
    """The file, and each folder that it is in."""
    parts = node.path.split("/") if node.path else []
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _files(node: Node) -> list[str]:
    name = node.path.rpartition("/")[2]
    return [name, name.partition(".")[0]] if name else []


def _tags(node: Node) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in node.tags.items()]


_METHODS: Mapping[str, Callable[[Node], Iterable[str]]] = {
    "key": lambda node: [word for word in node.words if "/" in word] or [node.name],
    "tag": _tags,
    "path": _paths,
    "file": _files,
    "owner": lambda node: node.owners,
    "group": lambda node: [node.group] if node.group else [],
    "kind": lambda node: sorted(node.kinds),
    "source": lambda node: [node.name, *node.words, node.folder] if node.is_source else [],
}
