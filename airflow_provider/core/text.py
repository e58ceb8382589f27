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
# Left in by :func:`encodable`: the marks, which file names hold and which turn no other text around.
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NOT_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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


def encodable(text: str) -> str:
    """
    Return foreign text of any length that every log, JSON writer and database takes, its lines as they are.

    As :func:`clean`, but line ends and tabs stay, and so do the marks of writing direction that file names
    hold.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _NOT_IN_LINES.sub(" ", _OVERRIDES.sub("", _ESCAPES.sub("", text)).replace("\r\n", "\n"))
