"""Tags, owners, groups and other words for the reader, as Dagster accepts them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.project.remarks import Weight
from dagster_models.dbt.properties.header import ImportedHeader, accepted
from dagster_models.project.yaml import fields
from dagster_models.util.plain_names import plain_name


def label_keys(header: ImportedHeader, manifest: Manifest) -> None:
    """``tags``, ``group``, ``owner`` and ``meta``."""
    node = header.node
    tags, changed = tags_of(node.tags)
    if tags:
        header.values["tags"] = tags
    for old, new in changed.items():
        header.remark(f"the tag {old!r} is {new!r}, as Dagster takes it", Weight.NOTE)
    _group(header, manifest)
    meta = dict(node.meta)
    access = node.given.get("access") or node.config.get("access")
    if access not in (None, "protected"):
        meta.setdefault("access", access)
        header.remark(
            f"`access: {access}` is in `meta`: here any model reads any other", Weight.NOTE
        )
    if node.given.get("deprecation_date"):
        meta.setdefault("deprecation_date", str(node.given["deprecation_date"]))
    if meta:
        header.values["meta"] = meta
    for_dagster = meta.get("dagster")
    if isinstance(for_dagster, Mapping):
        _for_dagster(header, for_dagster)


def tags_of(tags: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The tags, and those that had to be written otherwise."""
    found, changed = [], {}
    for tag in dict.fromkeys(tags):
        ours = tag if accepted(fields.tags, tag) else re.sub(r"[^A-Za-z0-9_.-]+", "_", tag)[:63]
        if ours != tag:
            changed[tag] = ours
        found.append(ours)
    return list(dict.fromkeys(found)), changed


def _group(header: ImportedHeader, manifest: Manifest) -> None:
    name = header.node.given.get("group") or header.node.config.get("group")
    if not name:
        return
    header.values["group"] = plain_name(str(name))
    owner = next((it for it in manifest.groups.values() if it.text("name", "") == name), None)
    if owner is not None and (ours := owner_of(owner.mapping("owner"))):
        header.values["owner"] = ours


def owner_of(owner: Mapping[str, Any]) -> str:
    """An owner as Dagster takes it: the e-mail address, or else the name as a team."""
    emails = owner.get("email")
    email = emails[0] if isinstance(emails, list) and emails else emails
    if email and accepted(fields.owners, str(email)):
        return str(email)
    return f"team:{owner['name']}" if owner.get("name") else ""


def _for_dagster(header: ImportedHeader, meta: Mapping[str, Any]) -> None:
    """What dagster-dbt reads of `meta: dagster:`."""
    if meta.get("group"):
        header.values["group"] = plain_name(str(meta["group"]))
    owners = [it for it in meta.get("owners") or () if accepted(fields.owners, it)]
    if owners:
        header.values["owner"] = owners if len(owners) > 1 else owners[0]
    for key in meta:
        if key not in ("group", "owners"):
            header.remark(f"`meta: dagster: {key}` is metadata only", Weight.DIFFERS)
