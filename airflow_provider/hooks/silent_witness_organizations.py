"""The organization endpoints of Silent Witness. A case may belong to one; none needs to."""

from __future__ import annotations

from typing import Any, Final

from airflow_provider.core.arguments import one_of, required_text
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.responses import plain_id
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.silent_witness_answers import (
    ORGANIZATION,
    read_deleted,
    read_object,
    read_rows,
)

_PATH: Final = "/api/organizations"

_FIELDS: Final = ("name", "phone_number", "street_address", "city", "state", "zip_code", "country")

_read_organization: Final = read_object("organization", kinds=ORGANIZATION)


def _path(organization_id: str) -> str:
    return f"{_PATH}/{plain_id('organization_id', organization_id)}"


class OrganizationEndpoints(ServiceHook):
    """Part of :class:`~airflow_provider.hooks.silent_witness.SilentWitnessHook`."""

    def create_organization(
        self,
        *,
        name: str,
        phone_number: str,
        street_address: str,
        city: str,
        state: str,
        zip_code: str,
        country: str,
    ) -> dict[str, Any]:
        """
        Create an organization. All seven fields are required, as text.

        :return: the organization with its ``id`` and ``account_id``.
        :raises InvalidRequestError: 400, ``parameter`` names the field.

        See https://docs.silentwitness.ai/api-reference/organizations/create
        """
        given = {
            "name": name,
            "phone_number": phone_number,
            "street_address": street_address,
            "city": city,
            "state": state,
            "zip_code": zip_code,
            "country": country,
        }
        payload = {field: required_text(field, value) for field, value in given.items()}
        return self.request("POST", _PATH, json=payload, read=_read_organization)

    def get_organization(self, organization_id: str) -> dict[str, Any]:
        """
        Read an organization.

        :raises NotFoundError: 404.

        See https://docs.silentwitness.ai/api-reference/organizations/get
        """
        return self.request("GET", _path(organization_id), read=_read_organization)

    def list_organizations(
        self, *, limit: int = 100, offset: int = 0, search: str | None = None
    ) -> list[dict[str, Any]]:
        """
        Read one page of organizations.

        :param limit: most organizations to return, default 100. A shorter page is the last one.
        :param offset: how many to skip, default 0.
        :param search: part of the name, any case.

        See https://docs.silentwitness.ai/api-reference/organizations/list
        """
        return self.request(
            "GET",
            _PATH,
            params={"limit": limit, "offset": offset, "search": search},
            read=read_rows("organizations", ORGANIZATION, null_is_empty=True),
        )

    def update_organization(self, organization_id: str, **fields: str) -> dict[str, Any]:
        """
        Change some fields of an organization; the others stay.

        :param organization_id: ``org_...``.
        :param fields: any of ``name``, ``phone_number``, ``street_address``, ``city``, ``state``,
            ``zip_code``, ``country``.
        :return: the updated organization.
        :raises NotFoundError: 404.

        See https://docs.silentwitness.ai/api-reference/organizations/update
        """
        path = _path(organization_id)
        for name, value in fields.items():
            one_of("field", name, _FIELDS)
            required_text(name, value)
        if not fields:
            raise InvalidInputError("Name at least one field to change.", parameter="fields")
        return self.request("PUT", path, json=fields, read=_read_organization)

    def delete_organization(self, organization_id: str) -> dict[str, Any]:
        """
        Delete an organization for good; its cases keep their data.

        :return: ``message``.
        :raises NotFoundError: 404; also when a lost answer was asked for again and the first request had
            worked.

        See https://docs.silentwitness.ai/api-reference/organizations/delete
        """
        return self.request("DELETE", _path(organization_id), read=read_deleted)
