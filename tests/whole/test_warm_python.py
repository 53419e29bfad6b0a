"""What the tests run in forks of one warm process is what a shell would run."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import warm_python
from running import until_gone

PROGRAM = """
import atexit, json, os, sys, threading, time
seen = [__name__, __file__, sys.argv, sys.path[0], os.getcwd(), sys.stdin.read()]
seen += [threading.active_count(), time.tzname, sorted(os.environ.items()), sys.stdout.isatty()]
print(json.dumps(seen))
print("an error", file=sys.stderr)
atexit.register(print, "at the end")
"""
ENDS = {
    "it returns": "",
    "exit": "sys.exit(3)",
    "exit with a text": "sys.exit('no data')",
    "signal": "sys.stdout.flush(); os.kill(os.getpid(), 9)",
    "exception": "raise ValueError('nothing else')",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_fork_is_what_a_new_process_is(tmp_path: Path, end: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + ENDS[end])
    command = [str(program), "an argument", "ä"]
    env = {**os.environ, "TZ": "Asia/Tokyo", "OF_THE_TEST": "x"}
    env.pop("HOME", None)
    new = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    fork = warm_python.run(command, tmp_path, env, timeout_seconds=60)
    assert (fork.returncode, fork.stdout) == (new.returncode, new.stdout)
    assert "an argument" in fork.stdout
    last = fork.stderr.splitlines()[-1]
    assert last == new.stderr.splitlines()[-1]


def test_what_python_reads_when_it_starts_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys, tempfile; print(sys.flags.optimize, tempfile.gettempdir())")

    def printed(**more: str) -> list[str]:
        env = {**os.environ, **more}
        return warm_python.run([str(program)], tmp_path, env, timeout_seconds=60).stdout.split()

    assert printed()[0] == str(sys.flags.optimize)
    assert printed(PYTHONOPTIMIZE="2")[0] == "2"
    assert printed(TMPDIR=str(tmp_path))[1] == str(tmp_path)
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")  # after the warm process has started
    assert printed()[0] == "2"


def test_two_at_once_of_which_one_takes_too_long_and_is_killed(tmp_path: Path) -> None:
    slow, quick = tmp_path / "slow.py", tmp_path / "quick.py"
    slow.write_text("import os, time; print(os.getpid(), file=open('pid', 'w')); time.sleep(1000)")
    quick.write_text("print('done')")
    env = dict(os.environ)
    with ThreadPoolExecutor() as pool:
        late = pool.submit(warm_python.run, [str(slow)], tmp_path, env, timeout_seconds=3)
        done = warm_python.run([str(quick)], tmp_path, env, timeout_seconds=60)
        assert (done.returncode, done.stdout) == (0, "done\n")
        with pytest.raises(subprocess.TimeoutExpired):
            late.result()
    until_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), (ENDS["signal"], 128 + 9)])
def test_a_command_of_a_shell_is_what_its_program_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, code: int
) -> None:
    """Also where the environment is below a folder whose name has a space."""
    program, command = tmp_path / "program", tmp_path / "a command"
    program.write_text(f"import os, sys; print(sys.argv[1:], sys.stdin.read()); {end}")
    python = tmp_path / "an environment" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    server = warm_python._server()
    monkeypatch.setattr(sys, "executable", str(python))
    server._write_command(command, program)
    given = [str(command), "an argument", "it's"]
    done = subprocess.run(given, input="rows", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "['an argument', \"it's\"] rows\n")
