"""
HTTP route that receives MediaMagic's webhooks. Airflow does not authenticate what plugins serve, so
the signature alone decides.

Nothing is looked up for what its headers give away, connections are looked up seldom, and whatever is not
proved to come from MediaMagic gets the same answer: a wrong signature, an old timestamp, a connection that
does not exist or has no secret. While too many strange connections are asked for that answer is 503, for a
genuine event may be among them that is to come again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Final

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
from airflow_provider.mediamagic.webhooks.secrets import Secrets
from airflow_provider.plugins.inbox import FullError, Inbox

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds in which a body must have arrived."""

_CONN_ID: Final = re.compile(r"[\w.\-]{1,200}")


def make_app(
    secrets: Secrets | None = None, inbox: Inbox | None = None, *, clock: Callable[[], float] = time.time
) -> FastAPI:
    """
    Return the application that the API server mounts.

    :param secrets: of connections.
    :param inbox: takes what was verified.
    :param clock: epoch seconds, for the timestamps of events.
    """
    secrets = secrets or Secrets()
    inbox = inbox or Inbox()
    app = FastAPI(title="MediaMagic webhooks", openapi_url=None)

    @app.post("/webhooks/{conn_id}")
    async def receive(conn_id: str, request: Request) -> Response:
        try:
            check_headers(request.headers, clock())
            if not _CONN_ID.fullmatch(conn_id):
                raise not_genuine()
            body = await _read(request)
            known = await secrets.of(conn_id)
            try:
                check_signature(known or (), body, request.headers)
            except RefusedError:
                secrets.doubt(conn_id)
                # Whoever is known gets the same answer, so that it tells nobody apart.
                if known is None or secrets.exhausted:
                    return _come_again("Try again.")
                raise
            event = read_event(conn_id, body, request.headers)
        except RefusedError as refused:
            if refused.status == 400:
                log.warning("A signed event for connection %r was refused: %s", conn_id, refused.reason)
            return JSONResponse({"detail": refused.reason}, status_code=refused.status)
        if event is None:
            return JSONResponse({"status": "ignored"})
        try:
            new = await inbox.take(event)
        except FullError:
            return _come_again("Too many events.")
        except Exception:  # logged where it happened
            return _come_again("Try again.")
        return JSONResponse({"status": "taken" if new else "known"})

    return app


def _come_again(why: str) -> Response:
    return JSONResponse({"detail": why}, status_code=503, headers={"Retry-After": "5"})


async def _read(request: Request) -> bytes:
    """
    Return the body, reading no more of it than may be there.

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
