"""A folder -> a Project. The only module of the core that reads files.

load() reads dagster_models.yaml, walks models/, scripts/, seeds/ and checks/, makes a draft of
each file (draft.py), and links them (link.py). Every problem on the way is collected, so that
one ProjectError has them all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from dagster_models.core.model import Key, Project, Source, StepKind
from dagster_models.errors import Problem, ProjectError
from dagster_models.project.config import Values, defaults_for, read_defaults
from dagster_models.project.draft import (
    CheckDraft,
    Draft,
    Page,
    draft_check,
    draft_sql,
    draft_unread,
)
from dagster_models.project.link import link
from dagster_models.project.python.draft import draft_python, draft_script
from dagster_models.project.python.imports import imported_code
from dagster_models.project.seed_draft import draft_seed
from dagster_models.project.settings import (
    PROJECT_FILE,
    Settings,
    read_settings,
)
from dagster_models.project.sources import read_sources
from dagster_models.project.trace import Built, Columns, Tracer, trace_each, trace_steps
from dagster_models.project.yaml.fields import NAME
from dagster_models.project.yaml.nodes import YamlNode, read_yaml
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.parsed_texts import ParsedTexts, Text

ParseAhead = Callable[[Sequence[Text], ParsedTexts], Iterable[int]]

FOLDERS = {"models": (".sql", ".py"), "seeds": (".csv",), "scripts": (".py",), "checks": (".sql",)}
SCHEMAS_FILE = os.path.join("target", "schemas.json")
SOURCE_FILES = ("sources.yaml", "sources.yml")
_SKIPPED = frozenset({"__pycache__"})


@dataclass(frozen=True, slots=True)
class _File:
    """A file found: its folders and stem below models/ (or seeds/, ...), and its ending."""

    path: str  #: relative to the root, with "/"
    parts: tuple[str, ...]
    ending: str


@dataclass(slots=True)
class _Loader:
    root: str
    texts: ParsedTexts
    problems: list[Problem] = field(default_factory=list)
    modules: dict[str, str | None] = field(default_factory=dict)  #: the texts of imported files

    def report(self, problem: Problem) -> None:
        self.problems.append(problem)


def load(
    root: str | os.PathLike[str],
    *,
    sources: Sequence[Source] = (),
    environ: Mapping[str, str] | None = None,
    texts: Mapping[Text, ParsedSql] | None = None,
    parse_ahead: ParseAhead = lambda texts, _: range(len(texts)),
    tracer: Tracer | None = trace_each,
    unknown_columns: str | None = None,
    whole: bool = True,
) -> Project:
    """The project in the folder *root*, resolved.

    ``sources``: what other Dagster assets offer, with ``asset_key`` set; those that nothing reads
    are left out. ``environ`` fills ``${NAME}`` of targets (default: the process's environment).
    ``texts``: those of a project that was loaded before (``Project.texts``).
    ``parse_ahead`` is called once with the texts of all .sql files, before the first is parsed,
    and with the ParsedTexts of this load. It yields the place of each text once, when it may be
    parsed, and by then may have put what it knows of it into ``ParsedTexts.known``.
    ``tracer`` finds out the columns of queries; None leaves them out, which is half of the work.
    ``unknown_columns`` goes before the project file's own.
    Raises ProjectError with all problems at once; warnings alone are in ``Project.warnings``. With
    ``whole=False`` so are the errors of single files: what other files say is right all the same.
    """
    loader = _Loader(os.path.abspath(root), ParsedTexts(texts or {}))
    node = _project_file(loader)
    settings = read_settings(
        node, loader.root, os.environ if environ is None else environ, loader.report
    )
    files = {folder: _walk(loader, folder) for folder in FOLDERS}
    if not os.path.isdir(os.path.join(loader.root, "models")) and node is not None:
        fix = "Create it: each .sql or .py file in it builds one table or view."
        loader.report(Problem("there is no models/ folder", "models", fix=fix))
    drafts, checks, declared = _read_all(loader, settings, files, parse_ahead)
    steps, known = link(
        drafts, checks, declared, sources, settings.unknown_references, loader.report
    )
    if tracer is not None:
        level = unknown_columns or settings.unknown_columns
        how = Columns(settings.dialect, level, loader.report, tracer)
        steps = trace_steps(steps, known, _built(loader.root), how)
    errors = [problem for problem in loader.problems if problem.severity == "error"]
    if errors and (whole or any("/" not in problem.path for problem in errors)):
        raise ProjectError(loader.problems)
    return Project(
        name=settings.name,
        root=loader.root,
        dialect=settings.dialect,
        targets=settings.targets,
        default_target=settings.default_target,
        steps=steps,
        sources=known,
        jobs=settings.jobs,
        schedules=settings.schedules,
        defaults=settings.defaults,
        warnings=ProjectError(loader.problems).problems,
        texts=loader.texts.known,
    )


def _built(root: str) -> dict[str, Built]:
    """What runs left in target/schemas.json (schemas.py writes it). It may be missing, cut or old:
    all that is lost then is knowledge of columns that the SQL alone does not give."""
    try:
        with open(os.path.join(root, SCHEMAS_FILE), encoding="utf-8") as file:
            return {
                name: Built(version, tuple((column, type_) for column, type_ in columns))
                for name, (version, columns) in json.load(file).items()
            }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


# --- reading files ---------------------------------------------------------------------------


def _project_file(loader: _Loader) -> YamlNode | None:
    if not os.path.isdir(loader.root):
        loader.report(Problem("there is no such folder", loader.root, fix="Check the path."))
        return None
    if not os.path.exists(os.path.join(loader.root, PROJECT_FILE)):
        fix = "Create it; the least is one line: `name: my_project`."
        loader.report(Problem(f"there is no {PROJECT_FILE} in this folder", PROJECT_FILE, fix=fix))
        return None
    read = _read(loader, PROJECT_FILE)
    return None if read is None else read_yaml(read[0], PROJECT_FILE, loader.report)


def _read(loader: _Loader, path: str) -> tuple[str, bytes] | None:
    """Text and bytes of a file, or None if it cannot be read or is empty (then it was told)."""
    try:
        with open(os.path.join(loader.root, path), "rb") as file:
            data = file.read()
    except OSError as error:
        fix = "Check the file's permissions, and where it links to."
        loader.report(Problem(f"cannot be read: {error.strerror}", path, fix=fix))
        return None
    if not data.strip():
        loader.report(Problem("the file is empty", path, fix="Fill it, or delete it."))
        return None
    try:
        return data.decode("utf-8-sig"), data
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        what = f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        loader.report(Problem(what, path, line, column, "Save the file as UTF-8."))
        return None


def _walk(loader: _Loader, folder: str) -> list[_File]:
    """The files below *folder* that the project may use, in the order of their paths."""
    found: list[_File] = []
    todo: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
    while todo:
        parts, above = todo.pop()
        path = "/".join((folder, *parts))
        real = os.path.realpath(os.path.join(loader.root, path))
        if real in above or not os.path.isdir(real):  # a link back to a folder around it
            continue
        try:
            names = sorted(os.listdir(real))
        except OSError as error:
            fix = "Check the folder's permissions."
            loader.report(Problem(f"cannot be read: {error.strerror}", path, fix=fix))
            continue
        for name in names:
            if name.startswith(".") or name in _SKIPPED:
                continue
            if os.path.isdir(os.path.join(real, name)):
                todo.append(((*parts, name), (*above, real)))
            elif (file := _file(path, parts, name)) is not None:
                found.append(file)
    return sorted(found, key=lambda file: file.path)


def _file(folder: str, parts: tuple[str, ...], name: str) -> _File | None:
    stem, ending = os.path.splitext(name)
    top = folder.split("/")[0]
    is_source = top == "models" and name in SOURCE_FILES
    is_helper = ending == ".py" and name.startswith("_")  # __init__.py, _shared.py
    if is_helper or not (is_source or ending.lower() in (*FOLDERS[top], ".yaml", ".yml")):
        return None
    return _File(f"{folder}/{name}", (*parts, stem), ending.lower())


def _read_all(
    loader: _Loader,
    settings: Settings,
    files: Mapping[str, Sequence[_File]],
    parse_ahead: ParseAhead,
) -> tuple[list[Draft], list[CheckDraft], list[Source]]:
    pages: list[tuple[str, _File, Page]] = []
    sources: list[Source] = []
    defaults = _defaults(loader, settings, files)
    for folder, found in files.items():
        for file in found:
            if file.ending in (".yaml", ".yml"):
                sources += _read_yaml_file(loader, folder, file)
                continue
            page = _page(loader, settings, folder, file, defaults.get(folder, {}))
            if page is not None:
                pages.append((folder, file, page))
    sql = {
        index: (page.text, settings.dialect, True)
        for index, (_, file, page) in enumerate(pages)
        if file.ending == ".sql" and page.data
    }
    order, others = list(sql), [index for index in range(len(pages)) if index not in sql]
    made: dict[int, Draft | CheckDraft | None] = {}
    ahead = parse_ahead(list(sql.values()), loader.texts)
    for index in chain((order[at] for at in ahead), others):
        folder, file, page = pages[index]
        made[index] = _draft(loader, settings, folder, file.ending, page)
    in_order = [made[index] for index in range(len(pages))]
    drafts = [draft for draft in in_order if isinstance(draft, Draft)]
    return drafts, [check for check in in_order if isinstance(check, CheckDraft)], sources


def _draft(
    loader: _Loader, settings: Settings, folder: str, ending: str, page: Page
) -> Draft | CheckDraft | None:
    if folder == "checks":
        return draft_check(page, settings, loader.texts, loader.report) if page.data else None
    if not page.data:
        kinds: dict[str, StepKind] = {"seeds": "seed", "scripts": "script"}
        return draft_unread(page, kinds.get(folder, "sql"), settings)
    if folder == "seeds":
        return draft_seed(page, settings, loader.report)
    if folder == "scripts":
        helpers = _helpers(loader, page)
        return draft_script(page, settings, loader.texts, helpers, loader.report)
    if ending == ".py":
        helpers = _helpers(loader, page)
        return draft_python(page, settings, loader.texts, loader.root, helpers, loader.report)
    return draft_sql(page, settings, loader.texts, loader.report)


def _defaults(
    loader: _Loader, settings: Settings, files: Mapping[str, Sequence[_File]]
) -> dict[str, dict[tuple[str, ...], Values]]:
    nodes = {"models": settings.models, "seeds": settings.seeds, "scripts": settings.scripts}
    result = {}
    for folder, node in nodes.items():
        places = {
            file.parts[:depth] for file in files[folder] for depth in range(1, len(file.parts) + 1)
        }
        kind = folder.removesuffix("s")
        result[folder] = read_defaults(node, kind, places, settings.name, loader.report)
    return result


def _read_yaml_file(loader: _Loader, folder: str, file: _File) -> list[Source]:
    if folder != "models" or file.path.rsplit("/", 1)[-1] not in SOURCE_FILES:
        fix = "Write a model's configuration in the comment at its head; sources in sources.yaml."
        what = "this file is not read"
        loader.report(Problem(what, file.path, fix=fix, severity="warning"))
        return []
    read = _read(loader, file.path)
    if read is None:
        return []
    return read_sources(read_yaml(read[0], file.path, loader.report), loader.report)


def _page(
    loader: _Loader,
    settings: Settings,
    folder: str,
    file: _File,
    defaults: Mapping[tuple[str, ...], Values],
) -> Page | None:
    names = file.parts if folder == "models" else file.parts[-1:]
    for name in (names[0], names[-1]):
        if not NAME.match(name):
            fix = "Rename it (a model's relation can be called otherwise by `alias:`)."
            what = f"`{name}` cannot be a name: it needs letters, digits and _ only"
            loader.report(Problem(what, file.path, fix=fix))
            return None
    layers = tuple(defaults_for(defaults, file.parts))
    read = _read(loader, file.path)
    key = _key(folder, file.parts, settings.schema)
    # A file that cannot be read still has a name that others may use.
    text, data = read if read is not None else ("", b"")
    return Page(file.path, key, text, data, layers)


def _key(folder: str, parts: tuple[str, ...], schema: str) -> Key:
    if folder in ("scripts", "checks"):
        return Key(folder, parts[-1])
    if len(parts) > 1:
        return Key(parts[0], parts[-1])
    return Key(schema if folder == "models" else folder, parts[-1])


def _helpers(loader: _Loader, page: Page) -> str:
    """The code of all modules of the project that the file imports, directly or through others."""
    own = page.path.rpartition("/")[0] + "/"
    folders = (own, "") if page.path.startswith("scripts/") else ("",)  # as in usercode.py

    def read(path: str) -> str | None:
        if path not in loader.modules:
            loader.modules[path] = _module(os.path.join(loader.root, path))
        return loader.modules[path]

    return imported_code(page.text, folders, read)


def _module(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8-sig", "replace")
    except OSError:
        return None
