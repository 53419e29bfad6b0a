"""YAML in which every value knows its place in the file.

``yaml.safe_load`` forgets where a key was and lets a second one overwrite the first. So we take the
tree of nodes that it works on, and keep their marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dagster_models.core.model import Location
from dagster_models.errors import Problem
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml.jinja import is_relation, jinja_in

_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAG = "tag:yaml.org,2002:str"
# libyaml is ten times faster, but it is not everywhere, and words its errors in its own way. So it
# only reads, and the loader in pure Python words the errors (see _compose).
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A YAML value and its place: a scalar, a list of YamlNode, or a dict of str to YamlNode.

    ``keys`` holds the places of a dict's keys. ``is_block``: it is a text whose first line is below
    its place, which is that of `|` or `>`. ``written`` is the text of a scalar: 1.10 is not 1.1.
    ``repeated`` are the entries of a dict whose key it has already, which is an error.
    """

    value: Any
    place: Location
    keys: dict[str, Location] = field(default_factory=dict)
    is_block: bool = False
    written: str = field(default="", compare=False)
    repeated: tuple[tuple[str, Location, YamlNode], ...] = field(default=(), compare=False)

    def items(self) -> Iterator[tuple[str, Location, YamlNode]]:
        """The entries of a dict: key, its place, value."""
        return ((key, self.keys[key], item) for key, item in self.value.items())

    def plain(self) -> Any:
        """The value without places, as ``yaml.safe_load`` would give it (keys are all str)."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def node_of(value: Any, place: Location) -> YamlNode:
    """The node of a plain value, whose parts all have one place; ``plain`` is its inverse."""
    if isinstance(value, Mapping):
        items = {str(key): node_of(item, place) for key, item in value.items()}
        return YamlNode(items, place, dict.fromkeys(items, place))
    if isinstance(value, (list, tuple)):
        return YamlNode([node_of(item, place) for item in value], place)
    return YamlNode(value, place)


class _BadNode(Exception):
    """A node cannot be a value; becomes a Problem at the node's mark."""

    def __init__(self, what: str, fix: str, mark: Any) -> None:
        self.what, self.fix, self.mark = what, fix, mark


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where a piece of YAML is in its file: ``first`` is the line of the file of its first line."""

    path: str
    first: int
    indents: tuple[int, ...]  #: characters before each YAML line in the file's line

    def place(self, mark: Any) -> Location:
        line = getattr(mark, "line", 0)
        indent = self.indents[line] if line < len(self.indents) else 0
        return Location(self.path, self.first + line, getattr(mark, "column", 0) + 1 + indent)


def read_yaml(
    text: str, path: str, report: Report, *, first_line: int = 1, file_text: str | None = None
) -> YamlNode | None:
    """The one document in *text*. None if there is none, or if it is invalid, which is reported.

    ``first_line`` is the line of the text's first line in the file, and ``file_text`` the file
    around it: a header may be indented, or begin in the middle of a line.
    """
    placement = _Placement(path, first_line, _indents(text, first_line, file_text))
    try:
        node, loader = _compose(text)
        if node is None:
            return None
        found = _NodeBuilder(placement, loader, report).node(node)
        if "*" in text and _size(found, {}) > _MOST_VALUES:
            raise _BadNode(
                f"its aliases (`*name`) stand for more than {_MOST_VALUES:,} values",
                "Write it without so many aliases within aliases.",
                node.start_mark,
            )
        if _SUSPECT.search(text):
            _report_texts(found, report, set(), NOT_READ)
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if not _is_jinja_at(report, placement, text, error.context_mark, mark):
            _report_syntax(report, placement, str(error.problem or error.context), mark)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        place = Location(path, first_line + line, 1)
        what = f"the YAML contains a character that is not allowed (code {error.character})"
        report(
            Problem(what, path, place.line, place.column, "Delete it, or write it as an escape.")
        )
    except _BadNode as error:
        place = placement.place(error.mark)
        if not _is_jinja_at(report, placement, text, error.mark):
            report(Problem(error.what, path, place.line, place.column, error.fix))
    except RecursionError:
        report(
            Problem("the YAML is nested too deeply", path, first_line, 1, "Nest it less deeply.")
        )
    return None


#: The keys whose texts are SQL, wherever they are: who reads it reports Jinja in words of SQL.
_STATEMENTS = frozenset(
    {"pre_hook", "pre-hook", "post_hook", "post-hook", "pre_statements", "post_statements"}
    | {"loaded_at", "loaded_at_field", "loaded_at_query"}
)
#: The same of what is said of a check or a source's freshness.
CONDITIONS = frozenset(
    {"where", "filter", "row_condition", "from_condition", "to_condition", "to_where"}
    | {"other_where", "compare_row_condition", "expression", "sql"}
)
#: The keys of a unit test that hold data, and SQL, which have a reader of their own.
_ROWS = frozenset({"given", "expect", "since", "partition"})
#: Sections of dbt's files of which nothing is read.
NOT_READ = frozenset(
    {"exposures", "macros", "analyses", "groups", "metrics", "semantic_models", "saved_queries"}
)


#: What a file has that may have a value which says something else than is written.
_SUSPECT = re.compile(r"\{|\\[xuU0]|(?<![\w.])0\d|\d:\d")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_MOST_VALUES = 1_000_000


def _size(node: YamlNode, known: dict[int, int]) -> int:
    """How many values a node has, if each alias is written out."""
    if id(node) not in known:
        items = node.value.values() if isinstance(node.value, dict) else node.value
        nested = isinstance(node.value, (dict, list))
        known[id(node)] = 1 + (sum(_size(item, known) for item in items) if nested else 0)
    return known[id(node)]


def _report_texts(
    node: YamlNode,
    report: Report,
    seen: set[int],
    left_out: frozenset[str] = frozenset(),
    in_check: bool = False,
) -> None:
    """Report the values that are not what their writer means: Jinja, which nothing renders, numbers
    of another base, and characters that nothing takes. A check (an entry of a list, with one key)
    may name a relation as dbt does: `{{ ref('orders') }}`, with nothing beside it."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node.value, dict):
        left_out |= _STATEMENTS | (CONDITIONS if in_check else frozenset())
        left_out |= _ROWS if "model" in node.value else frozenset()
        for key, item in node.value.items():
            _report_text(key, node.keys.get(key, node.place), report)
            relation = in_check and isinstance(item.value, str) and is_relation(item.value)
            if key not in left_out and not relation:
                _report_texts(item, report, seen, in_check=in_check or key == "freshness")
    elif isinstance(node.value, list):
        for item in node.value:
            one = isinstance(item.value, dict) and len(item.value) == 1
            _report_texts(item, report, seen, in_check=in_check or one)
    elif isinstance(node.value, str):
        _report_text(node.value, node.place, report)
    elif isinstance(node.value, (int, float)) and (why := _other_number(node)):
        what = f"{node.written} is {node.value} in YAML, where {why}"
        fix = f"Put it in quotes if it is a text or a time, else write {node.value}."
        report(problem(what, node.place, fix))


