"""Silent Witness as one service: request id, authentication, rate limit, then the endpoint."""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.keys import SILENT_WITNESS, Caller
from airflow_provider.simulator.limits import Verdict
from airflow_provider.simulator.replies import Reply
from airflow_provider.simulator.routing import Route, Router
from airflow_provider.simulator.silent_witness.cases import Cases
from airflow_provider.simulator.silent_witness.errors import Problem, default_problem
from airflow_provider.simulator.silent_witness.files import Files
from airflow_provider.simulator.silent_witness.organizations import Organizations
from airflow_provider.simulator.silent_witness.reports import Reports
from airflow_provider.simulator.storage import Storage
from airflow_provider.simulator.world import World

Endpoint = Callable[[Call, Caller], Awaitable[Reply]]


class SilentWitness:
    """The public REST API."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self.organizations = Organizations(world)
        self.cases = Cases(world, self.organizations)
        self.files = Files(world, self.cases, storage)
        self.reports = Reports(world, self.cases, self.files, storage)
        self.router = Router()
        for method, template, endpoint in (
            ("POST", "/api/cases", self.cases.create),
            ("GET", "/api/cases", self.cases.index),
            ("GET", "/api/cases/{id}", self.cases.read),
            ("PUT", "/api/cases/{id}", self.cases.update),
            ("POST", "/api/files/upload", self.files.upload),
            ("GET", "/api/files", self.files.index),
            ("GET", "/api/files/{id}", self.files.content),
            ("GET", "/api/files/{id}/download", self.files.content),
            ("GET", "/api/files/{id}/status", self.files.status),
            ("DELETE", "/api/files/{id}", self.files.delete),
            ("POST", "/api/reports", self.reports.create),
            ("GET", "/api/reports", self.reports.index),
            ("GET", "/api/reports/{id}", self.reports.read),
            ("DELETE", "/api/reports/{id}", self.reports.cancel),
            ("POST", "/api/organizations", self.organizations.create),
            ("GET", "/api/organizations", self.organizations.index),
            ("GET", "/api/organizations/{id}", self.organizations.get),
            ("PUT", "/api/organizations/{id}", self.organizations.update),
            ("DELETE", "/api/organizations/{id}", self.organizations.delete),
        ):
            self.router.add(method, template, self._admitted(endpoint))

    def reset(self) -> None:
        """Forget everything."""
        for part in (self.organizations, self.cases, self.files, self.reports):
            part.reset()

    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """What the ledger shows of this service."""
        return {"cases": self.cases.ledger(), "reports": self.reports.ledger()}

    async def answer(self, call: Call, route: Route | None, path_exists: bool) -> Reply:
        """Process a request; the request id comes back as a header, and in the body of an error."""
        _identify(call)
        try:
            if route is None:
                raise default_problem(405 if path_exists else 404)
            reply = await route.handler(call)
        except Problem as problem:
            reply = problem.reply(call.request_id)
            if problem.status == 429:
                self._announce(reply, problem.verdict)
        reply.headers.append(("X-Request-ID", call.request_id))
        return reply

    def error(self, call: Call, status: int) -> Reply:
        """An error as this vendor would word it."""
        _identify(call)
        reply = default_problem(status).reply(call.request_id)
        reply.headers.append(("X-Request-ID", call.request_id))
        return reply

    def _admitted(self, endpoint: Endpoint) -> Callable[[Call], Awaitable[Reply]]:
        async def handler(call: Call) -> Reply:
            caller = self._caller(call)
            limits = caller.limits.get("*", self._world.settings.silent_witness_limits)
            verdict = self._world.limiter.take(caller.key_hash, "", limits)
            if verdict is not None and not verdict.allowed:
                self._world.ledger.rate_limited[SILENT_WITNESS] += 1
                problem = default_problem(429)
                problem.verdict = verdict
                raise problem
            reply = await endpoint(call, caller)
            if verdict is not None:
                self._announce(reply, verdict)
            return reply

        return handler

    def _announce(self, reply: Reply, verdict: Verdict | None) -> None:
        settings = self._world.settings
        if verdict is None:
            return
        if settings.rate_limit_headers:
            reply.headers += [
                ("X-RateLimit-Limit", str(verdict.limit)),
                ("X-RateLimit-Remaining", str(verdict.remaining if verdict.allowed else 0)),
                ("X-RateLimit-Reset", str(math.ceil(verdict.reset_at))),
            ]
        if settings.retry_after and not verdict.allowed:
            reply.headers.append(("Retry-After", str(max(1, math.ceil(verdict.wait)))))

    def _caller(self, call: Call) -> Caller:
        key = call.header(b"x-api-key")
        if not key:
            raise Problem(401, "unauthorized", "API key is required")
        caller = self._world.keys.find(SILENT_WITNESS, key)
        if caller is None or caller.state in ("expired", "revoked"):
            raise default_problem(401)
        if caller.state in ("no_plan", "forbidden"):
            raise default_problem(403)
        return caller


def _identify(call: Call) -> None:
    if not call.request_id:
        call.request_id = call.header(b"x-request-id") or f"req_{secrets.token_hex(16)}"
