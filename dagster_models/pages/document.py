"""The frame of a page, and what all pages are made of: one file, with its style and script in it.

``html`` below always means text that is HTML already. Whatever comes from a user goes through
``escaped``, which also makes control characters visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from dagster_models.reporting.printable import clean

if TYPE_CHECKING:
    from dagster_models.reporting.results import CheckStatus

#: The colors of states and of everything else, in light and in dark.
_STYLE = """
:root { color-scheme: light dark; --bg: #ffffff; --fg: #1f2933; --soft: #616e7c; --line: #d9e0e7;
  --card: #f5f7fa; --accent: #3559c7; --succeeded: #2e9e6b; --failed: #d64545; --canceled: #d18b1f;
  --skipped: #9aa5b1; --unchanged: #7b8794; --warned: #b58900; }
@media (prefers-color-scheme: dark) { :root { --bg: #15191e; --fg: #e4e7eb; --soft: #9aa5b1;
  --line: #323f4b; --card: #1f2933; --accent: #8aa4ff; --succeeded: #3fbf85; --failed: #ef6a6a;
  --canceled: #e0a63e; --warned: #d9b84a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 24px; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
p { margin: 4px 0; } .soft { color: var(--soft); }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px;
  overflow-x: auto; margin: 8px 0; white-space: pre; }
pre mark { display: inline-block; min-width: 100%; background: #d6454533; color: inherit; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; } .number { text-align: right; }
.scroll { overflow: auto; max-height: 80vh; border: 1px solid var(--line); border-radius: 6px; }
.state { display: inline-block; border-radius: 4px; padding: 0 8px; color: #fff; font-size: 13px; }
.succeeded { background: var(--succeeded); fill: var(--succeeded); }
.failed { background: var(--failed); fill: var(--failed); }
.canceled { background: var(--canceled); fill: var(--canceled); }
.skipped { background: var(--skipped); fill: var(--skipped); }
.unchanged { background: var(--unchanged); fill: var(--unchanged); }
.warned { background: var(--warned); fill: var(--warned); }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 8px 16px; } .card b { display: block; font-size: 20px; }
svg { display: block; font: 12px system-ui, sans-serif; } svg text { fill: var(--fg); }
svg text.soft { fill: var(--soft); } svg .grid { stroke: var(--line); }
svg rect { stroke: var(--bg); } svg .edge { stroke: var(--skipped); fill: none; }
svg .critical { stroke: var(--fg); stroke-width: 2; }
svg .box { stroke-width: 1.5; } svg .box text, svg text.inside { fill: #fff; }
details > summary { cursor: pointer; } input[type=search] { font: inherit; padding: 6px 10px;
  width: 320px; max-width: 100%; border: 1px solid var(--line); border-radius: 6px;
  background: var(--bg); color: var(--fg); margin: 8px 0; }
"""


#: What all writers say of a check -> the class of its color.
KIND_OF_CHECK: Mapping[CheckStatus, str] = {
    "pass": "succeeded",
    "warn": "warned",
    "fail": "failed",
    "error": "failed",
    "skipped": "skipped",
}


def escaped(text: object) -> str:
    """A text of a user as HTML, on one line."""
    return escape(clean(str(text)), quote=True)


def escaped_lines(text: str) -> list[str]:
    """The lines of a text of a user, each as HTML."""
    return [escape(clean(line), quote=True) for line in text.rstrip().split("\n")]


def page(title: str, body: Iterable[str], script: str = "", style: str = "") -> str:
    """A whole document. *body* is html; a page does without *script*, which only adds to it."""
    script = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n{script}</body>\n</html>\n"
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[int] = (),
    name: str = "",
) -> str:
    """A table. The cells of *rows* are html; *numbers* are the columns on the right."""

    def cells(row: Sequence[str], tag: str) -> str:
        classes = (' class="number"' if at in numbers else "" for at in range(len(row)))
        return "".join(f"<{tag}{of}>{it}</{tag}>" for of, it in zip(classes, row, strict=True))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    identity = f' id="{name}"' if name else ""
    top = cells([escape(it) for it in head], "th")
    return f"<table{identity}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def code(text: str, line: int | None = None) -> str:
    """A text with the numbers of its lines; *line* (from 1) is marked."""
    lines = escaped_lines(text)
    width = len(str(len(lines)))
    shown = []
    for number, it in enumerate(lines, start=1):
        one = f"{number:>{width}}  {it}"
        shown.append(f"<mark>{one}</mark>" if number == line else one)
    return block(shown)


def block(lines: Iterable[str]) -> str:
    """Lines that are html as one text, with their blanks."""
    return "<pre>" + "\n".join(lines) + "</pre>"


def seconds(value: float) -> str:
    return f"{value:,.2f} s"
