"""A small, fast HTTPS server that answers the status requests of every contender: all jobs go on running."""

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

CASES = 1000
"""Cases in the account, each with a report that runs."""


def report(number: str) -> dict[str, object]:
    return {
        "success": True,
        "data": {
            "id": f"rpt_{number}", "case_id": f"case_{number}", "type": "technical_report",
            "status": "processing", "progress": {"message": "Analyzing photos"},
            "created_at": "2026-06-03T12:00:00Z", "updated_at": "2026-06-03T12:00:00Z",
        },
    }  # fmt: skip


def case(number: int) -> dict[str, object]:
    return {
        "id": f"case_{number}", "name": "Smith v. Jones", "plaintiff_name": "Ann Smith",
        "defendant_name": "Bob Jones", "attorney_name": "Cleo Park", "side": "plaintiff",
        "status": "active", "analysis_type": "accident_reconstruction_and_biomechanics",
        "analysis_status": {"technical_report": {"status": "processing"}},
        "created_at": "2026-06-03T12:00:00Z", "updated_at": "2026-06-03T12:00:00Z",
    }  # fmt: skip


polls = 0


def answering(body: object) -> web.RequestHandler[web.Request]:  # type: ignore[type-arg]
    text = json.dumps(body).encode()

    async def handle(request: web.Request) -> web.Response:
        global polls
        polls += 1
        return web.Response(body=text, content_type="application/json")

    return handle  # type: ignore[return-value]


async def one_submission(request: web.Request) -> web.Response:
    global polls
    polls += 1
    return web.json_response(SUBMISSION | {"submissionId": request.match_info["id"]})


async def one_report(request: web.Request) -> web.Response:
    global polls
    polls += 1
    return web.json_response(report(request.match_info["id"].removeprefix("rpt_")))


async def count(request: web.Request) -> web.Response:
    return web.json_response({"polls": polls})


def main() -> None:
    app = web.Application()
    app.router.add_get("/polls", count)
    app.router.add_get("/api/integrations/submissions/{id}", one_submission)
    app.router.add_get("/api/v2/accounts/{account}/runs/{run}/", answering(DBT))  # type: ignore[arg-type]
    app.router.add_get("/jobs/{id}", answering(AIRBYTE))  # type: ignore[arg-type]
    app.router.add_get("/v1/jobs/{id}", answering(AIRBYTE))  # type: ignore[arg-type]
    cases = {"success": True, "data": [case(number) for number in range(1, CASES + 1)]}
    app.router.add_get("/api/cases", answering(cases))  # type: ignore[arg-type]
    app.router.add_get("/api/reports/{id}", one_report)
    port, certificate = sys.argv[1:]
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    web.run_app(
        app, host="127.0.0.1", port=int(port), ssl_context=tls, print=None, access_log=None, backlog=8192
    )


if __name__ == "__main__":
    main()
