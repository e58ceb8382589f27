"""Subscriptions as tasks: made once, their secret kept where it belongs, and deleted again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider.exceptions import ConfigurationError, InvalidInputError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_connection import MOST_SUBSCRIPTIONS
from airflow_provider.mediamagic.webhooks.secrets import look_up
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubscriptionOperator,
    MediaMagicDeleteSubscriptionOperator,
    MediaMagicListDeliveriesOperator,
    MediaMagicListSubscriptionsOperator,
    MediaMagicSetSubscriptionEnabledOperator,
)
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import Connect, RunTask
from tests.airflow.jobs import SOON, SubmissionJob
from tests.airflow.test_example_dags import example
from tests.airflow.test_task_groups import run_whole, states
from tests.conftest import MEDIAMAGIC_KEY
from tests.webhooks.envelopes import OTHER_SECRET, SECRET

URL = "http://127.0.0.1:9/mediamagic/webhooks/mediamagic_default"
VARIABLE = "mediamagic_webhook_secret"


@pytest.fixture
def conn(simulator: Simulator, connect: Connect, airflow_db: None) -> Iterator[str]:
    yield connect(
        "mediamagic",
        host=simulator.url,
        password=MEDIAMAGIC_KEY,
        extra=json.dumps({"max_retries": 0, "webhook_secret_variable": VARIABLE}),
    )
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Variable))


@pytest.fixture
def hook(conn: str) -> Iterator[MediaMagicHook]:
    with MediaMagicHook(conn) as hook:
        yield hook


@pytest.fixture
def dag(submission: SubmissionJob, conn: str, simulated_pace: None) -> DAG:
    """The example Dag, on one file."""
    submission.takes(SOON)
    dag = example("mediamagic_webhooks")
    dag.get_task("subscribe").endpoint_url = URL  # type: ignore[union-attr]
    dag.get_task("submit").files = submission.arguments()["files"]  # type: ignore[union-attr]
    return dag


def stored() -> dict[str, str]:
    """What the Variable holds."""
    from airflow.models.variable import Variable

    return dict(json.loads(Variable.get(VARIABLE, default_var="{}")))


def test_creating_keeps_the_secret_in_the_variable_and_nowhere_else(
    task_run: RunTask, hook: MediaMagicHook, capfd: pytest.CaptureFixture[str]
) -> None:
    run = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test()

    (secret,) = stored().values()
    assert stored() == {run.value["id"]: secret}
    assert run.value["endpointUrl"] == URL
    assert look_up("mediamagic_default") == (secret,), "the receiver finds it"
    shown = json.dumps([run.xcoms, run.rendered]) + "".join(capfd.readouterr())
    assert "secret" not in run.value
    assert secret not in shown
    assert secret.removeprefix("whsec_") not in shown


def test_creating_again_finds_it_and_switches_it_on(task_run: RunTask, hook: MediaMagicHook) -> None:
    first = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value
    hook.set_subscription_enabled(first["id"], False)

    again = task_run(
        MediaMagicCreateSubscriptionOperator,
        endpoint_url=URL,
        event_types=list(reversed(first["eventTypes"])),
    ).test()

    assert (again.value["id"], again.value["enabled"]) == (first["id"], True)
    assert len(hook.list_subscriptions()) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_a_refused_request_is_sent_again(
    number: int, simulator: Simulator, task_run: RunTask, hook: MediaMagicHook, deferrable: bool
) -> None:
    refusal: dict[str, Any] = {"status": 429, "headers": {"Retry-After": "1"}, "times": 1, "skip": number}
    simulator.fault("status", "/api/*", **refusal)
    made = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL, deferrable=deferrable).test()
    assert list(stored()) == [made.value["id"]]
    simulator.fault("status", "/api/*", **{**refusal, "skip": 0})
    gone = task_run(
        MediaMagicDeleteSubscriptionOperator, subscription_id=made.value["id"], deferrable=deferrable
    ).test()
    assert (made.state, gone.state, stored()) == ("success", "success", {})
    assert [fault["hits"] for fault in simulator.faults()] == [1, 1]


@pytest.mark.parametrize(
    "other",
    [{"endpoint_url": URL + "_2"}, {"event_types": ["asset.processing.failed"]}],
    ids=["url", "types"],
)
def test_another_address_or_other_events_are_another_subscription(
    task_run: RunTask, hook: MediaMagicHook, other: dict[str, Any]
) -> None:
    for arguments in ({}, other):
        task_run(MediaMagicCreateSubscriptionOperator, **{"endpoint_url": URL, **arguments}).test()
    assert {one["id"] for one in hook.list_subscriptions()} == set(stored())
    assert len(stored()) == 2


def test_a_subscription_whose_secret_is_lost_is_replaced(task_run: RunTask, hook: MediaMagicHook) -> None:
    lost = hook.create_subscription(URL)
    made = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value
    assert [one["id"] for one in hook.list_subscriptions()] == [made["id"]]
    assert made["id"] != lost["id"]
    assert list(stored()) == [made["id"]]


def fill(value: Any) -> None:
    """Let the Variable hold it."""
    from airflow.models.variable import Variable

    Variable.set(VARIABLE, value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize("given", [SECRET, [SECRET, OTHER_SECRET]], ids=["one", "list"])
def test_secrets_that_people_put_there_are_kept(
    task_run: RunTask, hook: MediaMagicHook, given: str | list[str]
) -> None:
    fill(given)
    made = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value

    before = [given] if isinstance(given, str) else given
    found = look_up("mediamagic_default")
    assert found == (*before, stored()[made["id"]])

    task_run(MediaMagicDeleteSubscriptionOperator, subscription_id=made["id"]).test()
    assert look_up("mediamagic_default") == tuple(before)


@pytest.mark.parametrize(
    "given", ["no secret", '{"cut": "whsec_', "[1]", [SECRET] * 6], ids=["text", "cut", "number", "six"]
)
def test_what_is_no_secret_is_neither_written_over_nor_in_the_way_of_deleting(
    task_run: RunTask, hook: MediaMagicHook, given: Any
) -> None:
    from airflow.models.variable import Variable

    lost = hook.create_subscription(URL)
    fill(given)
    held = Variable.get(VARIABLE)
    run = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test()

    assert isinstance(run.error, ConfigurationError)
    assert VARIABLE in str(run.error)
    assert [one["id"] for one in hook.list_subscriptions()] == [lost["id"]]
    run = task_run(MediaMagicDeleteSubscriptionOperator, subscription_id=lost["id"]).test()
    assert run.state == "success"
    assert Variable.get(VARIABLE) == held


def test_more_subscriptions_than_a_list_may_hold_are_all_received(
    task_run: RunTask, hook: MediaMagicHook
) -> None:
    for number in range(8):
        task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=f"{URL}_{number}").test()
    assert look_up("mediamagic_default") == tuple(stored().values())
    assert len(stored()) == 8


def several(count: int) -> dict[str, str]:
    return {f"gone-{number}": SECRET for number in range(count)}


def test_a_full_variable_loses_the_secrets_of_subscriptions_that_are_gone(
    task_run: RunTask, hook: MediaMagicHook
) -> None:
    first = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value
    fill(stored() | {"(no id) 1": OTHER_SECRET} | several(MOST_SUBSCRIPTIONS - 3))
    second = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL + "_2").test().value
    assert len(stored()) == MOST_SUBSCRIPTIONS, "another workspace may keep its own there"

    third = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL + "_3").test().value
    assert set(stored()) == {first["id"], "(no id) 1", second["id"], third["id"]}
    assert len(look_up("mediamagic_default")) == 4


def test_a_variable_full_of_secrets_that_count_is_an_error_before_anything_is_made(
    task_run: RunTask, hook: MediaMagicHook
) -> None:
    lost = hook.create_subscription(URL)
    full = {f"(no id) {number}": SECRET for number in range(MOST_SUBSCRIPTIONS)}
    fill(full)
    run = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test()

    assert isinstance(run.error, ConfigurationError)
    assert (run.error.parameter, str(MOST_SUBSCRIPTIONS) in str(run.error)) == ("secret_variable", True)
    assert [one["id"] for one in hook.list_subscriptions()] == [lost["id"]]
    assert stored() == full


def test_a_secret_that_cannot_be_stored_leaves_no_subscription(
    task_run: RunTask, hook: MediaMagicHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import Variable

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("whsec_never_shown")

    monkeypatch.setattr(Variable, "set", refuse)
    run = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test()

    assert isinstance(run.error, ConfigurationError)
    assert "whsec_" not in str(run.error)
    assert hook.list_subscriptions() == []


def test_a_variable_of_the_environment_hides_what_is_stored_and_leaves_no_subscription(
    task_run: RunTask, hook: MediaMagicHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_VAR_{VARIABLE.upper()}", "{}")
    run = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test()

    assert isinstance(run.error, ConfigurationError)
    assert "a secrets backend defines it too, and comes first" in str(run.error)
    assert hook.list_subscriptions() == []


@pytest.mark.parametrize("name", ["mediamagic_webhooks", ""])
def test_a_variable_that_airflow_would_not_mask_is_refused_before_anything_is_sent(
    task_run: RunTask, connect: Connect, simulator: Simulator, name: str
) -> None:
    connect("mediamagic", host=simulator.url, password=MEDIAMAGIC_KEY)
    run = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL, secret_variable=name).test()
    assert isinstance(run.error, InvalidInputError)
    assert run.error.parameter == "secret_variable"
    assert simulator.ledger()["total_requests"] == 0


def test_deleting_takes_the_secret_along_and_may_be_done_twice(
    task_run: RunTask, hook: MediaMagicHook
) -> None:
    made = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value
    for _ in range(2):
        run = task_run(MediaMagicDeleteSubscriptionOperator, subscription_id=made["id"]).test()
        assert run.state == "success"
    assert hook.list_subscriptions() == []
    assert stored() == {}


@pytest.mark.parametrize("before", ["none", "kept", "secret lost"])
def test_a_teardown_deletes_only_what_its_run_made(
    dag: DAG, hook: MediaMagicHook, task_run: RunTask, before: str
) -> None:
    made = None
    if before == "kept":
        made = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value
    elif before == "secret lost":
        hook.create_subscription(URL)
    run = run_whole(dag)
    assert states(run) == {"subscribe": {"success"}, "submit": {"success"}, "unsubscribe": {"success"}}
    left = [one["id"] for one in hook.list_subscriptions()]
    assert len(left) == (0 if before == "none" else 1)
    assert left == list(stored()), "each has its secret"
    assert made is None or left == [made["id"]]


def test_what_is_kept_is_not_deleted(task_run: RunTask, hook: MediaMagicHook) -> None:
    made = task_run(MediaMagicCreateSubscriptionOperator, endpoint_url=URL).test().value
    run = task_run(MediaMagicDeleteSubscriptionOperator, subscription_id=made["id"], keep="true").test()
    assert run.state == "success"
    assert [one["id"] for one in hook.list_subscriptions()] == list(stored()) == [made["id"]]


def test_switching_listing_and_reading_deliveries(
    task_run: RunTask, hook: MediaMagicHook, simulator: Simulator
) -> None:
    made = hook.create_subscription(URL)
    off = task_run(
        MediaMagicSetSubscriptionEnabledOperator, subscription_id=made["id"], enabled="false"
    ).test()
    assert off.value["enabled"] is False
    listed = task_run(MediaMagicListSubscriptionsOperator).test().value
    assert [(one["id"], one["enabled"]) for one in listed] == [(made["id"], False)]
    assert "secret" not in listed[0]
    assert task_run(MediaMagicListDeliveriesOperator, subscription_id=made["id"]).test().value == []
