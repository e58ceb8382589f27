"""Organizations (https://docs.silentwitness.ai/api-reference/organizations/overview)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.replies import Reply
from airflow_provider.simulator.silent_witness.answers import json_object, new_id, page, success
from airflow_provider.simulator.silent_witness.errors import Problem
from airflow_provider.simulator.world import World

FIELDS = ("name", "phone_number", "street_address", "city", "state", "zip_code", "country")


@dataclass(slots=True)
class Organization:
    """A law firm, say."""

    id: str
    account_id: str
    fields: dict[str, str]
    created_at: float
    updated_at: float

    def shown(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "id": self.id,
            "account_id": self.account_id,
            **self.fields,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
        }


class Organizations:
    """All organizations, by id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._all: dict[str, Organization] = {}

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def find(self, organization_id: str, caller: Caller, param: str = "id") -> Organization:
        """One of the caller's."""
        organization = self._all.get(organization_id)
        if organization is None:
            raise Problem(404, "org_not_found", "Organization not found", param)
        if organization.account_id != caller.account_id:
            raise Problem(403, "org_access_denied", "Organization belongs to another account", param)
        return organization

    async def create(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/organizations``."""
        data = await json_object(call, "org_invalid_body")
        for name in FIELDS:
            if not _is_text(data.get(name)):
                raise Problem(
                    400, "org_field_required", f"{name.replace('_', ' ').capitalize()} is required", name
                )
        now = self._world.clock.now()
        organization = Organization(
            new_id("org"), caller.account_id, {name: data[name] for name in FIELDS}, now, now
        )
        self._all[organization.id] = organization
        return success(organization.shown(), 201)

    async def get(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/organizations/:id``."""
        return success(self.find(call.params[0], caller).shown())

    async def index(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/organizations``."""
        search = call.query.get("search", "").lower()
        rows = [
            one
            for one in self._all.values()
            if one.account_id == caller.account_id and search in one.fields["name"].lower()
        ]
        return success({"organizations": [one.shown() for one in page(call, rows, 100)], "total": len(rows)})

    async def update(self, call: Call, caller: Caller) -> Reply:
        """``PUT /api/organizations/:id``: only what is sent changes."""
        organization = self.find(call.params[0], caller)
        data = await json_object(call, "org_invalid_body")
        for name in FIELDS:
            if name in data and not _is_text(data[name]):
                raise Problem(400, "org_field_required", f"{name} must not be empty", name)
        organization.fields.update({name: data[name] for name in FIELDS if name in data})
        organization.updated_at = self._world.clock.now()
        return success(organization.shown())

    async def delete(self, call: Call, caller: Caller) -> Reply:
        """``DELETE /api/organizations/:id``."""
        del self._all[self.find(call.params[0], caller).id]
        return success({"message": "Organization deleted successfully"})

    def exists(self, organization_id: str | None) -> bool:
        """Whether a case's link still leads somewhere."""
        return organization_id in self._all


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
