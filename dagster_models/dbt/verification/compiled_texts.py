"""What dbt has compiled: by the import's manifest, and by other ones that the user names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dagster_models.dbt.project.entry import BadDbtFile, read_json
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.text.compiled import compiled_file


def compiled_texts(manifest: Manifest, more: Sequence[Path]) -> Mapping[str, Sequence[str]]:
    """The texts of each model and snapshot. *more*: a manifest.json, or a target folder of dbt.

    Raises:
        BadDbtFile: one of these is neither.
    """
    others = [_codes(it) for it in more]
    folders = [manifest.target, *filter(Path.is_dir, more)]
    nodes = (it for it in manifest.nodes.values() if it.kind in ("model", "snapshot"))
    return {it.unique_id: list(_texts(it, folders, others)) for it in nodes}


def _texts(
    node: DbtNode, folders: Sequence[Path], others: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    if node.language != "sql":
        return
    found = [node.compiled_code, *(it.get(node.unique_id) for it in others)]
    found += [compiled_file(node, it) for it in folders]
    yield from filter(None, found)


def _codes(place: Path) -> Mapping[str, str]:
    """The unique_id of each node -> its text in a manifest."""
    file = place / "manifest.json" if place.is_dir() else place
    if not file.is_file():
        if (place / "compiled").is_dir():
            return {}
        raise BadDbtFile(
            f"{place} is neither a manifest.json nor a target folder of dbt: name what `dbt compile"
            " --target-path FOLDER` has written"
        )
    nodes = read_json(file).entries("nodes")
    found = ((name, it.text_or_none("compiled_code")) for name, it in nodes)
    return {name: text for name, text in found if text}