def _report_text(text: str, place: Location, report: Report) -> None:
    if (found := jinja_in(text)) is not None:
        severity = "error" if found.is_error else "warning"
        report(problem(found.what, place, found.fix, severity))
    if (character := _UNSENDABLE.search(text)) is not None:
        what = f"the text has a character that cannot be written (code {ord(character[0])})"
        fix = "Write the character itself, or `\\U` and its eight digits, or delete it."
        report(problem(what, place, fix))


def _other_number(node: YamlNode) -> str:
    """Why a number is not the one that is written in decimals; "" if it is."""
    if ":" in node.written:
        return "such a number has the base 60"
    if _OCTAL.fullmatch(node.written) and int(node.written) != node.value:
        return "a number that begins with 0 is octal"
    return ""


def _is_jinja_at(report: Report, placement: _Placement, text: str, *marks: Any) -> bool:
    """Report the Jinja that begins in the line of one of the marks: without quotes it is no YAML.
    Returns whether there is any."""
    lines = text.split("\n")
    for line in (mark.line for mark in marks if mark is not None):
        found = jinja_in("\n".join(lines[line:]))
        if found is None or not found.is_error or found.offset >= len(lines[line]):
            continue
        before = lines[line][: found.offset]
        if before.count('"') % 2 == before.count("'") % 2 == 0:  # in quotes it is no bad YAML
            mark = yaml.Mark("", 0, line, found.offset, None, 0)
            report(problem(found.what, placement.place(mark), found.fix))
            return True
    return False


def _compose(text: str) -> tuple[yaml.Node | None, Any]:
    try:
        loader = _FAST(text)
        return loader.get_single_node(), loader
    except yaml.YAMLError:
        loader = yaml.SafeLoader(text)
        return loader.get_single_node(), loader


