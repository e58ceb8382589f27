"""Airflow finds the receiver, once, and pays nothing for it before the first event."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LIST = """
import json, sys
from airflow import plugins_manager
if hasattr(plugins_manager, "get_fastapi_plugins"):
    apps = plugins_manager.get_fastapi_plugins()[0]
else:  # Airflow 3.1
    plugins_manager.initialize_fastapi_plugins()
    apps = plugins_manager.fastapi_apps
errors = plugins_manager.get_import_errors() if hasattr(plugins_manager, "get_import_errors") else (
    plugins_manager.import_errors)
print("found", json.dumps([
    [app["url_prefix"] for app in apps if "MediaMagic" in app["name"]],
    [name for name in errors if "mediamagic" in str(name) + str(errors[name])],
    "airflow_provider.plugins.receiver" in sys.modules,
]))
"""


@pytest.mark.parametrize("lazy", ["True", "False"])
def test_the_plugin_is_registered_once(lazy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__LAZY_DISCOVER_PROVIDERS", lazy)
    output = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in output.splitlines() if line.startswith("found "))
    assert json.loads(line.removeprefix("found ")) == [["/mediamagic"], [], False]


def test_the_api_server_serves_it(airflow_db: None) -> None:
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    answer = TestClient(create_app(apps="core")).post("/mediamagic/webhooks/mm", content=b"{}")
    assert (answer.status_code, answer.json()) == (401, {"detail": "No matching signature."})
