"""The control API under ``/_simulator/``: for tests, not part of either vendor."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Protocol

from airflow_provider.simulator.calls import Call, NotJson
from airflow_provider.simulator.faults import Faults
from airflow_provider.simulator.keys import SERVICES
from airflow_provider.simulator.replies import Reply, json_reply
from airflow_provider.simulator.routing import Route, Router
from airflow_provider.simulator.scripts import parse_script
from airflow_provider.simulator.webhook_faults import WebhookFaults, parse_webhook_faults
from airflow_provider.simulator.world import World


class Jobs(Protocol):
    """A service that adds what it knows to the ledger."""

    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """Lists by name: ``submissions``, ``reports``, ``cases``, ``webhook_deliveries``."""


class Control:
    """Endpoints that read the ledger and decide what happens next.

    A web page in a browser on this machine can make none of them: its requests name another host, or are no
    JSON.

    :param reset: puts everything back to how it was at the start.
    :param bound: address that the server is bound to.
    """

    def __init__(
        self,
        world: World,
        faults: Faults,
        services: list[Jobs],
        reset: Callable[[], None],
        bound: str = "127.0.0.1",
    ) -> None:
        self._bound = bound
        self._world = world
        self._faults = faults
        self._services = services
        self._reset = reset
        self.router = router = Router()
        for method, path, handler in (
            ("GET", "health", self._health),
            ("GET", "ledger", self._ledger),
            ("GET", "faults", self._list_faults),
            ("POST", "faults", self._add_fault),
            ("DELETE", "faults", self._clear_faults),
            ("POST", "script", self._add_script),
            ("DELETE", "script", self._clear_scripts),
            ("GET", "webhooks", self._show_webhooks),
            ("POST", "webhooks", self._disturb_webhooks),
            ("DELETE", "webhooks", self._mend_webhooks),
            ("POST", "keys", self._add_keys),
            ("POST", "advance", self._advance),
            ("POST", "settings", self._change_settings),
            ("POST", "reset", self._reset_all),
        ):
            router.add(method, f"/_simulator/{path}", handler)

    async def answer(self, call: Call, route: Route | None, path_exists: bool) -> Reply:
        """Process a control call; mistakes in it are a 400 that names them."""
        if not self._is_own_host(call.hostname):
            return json_reply(403, {"error": "the Host of a control call is localhost or the bind address"})
        if route is None:
            return self.error(call, 405 if path_exists else 404)
        kind = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
        if call.method == "POST" and kind != "application/json":
            return json_reply(415, {"error": "the Content-Type of a control call is application/json"})
        try:
            return await route.handler(call)
        except (ValueError, TypeError, KeyError, NotJson) as error:
            return json_reply(400, {"error": str(error)})

    def _is_own_host(self, hostname: str) -> bool:
        if hostname in ("localhost", self._bound):
            return True
        try:
            address = ipaddress.ip_address(hostname.strip("[]"))
            # Bound to all addresses, it is known by any; a page can only make names lead here.
            return address.is_loopback or ipaddress.ip_address(self._bound).is_unspecified
        except ValueError:
            return False

    def error(self, call: Call, status: int) -> Reply:
        """An error of the control API."""
        return json_reply(status, {"error": f"{call.method} {call.path}: no such control call"})

    async def _health(self, call: Call) -> Reply:
        clock = self._world.clock
        return json_reply(200, {"status": "ok", "now": clock.now(), "time_scale": clock.scale})

    async def _ledger(self, call: Call) -> Reply:
        jobs: dict[str, list[dict[str, Any]]] = {}
        for service in self._services:
            jobs.update(service.ledger())
        return json_reply(200, self._world.ledger.summary(jobs))

    async def _list_faults(self, call: Call) -> Reply:
        return json_reply(200, {"faults": self._faults.listed()})

    async def _add_fault(self, call: Call) -> Reply:
        return json_reply(201, self._faults.add(await _object(call)).shown())

    async def _clear_faults(self, call: Call) -> Reply:
        self._faults.clear()
        return Reply(204)

    async def _add_script(self, call: Call) -> Reply:
        self._world.scripts.add(parse_script(await _object(call)))
        return json_reply(201, {})

    async def _clear_scripts(self, call: Call) -> Reply:
        self._world.scripts.clear()
        return Reply(204)

    async def _show_webhooks(self, call: Call) -> Reply:
        return json_reply(200, self._world.webhook_faults.shown())

    async def _disturb_webhooks(self, call: Call) -> Reply:
        self._world.webhook_faults = parse_webhook_faults(await _object(call))
        return await self._show_webhooks(call)

    async def _mend_webhooks(self, call: Call) -> Reply:
        self._world.webhook_faults = WebhookFaults()
        return Reply(204)

    async def _add_keys(self, call: Call) -> Reply:
        data = await _object(call)
        restrict = data.pop("restrict", None)
        keys = data.pop("keys", None)
        if keys is None:
            keys = [data] if data else []
        for key in keys:
            self._world.keys.register(**key)
        if restrict is not None:
            services = SERVICES if isinstance(restrict, bool) else restrict
            for service in services:
                self._world.keys.restrict(service, restrict is not False)
        return json_reply(200, {"keys": len(keys)})

    async def _advance(self, call: Call) -> Reply:
        seconds = float((await _object(call))["seconds"])
        if seconds < 0:
            raise ValueError("time only goes forward")
        self._world.clock.advance(seconds)
        return json_reply(200, {"now": self._world.clock.now()})

    async def _change_settings(self, call: Call) -> Reply:
        self._world.settings.change(await _object(call))
        self._world.clock.skew = self._world.settings.clock_skew
        return json_reply(200, {})

    async def _reset_all(self, call: Call) -> Reply:
        self._reset()
        return Reply(204)


async def _object(call: Call) -> dict[str, Any]:
    data = await call.json()
    if not isinstance(data, dict):
        raise ValueError("the body is a JSON object")
    return data
