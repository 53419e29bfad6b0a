"""What the names in a text probably mean, before all files are read and the names are resolved.

    files ──> an order, upstream first ──> per text: what its names mean ──> its trace, if they do

A text can then be traced when it is parsed, with the same tree. Nothing rests on the guess but the
time of a load: ``trace_steps`` asks for each trace by all that decides it, and gets the one that
was made ahead only if the guess was right.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dagster_models.core.model import Key, Source, Step
from dagster_models.core.traced import Meant, Trace, Upstream
from dagster_models.project.built_schemas import BuiltSchema
from dagster_models.project.copied import is_copy
from dagster_models.project.drafts.step import key_of
from dagster_models.project.ephemeral import is_ephemeral
from dagster_models.project.files import ProjectFile
from dagster_models.project.function import is_function
from dagster_models.project.settings import Settings
from dagster_models.project.snapshot import with_own_columns
from dagster_models.project.trace import declared_schema, schema_of
from dagster_models.sql.dialects.table import dialect_of

#: A comment, or what is read (in a group), in lower case. A name that is missed, or is none, only
#: costs time. Each branch begins with a letter or a sign, so that all others are passed over.
_READ = re.compile(
    r"--[^\n]*|/\*.*?\*/"
    r"|from(?<=\bfrom)\s+([\w.\"`]+)|join(?<=\bjoin)\s+([\w.\"`]+)",
    re.DOTALL,
)
_QUOTES = str.maketrans("", "", '"`')


class Ahead:
    """The texts of one load, in an order in which each comes after those that it reads.

    ``ready`` holds the places of those whose turn it is. The reader takes them and says what it has
    found (``traced``), and ``drafted`` says what each file is.
    """

    def __init__(
        self, settings: Settings, sources: Iterable[Source], built: Mapping[str, BuiltSchema]
    ) -> None:
        self._schema, self._dialect, self._built = settings.schema, settings.dialect, built
        self._sources = tuple(sources)
        self._keys: dict[tuple[str, ...], set[Key]] = {}  #: by name, and by schema and name
        self._upstream: dict[Key, Upstream] = {}  #: what is known by now
        self._texts: Sequence[ProjectFile] = ()
        self._others: Sequence[ProjectFile] = ()
        self._drafted: list[Step] = []  #: those that have no text
        self._begun = False
        self._read: list[dict[str, Key | None]] = []  #: by each text; None: not of the project
        self._traces: dict[int, Trace] = {}
        self._waits: dict[int, int] = {}  #: text -> how many texts it still waits for
        self._readers: dict[int, list[int]] = {}
        self.ready: deque[int] = deque()

    def expect(self, texts: Sequence[ProjectFile], others: Sequence[ProjectFile]) -> None:
        """The files of the texts, and all others."""
        self._texts, self._others = texts, others

    def begin(self) -> None:
        """Put the texts in order. A load that finds nearly all texts in the cache does not."""
        self._begun, texts = True, self._texts
        for file in (*texts, *self._others):
            if file.folder in ("models", "seeds"):
                self._name(self._key_of(file))
        for source in self._sources:
            key = source.key
            schema = declared_schema(source.columns, self._dialect)
            self._upstream[key] = Upstream((key.schema, key.name), schema)
            self._name(key)
            self._name(key, *source.relation.folded)
        for step in self._drafted:
            self._know(step, None)
        at = {self._key_of(file): place for place, file in enumerate(texts)}
        for place, file in enumerate(texts):
            read = dict(self._meanings(file.text))
            self._read.append(read)
            before = {at[key] for key in read.values() if key in at} - {place}
            self._waits[place] = len(before)
            for other in before:
                self._readers.setdefault(other, []).append(place)
            if not before:
                self.ready.append(place)

    def _key_of(self, file: ProjectFile) -> Key:
        return key_of(file, self._schema)

    def _name(self, key: Key, *names: str) -> None:
        schema, name = names or (key.schema.lower(), key.name.lower())
        for parts in ((name,), (schema, name)):
            self._keys.setdefault(parts, set()).add(key)

    def _meanings(self, text: str) -> Iterator[tuple[str, Key | None]]:
        """The names after FROM and JOIN, each with its only meaning in the project, or with None if
        it has none."""
        read = {one or two for one, two in _READ.findall(text.lower())} - {""}
        for name in {found.translate(_QUOTES) for found in read}:
            meant = self._keys.get(tuple(name.split(".")[-2:]), ())
            if len(meant) < 2:
                yield name, next(iter(meant), None)

    def meant(self, place: int) -> Meant:
        """What the names in a text mean. Those that may mean something else are left out."""
        own, found = self._key_of(self._texts[place]), dict[str, Upstream | None]()
        if self._texts[place].folder == "checks":
            return {}  # its trace depends on the model that it checks
        for name, key in self._read[place].items():
            if key is None:
                found[name] = None
            elif key == own:
                found[name] = Upstream((key.schema, key.name))
            elif key in self._upstream:
                found[name] = self._upstream[key]
        return found

    def traced(self, place: int, trace: Trace | None) -> None:
        if trace is not None:
            self._traces[place] = trace

    def drafted(self, step: Step | None, place: int | None) -> None:
        """The step of a file, if it makes one. *place*: that of its text, if it has one."""
        if place is None and step is not None:
            self._drafted.append(step)
        if place is None or not self._begun:
            return
        trace = self._traces.pop(place, None)
        if step is not None and (is_copy(step) or trace is not None):
            self._know(step, trace)
        for reader in self._readers.get(place, ()):
            self._waits[reader] -= 1
            if self._waits[reader] == 0:
                self.ready.append(reader)

    def _know(self, step: Step, trace: Trace | None) -> None:
        if is_function(step) or step.kind == "script" or not step.config.enabled:
            return
        if trace is not None:
            word = dialect_of(self._dialect).own_type
            step = replace(step, trace=with_own_columns(step, trace, word))
        schema = schema_of(step, self._built.get(str(step.key)), self._dialect)
        inside = step.trace if is_ephemeral(step) else None
        self._upstream[step.key] = Upstream((step.key.schema, step.key.name), schema, inside)

    def release(self) -> bool:
        """Let a text have its turn that waits for one that waits for it. Whether there is one."""
        waiting = next((place for place, count in self._waits.items() if count > 0), None)
        if waiting is not None:
            self._waits[waiting] = 0
            self.ready.append(waiting)
        return waiting is not None
