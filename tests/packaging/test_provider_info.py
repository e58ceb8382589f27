"""What the package tells Airflow about itself is valid, true and complete."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_provider import __version__, triggers
from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.core.http.responses import new_request
from airflow_provider.get_provider_info import field_behaviour, get_provider_info
from tests.packaging.archives import REPOSITORY
from tests.unit.operators.every_class import EVERY

INFO = get_provider_info()
MODULES = [
    module
    for kind in ("hooks", "operators", "sensors", "triggers")
    for entry in INFO[kind]
    for module in entry["python-modules"]
]
CONNECTIONS = {entry["connection-type"]: entry for entry in INFO["connection-types"]}
EXTRAS = {
    "connect_timeout",
    "read_timeout",
    "verify",
    "proxies",
    "max_retries",
    "requests_per_minute",
    "requests_per_hour",
    "max_turn_wait",
    "shared_budget",
    "budget_conn_id",
}


def _airflow_schema(name: str) -> dict[str, Any]:
    files = metadata.files("apache-airflow-core") or []
    (path,) = (file.locate() for file in files if file.parts == ("airflow", name))
    schema: dict[str, Any] = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    return schema


def test_valid_against_the_schema_of_the_installed_airflow() -> None:
    jsonschema.validate(INFO, _airflow_schema("provider_info.schema.json"))


def test_connection_forms_valid_against_the_schema_of_the_installed_airflow() -> None:
    # The runtime schema lets everything through that it does not know, this one does not.
    declared = _airflow_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    if "conn-fields" not in declared["items"]["properties"]:
        pytest.skip("forms are declared in Airflow 3.2 and newer")
    jsonschema.validate(INFO["connection-types"], declared)


def test_guides_and_logos_are_in_the_repository() -> None:
    for integration in INFO["integrations"]:
        for path in (*integration["how-to-guide"], integration["logo"]):
            assert (REPOSITORY / path.removeprefix("/")).is_file(), path


def test_entry_point_leads_here() -> None:
    (entry,) = (
        entry
        for entry in metadata.entry_points(group="apache_airflow_provider")
        if entry.value.startswith("airflow_provider.")
    )
    assert entry.load() is get_provider_info
    assert entry.dist is not None
    assert entry.dist.name == INFO["package-name"]


def test_no_other_installed_distribution_owns_a_file_of_the_package() -> None:
    owners = {
        one.name
        for one in metadata.distributions()
        for file in one.files or ()
        if file.parts[0] == "airflow_provider"
    }
    assert owners <= {INFO["package-name"]}


def test_services_and_pytest_see_the_name_of_the_distribution() -> None:
    settings = ConnectionSettings("mediamagic_default", "https://mm.example", "sk_live_1")
    sent = new_request(settings, "GET", "/api/integrations/submissions/1")
    assert sent.headers["User-Agent"] == f"{INFO['package-name']}/{__version__}"
    plugins = [
        entry.name
        for entry in metadata.entry_points(group="pytest11")
        if entry.value.startswith("airflow_provider.")
    ]
    assert plugins == [INFO["package-name"]]


def test_current_version_comes_first() -> None:
    assert INFO["versions"][0] == __version__


def test_links_are_those_that_operators_and_sensors_have() -> None:
    assert INFO["extra-links"] == [
        "airflow_provider.links.FileLink",
        "airflow_provider.links.MediaMagicStatusLink",
        "airflow_provider.links.ReportDocxLink",
        "airflow_provider.links.ReportPdfLink",
        "airflow_provider.links.SilentWitnessDashboardLink",
        "airflow_provider.links.SilentWitnessStatusLink",
    ]
    used = {type(link) for cls in EVERY for link in cls.operator_extra_links}
    assert {f"{link.__module__}.{link.__name__}" for link in used} == set(INFO["extra-links"])


@pytest.mark.parametrize("module", MODULES)
def test_module_can_be_imported(module: str) -> None:
    importlib.import_module(module)


def test_every_trigger_of_a_service_is_listed() -> None:
    found = [
        module.name
        for module in pkgutil.iter_modules(triggers.__path__, "airflow_provider.triggers.")
        for name, one in vars(importlib.import_module(module.name)).items()
        if re.fullmatch("(MediaMagic|SilentWitness).+Trigger", name) and one.__module__ == module.name
    ]
    assert sorted(found) == sorted(module for module in MODULES if ".triggers." in module)


@pytest.mark.parametrize("connection_type", CONNECTIONS)
def test_hook_agrees_with_its_connection_type(connection_type: str) -> None:
    declared = CONNECTIONS[connection_type]
    module, _, name = declared["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert hook.conn_type == connection_type
    assert hook.hook_name == declared["hook-name"]
    assert hook.default_conn_name == f"{connection_type}_default"
    assert callable(hook.test_connection)
    # Airflow 3.1 looks into the class itself and ignores what is inherited.
    assert "get_ui_field_behaviour" in vars(hook)
    assert hook.get_ui_field_behaviour() == field_behaviour(connection_type)


@pytest.mark.parametrize("connection_type", CONNECTIONS)
def test_form_offers_every_extra_and_never_writes_a_default(connection_type: str) -> None:
    fields = CONNECTIONS[connection_type]["conn-fields"]
    webhooks = {"webhook_secret", "webhook_secret_variable"} if connection_type == "mediamagic" else set()
    assert fields.keys() == EXTRAS | webhooks
    for field in fields.values():
        assert "default" not in field["schema"]
        assert "null" in field["schema"]["type"]
