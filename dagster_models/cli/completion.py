"""``dagster-models completion SHELL``: a script with which a shell completes commands and names.

The script has the commands and options, as the parsers have them. For the names of models, tags,
targets, jobs and runs it calls this command, which looks at the names of files (words.py). This is
not argcomplete, which runs the whole program for each completion, and not shtab, which has no fish.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_models.cli.words import KINDS, nearest_project, words

HELP = "print a script with which bash, zsh or fish completes commands, options and names"

_PROGRAM = "dagster-models"
#: The name of an argument's value in the help -> what completes it.
_VALUES = {
    "SELECT": "selections",
    "MODEL[.COLUMN]": "selections",
    "MODEL": "models",
    "TARGET": "targets",
    "JOB": "jobs",
    "RUN": "runs",
    "RUN_ID": "runs",
    "SCRIPT": "models",
    "FOLDER": "files",
    "FILE": "files",
    "PATH": "files",
    "PYTHON_FILE": "files",
    "WORKSPACE": "files",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shells = parser.add_mutually_exclusive_group(required=True)
    shells.add_argument("shell", nargs="?", choices=_SCRIPTS, help="which shell")
    # The rest is what the scripts call.
    shells.add_argument("--words", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--typed", default="", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    if options.words:
        root = nearest_project(options.project, Path.cwd())
        print("\n".join(words(options.words, options.typed, root)))
    else:
        print(_SCRIPTS[options.shell]())
    return 0


@dataclass(frozen=True, slots=True)
class _Argument:
    """``flags``: () for a positional one. ``values``: a key of ``_VALUES``' values, words that are
    separated by blanks, or "" for none; ``takes_value``: something follows the flag."""

    flags: tuple[str, ...]
    help: str
    values: str
    takes_value: bool


def _commands() -> Iterator[tuple[str, str, list[_Argument]]]:
    from dagster_models.cli.main import COMMANDS

    for name, command in COMMANDS.items():
        parser = _Recorder(prog=name)
        parser.add_argument("--project", metavar="FOLDER", help="the project's folder")
        command.add_arguments(parser)
        yield name, command.HELP, [_argument(it) for it in parser.actions]


class _Recorder(argparse.ArgumentParser):
    """A parser that remembers its arguments."""

    def __init__(self, prog: str) -> None:
        self.actions: list[argparse.Action] = []
        super().__init__(prog)

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:
        self.actions.append(super().add_argument(*names, **how))
        return self.actions[-1]

    def add_mutually_exclusive_group(self, **how: Any) -> Any:
        group = super().add_mutually_exclusive_group(**how)
        own = group.add_argument

        def add_argument(*names: Any, **how: Any) -> argparse.Action:
            self.actions.append(own(*names, **how))
            return self.actions[-1]

        setattr(group, add_argument.__name__, add_argument)
        return group


def _argument(action: argparse.Action) -> _Argument:
    choices = " ".join(map(str, action.choices)) if action.choices else ""
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    values = choices or _VALUES.get(metavar, "")
    hidden = action.help == argparse.SUPPRESS
    flags = () if hidden else tuple(action.option_strings)
    text = "" if hidden else (action.help or "").partition(" (")[0]
    takes = action.nargs != 0
    return _Argument(flags, text, "" if hidden else values, takes)


# --- bash and zsh -----------------------------------------------------------------------------

_BASH = r"""
_dagster_models() {
    local typed="${COMP_LINE:0:$COMP_POINT}" command="" project=() word previous="" values="" index
    typed="${typed##*[[:space:]]}"
    for ((index = 1; index < COMP_CWORD; index++)); do
        word="${COMP_WORDS[index]}"
        if [[ $previous == --project ]]; then project=(--project "$word"); previous=""; continue; fi
        [[ -z $command && $word != -* ]] && command="$word"
        previous="$word"
    done
    case "$command $previous" in
@CASES@
    esac
    if [[ -z $values ]]; then
        case "$command" in
@POSITIONS@
        esac
    fi
    [[ $typed == -* ]] && case "$command" in
@OPTIONS@
    esac
    local IFS=$'\n'
    case "$values" in
        files) COMPREPLY=()  # zsh has no compopt
            compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$typed"))
            return ;;
        @KINDS@) COMPREPLY=($("${COMP_WORDS[0]}" completion "${project[@]}" --words "$values" \
            --typed "$typed" 2>/dev/null)) ;;
        *) COMPREPLY=($(IFS=' '; compgen -W "$values" -- "$typed")) ;;
    esac
    if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*:}"}"}")
    fi
}
complete -F _dagster_models dagster-models"""


def _bash() -> str:
    commands = list(_commands())
    names = " ".join(name for name, _, _ in commands)
    options = ["        '') values='--help --project --version' ;;"]
    positions = [f"            '') values={shlex.quote(names)} ;;"]
    cases = ['        *" --project") values=files ;;']
    for name, _, arguments in commands:
        flags = " ".join(flag for it in arguments for flag in it.flags)
        options.append(f"        {name}) values={shlex.quote(flags)} ;;")
        if positional := next((it.values for it in arguments if not it.flags and it.values), ""):
            positions.append(f"            {name}) values={shlex.quote(positional)} ;;")
        for it in arguments:
            if it.takes_value and it.flags and it.values:
                patterns = "|".join(f'"{name} {flag}"' for flag in it.flags)
                cases.append(f"        {patterns}) values={shlex.quote(it.values)} ;;")
    parts = {"CASES": cases, "POSITIONS": positions, "OPTIONS": options, "KINDS": ["|".join(KINDS)]}
    text = _BASH.lstrip()
    for part, lines in parts.items():
        text = text.replace(f"@{part}@", "\n".join(lines))
    return text


def _zsh() -> str:
    load = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
    return f"{load}\nautoload -Uz bashcompinit && bashcompinit\n{_bash()}"


# --- fish -------------------------------------------------------------------------------------


def _fish() -> str:
    call = f"({_PROGRAM} completion --words {{}} --typed (commandline -ct))"
    base = f"complete -c {_PROGRAM}"
    lines = [f"{base} -f", f"{base} -l project -r -F -d 'the project'", f"{base} -l version"]
    for name, text, arguments in _commands():
        lines.append(f"{base} -n __fish_use_subcommand -a {name} -d {_fish_quoted(text)}")
        for it in arguments:
            part = f"{base} -n '__fish_seen_subcommand_from {name}'"
            for flag in it.flags:
                part += f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}"
            if it.values == "files":
                part += " -r -F" if it.flags else " -F"
            elif it.values:
                wanted = call.format(it.values) if it.values in KINDS else it.values
                part += f"{' -x' if it.flags else ''} -a {_fish_quoted(wanted)}"
            elif it.flags and it.takes_value:
                part += " -x"
            elif not it.flags:
                continue
            lines.append(f"{part} -d {_fish_quoted(it.help)}" if it.flags and it.help else part)
    return "\n".join(lines)


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
