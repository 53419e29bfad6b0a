"""YAML files beside models, in dbt's shape: sources, and what is said of models and seeds. (Their
unit tests are read by ``unit_tests.read``.)

version: 2
models:
  - name: orders              # or marts.orders, where two models have the name
    description: One row per order.
    config: {materialized: table, tags: [nightly]}
    columns:
      - {name: id, data_tests: [unique, not_null]}

The header of a model's own file goes before it, and it goes before the defaults of folders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dagster_models.core.model import EMPTY, Location
from dagster_models.errors import Problem
from dagster_models.project.checks.keys import WORDS
from dagster_models.project.config import DEFAULT_KEYS, HEADER_KEYS, LATER, Values, merge
from dagster_models.project.files import ProjectFile
from dagster_models.project.lost_yaml import is_hidden, words_in, words_of
from dagster_models.project.problems import Report, concerning, errors_of, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode, read_yaml
from dagster_models.util.nearest import nearest

#: Key of a YAML file -> the folder of the files that its entries describe.
FOLDERS = {"models": "models", "snapshots": "models", "seeds": "seeds"}
READERS: Mapping[str, Mapping[str, Reader]] = {
    "models": HEADER_KEYS["models"],
    "seeds": DEFAULT_KEYS["seeds"],
}
IDLE = {
    "exposures": "Nothing reads exposures: a Dagster asset that reads a model shows the same.",
    "macros": "There are no macros: a query that is generated is a `def sql(vars)`.",
    "analyses": "There are no analyses.",
    "groups": "Write `group: name` and `owner:` in the models.",
    "metrics": "There are no metrics.",
    "semantic_models": "There are no semantic models.",
    "saved_queries": "There are no saved queries.",
}
UNIT_TESTS = "unit_tests"
#: The keys of a file that have an effect.
FILE_KEYS = ("version", "sources", UNIT_TESTS, *FOLDERS)
#: Words of dbt in an entry that would change nothing here.
IDLE_IN_ENTRIES = ("docs", "access", "latest_version", "deprecation_date")
#: What `Described.described_at` says of the places of sources, and of those of unit tests.
SOURCES, TESTS = ":sources", ":unit_tests"
#: The keys whose entries are added to those of the header, column by column.
NODES = ("columns", *WORDS)


@dataclass(frozen=True, slots=True)
class Described:
    """``layers``: path of a model or seed -> what YAML files say of it. ``sources`` are the files'
    own nodes, in which they are read later. ``starts``: path of a YAML file -> where its entries
    and keys begin, in order, each with what it is about. ``texts`` are those of the YAML files.
    ``hidden``: the files with a part that is lost and does not show which models it is about."""

    layers: Mapping[str, Values] = field(default_factory=dict)
    sources: tuple[YamlNode, ...] = ()
    starts: Mapping[str, Sequence[tuple[int, int, str]]] = EMPTY
    texts: Mapping[str, str] = EMPTY
    hidden: frozenset[str] = frozenset()

    def described_at(self, error: Problem) -> str:
        """The path of the file that the entry at this place describes, SOURCES or TESTS; "" if it
        is in none of them, and so concerns the whole YAML file."""
        starts = self.starts.get(error.path, ())
        index = bisect_right(starts, (error.line, error.column, chr(0x10FFFF)))
        return starts[index - 1][2] if index else ""

    def unread(self, problems: Iterable[Problem]) -> dict[str, frozenset[str]]:
        """The YAML files in which a source may be lost, with the names that they may declare."""
        places = ("", SOURCES)
        wrong = (it.path for it in errors_of(problems) if self.described_at(it) in places)
        return {path: self.names_in(path) for path in wrong if path in self.texts}

    def names_in(self, path: str) -> frozenset[str]:
        """The names that a YAML file may be about, whatever is wrong in it, in lower case."""
        return words_of(self.texts.get(path, ""))


def read_described(
    files: Sequence[ProjectFile], yaml_files: Sequence[ProjectFile], report: Report
) -> Described:
    """What the YAML files say. *files* are those of models and seeds. Problems are reported."""
    reader = _Reader(files, report)
    for file in yaml_files:
        node = read_yaml(file.text, file.path, report) if file.data else None
        if node is not None:
            reader.read(node)
        elif is_hidden(file.text, reader.names):
            reader.hidden.add(file.path)
    texts = {file.path: file.data.decode("utf-8", "replace") for file in yaml_files}
    starts = {path: sorted(found) for path, found in reader.starts.items()}
    hidden = frozenset(reader.hidden)
    return Described(reader.layers, tuple(reader.sources), starts, texts, hidden)


class _Reader:
    def __init__(self, files: Sequence[ProjectFile], report: Report) -> None:
        self._report, self._every = report, files
        self.layers: dict[str, Values] = {}
        self.sources: list[YamlNode] = []
        self.starts: dict[str, list[tuple[int, int, str]]] = {}
        self.hidden: set[str] = set()
        self._places: dict[str, Location] = {}

    @cached_property
    def _files(self) -> Mapping[tuple[str, str], list[ProjectFile]]:
        """The files by folder and name in lower case."""
        found: dict[tuple[str, str], list[ProjectFile]] = {}
        for file in self._every:
            found.setdefault((file.folder, file.name.lower()), []).append(file)
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """All names by which an entry may mean a file."""
        return frozenset(name for file in self._every for name in _names_of(file))

    def read(self, node: YamlNode) -> None:
        """Read a file."""
        if not isinstance(node.value, dict):
            read_mapping(node, {}, self._report)  # reports that it is no mapping
            self._lose(node)
            return
        meant = (bool(_items(item)) and nearest(key, FILE_KEYS) for key, _, item in node.items())
        if not {*FILE_KEYS[1:], *IDLE}.intersection(node.value) and not any(meant):
            fix = "It describes neither `models:`, `seeds:` nor `sources:`."
            self._report(problem("this file is ignored", node.place, fix, "warning"))
            return
        kept = {}
        for _, place, item in node.repeated:  # which is an error already
            self._start(place)
            self._lose(item)
        for key, place, item in node.items():
            self._start(place, {"sources": SOURCES, UNIT_TESTS: TESTS}.get(key, ""))
            if key in FOLDERS:
                self._entries(key, item)
            elif key in IDLE:
                self._report(problem(f"`{key}` is not read", place, IDLE[key], "warning"))
            elif key in ("version", "sources"):
                kept[key] = item
            elif key == UNIT_TESTS:
                continue  # the commands that run them read them
            else:
                self._report(fields.unknown_key(key, place, (*FILE_KEYS, *IDLE)))
                self._lose(item)
        if "sources" in kept:
            for source in _items(kept["sources"]):
                self._start(source.place, SOURCES)
            self.sources.append(YamlNode(kept, node.place, node.keys))

    def _lose(self, node: YamlNode) -> None:
        """Nobody reads this part of a file, and an error says so."""
        words = words_in(node)
        if words and words.isdisjoint(self.names):
            self.hidden.add(node.place.path)

    def _start(self, place: Location, path: str = "") -> None:
        self.starts.setdefault(place.path, []).append((place.line, place.column, path))

    def _entries(self, key: str, node: YamlNode) -> None:
        if node.value is not None and not isinstance(node.value, list):
            what = f"`{key}`: expected a list, got {fields.describe(node)}"
            self._report(problem(what, node.place, "Begin each entry with `- name: ...`."))
            self._lose(node)
        for item in _items(node):
            name = item.value.get("name") if isinstance(item.value, dict) else None
            if name is None or not isinstance(name.value, str):
                self._start(item.place)
                what, fix = f"an entry of `{key}` has no name", "Write `- name: ...`."
                if name is not None and name.value is not None:
                    what = f"the name of an entry of `{key}` is {fields.describe(name)}"
                    fix = "Write a text, in quotes if YAML takes it for something else."
                self._report(problem(what, item.place, fix))
                self._lose(item)
                continue
            file = self._file_named(name, FOLDERS[key])
            self._start(item.place, file.path if file is not None else "")
            if file is not None:
                self._entry(item, file)

    def _file_named(self, name: YamlNode, folder: str) -> ProjectFile | None:
        """The file of that name; of several, the one below the folder of the YAML file."""
        *schema, stem = name.value.lower().split(".")
        found = self._files.get((folder, stem), [])
        found = [file for file in found if not schema or schema == [file.parts[0].lower()]]
        if len(found) > 1:
            here = name.place.path.rpartition("/")[0]
            found = [file for file in found if file.path.startswith(f"{here}/")] or found
        if len(found) == 1:
            return found[0]
        if found:
            what = f"`{name.value}` may be {' or '.join(file.path for file in found)}"
            fix = "Write its schema too: `name: schema.name`."
            others = tuple(file.path for file in found)
            self._report(problem(what, name.place, fix, others=others))
            return None
        close = nearest(name.value, [stem for of, stem in self._files if of == folder])
        fix = f"Did you mean `{close[0]}`?" if close else "Delete the entry, or add the file."
        what = f"`{name.value}` is no file of {folder}/, so what is said here is of nothing"
        self._report(problem(what, name.place, fix, "warning"))
        return None

    def _entry(self, node: YamlNode, file: ProjectFile) -> None:
        readers, report = READERS[file.folder], concerning(file.path, self._report)
        first = self._places.setdefault(file.path, node.place)
        if first is not node.place:
            what = f"{file.path} is described twice, first at {first}"
            report(problem(what, node.place, "Delete one of the two entries."))
            return
        layers = []
        for part in _parts(node):
            if not isinstance(part.value, dict):
                read_mapping(part, {}, report)  # reports that it is no mapping
                continue
            for word in IDLE_IN_ENTRIES:
                if word in part.value and word not in readers:
                    what = f"`{word}` has no effect"
                    report(problem(what, part.keys[word], "Delete the key.", "warning"))
            kept = {key: item for key, item in part.value.items() if key not in IDLE_IN_ENTRIES}
            layer = read_mapping(YamlNode(kept, part.place, part.keys), readers, report, LATER)
            if "vars" in layer:
                layer["places_of_vars"] = {name: at for name, at, _ in kept["vars"].items()}
            layers.append(layer)
        self.layers[file.path] = merge(layers)


def _names_of(file: ProjectFile) -> tuple[str, str]:
    """How an entry may name a file."""
    return file.name.lower(), f"{file.parts[0]}.{file.name}".lower()


def _items(node: YamlNode) -> list[YamlNode]:
    return node.value if isinstance(node.value, list) else []


def _parts(node: YamlNode) -> Iterator[YamlNode]:
    """What an entry says in dbt's `config:`, and what it says beside that, which goes before it."""
    if (config := node.value.get("config")) is not None and config.value is not None:
        yield config
    rest = {key: item for key, item in node.value.items() if key not in ("name", "config")}
    yield YamlNode(rest, node.place, node.keys)
