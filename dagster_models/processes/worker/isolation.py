"""What one Python step changes in its process, put back for the next step.

A worker is warm for a whole run, so whatever user code does to the process (environment, working
folder, signal handlers, closed streams, modules of the project) must not reach the next step. Each
``_save_*`` function takes note of one thing and returns what puts it back.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from typing import Any

Restore = Callable[[], object]


@contextmanager
def isolated(root: str) -> Iterator[None]:
    """Run the body in the project's folder ``root``; restore the process's state after it."""
    with ExitStack() as restores, warnings.catch_warnings():
        for save in _SAVES:
            restores.callback(_quietly, save())
        restores.callback(_quietly, _save_modules(root))
        importlib.invalidate_caches()  # files may have changed since the last step looked
        if root:
            os.chdir(root)
        yield


def _quietly(restore: Restore) -> None:
    """Suppress errors: one thing that cannot be restored must not keep the others from it."""
    with suppress(Exception):
        restore()


def _save_environ() -> Restore:
    before = dict(os.environ)

    def restore() -> None:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return restore


def _save_folder() -> Restore:
    folder = os.open(".", os.O_RDONLY)  # by descriptor: the folder may be renamed meanwhile

    def restore() -> None:
        try:
            os.fchdir(folder)
        finally:
            os.close(folder)

    return restore


def _save_umask() -> Restore:
    mask = os.umask(0o077)
    os.umask(mask)
    return lambda: os.umask(mask)


def _save_lists() -> Restore:
    """Save the lists of sys and the list objects themselves: code may replace or edit them."""
    names = ("argv", "path", "meta_path", "path_hooks")
    before = [(name, getattr(sys, name), list(getattr(sys, name))) for name in names]

    def restore() -> None:
        for name, holder, content in before:
            holder[:] = content
            setattr(sys, name, holder)

    return restore


def _save_attributes() -> Restore:
    before: list[tuple[Any, str, Any]] = [
        (sys, name, getattr(sys, name))
        for name in ("excepthook", "displayhook", "unraisablehook", "stdin")
    ]
    before.append((threading, "excepthook", threading.excepthook))
    limit, interval = sys.getrecursionlimit(), sys.getswitchinterval()

    def restore() -> None:
        for owner, name, value in before:
            setattr(owner, name, value)
        sys.setrecursionlimit(limit)
        sys.setswitchinterval(interval)

    return restore


def _save_signals() -> Restore:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def restore() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore


def _save_limits() -> Restore:
    """Save the resource limits. A hard limit that was lowered stays: nobody can raise it."""
    import resource

    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    limits = sorted({getattr(resource, name) for name in names})
    before = {number: resource.getrlimit(number) for number in limits}

    def restore() -> None:
        for number, (soft, hard) in before.items():
            now, most = resource.getrlimit(number)
            if (now, most) != (soft, hard):
                resource.setrlimit(number, (soft if most == hard else most, most))

    return restore


def _save_logging() -> Restore:
    """Save the root logger. ``logging`` is not imported for it: a fresh one has no handlers."""
    known = sys.modules.get("logging")
    handlers = list(known.root.handlers) if known else []
    level = known.root.level if known else None
    disabled = known.root.manager.disable if known else 0

    def restore() -> None:
        logging = sys.modules.get("logging")
        if logging is None:
            return
        for handler in list(logging.root.handlers):
            if handler not in handlers:
                logging.root.removeHandler(handler)
                with suppress(Exception):
                    handler.close()  # a file handler still holds what it has not written
        logging.root.handlers[:] = handlers
        logging.root.setLevel(logging.WARNING if level is None else level)
        logging.disable(disabled)

    return restore


_SAVES: tuple[Callable[[], Restore], ...] = (
    _save_environ,
    _save_folder,
    _save_umask,
    _save_lists,
    _save_attributes,
    _save_signals,
    _save_limits,
    _save_logging,
)


def _save_modules(root: str) -> Restore:
    """Forget the project's modules, so that each step imports them anew.

    Installed packages stay, also those of a virtual environment inside the project's folder: many
    cannot be loaded twice in one process.
    """
    before = dict(sys.modules)
    inside = os.path.join(os.path.realpath(root), "") if root else ""

    def restore() -> None:
        for name, module in list(sys.modules.items()):
            if name not in before and inside and _is_of_project(module, inside):
                del sys.modules[name]
        for name, module in before.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module

    return restore


def _is_of_project(module: Any, inside: str) -> bool:
    if getattr(module, "__name__", "").partition(".")[0] == __package__.partition(".")[0]:
        return False
    places = [getattr(module, "__file__", None)]
    with suppress(Exception):  # a namespace package has no file, only folders
        places += list(getattr(module, "__path__", ()))
    for place in places:
        if isinstance(place, str):
            real = os.path.realpath(place)
            parts = real[len(inside) :].split(os.sep)
            if real.startswith(inside) and not {"site-packages", "dist-packages"} & set(parts):
                return True
    return False


class Streams:
    """The worker's own stdout and stderr, which user code may replace, close or redirect.

    Lines appear at once; ``restore`` flushes what is left and puts both back as they were.
    """

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        self._copies = {number: os.dup(number) for number in (1, 2)}  # not inherited by children
        self._objects = {number: _open(number) for number in (1, 2)}
        self._install()

    def restore(self) -> None:
        """Flush what a step wrote, and go back to the pipes that we were given."""
        replaced = (getattr(sys, name, None) for name in ("stdout", "stderr"))
        for stream in (*replaced, *self._objects.values()):
            _flush(stream)
        for number, copy in self._copies.items():
            os.dup2(copy, number)  # inheritable again, as 1 and 2 must be
            if self._objects[number].closed:
                self._objects[number] = _open(number)
            _flush(self._objects[number])  # what a closed descriptor refused above
        self._install()

    def _install(self) -> None:
        sys.stdout = sys.__stdout__ = self._objects[1]  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._objects[2]  # type: ignore[misc]


def _open(number: int) -> TextIOWrapper:
    # UTF-8 whatever the locale says, and no character that can't be written: a log must not fail.
    return open(
        number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def occupy_standard_descriptors() -> None:
    """Open the descriptors 0, 1 and 2 that user code has closed on /dev/null: otherwise the next
    file gets that number, and whatever is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _flush(stream: Any) -> None:
    with suppress(Exception):
        stream.flush()
