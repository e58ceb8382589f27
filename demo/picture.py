"""The picture of the demo in the README: ``python -m demo.picture < tests/packaging/demo_review.txt``."""

from __future__ import annotations

import sys
from html import escape

COLUMN, LINE, MARGIN = 8.4, 20, 20
"""Sizes of a character and of the border, in pixels."""


def picture(printed: str) -> str:
    """Draw a terminal with the demo's command and these lines of its output.

    :return: an SVG document that needs no font of its own.
    """
    lines = ["$ make demo", "...", *printed.splitlines()]
    width = 2 * MARGIN + int(COLUMN * max(map(len, lines)))
    height = 2 * MARGIN + LINE * len(lines)
    rows = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + LINE * number - 6}" xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(lines, start=1)
    )
    font = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {font} fill="#e6edf3">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#161b22"/>\n{rows}\n</svg>\n'
    )


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read()))
