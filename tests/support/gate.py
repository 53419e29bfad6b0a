"""A real socket between us and a PostgreSQL server: it may stay silent, or speak TLS for the
server, whose build may have none."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

#: The first words of a client that would like to encrypt: protocol.html, SSLRequest.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Gate:
    """Forwards some connections to the server of ``dsn``; of the next ones it never answers any.

    ``tls``: it takes only encrypted ones, and shows this certificate.
    """

    def __init__(self, lets_in: int = 0, dsn: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._lets_in, self._tls = lets_in, tls
        self._url = urlsplit(dsn)
        self.knocked = threading.Event()  #: somebody came to the shut gate
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def dsn(self) -> str:
        """The server's, by way of the gate."""
        account = self._url.netloc.rpartition("@")[0]
        return self._url._replace(netloc=f"{account}@127.0.0.1:{self.port}").geturl()

    def close(self) -> None:
        # A thread may just be opening a socket, and another thread for it: both lists still grow.
        for thread in self._threads:
            for sock in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            thread.join()
        for sock in (self._listener, *self._sockets):
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                self._sockets.append(inner)
                if self._lets_in == 0:
                    self.knocked.set()
                    continue
                self._lets_in -= 1
                if self._tls is not None:
                    self._start(self._encrypt, inner)
                    continue
                self._join(inner)

    def _encrypt(self, inner: socket.socket) -> None:
        assert self._tls is not None
        if inner.recv(8, socket.MSG_WAITALL) == _SSL_REQUEST:
            inner.sendall(b"S")
            wrap = partial(self._tls.wrap_socket, server_side=True, do_handshake_on_connect=False)
            with contextlib.suppress(OSError):  # the client does not like our certificate
                encrypted = wrap(inner)
                self._sockets.append(encrypted)
                encrypted.do_handshake()
                self._join(encrypted)
        else:
            inner.close()

    def _join(self, inner: socket.socket) -> None:
        outer = socket.create_connection((self._url.hostname or "", self._url.port or 5432))
        self._sockets.append(outer)
        for ends in ((inner, outer), (outer, inner)):
            self._start(self._forward, *ends)

    def _forward(self, source: socket.socket, drain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                drain.sendall(data)
        with contextlib.suppress(OSError):
            drain.shutdown(socket.SHUT_WR)


def make_certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for ``name`` (a subjectAltName) that signs itself, by the openssl command."""
    certificate, key = folder / f"{name[-1]}.crt", folder / f"{name[-1]}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=dagster-models test", "-addext", f"subjectAltName={name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
