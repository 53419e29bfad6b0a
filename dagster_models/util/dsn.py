"""Database servers as their settings name them, read without a driver and shown without a secret.

A setting that may hold a password stays as it is written (``${DATABASE_URL}``) until the process
that connects fills it in from its own environment. So no password crosses between processes, and
none appears in Dagster's metadata.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.environment import chosen, filled_settings

_URL = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s'\\])*)\s*", re.DOTALL)


def dsn_parameters(dsn: str) -> dict[str, str]:
    """The parameters of a connection string (a URL or ``key=value`` pairs), read as libpq does.

    Raises WarehouseError, which does not quote the string because it may hold a password.
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
        "dsn: this is not a connection string: write postgresql://user@host:5432/database"
        " (the value is not shown, as it may hold a password)",
    )


#: The settings of a target that go to libpq under their own names.
LIBPQ_KEYS = (
    *("host", "port", "dbname", "user", "password"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey"),
)


def parameters(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The parameters for libpq: those of the ``dsn``, and the settings that have libpq's names."""
    given = filled_settings(settings, environ)
    found = dsn_parameters(str(given["dsn"])) if given.get("dsn") else {}
    return found | {key: str(given[key]) for key in LIBPQ_KEYS if given.get(key) not in (None, "")}


#: What libpq and the libraries below it read besides the parameters.
_ENVIRONMENT = ("PG*", "HOME", "KRB5*", "SSL_CERT_*", "OPENSSL_CONF")
#: The variables that stand in for a parameter that is not given.
_VARIABLES = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
}


def identity(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Everything that decides which server and database libpq reaches, and as whom."""
    variables = chosen(environ, _ENVIRONMENT)
    return {
        **{_VARIABLES.get(name, name): value for name, value in variables.items()},
        **parameters(settings, environ),
    }
