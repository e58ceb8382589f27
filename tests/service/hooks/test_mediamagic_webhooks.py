"""The webhook endpoints of MediaMagic, against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.exceptions import (
    InvalidInputError,
    MalformedResponseError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_webhooks import EVENT_TYPES
from airflow_provider.simulator import Simulator
from tests.conftest import MEDIAMAGIC_KEY

URL = "https://airflow.example.com/mediamagic/webhooks/mm"
NOBODY = "00000000-0000-4000-8000-000000000000"
PATH = "/api/integrations/webhooks/subscriptions"


def hook_with(simulator: Simulator, key: str) -> MediaMagicHook:
    return MediaMagicHook("mm", settings=ConnectionSettings("mm", simulator.url, key, max_retries=0))


@pytest.fixture
def hook(simulator: Simulator) -> Iterator[MediaMagicHook]:
    with hook_with(simulator, MEDIAMAGIC_KEY) as hook:
        yield hook


def test_the_life_of_a_subscription(hook: MediaMagicHook) -> None:
    made = hook.create_subscription(URL, description="for Airflow")
    assert made["secret"].startswith("whsec_")
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert hook.get_subscription(made["id"]) == shown
    assert hook.list_subscriptions() == [shown]
    assert hook.set_subscription_enabled(made["id"], False)["enabled"] is False
    assert hook.set_subscription_enabled(made["id"], "false")["enabled"] is False  # type: ignore[arg-type]
    assert hook.list_deliveries(made["id"], limit=200) == []
    hook.delete_subscription(made["id"])
    assert hook.list_subscriptions() == []
    with pytest.raises(NotFoundError):
        hook.delete_subscription(made["id"])


def test_a_subscription_of_another_workspace_is_refused(hook: MediaMagicHook, simulator: Simulator) -> None:
    made = hook.create_subscription(URL)
    other_key = "sk_live_" + "f" * 64
    simulator.keys({"key": other_key, "workspace": "another"})
    with hook_with(simulator, other_key) as other, pytest.raises(PermissionDeniedError):
        other.get_subscription(made["id"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint_url": "http://airflow.example.com/"},
        {"endpoint_url": "airflow.example.com"},
        {"endpoint_url": "https://[::1"},
        {"endpoint_url": "https://example.com/" + "a" * 2083},
        {"endpoint_url": URL, "event_types": []},
        {"endpoint_url": URL, "event_types": EVENT_TYPES[0]},
        {"endpoint_url": URL, "event_types": ["asset.deleted"]},
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    hook: MediaMagicHook, simulator: Simulator, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError):
        hook.create_subscription(**arguments)
    assert simulator.ledger()["total_requests"] == 0


@pytest.mark.parametrize("limit", [0, 201, "5", None, True])
def test_a_number_of_deliveries_that_is_none_is_refused(hook: MediaMagicHook, limit: Any) -> None:
    with pytest.raises(InvalidInputError, match="limit"):
        hook.list_deliveries("subscription", limit=limit)


def test_an_answer_without_a_secret_is_malformed(hook: MediaMagicHook, simulator: Simulator) -> None:
    simulator.fault("set_field", PATH, "POST", field="secret", value=None)
    with pytest.raises(MalformedResponseError, match="secret"):
        hook.create_subscription(URL)


def test_firing_an_event_needs_a_sandbox_key(hook: MediaMagicHook) -> None:
    with pytest.raises(PermissionDeniedError):
        hook.fire_sandbox_event(NOBODY)


def test_firing_an_event_of_an_unknown_submission(simulator: Simulator) -> None:
    key = "sk_test_" + "e" * 64
    simulator.keys({"key": key, "workspace": "sandbox"})
    with hook_with(simulator, key) as hook, pytest.raises(NotFoundError):
        hook.fire_sandbox_event(NOBODY, EVENT_TYPES[1], error_message="for a test")
