"""The frame of the report: a page of cards, in one file that needs no other.

A module of the project's own, used by scripts/report.py; the charts are charts.py's.
"""

from html import escape


def card(title, note, body, wide=False):
    kind = "card wide" if wide else "card"
    return f'<section class="{kind}"><h2>{escape(title)}</h2><p>{escape(note)}</p>{body}</section>'


def table(head, rows):
    """``head``: (title, is a number) per column."""
    kinds = ["number" if number else "" for _, number in head]
    top = "".join(
        f'<th class="{k}">{escape(t)}</th>' for (t, _), k in zip(head, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{k}">{escape(str(c))}</td>' for c, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def page(title, subtitle, body, footer, style):
    """A whole document; ``body`` is HTML, the rest is text (``style``: CSS)."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{style}
</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1>
<p>{escape(subtitle)}</p></header>
{body}
<footer>{escape(footer)}</footer>
</main>
</body>
</html>
"""
