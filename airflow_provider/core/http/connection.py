"""Connection settings: what an Airflow connection says about where requests go, with which key, how fast."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_provider.core.budget.store import SharedBudget
from airflow_provider.core.budget.windows import windows
from airflow_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider.core.budget.store import Store
    from airflow_provider.core.http.extras import Extras


log = logging.getLogger(__name__)

LONGEST_IDLE: Final = 75.0
"""
Seconds for which an idle connection is kept. Gateways and load balancers drop idle ones after some minutes,
many without a word: the next request is then lost, and a POST is not sent again.
"""

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_PROXY_PASSWORD = re.compile(r"(?:.*?//)?[^:/]*:(.+)@")


def _shared_extras() -> type[Extras]:
    from airflow_provider.core.http.extras import Extras

    return Extras


def _one_bucket(method: str, path: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Service:
    """
    What differs between the services before the first request.

    :param name: what to call the service in messages.
    :param base_url: the vendor's production URL, used when a connection names no host.
    :param requests_per_minute: documented limit per key; ``None`` where none is published.
    :param requests_per_hour: documented limit per key; ``None`` where none is published.
    :param bucket: returns which of the service's rate limits a request (method and path) counts against.
    :param poll_bucket: that of status requests.
    :param request_id_prefix: how ids begin that requests carry, so that a lost answer can be traced; ``None``
        where the service takes none.
    :param extras: returns the model of the connection's ``extra``; a function, so that a Dag file does not
        import pydantic models.
    """

    conn_type: str
    name: str
    base_url: str
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    bucket: Callable[[str, str], str] = _one_bucket
    poll_bucket: str = ""
    request_id_prefix: str | None = None
    extras: Callable[[], type[Extras]] = _shared_extras


@dataclass(frozen=True)
class ConnectionSettings:
    """
    A checked connection. Frozen; its ``repr`` shows no secret.

    :param conn_id: the Airflow connection id, for messages.
    :param base_url: scheme, host, port, path prefix; a trailing ``/api``, ``/api/integrations`` or slash is
        taken off.
    :param api_key: sent as ``X-API-Key`` to ``base_url`` and nowhere else.
    :param connect_timeout: seconds to establish a connection, default 10.
    :param read_timeout: seconds between two bytes of an answer, default 60.
    :param verify: check TLS certificates (default), do not, or check against this CA file or folder.
    :param proxies: proxy URL per scheme (``http``, ``https``, ``all``); empty means what the environment
        says.
    :param max_retries: how often one request may be sent again, default 4.
    :param requests_per_minute: limit that waits share per key; ``None`` is unlimited.
    :param requests_per_hour: limit that waits share per key; ``None`` is unlimited.
    :param max_turn_wait: seconds that a task waits for its turn on the key at most.
    :param shared_budget: whether the processes that use the key share what is left of its limits.
    :param budget_conn_id: Airflow connection to the Redis that holds it; ``None``: a file of each machine.
    :param webhook_secrets: what webhooks may be signed with: one secret, two while it is being replaced.
    :param webhook_secret_variable: Airflow Variable that holds such secrets, one or a JSON list.
    :raises ConfigurationError: no key, a URL that is none, or a key that would travel over plain http.
    """

    conn_id: str
    base_url: str
    api_key: str = field(repr=False)
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    max_retries: int = 4
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    max_turn_wait: float = 12 * 3600.0
    shared_budget: bool = True
    budget_conn_id: str | None = None
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    webhook_secret_variable: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_key", _checked_key(self.conn_id, self.api_key))
        object.__setattr__(self, "base_url", _checked_url(self.conn_id, self.base_url))

    @classmethod
    def from_connection(cls, connection: Connection, service: Service) -> ConnectionSettings:
        """
        Read and check an Airflow connection.

        ``extra`` is parsed here and not through ``extra_dejson``, which reports to the supervisor on every
        call and can block an event loop.

        :param connection: from ``BaseHook.get_connection`` or ``aget_connection``.
        :param service: the service that the caller speaks to.
        :raises ConfigurationError: names the field or the extra that is wrong, never its secret.
        """
        conn_id = connection.conn_id
        if not connection.conn_type and "//" in (connection.schema or ""):
            # Python takes no underscore in a URL scheme, and Airflow then finds neither type nor password.
            raise unusable(
                conn_id,
                "conn_type",
                "its URI cannot be read. A connection type is written with a hyphen there: "
                f"`{service.conn_type.replace('_', '-')}://`.",
            )
        if connection.conn_type not in ("", None, "generic", service.conn_type):
            raise ConfigurationError(
                f"Connection {conn_id!r} is of type {connection.conn_type!r}, and {service.name} needs "
                f"{service.conn_type!r}. Its password was not sent anywhere. Use another connection id or "
                "correct the type."
            )
        if not connection.password and connection.login:
            raise ConfigurationError(
                f"Connection {conn_id!r} has no API key: the field `password` is empty while `login` is set. "
                "Move the key to `password` (in URI form: a colon before the key).",
                parameter="password",
            )
        from airflow_provider.core.http.extras import read_extras

        limits = {
            "requests_per_minute": service.requests_per_minute,
            "requests_per_hour": service.requests_per_hour,
        }
        extras = read_extras(conn_id, connection.extra, service.extras()).settings()
        if extras.get("verify") is False:
            _warn_unverified(conn_id)
        return cls(
            conn_id=conn_id,
            base_url=_assemble_url(
                conn_id,
                service,
                host=(connection.host or "").strip(),
                # Some secrets backends give it as text.
                port=str(connection.port or "").strip(),
                schema=(connection.schema or "").strip(),
            ),
            api_key=connection.password or "",
            **limits | extras,
        )

    @property
    def receives_webhooks(self) -> bool:
        """Whether a secret is named, so that events may come and waits need few polls."""
        return bool(self.webhook_secrets or self.webhook_secret_variable)

    @cached_property
    def identity(self) -> str:
        """
        Key for what is shared per host and API key: rate budgets.

        Two connections with one key share one limit, and a connection whose key was rotated is another one,
        so ``conn_id`` does not do. A digest, because it ends up in logs and dictionaries.
        """
        return hashlib.sha256(f"{self.base_url}\0{self.api_key}".encode()).hexdigest()[:16]

    @cached_property
    def route(self) -> str:
        """
        Key for clients, within one :attr:`identity`: connections with other certificate checks or proxies
        never share one. A digest, because proxies hold passwords.
        """
        return hashlib.sha256(repr((self.verify, sorted(self.proxies.items()))).encode()).hexdigest()[:16]

    def budget_in(self, store: Store, bucket: str) -> SharedBudget:
        """Return the key's budget in a store; ``bucket`` as :class:`Service` names it."""
        limits = windows(per_minute=self.requests_per_minute, per_hour=self.requests_per_hour)
        # A limit that the connection names is the whole key's.
        key = self.identity if limits or not bucket else f"{self.identity}:{bucket}"
        return SharedBudget(store, key, limits)

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """
        What must not appear in a message or a log: the key, webhook secrets, passwords of proxies, also of
        those in the environment.
        """
        from urllib.request import getproxies_environment

        found = {self.api_key, *self.webhook_secrets}
        found |= {secret.removeprefix("whsec_") for secret in self.webhook_secrets}
        for url in (*self.proxies.values(), *getproxies_environment().values()):
            if password := _PROXY_PASSWORD.match(url):
                found |= {password[1], unquote(password[1])}
        return tuple(sorted((secret for secret in found if secret), key=len, reverse=True))


