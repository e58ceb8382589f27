"""A small, fast HTTPS server that answers the status request of every contender: the job is still running."""

from __future__ import annotations

import json
import ssl
import sys

from aiohttp import web

SUBMISSION: dict[str, object] = {
    "submissionId": "1", "workflowId": "asset-processing-1", "workspaceId": "1", "status": "processing",
    "progressPercent": None, "createdAt": "2026-06-03T12:00:00Z", "completedAt": None, "errorMessage": None,
    "assets": [], "isRetryable": False,
}  # fmt: skip
DBT = {"status": {"code": 200, "is_success": True}, "data": {"id": 1, "status": 3, "job_id": 1}}
AIRBYTE = {
    "jobId": 1,
    "connectionId": "1",
    "status": "running",
    "jobType": "sync",
    "startTime": "2026-06-03T12:00:00Z",
}

polls = 0


def answering(body: object) -> web.RequestHandler[web.Request]:  # type: ignore[type-arg]
    text = json.dumps(body).encode()

    async def handle(request: web.Request) -> web.Response:
        global polls
        polls += 1
        return web.Response(body=text, content_type="application/json")

    return handle  # type: ignore[return-value]


async def count(request: web.Request) -> web.Response:
    return web.json_response({"polls": polls})


def main() -> None:
    app = web.Application()
    app.router.add_get("/polls", count)
    app.router.add_get("/api/integrations/submissions/{id}", answering(SUBMISSION))  # type: ignore[arg-type]
    app.router.add_get("/api/v2/accounts/{account}/runs/{run}/", answering(DBT))  # type: ignore[arg-type]
    app.router.add_get("/jobs/{id}", answering(AIRBYTE))  # type: ignore[arg-type]
    app.router.add_get("/v1/jobs/{id}", answering(AIRBYTE))  # type: ignore[arg-type]
    port, certificate = sys.argv[1:]
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    web.run_app(
        app, host="127.0.0.1", port=int(port), ssl_context=tls, print=None, access_log=None, backlog=8192
    )


if __name__ == "__main__":
    main()
