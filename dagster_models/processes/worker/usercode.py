"""Runs a user's Python file, and explains in the user's own terms what went wrong in it."""

from __future__ import annotations

import atexit
import builtins
import inspect
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import dagster_models
from dagster_models.core.messages import TaskError
from dagster_models.core.python_code import PythonCode
from dagster_models.core.tasks import PythonTask, ScriptTask
from dagster_models.errors import Canceled, ErrorKind, WarehouseError, shortened
from dagster_models.processes.client.warehouse import Warehouse

T = TypeVar("T")

#: What has a file to run, and the modules that it imports.
Code: TypeAlias = PythonTask | ScriptTask | PythonCode

_OURS = os.path.join(os.path.dirname(os.path.abspath(dagster_models.__file__)), "")


class UserCodeFailed(Exception):
    """The file ran, but did not give what it must. ``error`` is what the user reads."""

    def __init__(
        self, kind: ErrorKind, message: str, line: int | None = None, *, name: str = ""
    ) -> None:
        final = kind is ErrorKind.CHANGED_FILE
        self.error = TaskError(kind, shortened(message), name, line, final=final)
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Entry:
    """The function of a file that is called with the warehouse; what users read of it."""

    function: str
    returns: str
    missing: str  #: the name of the error if there is none


MODEL = Entry("model", "a table", "NoModel")
CHECK = Entry("check", "what it has found", "NoCheck")


def call(
    entry: Entry, code: Code, name: str, warehouse: Warehouse, take: Callable[[Any, int], T]
) -> T:
    """Return what ``take`` makes of what the function of the file returned, and of the line of its
    ``def``. ``take`` may run a generator of the user's. ``name`` is that of the module.

    Raises UserCodeFailed, or whatever the user's code or ``take`` raises.
    """
    name = "".join(c if c.isalnum() else "_" for c in f"_{entry.function}_{name}")
    with _module(code, name, [code.project_root]) as module:
        _execute(code, module)
        function = getattr(module, entry.function, None)
        if not callable(function):
            raise UserCodeFailed(
                ErrorKind.USER_CODE,
                f"{code.file.path} defines no function {entry.function}(warehouse)",
                name=entry.missing,
            )
        line = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
        _refuse_other_signature(entry, function, line)
        try:
            return take(function(warehouse), line)
        except SystemExit as stop:
            said = f"sys.exit({stop.code!r})" if stop.code is not None else "sys.exit()"
            message = f"the {entry.function} called {said} instead of returning {entry.returns}"
            raise UserCodeFailed(
                ErrorKind.USER_CODE, message, _deepest_line(stop, code.file.path), name="SystemExit"
            ) from None


def run_script(task: ScriptTask) -> None:
    """Run the file as ``python file`` would. Raises UserCodeFailed for an exit code but 0."""
    # As with `python scripts/report.py`, the script's own folder comes first.
    with _module(task, "__main__", [os.path.dirname(task.file.path), task.project_root]) as module:
        try:
            _execute(task, module)
            _end_as_a_program(module)
        except SystemExit as stop:
            code = stop.code
            if code is None or (isinstance(code, int) and code == 0):
                _end_as_a_program(module)
                return
            if not isinstance(code, int):
                print(code, file=sys.stderr)  # as the interpreter does it
            message = f"exit code {code}" if isinstance(code, int) else f"exit code 1: {code}"
            raise UserCodeFailed(
                ErrorKind.USER_CODE, message, _deepest_line(stop, task.file.path), name="SystemExit"
            ) from None


def _end_as_a_program(module: types.ModuleType) -> None:
    """Do what ``python file`` does at its end: wait for threads, call the functions of atexit, and
    close what was left open."""
    # As the children of multiprocessing do it. It ends the threads of pools before it waits.
    threading._shutdown()  # type: ignore[attr-defined]
    run_exit_functions()
    # Functions and their module refer to each other, and it refers to files that were not closed.
    module.__dict__.clear()


def run_exit_functions() -> None:
    """Call what was registered with atexit, once."""
    atexit._run_exitfuncs()


