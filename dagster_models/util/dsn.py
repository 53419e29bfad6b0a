"""PostgreSQL's connection strings, read as libpq reads them, but without it.

No error quotes a string or a part of it: it may hold a password, and where characters of that are
not encoded, any part of the string may be one of the password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.environment import chosen, filled_settings

_URL = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_NAME = re.compile(r"\s*([^=\s]+)\s*=\s*", re.ASCII)
#: A value in quotes or without; a backslash takes away a character's meaning.
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'\s*", re.DOTALL | re.ASCII)
_PLAIN = re.compile(r"((?:\\.|\\\Z|[^\s\\])*)\s*", re.DOTALL | re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_HOST = re.compile(r"(?:\[([^\]]+)\]|((?!\[)[^:/?,]*))(?::([^/?,]*))?")

#: The parameters that libpq knows, up to PostgreSQL 18.
_KEYWORDS = {
    *("service", "servicefile", "user", "password", "passfile", "dbname", "host", "hostaddr"),
    *("port", "channel_binding", "connect_timeout", "client_encoding", "options"),
    *("application_name", "fallback_application_name", "keepalives", "keepalives_idle"),
    *("keepalives_interval", "keepalives_count", "tcp_user_timeout", "ssl", "requiressl"),
    *("sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslcertmode"),
    *("sslpassword", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "sslkeylogfile"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "min_protocol_version"),
    *("max_protocol_version", "requirepeer", "require_auth", "gssencmode", "gsslib"),
    *("gssdelegation", "krbsrvname", "replication", "target_session_attrs"),
    *("load_balance_hosts", "scram_client_key", "scram_server_key", "oauth_issuer"),
    *("oauth_client_id", "oauth_client_secret", "oauth_scope"),
}
#: Those whose value is a secret.
SECRET_KEYWORDS = frozenset(
    ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
)


def dsn_parameters(dsn: str) -> dict[str, str]:
    """The parameters of a connection string: a URL or ``key=value`` pairs.

    Raises WarehouseError where libpq would refuse it, and where it would take a part of a password
    for something else.
    """
    match = _URL.match(dsn)
    return _of_url(dsn[match.end() :]) if match else _of_pairs(dsn)


def _of_pairs(dsn: str) -> dict[str, str]:
    found, at = {}, 0
    while at < len(dsn.rstrip()):
        name = _NAME.match(dsn, at)
        quoted = name is not None and dsn.startswith("'", name.end())
        value = (_QUOTED if quoted else _PLAIN).match(dsn, name.end()) if name else None
        if name is None or value is None:
            raise _unreadable(
                "dsn",
                "it is not a connection string",
                "Write postgresql://user@host:5432/database, or key=value pairs in which a value"
                " with spaces stands in single quotes.",
            )
        found[name[1]] = re.sub(r"\\(.?)", r"\1", value[1], flags=re.DOTALL)
        at = value.end()
    return found


def _of_url(rest: str) -> dict[str, str]:
    """[user[:password]@][host[:port],...][/database][?name=value&...], as libpq divides it."""
    account, at, beyond = rest.partition("@")
    if not at or "/" in account:  # it looks for the @ up to the first slash
        account, beyond = "", rest
    user, _, password = account.partition(":")
    hosts, ports, beyond = _hosts(beyond)
    path, _, query = beyond.partition("?")
    if "@" in "".join([*hosts, *ports, path]):
        raise _unencoded("has an @ too many")
    if not all(port.strip(" ").isdecimal() or not port for port in ports):
        raise _unencoded("has a port that is not a number")
    if path and not path.startswith("/"):
        raise _unencoded("has text between a host and the database")
    found = {
        "user": user,
        "password": password,
        "host": ",".join(hosts),
        "port": ",".join(ports),
        "dbname": path[1:],
    }
    parameters = {name: value for name, value in found.items() if value}
    return {name: _decoded(value) for name, value in parameters.items()} | _of_query(query)


def _hosts(text: str) -> tuple[list[str], list[str], str]:
    """The hosts, their ports, and what follows them: several servers may be named."""
    hosts, ports = [], []
    while True:
        match = _HOST.match(text)
        if match is None:
            raise _unencoded("has a [ without its ]")
        hosts.append(match[1] or match[2] or "")
        ports.append(match[3] or "")
        text = text[match.end() :]
        if not text.startswith(","):
            return hosts, ports, text
        text = text[1:]


def _of_query(query: str) -> dict[str, str]:
    found = {}
    for part in query.removesuffix("&").split("&") if query else ():
        name, separator, value = part.partition("=")
        if not separator or "=" in value:
            raise _unencoded("has a parameter without an =, or with two")
        name, value = _decoded(name), _decoded(value)
        if name not in _KEYWORDS:
            # Its name is not shown: "?" may have been a character of the password.
            raise _unencoded("has a parameter that libpq does not know")
        if (name, value) == ("ssl", "true"):  # as JDBC writes it
            name, value = "sslmode", "require"
        found[name] = value
    return found


def _decoded(text: str) -> str:
    text = text.strip(" ")
    if " " in text or _BAD_ESCAPE.search(text):
        raise _unencoded("has a space, or a % that encodes nothing")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _unencoded("has a % that encodes no UTF-8") from None


def _unencoded(what: str) -> WarehouseError:
    return _unreadable(
        "dsn",
        f"the URL {what}",
        "In a user's name, a password or a parameter write % as %25, @ as %40, : as %3A, / as %2F,"
        " ? as %3F, # as %23, & as %26, = as %3D and a space as %20.",
    )


def _unreadable(setting: str, what: str, fix: str) -> WarehouseError:
    return WarehouseError(
        ErrorKind.INVALID_SETTINGS,
        f"{setting}: {what}. {fix} (Its value is not shown, as it may contain a password.)",
    )


def parameters(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The parameters for libpq: those of the ``dsn``, and the settings that have libpq's names."""
    given = filled_settings(settings, environ)
    found = dsn_parameters(str(given["dsn"])) if given.get("dsn") else {}
    single = {k: str(v) for k, v in given.items() if k != "dsn" and v not in (None, "")}
    for key, value in single.items():
        if "://" in value and key != "password":
            raise _unreadable(key, "it is a URL", "Write it as `dsn`.")
    for key, value in (found | single).items():
        if not value.isascii() and value.encode(errors="ignore").decode() != value:
            raise _unreadable(key, "it has bytes that are not UTF-8", "Write them as UTF-8.")
    return found | single


#: What libpq, and the libraries that it is built on, read beside its parameters.
_ENVIRONMENT = ("PG*", "HOME", "KRB5*", "SSL_CERT_*", "OPENSSL_CONF")
#: Variables that stand for a parameter where it is not given.
_VARIABLES = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
}


def identity(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """All that decides which server and database libpq reaches, and as whom."""
    variables = chosen(environ, _ENVIRONMENT)
    return {
        **{_VARIABLES.get(name, name): value for name, value in variables.items()},
        **parameters(settings, environ),
    }


def lake_identity(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """All that decides which catalog of a lake is reached, and as whom, in libpq's words."""
    if settings.get("postgres"):
        found = identity({"dsn": settings["postgres"]}, environ)
    else:
        path = filled_settings({"sqlite": settings.get("sqlite", "")}, environ)["sqlite"]
        found = {"dbname": os.path.realpath(path)}
    return {**found, **filled_settings({"data": settings.get("data", "")}, environ)}
