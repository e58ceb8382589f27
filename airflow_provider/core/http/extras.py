"""The ``extra`` of a connection, checked by type and range. In a connection URI every value is text."""

from __future__ import annotations

import base64
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
    "webhook_secret_variable",
)
"""Every key that a connection may carry."""

_MOST_REQUESTS: Final = 1_000_000
_MOST_SECRETS: Final = 5
MOST_SUBSCRIPTIONS: Final = 50
"""Most webhook secrets that an object by subscription may hold: each is tried on every event."""

_SHORTEST_KEY: Final = 16


class Extras:
    """
    The ``extra`` of one connection. Each method reads one key.

    No error quotes a value: a secret may have been put into the wrong place.

    :param conn_id: for the messages.
    :param text: the field ``extra``: a JSON object, or empty. Inside it null and an empty text count as
        absent: Airflow's form saves its empty fields as null.
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
        self._values: dict[str, Any] = {
            name: value for name, value in values.items() if value not in ("", None)
        }

    def seconds(self, name: str, *, default: float, most: float) -> float:
        """Return a number of seconds above 0 and up to ``most``."""
        if name not in self._values:
            return default
        number = _number(self._values[name])
        if number is None or not 0 < number <= most:
            raise self._bad(name, f"a number of seconds above 0 and up to {most:g}")
        return number

    def max_retries(self, *, default: int) -> int:
        """Return a whole number from 0 to 20."""
        if "max_retries" not in self._values:
            return default
        number = _number(self._values["max_retries"])
        if number is None or not number.is_integer() or not 0 <= number <= 20:
            raise self._bad("max_retries", "a whole number from 0 to 20")
        return int(number)

    def limit(self, name: str, *, default: int | None) -> int | None:
        """Return a number of requests; 0 turns the limit off."""
        if name not in self._values:
            return default
        number = _number(self._values[name])
        if number is None or not number.is_integer() or not 0 <= number <= _MOST_REQUESTS:
            raise self._bad(name, "a whole number of requests; 0 turns the limit off")
        return int(number) or None

    def verify(self) -> bool | str:
        """Return whether to check certificates, or the CA file or folder to check them against."""
        value = self._values.get("verify", True)
        if isinstance(value, bool):
            return value
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

    def webhook_secrets(self) -> tuple[str, ...]:
        """Return the secrets that webhooks may be signed with; several while one is being replaced."""
        value = self._values.get("webhook_secret")
        if value is None:
            return ()
        try:
            return read_secrets(value)
        except ValueError as error:
            raise self._bad("webhook_secret", str(error)) from None

    def webhook_secret_variable(self) -> str | None:
        """Return the name of the Airflow Variable that holds the secrets."""
        value = self._values.get("webhook_secret_variable")
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise self._bad("webhook_secret_variable", "the name of an Airflow Variable")
        return value.strip() if value else None

    def _bad(self, name: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"Connection {self.conn_id!r}: the extra `{name}` must be {expected}.", parameter=name
        )


def read_secrets(value: Any) -> tuple[str, ...]:
    """
    Return webhook secrets given as one text, as a list, or in JSON as a list or as an object by subscription.

    A list holds what one subscription signs with while its secret is replaced; an object those of many.

    :raises ValueError: says what was expected, and never quotes the value.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    found, most = [value] if isinstance(value, str) else value, _MOST_SECRETS
    if isinstance(found, dict):
        found, most = list(found.values()), MOST_SUBSCRIPTIONS
    expected = (
        "a secret as MediaMagic returned it (`whsec_` and base64 of at least 16 bytes), or a list of up to "
        f"{_MOST_SECRETS} of them, or an object of up to {MOST_SUBSCRIPTIONS} by subscription"
    )
    if not isinstance(found, list) or not 1 <= len(found) <= most:
        raise ValueError(expected)
    secrets = []
    for secret in found:
        if not isinstance(secret, str) or not _is_signing_key(secret.strip()):
            raise ValueError(expected)
        secrets.append(secret.strip())
    return tuple(dict.fromkeys(secrets))


def _is_signing_key(secret: str) -> bool:
    encoded = secret.removeprefix("whsec_").rstrip("=")
    try:
        return len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) >= _SHORTEST_KEY
    except ValueError:
        return False


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
