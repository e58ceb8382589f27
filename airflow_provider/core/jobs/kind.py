"""JobKind: what operators, sensors and triggers share about one kind of job, as one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.text import public

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.polling.sweep import Listing
    from airflow_provider.core.polling.wait import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """
    One kind of job of one service.

    The functions take the service's hook first; those that are asynchronous also take the shared client.

    :param noun: what to call it in messages.
    :param id_key: XCom key of its id, and the argument of operators and sensors that name one.
    :param get: returns the service's description of the job with this id.
    :param aget: the same, on an event loop.
    :param observe: reads the state from such a description.
    :param id_of: reads the id from such a description.
    :param public: takes out of a description what must not reach XCom.
    :param cancel: cancels the job; ``None`` where the API cannot.
    :param acancel: the same, on an event loop.
    :param listing: a list that shows many such jobs with one request; ``None`` where there is none.
    :param backoff: the vendor's recommended polling intervals.
    :param typical: shortest and longest usual duration in seconds, by sort of job; ``""`` is any other.
    :param limits: how long to wait at most in seconds, by sort of job; ``""`` is any other.
    """

    noun: str
    id_key: str
    get: Callable[[Any, str], dict[str, Any]]
    aget: Callable[[Any, aiohttp.ClientSession, str], Awaitable[dict[str, Any]]]
    observe: Callable[[Mapping[str, Any]], Observation]
    id_of: Callable[[Mapping[str, Any]], str]
    backoff: Backoff
    public: Callable[[dict[str, Any]], dict[str, Any]] = public
    cancel: Callable[[Any, str], Any] | None = None
    acancel: Callable[[Any, aiohttp.ClientSession, str], Awaitable[Any]] | None = None
    listing: Listing | None = None
    typical: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def can_cancel(self) -> bool:
        """Whether the API can cancel such a job."""
        return self.cancel is not None

    def typical_for(self, sort: str) -> tuple[float, float]:
        """Return the shortest and the longest usual duration in seconds."""
        return self.typical.get(sort) or self.typical[""]

    def limit_for(self, sort: str) -> float:
        """Return the seconds to wait at most."""
        return self.limits.get(sort) or self.limits[""]
