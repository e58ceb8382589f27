"""The polls of a wait that a webhook is to end."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from airflow_provider.core.polling.hints import LONGEST, HintFallback, HintHealth, Hints
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import SUBMISSION
from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger
from tests.webhooks.envelopes import SECRET

BACKOFF = SUBMISSION.backoff


def no_luck() -> float:
    """Nothing is shortened."""
    return 0.0


def fallback(limit: float = 600.0, webhook_health: HintHealth | None = None) -> HintFallback:
    return HintFallback(limit, BACKOFF, Hints(webhook_health or HintHealth()), BACKOFF)


def polls(schedule: HintFallback | Backoff, until: float) -> list[float]:
    """The ages at which a job that runs so long is polled."""
    ages, age = [], 0.0
    while (age := age + schedule.delay(age, rng=no_luck)) < until:
        ages.append(age)
    return ages


def test_a_job_of_five_minutes_is_polled_at_most_twice() -> None:
    assert len(polls(fallback(), 300)) <= 2
    assert len(polls(BACKOFF, 300)) > 10


def test_polls_come_closer_as_the_deadline_nears() -> None:
    ages = polls(fallback(), 600)
    pauses = [later - earlier for earlier, later in zip([0.0, *ages], ages, strict=False)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == BACKOFF.cap


@pytest.mark.parametrize("limit", [20.0, 600.0, 86_400.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_no_pause_is_shorter_than_usual_or_longer_than_five_minutes(limit: float, jitter: float) -> None:
    for age in (0.0, 1.0, limit / 2, limit, 2 * limit):
        pause = fallback(limit).delay(age, rng=lambda: jitter)
        assert BACKOFF.cap * (1 - BACKOFF.jitter) <= pause <= LONGEST


def test_lost_trust_brings_the_usual_pace_and_an_event_restores_it() -> None:
    webhook_health = HintHealth(patience=2)
    schedule = fallback(webhook_health=webhook_health)
    assert [
        webhook_health.on_missed(),
        webhook_health.lost,
        webhook_health.on_missed(),
        webhook_health.lost,
    ] == [False, False, True, True]
    assert schedule.delay(0.0, rng=no_luck) == BACKOFF.delay(0.0, rng=no_luck)
    assert webhook_health.on_missed() is False, "it is reported once"

    webhook_health.on_hint()

    assert schedule.delay(0.0, rng=no_luck) > BACKOFF.cap


def test_events_in_between_keep_the_trust() -> None:
    webhook_health = HintHealth(patience=2)
    for _ in range(10):
        webhook_health.on_missed()
        webhook_health.on_hint()
    assert not webhook_health.lost


def test_a_job_that_is_about_to_end_is_polled_soon_again() -> None:
    schedule = replace(BACKOFF, start=200.0)
    assert schedule.delay(200.0, rng=no_luck) == BACKOFF.first
    assert schedule.delay(210.0, rng=no_luck) == BACKOFF.interval(10.0)
    assert schedule.delay(0.0, rng=no_luck) == BACKOFF.first


def test_whether_events_come_is_said_by_each_connection_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for conn_id, extra in (("without", {}), ("with", {"webhook_secret": SECRET})):
        connection = {"conn_type": "mediamagic", "password": "sk_live_x", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    async def paces() -> dict[str, bool]:
        found = {}
        async with SharedClients.current().lease(MediaMagicHook, "without") as first:
            await first.key_state()
            for conn_id in ("without", "with"):
                now = time.time()
                trigger = MediaMagicSubmissionTrigger(
                    conn_id=conn_id, job_id="sub", submitted_at=now, deadline=now + 600
                )
                trigger.trigger_id = 1
                async with SharedClients.current().lease(MediaMagicHook, conn_id) as lease:
                    found[conn_id] = isinstance(await trigger._schedule(lease), HintFallback)
        return found

    assert asyncio.run(paces()) == {"without": False, "with": True}
