"""docs/command_reference.md has each command with each of its options, as the parsers have them.

``python tests/docs/test_command_reference.py`` writes the page anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from dagster_models.cli.main import COMMANDS, parser
from pages import Page
from paths import REPOSITORY

NAME = "command_reference.md"
HEAD = """# All commands and options

Each command takes `--project FOLDER`: the project's folder, by default the nearest one with a
dagster_models.yaml.
[commands.md](commands.md) says what the commands do, and how they go together.
"""


def reference() -> str:
    (commands,) = (
        action for action in parser(COMMANDS)._actions if isinstance(action.choices, dict)
    )
    assert isinstance(commands.choices, dict)
    return HEAD + "".join(
        f"\n## {name}\n\n{_sentence(COMMANDS[name].HELP)}\n{''.join(_table(own))}"
        for name, own in commands.choices.items()
    )


def _table(command: argparse.ArgumentParser) -> Iterator[str]:
    options = [
        action
        for action in command._actions
        if action.help != argparse.SUPPRESS and action.dest not in ("help", "project")
    ]
    if options:
        yield "\n| | |\n| --- | --- |\n"
    for action in options:
        yield f"| {_written(action)} | {(action.help or '').replace('|', '&#124;')} |\n"


def _written(action: argparse.Action) -> str:
    values = "\\|".join(map(str, action.choices)) if action.choices else ""
    named = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    value = "" if action.nargs == 0 else values or named
    if not action.option_strings:
        return f"`{values or named}`"
    return ", ".join(f"`{flag} {value}".rstrip() + "`" for flag in action.option_strings)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def test_the_page_has_each_command_and_option() -> None:
    assert Page.of(NAME) == reference(), f"write it anew: python {__file__}"


if __name__ == "__main__":
    (REPOSITORY / "docs" / NAME).write_text(reference(), encoding="utf-8")
