"""Copies of a dbt project and of its profile, in which dbt may write."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dagster_models.dbt.project.entry import BadDbtFile, read_yaml_file
from dagster_models.dbt.project.env_vars import from_environment
from dagster_models.dbt.project.manifest import Manifest

#: What a profile may say. Anything else may be another place in which dbt writes.
_KEYS = {
    "duckdb": {
        *("type", "path", "schema", "database", "threads", "extensions", "settings"),
        *("config_options", "keep_open", "retries", "disable_transactions"),
    },
    "postgres": {
        *("type", "host", "port", "user", "pass", "password", "dbname", "database", "schema"),
        *("threads", "keepalives_idle", "connect_timeout", "retries", "search_path", "role"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert"),
    },
}
#: Folders of a project, or of our project, which no run reads.
_LEFT = ("target", "logs", "node_modules")
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DbtProfile:
    """One target of profiles.yml, as it stands there. ``type`` is duckdb or postgres."""

    profile: str
    target: str
    output: Mapping[str, Any]

    @property
    def type(self) -> str:
        return str(self.output["type"])

    @property
    def path(self) -> str:
        """The path of a DuckDB file, with `env_var('X', 'default')` as `${X-default}`."""
        return str(from_environment(self.output.get("path") or ""))

    @property
    def database(self) -> str:
        """The name of a database on a server, written as `path` is; "" for a file."""
        if self.type == "duckdb":
            return ""
        return str(from_environment(self.output.get("dbname") or self.output.get("database") or ""))

    def on(self, database: str) -> dict[str, Any]:
        """The content of a profiles.yml with another database: a path, or a name."""
        key = "path" if self.type == "duckdb" else "dbname"
        output = {k: v for k, v in self.output.items() if k not in ("path", "dbname", "database")}
        return {
            self.profile: {
                "target": self.target,
                "outputs": {self.target: {**output, key: database}},
            }
        }


def read_profile(manifest: Manifest, file: Path | None, target: str) -> DbtProfile:
    """The profile of a project. *target*: the name of the target, if the profile has it; else the
    profile's own counts.

    Raises:
        BadDbtFile: there is none, or it may write elsewhere than in its database.
    """
    name = str(manifest.projects[manifest.project_name].given.values.get("profile"))
    path = file or manifest.root
    path = path / "profiles.yml" if path.is_dir() else path
    if not path.is_file():
        raise BadDbtFile(f"{path} is missing: name the file with --profiles")
    found = read_yaml_file(path).values.get(name)
    if not isinstance(found, Mapping) or not isinstance(found.get("outputs"), Mapping):
        raise BadDbtFile(f"{path} has no profile {name!r} with outputs")
    outputs = found["outputs"]
    chosen = target if target in outputs else str(found.get("target") or "default")
    output = outputs.get(chosen)
    if not isinstance(output, Mapping):
        raise BadDbtFile(
            f"{path}: the profile {name} has no output {chosen!r}: name one by --target"
        )
    known = _KEYS.get(str(output.get("type")))
    if known is None:
        raise BadDbtFile(
            f"{path}: {output.get('type')!r} cannot be copied: DuckDB and PostgreSQL can"
        )
    if strange := sorted(output.keys() - known):
        raise BadDbtFile(
            f"{path}: the output {chosen} has `{strange[0]}`, with which dbt may write outside"
            " of the copy: use a profile without it"
        )
    return DbtProfile(name, chosen, output)


def copy_project(root: Path, into: Path) -> None:
    """Copy what dbt, or a run of ours, reads of a project. Links stay links, to where they were."""

    def left(folder: str, names: list[str]) -> list[str]:
        return [it for it in names if _is_left(Path(folder, it), root)]

    shutil.copytree(root, into, symlinks=True, ignore=left)
    for folder, folders, files in os.walk(into):
        for name in (*folders, *files):
            link = Path(folder, name)
            if link.is_symlink():
                meant = (root / link.relative_to(into)).resolve()
                link.unlink()
                link.symlink_to(meant)


def rename_database(project: Path, old: str, new: str) -> None:
    """Let the YAML files and the Jinja of the SQL files of a copied project name the database *new*
    where they name *old*.

    PostgreSQL takes the name of another database than its session's for an error, and a copy has
    another name. What a link leads to is not of the copy, and stays as it is.
    """
    named = re.compile(
        rf"""((?:\b|[+_])database["']?\s*[:=]\s*)(["']?){re.escape(old)}\2(?=[\s,)}}#]|\Z)"""
    )
    replaced = rf"\g<1>\g<2>{new}\g<2>"
    for folder, _, files in os.walk(project):
        for path in (Path(folder, name) for name in files):
            if path.suffix not in (".yml", ".yaml", ".sql") or path.is_symlink():
                continue
            text = path.read_bytes().decode("utf-8", "surrogateescape")
            if path.suffix == ".sql":  # `where my_database = 'shop'` asks for rows
                changed = _JINJA.sub(lambda it: named.sub(replaced, it[0]), text)
            else:
                changed = named.sub(replaced, text)
            if changed != text:
                path.write_bytes(changed.encode("utf-8", "surrogateescape"))


def _is_left(path: Path, root: Path) -> bool:
    if path.parent == root and path.name in _LEFT:
        return True
    is_data = path.suffix in (".duckdb", ".db", ".wal")
    return path.name.startswith(".") or is_data or (path / "pyvenv.cfg").is_file()


def write_yaml(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
