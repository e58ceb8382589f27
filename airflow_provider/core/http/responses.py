"""
Requests as they go out, and responses as they are read. What is read here is not checked again elsewhere.

Texts are made fit for every log and database, numbers that JSON does not know become null, and a field of
another type than the documented one is null where it is optional and an error where it is needed. Pure: the
synchronous and the asynchronous half share it.
"""

from __future__ import annotations

import json as jsonlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from airflow_provider import DISTRIBUTION, __version__
from airflow_provider.core.polling.wait import epoch_seconds
from airflow_provider.core.text import encodable, snippet
from airflow_provider.exceptions import InvalidInputError, MalformedResponseError

if TYPE_CHECKING:
    from airflow_provider.core.files.bodies import MultipartBody
    from airflow_provider.core.http.connection import ConnectionSettings

T = TypeVar("T")

MAX_JSON_BYTES: Final = 32 * 1024 * 1024
"""Longest JSON answer that is read into memory."""

MAX_DEPTH: Final = 100
"""Objects and arrays inside each other; no answer of these services comes near."""

PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_.:~+=-]{1,128}")
"""What an id of either service may look like: nothing that a path, a template or a log reads as its own."""

_NUMBER = re.compile("-?[0-9]{1,18}")

_TOTALS: Final = ("total", "totalCount", "total_count")
_PAGES: Final = ("totalPages", "total_pages")
_MORE: Final = (
    *("hasMore", "has_more", "hasNext", "has_next", "next"),
    *("nextCursor", "next_cursor", "nextPage", "next_page"),
)
"""Names under which lists say how many rows or pages there are, and that more follow."""


class Word:
    """A text from a closed list, such as a status: read in lower case and without blanks around it."""


class Id:
    """An id: a text that :func:`is_plain_id` takes, or a whole number."""


class Name:
    """A text or a whole number, which is checked where it is used."""


Kind = type | Mapping[str, Any] | list[Any]
"""
A documented type: ``str``, :class:`Word`, :class:`Id`, :class:`Name`, ``bool``, ``int``, ``float`` (any
number), ``datetime`` (ISO 8601 text), ``dict``, ``list``, an object with such fields (``{"name": Kind}``), or
a list of such objects (``[{"name": Kind}]``).
"""


def fields(kind: Kind, *names: str) -> dict[str, Kind]:
    """Return the documented type of several fields."""
    return dict.fromkeys(names, kind)


def is_plain_id(value: Any) -> bool:
    """Whether it is a text of :data:`PLAIN_ID`, and no dot segment, which would name another endpoint."""
    return isinstance(value, str) and bool(PLAIN_ID.fullmatch(value)) and value not in (".", "..")


def plain_id(argument: str, value: Any) -> str:
    """
    Return an id of the service, which may have come from anywhere, as it is: it fits a path unquoted.

    :raises InvalidInputError: it is none, see :func:`is_plain_id`.
    """
    if not is_plain_id(value):
        raise InvalidInputError(
            f"{argument} must be an id: 1 to 128 of the characters A-Z a-z 0-9 _ . : ~ + = -; got "
            f"{snippet(repr(value))}.",
            parameter=argument,
        )
    return str(value)