@cache
def _warn_unverified(conn_id: str) -> None:
    log.warning(
        "Connection %r does not check certificates (`verify` is false): whoever answers in place of the API "
        "gets its key. For a private certificate authority name its file in `verify`.",
        conn_id,
    )


def unusable(conn_id: str, parameter: str, why: str) -> ConfigurationError:
    """Return the error for a connection, with the field or extra that is wrong."""
    return ConfigurationError(f"Connection {conn_id!r}: {why}", parameter=parameter)


def _checked_key(conn_id: str, key: str | None) -> str:
    key = str(key or "").strip()
    if not key:
        raise ConfigurationError(
            f"Connection {conn_id!r} has no API key: put it in the field `password`.", parameter="password"
        )
    if set(key) == {"*"}:
        raise unusable(
            conn_id,
            "password",
            "the field `password` holds Airflow's mask (***) and not the API key. Some versions of Airflow "
            "save or test the mask of a form as the password: enter the key again.",
        )
    # Also keeps requests from quoting the key in an InvalidHeader error.
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise unusable(
            conn_id,
            "password",
            "the field `password` holds characters that cannot be part of an API key (blanks, line breaks or "
            "non-ASCII). Copy the key again.",
        )
    return key


def is_loopback(hostname: str) -> bool:
    """
    Whether a host name means this machine, so that plain http to it stays on it: ``localhost`` or an address.

    Any other name is what a resolver makes of it, ``x.localhost`` too.
    """
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def is_secure_url(url: str) -> bool:
    """Whether what is sent there stays secret: an https URL with a host, or plain http to this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or "")))


def is_proxy_url(url: object) -> bool:
    """Whether both halves can use a proxy: an http or https URL with a host, and a port if any."""
    if not isinstance(url, str) or not url.isprintable() or re.search(r"[\s\\]", url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _ascii_host(hostname: str) -> str:
    """
    Return a host name as DNS has it, as requests reads it; aiohttp would ask for another one in `faß.de`.

    :raises ValueError: no host has such a name.
    """
    if not hostname.isascii():
        import idna

        hostname = idna.encode(hostname, uts46=True).decode()
    if ":" in hostname:
        return str(ipaddress.IPv6Address(hostname.replace("%", "?")))
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", hostname):
        raise ValueError(hostname)
    return hostname


def _checked_url(conn_id: str, url: str) -> str:
    def refuse(why: str) -> ConfigurationError:
        return unusable(
            conn_id,
            "host",
            f"{why} Expected a host such as `api.example.com`, with or without scheme, port and a trailing "
            "`/api`.",
        )

    try:
        # Python leaves some control characters out by itself, and libraries differ in what they do with them.
        if not url.isprintable() or re.search(r"[\s\\]", url):
            raise refuse("the field `host` holds blanks, backslashes or control characters.")
        parts = urlsplit(url)
        hostname, port = _ascii_host(parts.hostname or "-"), parts.port
    except ValueError:
        raise refuse("the field `host` (or its port) cannot be read.") from None
    if parts.scheme not in ("http", "https"):
        raise refuse(f"the URL scheme {parts.scheme!r} is not http or https.")
    if not parts.hostname:
        raise refuse("the field `host` names no host.")
    if parts.username is not None or parts.password is not None:
        raise refuse("the field `host` holds credentials; the API key belongs in `password`.")
    if parts.query or parts.fragment:
        raise refuse("the field `host` holds a query or a fragment.")
    if not _PATH.fullmatch(parts.path):
        raise refuse("the path in the field `host` holds dot segments, or characters that need quoting.")
    if parts.scheme == "http" and not is_loopback(hostname):
        raise unusable(
            conn_id,
            "host",
            f"refusing to send an API key over plain http to {hostname}. Use https; http is for a local "
            "server only.",
        )
    netloc = f"[{hostname}]" if ":" in hostname else hostname
    if port is not None:
        netloc += f":{port}"
    path = re.sub(r"/+api(/+integrations)?$", "", parts.path.rstrip("/")).rstrip("/")
    return urlunsplit((parts.scheme, netloc, path, "", ""))


def _assemble_url(conn_id: str, service: Service, *, host: str, port: str, schema: str) -> str:
    # Airflow's `schema` field holds the path of a URI (`service://:key@host/api`) or, by the convention of
    # the HTTP provider, the URL scheme.
    is_scheme = schema.lower() in ("http", "https")
    scheme = schema.lower() if is_scheme else ""
    path = "" if is_scheme else schema.strip("/")
    if not host:
        if port or path:
            raise ConfigurationError(
                f"Connection {conn_id!r} has a port or a path and no host. Name the host, or leave all three "
                f"empty for {service.base_url}.",
                parameter="host",
            )
        return service.base_url
    if "://" in host:
        own_scheme, rest = host.split("://", 1)
        if scheme and scheme != own_scheme.lower():
            which = f"{own_scheme} and {scheme}"
            raise unusable(
                conn_id, "schema", f"the fields `host` and `schema` name different URL schemes ({which})."
            )
        scheme = own_scheme.lower()
    else:
        rest = host
    netloc, slash, prefix = rest.partition("/")
    if netloc.count(":") > 1 and not netloc.startswith("["):
        netloc = f"[{netloc}]"
    try:
        parts = urlsplit(f"//{netloc}")
        hostname, own_port = (parts.hostname or ""), parts.port
    except ValueError:
        raise unusable(conn_id, "host", "the field `host` (or its port) cannot be read.") from None
    if port and own_port and port != str(own_port):
        which = f"{own_port} and {port}"
        raise unusable(conn_id, "port", f"the fields `host` and `port` name different ports ({which}).")
    if port and not own_port:
        netloc = f"{netloc.rstrip(':')}:{port}"
    if not scheme:
        scheme = "http" if is_loopback(hostname) else "https"
    return f"{scheme}://{netloc}{slash}{prefix.rstrip('/')}" + (f"/{path}" if path else "")