@contextmanager
def loaded_module(task: PythonTask) -> Iterator[types.ModuleType]:
    """The module of the task's file, which has run."""
    name = "".join(c if c.isalnum() else "_" for c in f"_kind_{task.step}")
    with _module(task, name, [task.project_root]) as module:
        _execute(task, module)
        yield module


@contextmanager
def _module(task: Code, name: str, folders: list[str]) -> Iterator[types.ModuleType]:
    """Make a fresh module for the file; others find it by its name while it runs (pickle)."""
    module = types.ModuleType(name)
    module.__file__ = task.file.path
    module.__dict__["__builtins__"] = builtins
    if name == "__main__":
        module.__spec__ = None
    before = sys.modules.get(name)
    sys.modules[name] = module
    sys.argv[:] = [task.file.path]
    sys.path[:0] = [folder for folder in dict.fromkeys(folders) if folder]
    try:
        yield module
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


def _execute(task: Code, module: types.ModuleType) -> None:
    with open(task.file.path, "rb") as file:
        source = file.read()
    if not task.file.is_as_loaded(source):  # its commit record would prove what was not run
        raise UserCodeFailed(ErrorKind.CHANGED_FILE, task.file.changed)
    for imported in task.modules:
        if not imported.is_as_loaded(_bytes_of(imported.path)):
            raise UserCodeFailed(ErrorKind.CHANGED_FILE, imported.changed)
    # Bytes, so that Python itself reads the file's encoding; our __future__ is not the file's.
    exec(compile(source, task.file.path, "exec", dont_inherit=True), module.__dict__)


def _bytes_of(path: str) -> bytes:
    """The contents of a module; none of one that is gone."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def _refuse_other_signature(entry: Entry, function: Any, line: int) -> None:
    name, wanted = entry.function, f"`def {entry.function}(warehouse)`"
    if inspect.iscoroutinefunction(function):
        message = f"{name} is `async def`; write {wanted}"
        raise UserCodeFailed(ErrorKind.USER_CODE, message, line, name=entry.missing)
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        message = f"{name} must take one argument: {wanted}"
        raise UserCodeFailed(ErrorKind.USER_CODE, message, line, name=entry.missing) from None
    except ValueError:
        return  # a callable written in C has no signature


def interrupted(error: BaseException) -> bool:
    """Whether ``error`` is our interrupt, or was raised while that was handled."""
    return any(isinstance(link, (KeyboardInterrupt, Canceled)) for link in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def explain(error: BaseException, path: str) -> TaskError:
    """Return ``error`` of the user's file ``path`` as a value: kind, message and line there, and a
    traceback that begins in that file and shows no frame of this package."""
    if isinstance(error, UserCodeFailed):
        return error.error
    if isinstance(error, WarehouseError):
        found = TaskError.of(error)
    else:
        found = TaskError(ErrorKind.USER_CODE, shortened(_text(error)), type(error).__name__)
    return replace(
        found,
        line=_deepest_line(error, path),
        traceback=shortened(_traceback(error)),
        final=getattr(error, "allow_retries", True) is False,  # of a dagster.Failure
    )


def _deepest_line(error: BaseException, path: str) -> int | None:
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    if line is None and isinstance(error, SyntaxError) and error.filename == path:
        line = error.lineno
    return line


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception as second:  # an exception of the user's own whose __str__ fails
        return f"<no message: {type(second).__name__} in its __str__>"


def _traceback(error: BaseException) -> str:
    import traceback

    chain = traceback.TracebackException.from_exception(error)
    _without_our_frames(chain)
    return "".join(chain.format())


def _without_our_frames(chain: Any) -> None:
    import traceback

    pending = [chain]
    while pending:
        link = pending.pop()
        if link is None:
            continue
        kept = [frame for frame in link.stack if not frame.filename.startswith(_OURS)]
        link.stack = traceback.StackSummary.from_list(kept)
        pending += [link.__cause__, link.__context__, *(getattr(link, "exceptions", None) or ())]
