"""Connections made, changed and tested in the web interface, as people do it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.hooks.mediamagic_connection import MEDIAMAGIC
from airflow_provider.hooks.silent_witness import SILENT_WITNESS
from airflow_provider.simulator import Simulator
from tests.airflow.task_run import fresh_session
from tests.browser.web import Form, Web
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY


@dataclass(frozen=True)
class Service:
    """What differs between the two forms."""

    name: str
    conn_type: str
    url: str
    key: str
    extras: dict[str, Any]


SERVICES = [
    Service(
        "MediaMagic",
        "mediamagic",
        "https://mm-midmarket-integrations-api-preview.azurewebsites.net",
        MEDIAMAGIC_KEY,
        {
            "connect_timeout": 5,
            "max_retries": 2,
            "webhook_secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
        },
    ),
    Service(
        "Silent Witness",
        "silent_witness",
        "https://api.silentwitness.ai",
        SILENT_WITNESS_KEY,
        {"connect_timeout": 5, "verify": "false", "requests_per_hour": 500},
    ),
]


@pytest.fixture(params=SERVICES, ids=lambda service: service.conn_type)
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.param
    return found


def declares_fields() -> bool:
    """Whether this Airflow shows the declared fields; 3.1 has the extra as JSON only."""
    from airflow import __version__

    return not __version__.startswith("3.1.")


def stored(conn_id: str) -> Any:
    """The connection as it is in the database."""
    from airflow.models import Connection
    from sqlalchemy import select

    return fresh_session().scalars(select(Connection).where(Connection.conn_id == conn_id)).one()


def fill(form: Form, service: Service, simulator: Simulator) -> None:
    """Fill everything in: server, key and extras."""
    host, _, port = simulator.url.rpartition(":")
    form.field("host").fill(host)
    form.field("port").fill(port)
    form.field("password").fill(service.key)
    if declares_fields():
        form.open("Extra Fields")
        for name, value in service.extras.items():
            form.extra(name).fill(str(value))
            form.extra(name).blur()
    else:
        form.write_extra_json(service.extras)


def settings(conn_id: str) -> ConnectionSettings:
    """What our hooks make of the stored connection."""
    connection = stored(conn_id)
    services = {service.conn_type: service for service in (MEDIAMAGIC, SILENT_WITNESS)}
    return ConnectionSettings.from_connection(connection, services[connection.conn_type])


def given(extras: dict[str, Any]) -> dict[str, Any]:
    """The extras that are not empty."""
    return {name: value for name, value in extras.items() if value is not None}


def cli_test(conn_id: str) -> str:
    """What ``airflow connections test`` says."""
    ran = subprocess.run(
        [sys.executable, "-m", "airflow", "connections", "test", conn_id],
        env={**os.environ, "AIRFLOW__CORE__TEST_CONNECTION": "Enabled", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_the_form_asks_for_what_the_service_needs(web: Web, service: Service) -> None:
    form = web.new_connection(service.name, "not_saved")
    expect(form.dialog.get_by_text("Base URL", exact=True)).to_be_visible()
    expect(form.dialog.get_by_text("API key", exact=True)).to_be_visible()
    expect(form.field("host")).to_have_attribute("placeholder", service.url)
    expect(form.field("password")).to_have_attribute("type", "password")
    for absent in ("login", "schema"):
        expect(form.field(absent)).to_have_count(0)


def test_a_form_with_the_key_alone_is_a_connection_with_every_default(web: Web, service: Service) -> None:
    conn_id = f"plain_{service.conn_type}"
    form = web.new_connection(service.name, conn_id)
    form.field("password").fill(service.key)
    if declares_fields():
        form.open("Extra Fields")  # even looking at the fields changes nothing
    form.save()
    assert settings(conn_id) == ConnectionSettings(
        conn_id,
        base_url=service.url,
        api_key=service.key,
        requests_per_minute=100 if service.conn_type == "silent_witness" else None,
        requests_per_hour=1000 if service.conn_type == "silent_witness" else None,
    )


def test_a_connection_is_made_changed_and_tested(web: Web, service: Service, simulator: Simulator) -> None:
    conn_id = f"{service.conn_type}_form"
    form = web.new_connection(service.name, conn_id)
    fill(form, service, simulator)
    web.picture(f"{service.conn_type}-extra-fields", height=1700)
    form.open("Standard Fields")
    web.picture(f"{service.conn_type}-standard-fields")
    form.save()

    made = stored(conn_id)
    assert (made.conn_type, made.password) == (service.conn_type, service.key)
    assert given(made.extra_dejson) == service.extras
    assert settings(conn_id).base_url == simulator.url
    answer = web.test_connection(conn_id)
    web.picture(f"{service.conn_type}-good-test")
    assert "Connected to" in answer
    assert "the API key is accepted" in answer
    assert "Connection success" in cli_test(conn_id)

    form = web.connection(conn_id)
    expect(form.field("password")).to_have_value("***")
    shown = given(form.extra_json())
    secret = {"webhook_secret": "***"} if "webhook_secret" in shown else {}
    assert shown == {**service.extras, **secret}
    form.open("Standard Fields")
    form.field("description").fill("changed")
    form.save()
    assert stored(conn_id).description == "changed"
    assert stored(conn_id).password == service.key
    assert given(stored(conn_id).extra_dejson) == service.extras

    form = web.connection(conn_id)
    form.field("password").fill("wrong-key")
    form.save()
    answer = web.test_connection(conn_id)
    web.picture(f"{service.conn_type}-failed-test")
    for said in (answer, cli_test(conn_id)):
        assert f"{service.name} refused the API key" in said
        assert "answered 401" in said
        assert "Check the API key in the connection's password field" in " ".join(said.split())
        assert "wrong-key" not in said
