"""Silent Witness: build a case, upload evidence, have a report made, read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from logging import Logger
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, cast

from airflow_provider.core.arguments import one_of, required_text, whole_number
from airflow_provider.core.http.connection import Service
from airflow_provider.core.http.error_bodies import Paid
from airflow_provider.core.http.responses import plain_id
from airflow_provider.core.http.retry import RetryPolicy
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.silent_witness_answers import (
    CASE,
    FILE,
    ORGANIZATION,
    Listed,
    read_case,
    read_deleted,
    read_files,
    read_listed_quickly,
    read_new_case,
    read_object,
    read_rows,
    read_uploaded_file,
)
from airflow_provider.hooks.silent_witness_case import (
    ANALYSIS_TYPES,
    CASE_STATUSES,
    SIDES,
    check_accident,
    check_file_role,
    check_occupants,
    check_vehicles,
)
from airflow_provider.hooks.silent_witness_organizations import OrganizationEndpoints
from airflow_provider.hooks.silent_witness_report import (
    REPORT_STATES,
    ReportEndpoints,
    observe_report,
    report_failure_is_input,
)

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "REPORT_STATES",
    "SILENT_WITNESS",
    "SilentWitnessHook",
    "observe_report",
    "report_failure_is_input",
]

LISTED: Final = {name: CASE[name] for name in ("id", "analysis_status", "created_at", "updated_at")}
"""Fields of a case that are read from long lists."""

SILENT_WITNESS: Final = Service(
    conn_type="silent_witness",
    name="Silent Witness",
    base_url="https://api.silentwitness.ai",
    requests_per_minute=100,
    requests_per_hour=1000,
    # https://docs.silentwitness.ai/api-reference/errors: used unchanged; the vendor's own look like this.
    request_id_prefix="req_",
)


class SilentWitnessHook(ReportEndpoints, OrganizationEndpoints):
    """
    One method per endpoint of the Silent Witness REST API; arguments and results carry the vendor's field
    names, without the ``{"success", "data"}`` envelope. See https://docs.staging.silentwitness.ai/api-reference/overview

    Of :mod:`airflow_provider.exceptions` every method raises ``AuthenticationError`` (401),
    ``PermissionDeniedError`` (403), ``RateLimitedError`` (429), ``ServerError`` (5xx), ``TransportError``,
    ``MalformedResponseError`` and, for an argument that cannot be right, ``InvalidInputError`` before
    anything is sent; what else it raises is named with it. Each request carries an ``X-Request-ID`` of ours,
    which the errors name.

    :param conn_id: Airflow connection of type ``silent_witness``, default ``silent_witness_default``.
    :param silent_witness_conn_id: the same, by the name that Airflow passes it under.
    :param settings: a checked connection to use; default the one of ``conn_id``, looked up when needed.
    :param max_turn_wait: seconds, or a timedelta, that a request may wait, here, for the key's rate limit to
        have room for it. Default 0: requests are counted and not held back, and a 429 is retried like other
        trouble.
    """

    service = SILENT_WITNESS
    conn_name_attr: ClassVar[str] = "silent_witness_conn_id"
    default_conn_name: ClassVar[str] = "silent_witness_default"
    conn_type: ClassVar[str] = "silent_witness"
    hook_name: ClassVar[str] = "Silent Witness"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the connection form for Airflow 3.1, which looks for this in each hook class itself."""
        from airflow_provider.get_provider_info import field_behaviour

        return field_behaviour(cls.conn_type)

    def _probe(self) -> str:
        self.request(
            "GET",
            "/api/organizations",
            params={"limit": 1},
            read=read_rows("organizations", ORGANIZATION, null_is_empty=True),
            policy=RetryPolicy(0),
        )
        return f"Connected to {self.settings.base_url}; the API key is accepted."

    # -- cases -----------------------------------------------------------------------------------------------

    def create_case(
        self,
        *,
        plaintiff_name: str,
        defendant_name: str,
        attorney_name: str,
        name: str | None = None,
        side: str | None = None,
        analysis_type: str | None = None,
        organization_id: str | None = None,
        user_email: str | None = None,
        accident: Mapping[str, Any] | None = None,
        vehicles: Sequence[Mapping[str, Any]] | None = None,
        occupants: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """
        Create a case. **Raises an invoice**, and is not protected against duplicates.

        :param plaintiff_name: the injured party.
        :param defendant_name: the party at fault.
        :param attorney_name: the attorney.
        :param name: default ``<plaintiff last name> v. <defendant last name>``.
        :param side: ``plaintiff`` (the API's default) or ``defense``.
        :param analysis_type: ``accident_only`` (the API's default), ``accident_injury``, ``delta_v_only`` or
            ``biomechanics_only``; the second and the last need occupants before a report is made.
        :param organization_id: ``org_...``.
        :param user_email: meaning not documented.
        :param accident: ``description``, ``date`` (YYYY-MM-DD), ``time`` (HH:MM), ``location``.
        :param vehicles: each with ``role`` (``plaintiff`` or ``defendant``), ``vehicle_maker``,
            ``vehicle_model``, ``vehicle_year``, ``vehicle_vin``, ``vehicle_type``, ``airbag_deployed``,
            ``deployed_airbags``.
        :param occupants: each with ``name``, ``age``, ``gender``, ``height_inches``, ``weight_lbs``,
            ``position``, ``seatbelt_worn``; optional ``alleged_injuries`` and more.
        :return: ``{"case": {...}, "invoice": {...} or None}``.
        :raises SubmitOutcomeUnknownError: the request was sent and its answer was lost. It is not sent again.
        :raises InvalidRequestError: 400, 422; ``parameter`` names the field.

        See https://docs.silentwitness.ai/api-reference/cases/create
        """
        payload: dict[str, Any] = {
            "plaintiff_name": required_text("plaintiff_name", plaintiff_name),
            "defendant_name": required_text("defendant_name", defendant_name),
            "attorney_name": required_text("attorney_name", attorney_name),
        }
        if analysis_type is not None:
            payload["analysis_type"] = one_of("analysis_type", analysis_type, ANALYSIS_TYPES)
        payload |= _texts(organization_id=organization_id, user_email=user_email, name=name)
        payload |= _parts_of_case(side, accident, vehicles, occupants)
        paid = Paid(
            "the case",
            f"List the cases and look for {payload['plaintiff_name']!r} against "
            f"{payload['defendant_name']!r} before creating it again.",
        )

        return self.request("POST", "/api/cases", json=payload, paid=paid, read=read_new_case)

    def get_case(self, case_id: str) -> dict[str, Any]:
        """
        Read a case with its accident, vehicles, files, occupants and a summary of its report.

        :raises NotFoundError: 404.

        See https://docs.silentwitness.ai/api-reference/cases/get
        """
        return self.request("GET", _case(case_id), read=partial(read_case, case_id))

    def list_cases(
        self,
        *,
        organization_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        page: int | None = None,
    ) -> Listed:
        """
        Read one page of cases.

        :param organization_id: only cases of this organization.
        :param status: ``active`` or ``archived``; default both. Deleted cases are never listed.
        :param limit: most cases to return; default all. A shorter page is the last one.
        :param offset: how many to skip, default 0.
        :param page: the same in pages of ``limit``, from 1; older pages of the documentation have it instead.
        :return: as of :meth:`get_case`, in part. ``total`` of the list is how many there are, 0 where the API
            does not say.

        See https://docs.silentwitness.ai/api-reference/cases/list
        """
        if status is not None:
            one_of("status", status, CASE_STATUSES)
        return self.request(
            "GET",
            "/api/cases",
            params={
                "organization_id": organization_id,
                "status": status,
                "limit": limit,
                "offset": offset,
                "page": page,
            },
            # Null is the answer for a page after the last one.
            read=read_rows("cases", CASE, null_is_empty=bool(offset) or (page or 1) > 1),
        )

    async def alist_cases(
        self,
        client: aiohttp.ClientSession,
        *,
        status: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        page: int | None = None,
        narrow: bool = False,
    ) -> list[dict[str, Any]]:
        """
        Read as :meth:`list_cases`, by :meth:`arequest`; of a case only ``id``, ``analysis_status`` and times
        are checked.

        :param narrow: whether ``id`` and ``analysis_status`` of each case will do.
        """
        return await self.arequest(
            client,
            "GET",
            "/api/cases",
            params={"status": status, "limit": limit, "offset": offset, "page": page},
            read_quickly=read_listed_quickly if narrow else None,
            read=read_rows("cases", LISTED, null_is_empty=True),
        )

    def update_case(
        self,
        case_id: str,
        *,
        name: str | None = None,
        plaintiff_name: str | None = None,
        defendant_name: str | None = None,
        attorney_name: str | None = None,
        side: str | None = None,
        status: str | None = None,
        accident: Mapping[str, Any] | None = None,
        vehicles: Sequence[Mapping[str, Any]] | None = None,
        occupants: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """
        Change some fields of a case; the others stay. What happens to vehicles and occupants that are left
        out of a list is not documented.

        :param case_id: ``case_...``.
        :param status: ``active`` or ``archived``.
        :return: what the API answers; its shape is not documented.
        :raises NotFoundError: 404.

        See https://docs.silentwitness.ai/api-reference/cases/update
        """
        payload = _texts(
            name=name,
            plaintiff_name=plaintiff_name,
            defendant_name=defendant_name,
            attorney_name=attorney_name,
        ) | _parts_of_case(side, accident, vehicles, occupants)
        if status is not None:
            payload["status"] = one_of("status", status, CASE_STATUSES)
        if not payload:
            raise InvalidInputError("Name at least one field to change.", parameter="fields")
        return self.request("PUT", _case(case_id), json=payload, read=read_object("case", kinds=CASE))

    # -- files -----------------------------------------------------------------------------------------------

    def upload_file(
        self,
        case_id: str,
        filename: str,
        body: BinaryIO,
        *,
        category: str,
        vehicle_role: str | None = None,
        content_type: str,
    ) -> dict[str, Any]:
        """
        Upload one piece of evidence, at most 50 MB, streamed. The API links it to its vehicle.

        Not protected against duplicates: after a lost answer look at :meth:`list_files`.

        :param case_id: ``case_...``.
        :param filename: name of the file.
        :param body: seekable binary stream, sent from its current position to its end.
        :param category: ``vehicle_photo``, ``edr_document`` (PDF; replaces an earlier one) or
            ``tcr_document``.
        :param vehicle_role: ``plaintiff`` (default) or ``defendant``; none for a ``tcr_document``.
        :param content_type: ``image/jpeg``, ``image/png``, ``image/gif``, ``image/webp`` or
            ``application/pdf``; the API looks at the bytes.
        :return: ``file_id``, ``file_name``, ``status``, ``download_url``, ``url``.
        :raises InvalidRequestError: 400: empty, too large, or of another type; ``code`` says which.
        :raises NotFoundError: 404, unknown case.

        See https://docs.silentwitness.ai/api-reference/files/upload
        """
        from airflow_provider.core.files.bodies import MultipartBody

        role = check_file_role(category, vehicle_role)
        fields = {"case_id": plain_id("case_id", case_id), "file_category": category}
        if role is not None:
            fields["vehicle_role"] = role
        part = MultipartBody(
            fields,
            filename=required_text("filename", filename),
            content_type=required_text("content_type", content_type),
            stream=body,
            log=cast("Logger", self.log),
        )

        return self.request("POST", "/api/files/upload", body=part, read=read_uploaded_file)

    def list_files(self, case_id: str) -> list[dict[str, Any]]:
        """
        Read the records of a case's files.

        :return: each with ``id``, ``file_name``, ``file_size`` (bytes), ``file_type``, ``status``,
            ``file_category``, ``vehicle_index`` (0 plaintiff, 1 defendant), ``url``.

        See https://docs.silentwitness.ai/api-reference/files/list
        """
        return self.request(
            "GET",
            "/api/files",
            params={"caseId": plain_id("case_id", case_id)},
            read=partial(read_files, case_id),
        )

    def get_file(self, file_id: str, *, chunk_size: int = 256 * 1024) -> Iterator[bytes]:
        """
        Read a file's bytes. The request is made at once; iterate to read the body.

        :param file_id: ``file_...``.
        :param chunk_size: most bytes per piece.
        :raises NotFoundError: 404.
        :raises TransportError: while iterating: the body was cut short.

        See https://docs.staging.silentwitness.ai/api-reference/files/get
        """
        return self._stream(_file(file_id), whole_number("chunk_size", chunk_size, least=1))

    def get_file_status(self, file_id: str) -> dict[str, Any]:
        """
        Read a file's record.

        :return: ``id``, ``file_name``, ``file_size``, ``file_type``, ``status`` (``processing``, ``ready``,
            ``error``; more may come).
        :raises NotFoundError: 404.

        See https://docs.staging.silentwitness.ai/api-reference/files/get
        """
        return self.request("GET", f"{_file(file_id)}/status", read=read_object(kinds=FILE))

    def delete_file(self, file_id: str) -> dict[str, Any]:
        """
        Delete a file for good.

        :return: ``message``.
        :raises NotFoundError: 404; also when a lost answer was asked for again and the first request had
            worked.

        See https://docs.silentwitness.ai/api-reference/files/delete
        """
        return self.request("DELETE", _file(file_id), read=read_deleted)


def _case(case_id: str) -> str:
    return f"/api/cases/{plain_id('case_id', case_id)}"


def _file(file_id: str) -> str:
    return f"/api/files/{plain_id('file_id', file_id)}"


def _texts(**given: str | None) -> dict[str, Any]:
    return {field: required_text(field, value) for field, value in given.items() if value is not None}


def _parts_of_case(
    side: str | None,
    accident: Mapping[str, Any] | None,
    vehicles: Sequence[Mapping[str, Any]] | None,
    occupants: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if side is not None:
        fields["side"] = one_of("side", side, SIDES)
    if accident is not None:
        fields["accident"] = check_accident(accident)
    if vehicles is not None:
        fields["vehicles"] = check_vehicles(vehicles)
    if occupants is not None:
        fields["occupants"] = check_occupants(occupants)
    return fields
