"""Text from outside, made fit for logs, JSON and databases."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system commands: titles, links
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: object, limit: int = 500) -> str:
    """
    Return foreign text as one harmless line that every log, JSON writer and database takes.

    Terminal escapes and controls of the writing direction are left out, other control characters and white
    space become one space, and half a surrogate pair, which no encoding can hold, becomes U+FFFD.

    :param text: what is no text is written as :func:`str` does; ``None`` is empty.
    :param limit: most characters, at least 1; what is cut off is replaced by an ellipsis.
    """
    if not isinstance(text, str):
        text = "" if text is None else str(text)
    if not (text.isascii() and text.isprintable()):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = _BIDI.sub("", _ESCAPES.sub("", text))
    text = _CONTROLS.sub(" ", text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
