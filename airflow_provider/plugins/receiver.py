"""
HTTP route that receives MediaMagic's webhooks. Airflow does not authenticate what plugins serve, so
the signature alone decides.

A request that cannot be an event by its headers is refused before anything is looked up. All others that do
not prove that they come from MediaMagic get the same answer after the same time and work: a wrong signature,
a connection that does not exist, or one without a secret. So the answer does not tell which connections
exist. While too many unknown connections are asked for, the answer is 503: a genuine event may be among those
requests, and is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from airflow_provider.mediamagic.webhooks.events import (
    MOST_BYTES,
    RefusedError,
    check_headers,
    check_signature,
    not_genuine,
    read_event,
)
from airflow_provider.mediamagic.webhooks.secrets import Secrets, look_up_all
from airflow_provider.plugins.inbox import FullError, Inbox
from airflow_provider.plugins.waking import Waker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds in which a body must have arrived."""

REFUSED_AFTER: Final = 0.5
"""
Seconds before a wrong signature is answered, in which the connection is looked up: its secret may be new.
The same for all connections, so that the time does not tell which ones exist.
"""

MOST_WAITING: Final = 500
"""When so many requests wait for that, further ones are refused at once."""

_CONN_ID: Final = re.compile(r"[\w.\-]{1,200}")


def make_app(
    secrets: Secrets | None = None,
    inbox: Inbox | None = None,
    *,
    pause: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> FastAPI:
    """
    Return the application that the API server mounts.

    :param pause: as :func:`asyncio.sleep`, before an answer to a wrong signature.
    """
    waker = Waker()
    secrets = secrets or Secrets(look_up_all=lambda: look_up_all(waker.connections()))
    inbox = inbox or Inbox(waker.wake)
    # Senders of webhooks follow no redirect, so an address with a slash at its end is one of its own.
    app = FastAPI(title="MediaMagic webhooks", openapi_url=None, redirect_slashes=False)
    waiting = 0

    async def verify(conn_id: str, body: bytes, headers: Mapping[str, str]) -> None:
        nonlocal waiting
        known = secrets.of(conn_id)
        try:
            check_signature(known, body, headers)
        except RefusedError:
            secrets.recheck(conn_id)
            if waiting < MOST_WAITING:
                waiting += 1
                try:
                    await pause(REFUSED_AFTER)
                finally:
                    waiting -= 1
            newer = secrets.of(conn_id)
            if newer == known:
                raise
            check_signature(newer, body, headers)

    async def accept(conn_id: str, request: Request) -> str:
        """Take an event; return what became of it."""
        check_headers(request.headers, time.time())
        if not _CONN_ID.fullmatch(conn_id):
            raise not_genuine()
        body = await _read(request)
        try:
            await secrets.ready()
        except Exception as error:  # logged where it happened
            raise _unavailable() from error
        try:
            await verify(conn_id, body, request.headers)
        except RefusedError as refused:
            raise (_unavailable() if secrets.exhausted else refused) from None
        event = read_event(conn_id, body, request.headers)
        if event is None:
            return "ignored"
        try:
            return "taken" if await inbox.take(event) else "known"
        except FullError as error:
            raise _unavailable("Too many events.") from error
        except Exception as error:  # logged where it happened
            raise _unavailable() from error

    @app.post("/webhooks/{conn_id}")
    @app.post("/webhooks/{conn_id}/")
    async def receive(conn_id: str, request: Request) -> Response:
        try:
            return JSONResponse({"status": await accept(conn_id, request)})
        except RefusedError as refused:
            if refused.status == 400:
                log.warning("A signed event for connection %r was refused: %s", conn_id, refused.reason)
            # Unless the connection is closed, the server reads the rest of the body.
            headers = {"Retry-After": "5"} if refused.status == 503 else {"Connection": "close"}
            return JSONResponse({"detail": refused.reason}, status_code=refused.status, headers=headers)

    return app


def _unavailable(why: str = "Try again.") -> RefusedError:
    return RefusedError(503, why)


async def _read(request: Request) -> bytes:
    """
    Return the body, of which no more is read than an event may have.

    :raises RefusedError: 413, too long; 408, too slow; 400, the sender hung up.
    """
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise RefusedError(413, f"More than {MOST_BYTES} bytes.")
    except TimeoutError:
        raise RefusedError(408, "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise not_genuine() from None
    return bytes(body)
