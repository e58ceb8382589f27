"""Redaction: what must not be shown taken out of texts and bodies. Keys, signed links, terminal escapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from airflow_provider.core.text import clean

_SNIPPET: Final = 200
# Possessive and bounded: a server's answer may be made to take for ever.
_URL: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}+://[^\s\"'<>?]*+)(\?[^\s\"'<>]*+)?", re.IGNORECASE)
_URL_PASSWORD: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}+://)[^\s\"'<>/@]++@", re.IGNORECASE)
_SIGNATURE: Final = re.compile(
    r"\b(sig|signature|x-amz-[a-z-]{1,40}+|x-goog-[a-z-]{1,40}+|token|key-pair-id|policy)=[^&\s\"'<>]++",
    re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Take out secrets, and the query strings and credentials of URLs."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = _URL_PASSWORD.sub(r"\1***@", text)
    text = _URL.sub(lambda url: url[1] + ("?***" if url[2] else ""), text)
    return _SIGNATURE.sub(r"\1=***", text)


def snippet(content: bytes | str, secrets: Iterable[str] = ()) -> str:
    """Return at most 200 harmless characters of a body on one line, without secrets."""
    text = content[:65536].decode("utf-8", "replace") if isinstance(content, bytes) else content[:65536]
    # Cleaned before it is redacted: what is left out may stand in the middle of a secret.
    return clean(redact(clean(text, len(text) + 1), secrets), _SNIPPET)


def public(body: Any) -> Any:
    """
    Return a copy of a body that XCom may hold: without links, which are signed, and without secrets.

    Fields whose name ends in ``url`` or holds ``secret`` are left out at every depth; a link inside another
    text loses its query string.

    :param body: parsed JSON.
    """
    if isinstance(body, dict):
        return {name: public(value) for name, value in body.items() if not _is_private(name)}
    if isinstance(body, list):
        return [public(item) for item in body]
    return redact(body) if isinstance(body, str) else body


def _is_private(name: str) -> bool:
    name = name.lower()
    return name.endswith("url") or "secret" in name
