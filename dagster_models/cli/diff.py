"""``dagster-models diff [GIT_REF]``: what changed in meaning since a commit, what that touches."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster_models.core.model import Project, Step
from dagster_models.definitions.sql_function import run_sql_function
from dagster_models.errors import DagsterModelsError, ProjectError
from dagster_models.project.built_schemas import SCHEMAS_FILE
from dagster_models.project.compare import ALL, ColumnChange, Comparison, StepChange, compare
from dagster_models.project.compare import selection as selection_of
from dagster_models.project.load import load
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.util.nearest import nearest

#: What a load reads; data beside a project may be large.
_ENDINGS = (".sql", ".py", ".csv", ".yaml", ".yml")
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}


def diff(root: Path, ref: str) -> tuple[str, Comparison]:
    """The short name of the commit, and what changed since. The user's checkout stays untouched.

    Raises:
        DagsterModelsError: no git repository, no such commit, or one of the two does not load.
    """
    root = root.resolve()
    if not root.is_dir():
        raise DagsterModelsError(f"there is no folder {root}")
    top = Path(_git(root, "rev-parse", "--show-toplevel", told=_NO_REPOSITORY))
    commit = _commit(root, ref)
    new = _load(root, "the project as it is", root)
    with _checked_out(root, top, commit) as before:
        if not (before / PROJECT_FILE).is_file():
            old = Project(new.name, str(before), new.dialect, {}, new.default_target, {})
        else:
            old = _load(before, f"the project at {ref}", root, new.texts)
        return commit[:10], compare(old, new, _text)


def _load(folder: Path, what: str, caches: Path, texts: Mapping[Any, Any] | None = None) -> Project:
    try:
        return load(
            folder,
            run_sql_function=run_sql_function,
            texts=texts,
            unknown_columns="ignore",
            caches=caches,
        )
    except ProjectError as error:
        raise DagsterModelsError(f"{what} does not load: {error}") from error


def _text(project: Project, step: Step) -> str:
    path = Path(project.root, step.location.path)
    return path.read_text(encoding="utf-8-sig", errors="replace")


# --- git -------------------------------------------------------------------------------------

_NO_REPOSITORY = "the project is in no git repository, and diff compares it with a commit"
#: Set where git itself starts us, in a hook: of the repository's folder, and not of the project's.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def _commit(root: Path, ref: str) -> str:
    """The full name of the commit that *ref* means."""
    verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    found = _run(root, (*verify, f"{ref}^{{commit}}"), b"")
    if not found.returncode:
        return found.stdout.decode().strip()
    if _run(root, (*verify, "HEAD^{commit}"), b"").returncode:
        raise DagsterModelsError("the repository has no commit yet: commit first, then compare")
    told = f"git knows no commit {ref!r}"
    listed = _run(root, ("for-each-ref", "--format=%(refname:short)"), b"")
    names = listed.stdout.decode(errors="replace").split()
    if close := nearest(ref, names, 3):
        told += f"; did you mean {' or '.join(close)}?"
    shallow = _run(root, ("rev-parse", "--is-shallow-repository"), b"")
    if shallow.stdout.strip() == b"true":
        told += (
            "; this clone is shallow: `git fetch --unshallow` brings the commits before it "
            "(GitHub: `fetch-depth: 0` of actions/checkout)"
        )
    raise DagsterModelsError(told)


def _git(folder: Path, *arguments: str, told: str) -> str:
    done = _run(folder, arguments, b"")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DagsterModelsError(f"{told}" + (f" (git: {said})" if said else ""))
    return done.stdout.decode(errors="surrogateescape").rstrip("\n")


def _run(
    folder: Path, arguments: tuple[str, ...], given: bytes
) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environment = {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, input=given, env=environment, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise DagsterModelsError("git is not installed, and diff reads from it") from None


@contextmanager
def _checked_out(root: Path, top: Path, commit: str) -> Iterator[Path]:
    """The project's files at a commit, in a temporary folder.

    From the commit's own objects: `git archive` leaves out what attributes tell it to, and
    `git worktree` writes into the user's repository.
    """
    inside = root.relative_to(top.resolve()).as_posix()
    listed = _run(top, ("ls-tree", "-r", "-z", "--full-tree", commit, "--", inside), b"")
    entries = [line.partition(b"\t") for line in listed.stdout.split(b"\0") if line]
    files = {}
    for head, _, name in entries:
        mode, kind, blob = head.split()
        path = name.decode(errors="surrogateescape")
        if kind == b"blob" and mode != b"120000" and path.endswith(_ENDINGS):
            files[path] = blob
    with tempfile.TemporaryDirectory(prefix="dagster-models-") as folder:
        for path, content in zip(files, _blobs(top, list(files.values())), strict=True):
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        before = Path(folder, inside)
        _lend_schemas(root, before)
        yield before


def _blobs(top: Path, names: list[bytes]) -> Iterator[bytes]:
    output = _run(top, ("cat-file", "--batch"), b"".join(name + b"\n" for name in names)).stdout
    at = 0
    for _ in names:
        end = output.index(b"\n", at)
        size = int(output[at:end].split()[2])
        yield output[end + 1 : end + 1 + size]
        at = end + size + 2


def _lend_schemas(root: Path, before: Path) -> None:
    """What builds left is known by code version, so it holds for the older files too."""
    source, place = root / SCHEMAS_FILE, before / SCHEMAS_FILE
    if source.is_file() and before.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(source.read_bytes())


# --- telling ---------------------------------------------------------------------------------


def as_text(ref: str, commit: str, comparison: Comparison) -> str:
    if not comparison.changes:
        return f"No model changed in meaning since {ref} ({commit})."
    lines = [f"Since {ref} ({commit}): {_counted(comparison.changes)}", ""]
    for change in comparison.changes:
        lines += _change_lines(change)
    if comparison.affected:
        lines += ["", "Downstream of it:"]
        for key, columns in comparison.affected.items():
            told = "all of it" if ALL in columns else ", ".join(columns)
            lines.append(f"  {key}: {told}")
    return "\n".join(lines)


def _counted(changes: tuple[StepChange, ...]) -> str:
    counts = {kind: sum(change.kind == kind for change in changes) for kind in _SIGNS}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _change_lines(change: StepChange) -> Iterator[str]:
    was = f", was {change.was}" if change.was else ""
    yield f"{_SIGNS[change.kind]} {change.key} ({change.path}{was})"
    for column in change.columns:
        yield f"    {_column_line(column)}"
    if change.rows:
        yield "    ~ which rows there are"
    if change.whole:
        yield "    ~ its contents"


def _column_line(column: ColumnChange) -> str:
    types = f"{column.before or '?'} -> {column.after or '?'}"
    if column.kind == "added":
        return f"+ {column.name} {column.after}".rstrip()
    if column.kind == "removed":
        return f"- {column.name} {column.before}".rstrip()
    if column.kind == "type":
        return f"~ {column.name}: {types}"
    return f"~ {column.name}: its expression" + (
        f", {types}" if column.before != column.after else ""
    )


def as_json(ref: str, commit: str, comparison: Comparison) -> str:
    """Lists of changes and of what they touch; an affected step's columns are ``["*"]`` for all."""
    data: Mapping[str, Any] = {
        "ref": ref,
        "commit": commit,
        "changes": [
            {
                "model": str(change.key),
                "change": change.kind,
                "file": change.path,
                "was": str(change.was) if change.was else None,
                "rows": change.rows,
                "whole": change.whole,
                "columns": [
                    {"name": c.name, "change": c.kind, "before": c.before, "after": c.after}
                    for c in change.columns
                ],
            }
            for change in comparison.changes
        ],
        "affected": {str(key): list(columns) for key, columns in comparison.affected.items()},
        "selection": selection_of(comparison),
    }
    return json.dumps(data, indent=2)
