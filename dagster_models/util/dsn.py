"""Database servers as their settings name them: read without a driver, told without a secret.

A setting that may hold a password stays as it is written (``${DATABASE_URL}``) until the process
that connects fills it in from its own environment: so no password crosses between processes, and
none stands in Dagster's metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.environment import filled, names_in

_URL = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s'\\])*)\s*", re.DOTALL)
_NO_PART_OF_A_NAME = re.compile(r"[^\w.@-]+", re.ASCII)


def from_environment(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with ``${NAME}`` filled in. Raises WarehouseError where one is not set."""
    unset = [n for v in settings.values() for n in names_in(v) if n not in os.environ]
    if unset:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"the environment variable {', '.join(dict.fromkeys(unset))} is not set in this"
            " process: the warehouse cannot be reached without",
        )
    return {
        key: filled(value, os.environ) if isinstance(value, str) else value
        for key, value in settings.items()
    }


def dsn_parameters(dsn: str) -> dict[str, str]:
    """The parameters of a connection string, as libpq reads them: a URL or ``key=value`` pairs.

    Raises WarehouseError, which does not quote the string: it may hold a password.
    """
    if _URL.match(dsn):
        try:
            url = urlsplit(dsn)
        except ValueError:
            raise _unreadable() from None
        account, _, place = url.netloc.rpartition("@")
        user, _, password = account.partition(":")
        found = {"user": user, "password": password, "dbname": url.path[1:]}
        # Several servers are allowed: host:port,host:port.
        hosts = [host.rpartition(":") for host in place.split(",")] if place else []
        pairs = [
            (h, p) if colon and not p.endswith("]") else (h + colon + p, "")
            for h, colon, p in hosts
        ]
        found["host"] = ",".join(host.strip("[]") for host, _ in pairs)
        found["port"] = ",".join(port for _, port in pairs).strip(",")
        found |= dict(parse_qsl(url.query, keep_blank_values=True))
        return {key: unquote(value) for key, value in found.items() if value}
    parameters, at = {}, 0
    while at < len(dsn):
        match = _PAIR.match(dsn, at)
        if match is None:
            raise _unreadable()
        value = match[2][1:-1] if match[2].startswith("'") else match[2]
        parameters[match[1]] = re.sub(r"\\(.)", r"\1", value)
        at = match.end()
    return parameters


def _unreadable() -> WarehouseError:
    return WarehouseError(
        ErrorKind.INVALID_SETTINGS,
        "dsn: it is no connection string: write postgresql://user@host:5432/database"
        " (its value is not shown, as it may hold a password)",
    )


def parameters(settings: Mapping[str, Any]) -> dict[str, str]:
    """What libpq is to be told: of the ``dsn``, and of the settings that bear libpq's names."""
    given = from_environment(settings)
    found = dsn_parameters(str(given["dsn"])) if given.get("dsn") else {}
    return found | {key: str(given[key]) for key in LIBPQ_KEYS if given.get(key) not in (None, "")}


#: The settings of a target that go to libpq under their own names.
LIBPQ_KEYS = (
    *("host", "port", "dbname", "user", "password"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey"),
)


def file_name(type_: str, settings: Mapping[str, Any]) -> str:
    """A name for the files of the process that serves these settings: readable, without a secret,
    and another one for each other setting."""
    told = parameters(settings)
    told.pop("password", None)
    ours = {k: v for k, v in settings.items() if k not in (*LIBPQ_KEYS, "dsn")}
    shown = f"{told.get('user', '')}@{told.get('host', '')}-{told.get('dbname', '')}"
    text = json.dumps([type_, told, ours], sort_keys=True, default=str)
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{type_}-{_NO_PART_OF_A_NAME.sub('_', shown)[:80]}-{mark}"
