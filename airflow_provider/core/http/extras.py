"""
Extras: the ``extra`` of a connection, checked by type and range. In a connection URI every value is text.

Imported when a connection is read, not with a Dag file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from airflow_provider.core.http.connection import is_proxy_url, unusable
from airflow_provider.exceptions import ConfigurationError

# A folder of certificates under their own names holds none for OpenSSL.
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _verify(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        if os.path.isfile(value) or (os.path.isdir(value) and any(map(_HASHED.fullmatch, os.listdir(value)))):
            return value
    raise ValueError


def _proxies(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.lstrip().startswith("{") else {"all": value}
        except RecursionError:
            raise ValueError from None
    if not isinstance(value, dict):
        raise ValueError
    for scheme, url in value.items():
        if scheme not in ("http", "https", "all") or not is_proxy_url(url):
            raise ValueError
    return value


Limit = Annotated[int, BeforeValidator(_number), Field(ge=0, le=1_000_000)]


class Extras(BaseModel):
    """
    What any connection of this package may carry, and the base of each vendor's own model.

    A field is named as in :class:`~airflow_provider.core.http.connection.ConnectionSettings`, its alias as in
    the connection, and its description completes "the extra `name` must be". The defaults are those of the
    settings. Null and an empty text count as absent: Airflow's form saves its empty fields as null.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    connect_timeout: Annotated[float, BeforeValidator(_number), Field(gt=0, le=300)] | None = Field(
        None, description="a number of seconds above 0 and up to 300"
    )
    read_timeout: Annotated[float, BeforeValidator(_number), Field(gt=0, le=3600)] | None = Field(
        None, description="a number of seconds above 0 and up to 3600"
    )
    verify: Annotated[bool | str, BeforeValidator(_verify)] | None = Field(
        None,
        description="true, false or the path of a CA file, or of a folder of them after `openssl rehash`, "
        "that exists here",
    )
    proxies: Annotated[dict[str, str], BeforeValidator(_proxies)] | None = Field(
        None,
        description="an http or https proxy URL, or an object of such URLs under `http`, `https` or `all`",
    )
    max_retries: Annotated[int, BeforeValidator(_number), Field(ge=0, le=20)] | None = Field(
        None, description="a whole number from 0 to 20"
    )
    requests_per_minute: Limit | None = Field(
        None, description="a whole number of requests; 0 turns the limit off"
    )
    requests_per_hour: Limit | None = Field(
        None, description="a whole number of requests; 0 turns the limit off"
    )

    max_turn_wait: Annotated[float, BeforeValidator(_number), Field(gt=0, le=604_800)] | None = Field(
        None, description="a number of seconds above 0 and up to 604800"
    )
    shared_budget: Annotated[bool, BeforeValidator(_boolean)] | None = Field(
        None, description="true or false"
    )
    budget_conn_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None, description="the id of an Airflow connection to Redis"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value not in ("", None)}

    @classmethod
    def described(cls) -> dict[str, str]:
        """Return the name of each extra, with what its value must be."""
        return {
            field.alias or name: str(field.description) for name, field in sorted(cls.model_fields.items())
        }

    def settings(self) -> dict[str, Any]:
        """Return what the connection says, by the names of ``ConnectionSettings``; a limit of 0 is none."""
        found = self.model_dump(exclude_unset=True)
        return found | {
            name: found[name] or None
            for name in ("requests_per_minute", "requests_per_hour")
            if name in found
        }


def read_extras(conn_id: str, extra: str | Mapping[str, Any] | None, model: type[Extras]) -> Extras:
    """
    Read the field ``extra`` of a connection.

    :param extra: a JSON object, or empty; some secrets backends have parsed it already.
    :raises ConfigurationError: names the extra that is unknown or wrong, and never quotes a value: a secret
        may have been put into the wrong place.
    """
    values: Any = extra
    try:
        if extra is None or (isinstance(extra, str) and extra.strip() in ("", "null")):
            values = {}
        elif isinstance(extra, str):
            values = json.loads(extra)
    except (ValueError, RecursionError):
        raise unusable(conn_id, "extra", "the field `extra` is not valid JSON.") from None
    if not isinstance(values, dict):
        raise unusable(conn_id, "extra", "the field `extra` must be a JSON object.")
    keys = model.described()
    if unknown := sorted(set(values) - set(keys)):
        raise ConfigurationError(
            f"Connection {conn_id!r} has the unknown extra `{'`, `'.join(unknown)}`. "
            f"Known: {', '.join(keys)}.",
            parameter=unknown[0],
        )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        name = str(error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"][0])
    raise unusable(conn_id, name, f"the extra `{name}` must be {keys[name]}.")
