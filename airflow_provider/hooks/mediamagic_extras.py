"""What a MediaMagic connection may carry in its ``extra``. Imported when a connection is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from airflow_provider.core.http.extras import Extras
from airflow_provider.hooks.mediamagic_connection import WEBHOOK_SECRET, read_secrets


class MediaMagicExtras(Extras):
    """The shared extras, and what webhooks are verified with."""

    webhook_secrets: Annotated[tuple[str, ...], BeforeValidator(read_secrets)] | None = Field(
        None, alias="webhook_secret", description=WEBHOOK_SECRET
    )
    webhook_secret_variable: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = (
        Field(None, description="the name of an Airflow Variable")
    )
