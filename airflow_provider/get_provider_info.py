"""What Airflow discovers about this package: connection types and their forms, modules, integrations.

Airflow imports this module with every command, so it imports nothing but the version.
"""

from __future__ import annotations

from typing import Any

from airflow_provider import DISTRIBUTION, __version__

MEDIAMAGIC = "MediaMagic"
SILENT_WITNESS = "Silent Witness"

MEDIAMAGIC_URL = "https://mm-midmarket-integrations-api-preview.azurewebsites.net"
SILENT_WITNESS_URL = "https://api.silentwitness.ai"

MEDIAMAGIC_DOCS = "https://docs.mediamagic.app"
SILENT_WITNESS_DOCS = "https://docs.silentwitness.ai"


def _modules(kind: str, *more: str) -> list[dict[str, Any]]:
    services = {"mediamagic": MEDIAMAGIC, "silent_witness": SILENT_WITNESS}
    return [
        {
            "integration-name": name,
            "python-modules": [
                f"airflow_provider.{kind}.{module}"
                for module in (service, *more)
                if module.startswith(service)
            ],
        }
        for service, name in services.items()
    ]


def _field(label: str, kind: str, description: str, **schema: str | float) -> dict[str, str | dict[str, Any]]:
    """One form field. Never with a default: the form would write it into every connection it saves."""
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


def _connection_fields(per_minute: str, per_hour: str) -> dict[str, dict[str, Any]]:
    shared = "Shared by everything that uses this key; 0: no limit. Empty:"
    return {
        "connect_timeout": _field(
            "Connect timeout (s)",
            "number",
            "How long to wait for the connection to be made. Empty: 10.",
            minimum=0,
        ),
        "read_timeout": _field(
            "Read timeout (s)",
            "number",
            "How long to wait for the next byte of an answer. Empty: 60.",
            minimum=0,
        ),
        "verify": _field(
            "Verify TLS",
            "string",
            "true, false, or the path of a CA bundle on the worker and the triggerer. Empty: true.",
        ),
        "proxies": _field(
            "Proxies",
            "object",
            'Proxy by scheme, as JSON: {"https": "http://proxy.example:3128"}. Empty: the environment.',
        ),
        "max_retries": _field(
            "Retries",
            "integer",
            "How often one request that may be sent again is sent again. Empty: 4.",
            minimum=0,
        ),
        "requests_per_minute": _field("Requests per minute", "integer", f"{shared} {per_minute}.", minimum=0),
        "requests_per_hour": _field("Requests per hour", "integer", f"{shared} {per_hour}.", minimum=0),
        "max_turn_wait": _field(
            "Longest wait for a turn (s)",
            "number",
            "How long a task waits while the rate limit is used up. Empty: 43200, a night.",
            minimum=0,
        ),
        "shared_budget": _field(
            "Share the budget",
            "string",
            "Whether processes tell each other what is left of the rate limit: true or false. Empty: true.",
        ),
        "budget_conn_id": _field(
            "Budget connection",
            "string",
            "Redis connection that holds the rate limit's budget for several machines. Empty: a file of each "
            "machine.",
        ),
    }


def _webhook_fields() -> dict[str, dict[str, Any]]:
    return {
        "webhook_secret": _field(
            "Webhook secret",
            "string",
            "What MediaMagic signs webhooks with (whsec_...); a JSON list of two while it is being replaced. "
            "Empty: webhooks are refused, and waits poll.",
            format="password",
        ),
        "webhook_secret_variable": _field(
            "Webhook secret variable",
            "string",
            "Instead: the Airflow Variable in which MediaMagicCreateSubscriptionOperator keeps the secret.",
        ),
    }


def _form(url: str, key: str) -> dict[str, Any]:
    return {
        # The port can be part of the URL. It has a field because the test button of Airflow 3.3.2 refuses
        # saved connections without a port: https://github.com/apache/airflow/pull/73298
        "hidden-fields": ["schema", "login"],
        "relabeling": {"host": "Base URL", "password": "API key"},
        "placeholders": {"host": url, "port": "443", "password": key},
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": DISTRIBUTION,
        "name": "MediaMagic and Silent Witness",
        "description": (
            f"`MediaMagic <{MEDIAMAGIC_DOCS}>`__ reviews media for content compliance, "
            f"`Silent Witness <{SILENT_WITNESS_DOCS}>`__ reconstructs accidents.\n"
        ),
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": MEDIAMAGIC,
                "external-doc-url": MEDIAMAGIC_DOCS,
                "how-to-guide": ["/docs/mediamagic.md", "/docs/gates.md", "/docs/webhooks.md"],
                "logo": "/docs/integration-logos/mediamagic.svg",
                "tags": ["service"],
            },
            {
                "integration-name": SILENT_WITNESS,
                "external-doc-url": SILENT_WITNESS_DOCS,
                "how-to-guide": ["/docs/silent_witness.md"],
                "logo": "/docs/integration-logos/silent_witness.svg",
                "tags": ["service"],
            },
        ],
        "hooks": _modules("hooks"),
        "operators": _modules("operators"),
        "sensors": _modules("sensors"),
        "triggers": _modules("triggers", "mediamagic_events", "silent_witness_events"),
        "extra-links": [
            f"airflow_provider.links.{name}"
            for name in (
                "FileLink",
                "MediaMagicStatusLink",
                "ReportDocxLink",
                "ReportPdfLink",
                "SilentWitnessDashboardLink",
                "SilentWitnessStatusLink",
            )
        ],
        "config": {
            "airflow_provider": {
                "description": "MediaMagic and Silent Witness.",
                "options": {
                    "job_records_path": {
                        "description": (
                            "Folder for the records of paid jobs, a small file for each task instance: a "
                            "path or URL that all workers can write to, with or without ``conn_id@``; a "
                            "local one must exist. With it a retry or a cleared task finds the job that "
                            "was paid for on every Airflow: 3.1 and 3.2 keep no such record over a retry, "
                            "and 3.4 discards its own on a clear. Empty: these keep the files in "
                            "``AIRFLOW_HOME``, and 3.3 needs none.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@my-bucket/job-records",
                        "default": "",
                    }
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "mediamagic",
                "hook-class-name": "airflow_provider.hooks.mediamagic.MediaMagicHook",
                "hook-name": MEDIAMAGIC,
                "ui-field-behaviour": _form(MEDIAMAGIC_URL, "sk_live_..."),
                "conn-fields": _connection_fields(
                    per_minute="no limit until a 429 says otherwise",
                    per_hour="no limit until a 429 says otherwise",
                )
                | _webhook_fields(),
            },
            {
                "connection-type": "silent_witness",
                "hook-class-name": "airflow_provider.hooks.silent_witness.SilentWitnessHook",
                "hook-name": SILENT_WITNESS,
                "ui-field-behaviour": _form(SILENT_WITNESS_URL, "sk-..."),
                "conn-fields": _connection_fields(per_minute="100", per_hour="1,000"),
            },
        ],
    }


def field_behaviour(connection_type: str) -> dict[str, Any]:
    """Return the form of one connection type as Airflow 3.1 asks a hook for it.

    3.1 asks the hook class itself, through ``get_ui_field_behaviour``; newer ones read
    :func:`get_provider_info` and never ask.

    :param connection_type: ``mediamagic`` or ``silent_witness``.
    """
    (form,) = (
        declared["ui-field-behaviour"]
        for declared in get_provider_info()["connection-types"]
        if declared["connection-type"] == connection_type
    )
    return {
        "hidden_fields": form["hidden-fields"],
        "relabeling": form["relabeling"],
        "placeholders": form["placeholders"],
    }
