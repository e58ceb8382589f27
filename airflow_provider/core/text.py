"""Text from outside: made fit for logs, JSON and databases, and without keys and signed links."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable
from typing import Any, Final
from unicodedata import normalize

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
_MARKUP = re.compile(r"[\\`*_\[\]<>~|#&=!]|^[-+]|(?<=\d)[.)](?=\s)")
# Markdown makes links of these without being asked; what follows in the text comes apart from it.
_AUTOLINK = re.compile(r"\b(?:https?:|www(?=\.))|(?=@)", re.IGNORECASE)
_PRIVATE = re.compile(r"secret|urls?$", re.IGNORECASE)
_SNIPPET: Final = 200
LONGEST_TEXT: Final = 10_000
"""Most characters of one text in what XCom holds of a job."""
# Possessive and bounded: a server's answer may be made to take for ever.
_URL: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}+://[^\s\"'<>?]*+)(\?[^\s\"'<>]*+)?", re.IGNORECASE)
_URL_PASSWORD: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}+://)[^\s\"'<>/@]++@", re.IGNORECASE)
# Also without its URL, and percent-encoded inside another one, as a login page is told where to go back to.
_SIGNATURE: Final = re.compile(
    r"((?:(?<![a-z0-9])|(?<=%3f)|(?<=%26))"
    r"(?:sig|signature|x-amz-[a-z-]{1,40}+|x-goog-[a-z-]{1,40}+|token|key-pair-id|policy|password|secret|"
    r"api[_-]?key))(=|%3d)(?:(?!%26)[^&\s\"'<>])++",
    re.IGNORECASE,
)


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


def comparable(text: str) -> str:
    """
    Return a text as people tell it apart, to find again what was sent: what a service shows has passed
    :func:`encodable`, and services normalise blanks and Unicode forms.
    """
    return normalize("NFC", clean(text, len(text) + 1))


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


def markdown(text: str) -> str:
    """
    Return text as Markdown that shows it as it is, line by line: no link, picture or HTML of a stranger.

    A template filter for the questions that people decide on.
    """
    lines = (
        _MARKUP.sub(r"\\\g<0>", _AUTOLINK.sub("\\g<0>\u200b", line.strip())) for line in text.splitlines()
    )
    return "  \n".join(lines)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Take out secrets, and the query strings and credentials of URLs."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = _URL_PASSWORD.sub(r"\1***@", text)
    text = _URL.sub(lambda url: url[1] + ("?***" if url[2] else ""), text)
    return _SIGNATURE.sub(r"\1\2***", text)


def snippet(content: bytes | str, secrets: Iterable[str] = ()) -> str:
    """Return at most 200 harmless characters of a body on one line, without secrets."""
    text = content[:65536].decode("utf-8", "replace") if isinstance(content, bytes) else content[:65536]
    # Cleaned before it is redacted: what is left out may stand in the middle of a secret.
    return clean(redact(clean(text, len(text) + 1), secrets), _SNIPPET)


def keep_queries_out_of_logs() -> None:
    """
    Keep query strings out of what urllib3 logs in this process: at ``DEBUG`` every request's path and query,
    and as a warning the URL and the headers of an answer whose headers it cannot parse.

    The query of a signed link is all that it takes to read or write the file.
    """
    for name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_without_query(argument) for argument in record.args)
    record.exc_info = None
    return True


def _without_query(argument: object) -> object:
    if isinstance(argument, Exception):
        return snippet(str(argument))
    if not isinstance(argument, str) or "?" not in argument:
        return argument
    return f"{argument.partition('?')[0]}?***"


def public(body: Any, *, keep: Collection[str] = (), longest: int = LONGEST_TEXT) -> Any:
    """
    Return a copy of a body that XCom may hold: without links, which are signed, and without secrets.

    Fields whose name ends in ``url`` or ``urls`` or holds ``secret`` are left out at every depth; a link
    inside another text, or in a name, loses its query string.

    :param body: parsed JSON.
    :param keep: names of fields that hold an address which is no link of the service's.
    :param longest: most characters of one text; what is cut off is replaced by an ellipsis.
    """
    if isinstance(body, dict):
        return {
            _shortened(redact(name), longest): public(value, keep=keep, longest=longest)
            for name, value in body.items()
            if name in keep or not _PRIVATE.search(name)
        }
    if isinstance(body, list):
        return [public(item, keep=keep, longest=longest) for item in body]
    return _shortened(redact(body), longest) if isinstance(body, str) else body


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