def _report_syntax(report: Report, placement: _Placement, problem: str, mark: Any) -> None:
    place = placement.place(mark)
    fix = "Check the indentation, the colons and the quotes near this place."
    if "'\\t'" in problem:
        problem = "a tab cannot indent YAML"
        fix = "Indent with spaces."
    elif "mapping values" in problem:
        fix = "Put a text that holds `: ` in quotes."
    elif "document" in problem:
        problem = "it holds more than one document"
        fix = "Write one document only: delete the `---` between them."
    report(Problem(f"bad YAML: {problem}", placement.path, place.line, place.column, fix))


def _indents(text: str, first_line: int, file_text: str | None) -> tuple[int, ...]:
    if file_text is None:
        return ()
    lines = text.split("\n")
    around = file_text.split("\n", first_line - 1 + len(lines))[first_line - 1 :]
    return tuple(
        max(outer.find(inner.rstrip("\r")), 0) for inner, outer in zip(lines, around, strict=False)
    )


def _refuse_tag(node: yaml.Node, sort: str) -> None:
    if node.tag != f"tag:yaml.org,2002:{sort}":
        raise _unknown_tag(node)


def _unknown_tag(node: yaml.Node) -> _BadNode:
    fix = "Use plain YAML values: text, numbers, true or false, lists, mappings."
    return _BadNode(f"unknown YAML tag {node.tag}", fix, node.start_mark)


class _NodeBuilder:
    """Builds YamlNodes of yaml's nodes. It remembers what it has built, so aliases stay cheap."""

    def __init__(self, placement: _Placement, loader: Any, report: Report) -> None:
        self.placement, self.loader, self.report = placement, loader, report
        self.built: dict[int, YamlNode] = {}
        self.open: set[int] = set()

    def node(self, node: yaml.Node) -> YamlNode:
        found = self.built.get(id(node))
        if found is None:
            found = self._scalar(node) if isinstance(node, yaml.ScalarNode) else self._nested(node)
            self.built[id(node)] = found
        return found

    def _nested(self, node: yaml.Node) -> YamlNode:
        if id(node) in self.open:
            raise _BadNode("an anchor contains itself", "Write the value out.", node.start_mark)
        self.open.add(id(node))
        place = self.placement.place(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            _refuse_tag(node, "map")
            found = self._mapping(node, place)
        else:
            _refuse_tag(node, "seq")
            found = YamlNode([self.node(item) for item in node.value], place)
        self.open.discard(id(node))
        return found

    def _scalar(self, node: yaml.ScalarNode) -> YamlNode:
        place = self.placement.place(node.start_mark)
        try:
            plain = node.tag == _TEXT_TAG  # nearly every scalar
            value = node.value if plain else self.loader.construct_object(node)
            return YamlNode(value, place, is_block=node.style in ("|", ">"), written=node.value)
        except yaml.constructor.ConstructorError:
            raise _unknown_tag(node) from None
        except (ValueError, OverflowError) as error:  # e.g. the date 2013-02-31
            fix = "Put the text in quotes if it is not meant as a date or number."
            shown = node.value if len(node.value) <= 40 else f"{node.value[:40]}..."
            why = str(error).partition(";")[0]
            raise _BadNode(f"bad value {shown!r}: {why}", fix, node.start_mark) from None

    def _mapping(self, node: yaml.MappingNode, place: Location) -> YamlNode:
        items: dict[str, YamlNode] = {}
        keys: dict[str, Location] = {}
        merged: list[YamlNode] = []
        repeated: list[tuple[str, Location, YamlNode]] = []
        for key_node, value_node in node.value:
            at = self.placement.place(key_node.start_mark)
            if key_node.tag == _MERGE_TAG:
                other = self.node(value_node)
                merged += other.value if isinstance(other.value, list) else [other]
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise _BadNode(
                    "a key must be a single word", "Write `key: value`.", key_node.start_mark
                )
            # The raw text: `on`, `no` and `1` are names here, not booleans and numbers.
            key = key_node.value
            if key in items:
                what = f"`{key}` is written twice (first on line {keys[key].line})"
                fix = "Keep one of the two; YAML would silently drop the first."
                self.report(Problem(what, self.placement.path, at.line, at.column, fix))
                repeated.append((key, at, self.node(value_node)))
                continue
            items[key], keys[key] = self.node(value_node), at
        for other in merged:
            if not isinstance(other.value, dict):
                raise _BadNode("`<<` merges mappings only", "Name a mapping.", node.start_mark)
            items = {**other.value, **items}
            keys = {**other.keys, **keys}
        return YamlNode(items, place, keys, repeated=tuple(repeated))