def load_json(content: bytes | str) -> Any:
    """
    Parse a body, see :func:`plain`.

    :raises ValueError: it is no JSON, not in a Unicode encoding, or nested too deeply.
    """
    try:
        data = jsonlib.loads(content, parse_int=_small_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return plain(data)


def _small_int(text: str) -> int | None:
    return _fits(int(text)) if len(text) <= 20 else None


def _fits(number: int) -> int | None:
    return number if -(2**63) <= number < 2**63 else None


def plain(data: Any, depth: int = MAX_DEPTH) -> Any:
    """
    Return parsed data that every JSON writer and database takes.

    Texts are made :func:`~airflow_provider.core.text.encodable`; ``NaN``, ``Infinity`` and numbers outside 64
    bits become ``None``.

    :param depth: most objects and arrays inside each other.
    :raises ValueError: nested too deeply.
    """
    if isinstance(data, str):
        return encodable(data)
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if not isinstance(data, dict | list):
        return data
    if not depth:
        raise ValueError("nested too deeply")
    if isinstance(data, list):
        return [plain(item, depth - 1) for item in data]
    return {encodable(name): plain(value, depth - 1) for name, value in data.items()}


def malformed(endpoint: str, what: str, **known: Any) -> MalformedResponseError:
    """Return the error for an answer that is not what the endpoint documents."""
    return MalformedResponseError(
        f"{endpoint} answered with {what}. Check that the connection's host is the API and not a web page "
        "or a proxy; if it is, try again later and report it to the vendor.",
        endpoint=endpoint,
        **known,
    )


def http_date(text: str) -> float | None:
    """Return the date of a header as epoch seconds; ``None`` for what is none. Without a zone it is UTC."""
    try:
        moment = parsedate_to_datetime(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Request:
    """
    One attempt.

    :param endpoint: ``METHOD /path``, for messages.
    :param url: with the query string.
    :param headers: with the API key.
    :param read_timeout: seconds without a byte; ``None`` for the connection's.
    :param request_id: the id that we give it, where the service takes one.
    :param secrets: of the connection, which no error may quote.
    """

    endpoint: str
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    data: bytes | MultipartBody | None = field(repr=False)
    read_timeout: float | None
    request_id: str | None
    secrets: tuple[str, ...] = field(repr=False)


def new_request(
    settings: ConnectionSettings,
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    body: MultipartBody | None = None,
    accept: str = "application/json",
    read_timeout: float | None = None,
    request_id: str | None = None,
) -> Request:
    """
    Return a request.

    :param params: query; entries that are ``None`` are left out.
    :raises InvalidInputError: the path, the query or the body cannot be sent.
    """
    endpoint = endpoint_of(method, path)
    given = {name: value for name, value in (params or {}).items() if value is not None}
    try:
        query = urlencode(given, doseq=True)
    except UnicodeEncodeError:
        raise InvalidInputError(f"The query {given!a} cannot be sent: it holds half a character.") from None
    url = settings.base_url + path + ("&" if "?" in path else "?") * bool(query) + query
    headers = {
        "X-API-Key": settings.api_key,
        "Accept": accept,
        "User-Agent": f"{DISTRIBUTION}/{__version__}",
    }
    if request_id:
        headers["X-Request-ID"] = request_id
    data: bytes | MultipartBody | None = body
    if json is not None:
        headers["Content-Type"] = "application/json"
        data = _as_json(json)
    elif body is not None:
        headers["Content-Type"] = body.content_type
    return Request(endpoint, method, url, headers, data, read_timeout, request_id, settings.secrets)


def endpoint_of(method: str, path: Any) -> str:
    """
    Return what messages call an endpoint: ``METHOD /path``, without query string.

    :raises InvalidInputError: the path is none.
    """
    if not isinstance(path, str) or not re.match(r"/(?!/)", path) or not path.isprintable() or " " in path:
        raise InvalidInputError(
            f"path must begin with one slash and hold no blanks, such as `/api/things`; got {path!r}. The "
            "host is the connection's.",
            parameter="path",
        )
    return f"{method} {path.partition('?')[0]}"


def _as_json(payload: Any) -> bytes:
    try:
        return jsonlib.dumps(payload, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The request cannot be written as JSON, so nothing was sent: {error}", parameter="json"
        ) from error


@dataclass(frozen=True, slots=True)
class Response:
    """
    One whole answer.

    :param endpoint: ``METHOD /path`` as sent, without query string.
    :param headers: with lower-case names.
    :param body: as received, at most :data:`MAX_JSON_BYTES`.
    :param request_id: the id that we gave the request, where the service takes one.
    """

    endpoint: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    request_id: str | None = None


def parse_json(answer: Response, secrets: Iterable[str] = ()) -> Any:
    """
    Return the parsed body of a 2xx answer; ``None`` for 204, which has none.

    :raises MalformedResponseError: an empty body, HTML, or broken JSON.
    """
    if answer.status == 204:
        return None
    known: dict[str, Any] = {"http_status": answer.status, "request_id": answer.request_id}
    if not answer.body.strip():
        raise malformed(answer.endpoint, "an empty body where JSON is documented", **known)
    try:
        data = load_json(answer.body)
    except ValueError:
        kind = "an HTML page" if answer.body.lstrip()[:1] == b"<" else "a body that is not JSON"
        shown = snippet(answer.body, secrets)
        raise malformed(answer.endpoint, f"{kind} where JSON is documented: {shown!r}", **known) from None
    return data


@dataclass(frozen=True, slots=True)
class Body:
    """
    Parsed JSON that knows which endpoint sent it, so that an error can name it.

    :param endpoint: ``METHOD /path``.
    :param data: from :func:`load_json`; ``None`` for an answer without a body.
    """

    endpoint: str
    data: Any

    def part(self, data: Any) -> Body:
        return Body(self.endpoint, data)

    def within(self, name: str) -> Body:
        """
        Return what is under a name.

        :raises MalformedResponseError: nothing is, or the data is no object.
        """
        return self.part(self.require(name, object))

    def named(self, name: str) -> Body:
        """Return the object under its name, or the body itself when that is the object already."""
        data = self.data
        if isinstance(data, dict) and "id" not in data and isinstance(data.get(name), dict):
            return self.part(data[name])
        return self

    def malformed(self, what: str) -> MalformedResponseError:
        """Return the error for a body that holds ``what`` instead of what is documented."""
        return malformed(self.endpoint, what)

    def require(self, name: str, kind: Kind = str) -> Any:
        """
        Return a field that the caller relies on.

        :raises MalformedResponseError: the data is no object, or the field is missing, null, blank or of
            another type.
        """
        if not isinstance(self.data, dict):
            raise self.malformed(
                f"{_kind_of(self.data)} where an object with the field `{name}` is documented"
            )
        value = as_documented(self.data.get(name), kind)
        if value is None or (isinstance(value, str) and not value.strip()):
            found = _kind_of(self.data[name]) if name in self.data else "nothing"
            if kind is Id and found == "text":
                found = "a text that is no id"
            raise self.malformed(f"{found} in the field `{name}`")
        return value

    def object(self, *needed: str, kinds: Mapping[str, Kind] | None = None) -> dict[str, Any]:
        """
        Return the data, which must be an object.

        :param needed: names of fields that must be there and not blank.
        :param kinds: documented types of fields, by default text for those needed; what is of another type
            becomes ``None``.
        :raises MalformedResponseError: it is no object, or one of ``needed`` is missing or of another type.
        """
        kinds = kinds or {}
        if not isinstance(self.data, dict):
            raise self.malformed(f"{_kind_of(self.data)} where an object is documented")
        for name in needed:
            self.require(name, kinds.get(name, str))
        return self.data | _documented(self.data, kinds)

    def rows(self, what: str, *needed: str, kinds: Mapping[str, Kind] | None = None) -> list[dict[str, Any]]:
        """
        Return the data, which must be a list of objects; each is read as by :meth:`object`.

        :param what: what it lists, for the error.
        :raises MalformedResponseError: it is no such list.
        """
        if not isinstance(self.data, list) or not all(isinstance(row, dict) for row in self.data):
            raise self.malformed(f"something other than a list of {what}")
        return [self.part(row).object(*needed, kinds=kinds) for row in self.data]

    def check_asked(self, noun: str, asked: str, *named: str | None) -> None:
        """
        Check that the body is about what was asked for.

        :param named: the ids that it names, any of which may be the one asked for.
        :raises MalformedResponseError: it names others.
        """
        if any(named) and asked not in named:
            raise self.malformed(f"another {noun} ({named[0]!r}) than was asked for")

    def left_out(self, shown: int) -> str:
        """Return what a list says of rows that it does not show, such as ``1 of 3``; empty for nothing."""
        for said in self._said():
            if (total := _most(said, _TOTALS)) > shown:
                return f"{shown} of {total}"
            if _most(said, _PAGES) > 1 or any(said.get(name) not in (None, False, "", 0) for name in _MORE):
                return f"{shown} and more"
        return ""

    def total(self) -> int:
        """Return how many rows a list says that there are; 0 where it says nothing."""
        return max((_most(said, _TOTALS) for said in self._said()), default=0)

    def _said(self) -> list[dict[str, Any]]:
        """Return where a list may say something of itself."""
        if not isinstance(self.data, dict):
            return []
        places = (self.data, self.data.get("pagination"), self.data.get("meta"))
        return [place for place in places if isinstance(place, dict)]


def _most(said: Mapping[str, Any], names: Iterable[str]) -> int:
    return max(as_documented(said.get(name), int) or 0 for name in names)


Reader = Callable[[Body], T]
"""Takes a body and returns the result of a request; raises :class:`MalformedResponseError`."""


def as_documented(value: Any, kind: Kind) -> Any:
    """Return a value of the documented type; ``None`` for one of another type, as if it were absent."""
    if isinstance(kind, Mapping):
        return value | _documented(value, kind) if isinstance(value, dict) else None
    if isinstance(kind, list):
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            return None
        return [item | _documented(item, kind[0]) for item in value]
    if kind is Word:
        return value.strip().lower() if isinstance(value, str) else None
    if kind is datetime:
        return value if epoch_seconds(value) is not None else None
    if isinstance(value, bool) and kind is not bool:
        return None
    if kind in (Id, Name):
        text = str(value) if isinstance(value, int) else value
        return text if is_plain_id(text) or (kind is Name and isinstance(text, str)) else None
    if kind is int and isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else None
    if kind is int and isinstance(value, float) and value.is_integer():
        return _fits(int(value))
    return value if isinstance(value, (int, float) if kind is float else kind) else None


def _documented(data: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    return {name: as_documented(data[name], kind) for name, kind in kinds.items() if name in data}


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str) and not value.strip():
        return "an empty text"
    names = {dict: "an object", list: "an array", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")
