"""Length-prefixed JSON frames, and the small rows that they carry.

A frame is four bytes (the length, little endian) and that many bytes of JSON, one object. Bulk data
never travels in frames: it goes through Arrow IPC files, and the frames carry their paths.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import select
import socket
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dagster_models.errors import (
    Canceled,
    DagsterModelsError,
    ErrorKind,
    WarehouseError,
    WarehouseLost,
)

#: In bytes. A longer frame is a mistake, or comes from somebody else: frames carry small things.
MAX_FRAME = 64 * 1024 * 1024

_HEADER = struct.Struct("<I")

# Not json.dumps and json.loads: a step's code may have put functions of its own in their place.
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_from_json = json.JSONDecoder().decode


class FrameError(DagsterModelsError):
    """The bytes are not one of our frames, or a frame is too large to send."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Return one frame as bytes. Raises FrameError if it is longer than MAX_FRAME."""
    text = _to_json(message)
    # Lone surrogates cross as they are: Python has them in texts that were cut, and in the names
    # of files that are not UTF-8 (PEP 383).
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > MAX_FRAME:
        raise FrameError(
            f"a frame of {len(body)} bytes is more than the {MAX_FRAME} that may cross"
        )
    return _HEADER.pack(len(body)) + body


def send(sock: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one frame. It is not thread-safe by itself: callers share a lock or a thread."""
    sock.sendall(encode(message))


def receive(sock: socket.socket) -> dict[str, Any]:
    """Wait for one frame, and return its message.

    It reads exactly its bytes, so that a poll on the socket never misses a frame that sits in a
    buffer. Raises EOFError when the peer is gone (also in the middle of a frame), FrameError for
    bytes that are no frame.
    """
    (length,) = _HEADER.unpack(_read(sock, _HEADER.size))
    if length > MAX_FRAME:
        raise FrameError(
            f"the peer announced a frame of {length} bytes: it does not speak our frames"
        )
    try:
        message = _from_json(_read(sock, length).decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise FrameError(f"the peer sent {length} bytes that are not JSON") from error
    if not isinstance(message, dict):
        raise FrameError(f"the peer sent a {type(message).__name__} where an object was expected")
    return message


def readable(file: Any, timeout_seconds: float = 0.0) -> bool:
    """Whether something, or the end, can be read within that time; False for a closed file.

    It uses poll because select cannot handle a descriptor past 1023.
    """
    try:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        return bool(poll.poll(timeout_seconds * 1000))
    except (OSError, ValueError):
        return False


def _read(sock: socket.socket, size: int) -> bytes:
    """Return exactly ``size`` bytes. A reset by a dying peer counts as its end."""
    buffer = bytearray(size)
    view, got = memoryview(buffer), 0
    while got < size:
        try:
            count = sock.recv_into(view[got:])
        except ConnectionResetError:
            count = 0
        if not count:
            raise EOFError("the peer closed the connection")
        got += count
    return bytes(buffer)


# Errors ------------------------------------------------------------------------------------------


def error_to_json(error: WarehouseError) -> dict[str, Any]:
    return {
        "kind": error.kind.value,
        "name": error.name,
        "message": error.message,
        "line": error.line,
        "transient": error.transient,
        "canceled": isinstance(error, Canceled),
        "lost": isinstance(error, WarehouseLost),
    }


def error_from_json(data: Mapping[str, Any]) -> WarehouseError:
    """Return what error_to_json wrote: a Canceled, WarehouseLost or WarehouseError."""
    lost = WarehouseLost if data.get("lost") else WarehouseError
    factory = Canceled if data.get("canceled") else lost
    return factory(
        ErrorKind(data["kind"]),
        data["message"],
        name=data.get("name", ""),
        line=data.get("line"),
        transient=bool(data.get("transient")),
    )


# Rows --------------------------------------------------------------------------------------------
# JSON has too few types for a warehouse's values, so any other value is sent as an object with one
# key, the type's tag. A struct is tagged as well ("dict"), so nothing is ambiguous.

_PLAIN = (str, int, float, bool, type(None))

_DECODE: Mapping[str, Callable[[Any], Any]] = {
    "date": dt.date.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda v: dt.timedelta(days=v[0], seconds=v[1], microseconds=v[2]),
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
    "bytes": base64.b64decode,
    "tuple": lambda v: tuple(decode_value(item) for item in v),
    "dict": lambda v: {decode_value(key): decode_value(item) for key, item in v},
    "text": str,
}


def encode_rows(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows of Python values as JSON types; decode_rows is the inverse."""
    return [
        [value if type(value) in _PLAIN else encode_value(value) for value in row] for row in rows
    ]


def decode_rows(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [tuple(decode_value(value) for value in row) for row in rows]


def encode_value(value: Any) -> Any:
    """Return one value as JSON types. A value of an unknown type is sent as its text."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list):
        return [encode_value(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode_value(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[encode_value(k), encode_value(v)] for k, v in value.items()]}
    if isinstance(value, dt.datetime):  # before date: it is a subclass
        return {"datetime": value.isoformat()}
    if isinstance(value, (dt.date, dt.time)):
        return {type(value).__name__: value.isoformat()}
    if isinstance(value, dt.timedelta):
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, decimal.Decimal):
        return {"decimal": str(value)}
    if isinstance(value, uuid.UUID):
        return {"uuid": str(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    return {"text": str(value)}


def decode_value(value: Any) -> Any:
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if isinstance(value, dict):
        ((tag, content),) = value.items()
        return _DECODE[tag](content)
    return value
