"""The ``extra`` of a connection, checked by type and range. In a connection URI every value is text."""

from __future__ import annotations

import json
import os
from typing import Any, Final
from urllib.parse import urlsplit

from airflow_provider.exceptions import ConfigurationError

EXTRA_KEYS: Final = (
    "connect_timeout",
    "max_retries",
    "proxies",
    "read_timeout",
    "requests_per_hour",
    "requests_per_minute",
    "verify",
    "webhook_secret",
)
"""Every key that a connection may carry; ``webhook_secret`` is reserved."""

_MOST_REQUESTS: Final = 1_000_000


class Extras:
    """
    The ``extra`` of one connection. Each method reads one key.

    No error quotes a value: a secret may have been put into the wrong place.

    :param conn_id: for the messages.
    :param text: the field ``extra``: a JSON object, or empty. An empty text inside it counts as absent.
    :raises ConfigurationError: not a JSON object, or an unknown key.
    """

    def __init__(self, conn_id: str, text: str | None) -> None:
        self.conn_id = conn_id
        try:
            values = json.loads(text) if text and text.strip() else {}
        except (ValueError, RecursionError):
            raise ConfigurationError(
                f"Connection {conn_id!r}: the field `extra` is not valid JSON.", parameter="extra"
            ) from None
        if not isinstance(values, dict):
            raise ConfigurationError(
                f"Connection {conn_id!r}: the field `extra` must be a JSON object.", parameter="extra"
            )
        unknown = sorted(set(values) - set(EXTRA_KEYS))
        if unknown:
            raise ConfigurationError(
                f"Connection {conn_id!r} has the unknown extra `{'`, `'.join(unknown)}`. "
                f"Known: {', '.join(EXTRA_KEYS)}.",
                parameter=unknown[0],
            )
        self._values: dict[str, Any] = {name: value for name, value in values.items() if value != ""}

    def seconds(self, name: str, *, default: float, most: float) -> float:
        """Return a number of seconds above 0 and up to ``most``."""
        if self._values.get(name) is None:
            return default
        number = _number(self._values[name])
        if number is None or not 0 < number <= most:
            raise self._bad(name, f"a number of seconds above 0 and up to {most:g}")
        return number

    def max_retries(self, *, default: int) -> int:
        """Return a whole number from 0 to 20."""
        if self._values.get("max_retries") is None:
            return default
        number = _number(self._values["max_retries"])
        if number is None or not number.is_integer() or not 0 <= number <= 20:
            raise self._bad("max_retries", "a whole number from 0 to 20")
        return int(number)

    def limit(self, name: str, *, default: int | None) -> int | None:
        """Return a number of requests; 0 and null turn the limit off, absence means the default."""
        if name not in self._values:
            return default
        value = self._values[name]
        if value is None or (isinstance(value, str) and value.strip().lower() in ("null", "none")):
            return None
        number = _number(value)
        if number is None or not number.is_integer() or not 0 <= number <= _MOST_REQUESTS:
            raise self._bad(name, "a whole number of requests; 0 or null turns the limit off")
        return int(number) or None

    def verify(self) -> bool | str:
        """Return whether to check certificates, or the CA file or folder to check them against."""
        value = self._values.get("verify", True)
        if value is None or isinstance(value, bool):
            return value is not False
        if isinstance(value, str):
            if value.strip().lower() in ("true", "false"):
                return value.strip().lower() == "true"
            if os.path.exists(value):
                return value
        raise self._bad("verify", "true, false or the path of a CA file or folder that exists here")

    def proxies(self) -> dict[str, str]:
        """Return proxy URLs by scheme; one URL stands for all schemes."""
        value = self._values.get("proxies")
        error = self._bad(
            "proxies", "an http or https proxy URL, or an object of such URLs under `http`, `https` or `all`"
        )
        if value is None:
            return {}
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.lstrip().startswith("{") else {"all": value}
            except ValueError:
                raise error from None
        if not isinstance(value, dict):
            raise error
        for scheme, url in value.items():
            if scheme not in ("http", "https", "all") or not _is_proxy_url(url):
                raise error
        return dict(value)

    def webhook_secret(self) -> str | None:
        """Return the reserved secret."""
        value = self._values.get("webhook_secret")
        if value is not None and not isinstance(value, str):
            raise self._bad("webhook_secret", "text")
        return value

    def _bad(self, name: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"Connection {self.conn_id!r}: the extra `{name}` must be {expected}.", parameter=name
        )


def _number(value: Any) -> float | None:
    """Return a number given as one or as text; ``None`` for anything else, a boolean included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _is_proxy_url(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
