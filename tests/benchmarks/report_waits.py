"""One contender, or one triggerer's part of it, following reports on one key in a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import aiohttp


class Refused(Exception):
    """The service answered 429."""


class Run:
    """Orders reports and waits for them, in vendor seconds."""

    def __init__(self, task: dict[str, Any], client: aiohttp.ClientSession) -> None:
        self.task = task
        self.scale = float(task["scale"])
        self.client = client
        self.began = time.time()
        self.refused = 0

    def clock(self) -> float:
        return self.began + (time.time() - self.began) * self.scale

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.scale)

    async def order(self, case_id: str) -> str:
        body = {"case_id": case_id, "type": "technical_report"}
        headers = {"X-API-Key": self.task["key"]}
        async with self.client.post(f"{self.task['url']}/api/reports", json=body, headers=headers) as answer:
            if answer.status == 429:
                self.refused += 1
                raise Refused
            answer.raise_for_status()
            return str((await answer.json())["data"]["id"])

    async def status(self, report_id: str) -> str:
        headers = {"X-API-Key": self.task["key"]}
        async with self.client.get(f"{self.task['url']}/api/reports/{report_id}", headers=headers) as answer:
            if answer.status == 429:
                self.refused += 1
                raise Refused
            return str((await answer.json())["data"]["status"])

    async def loop(self, case_id: str, first: float, factor: float, most: float) -> bool:
        """Ask at fixed or growing intervals, as the vendor's samples do; an error ends the wait."""
        try:
            report_id = await self.order(case_id)
        except Refused:
            return False
        deadline, interval = self.clock() + self.task["timeout"], first
        while self.clock() < deadline:
            try:
                status = await self.status(report_id)
            except (Refused, aiohttp.ClientError):
                return False
            if status in ("completed", "failed", "cancelled"):
                return status == "completed"
            await self.sleep(interval)
            interval = min(interval * factor, most)
        return False

    async def ours(self, case_id: str, *, listed: bool) -> bool:
        """
        Wait as a triggerer does.

        :param listed: whether the list of cases may be read in place of polls.
        """
        from airflow_provider.core.polling.shared_clients import SharedClients
        from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger

        class Scaled(SilentWitnessReportTrigger):
            if not listed:
                job = replace(SilentWitnessReportTrigger.job, listing=None)

            async def poll(self, hook: Any, client: aiohttp.ClientSession) -> Any:
                # The service stamps in real seconds; these waits run on scaled ones.
                return replace(await super().poll(hook, client), finished_at=None)

        # A worker counts what it sends, in the store that it shares with the triggerer.
        state = await SharedClients.current().key_state(Scaled.hook_class, self.task["conn_id"])
        state.copy.apply(lambda budget, now: budget.acquire(now, poll=False))
        report_id = await self.order(case_id)
        now = self.clock()
        trigger = Scaled(self.task["conn_id"], report_id, now, now + self.task["timeout"], case_id=case_id)
        async for event in trigger.run():
            if event.payload["status"] != "success":
                print(event.payload, file=sys.stderr)
            return bool(event.payload["status"] == "success")
        return False


LOOPS = {"fixed 5 s": (5.0, 1.0, 5.0), "3 s to 15 s": (3.0, 1.5, 15.0), "fixed 30 s": (30.0, 1.0, 30.0)}


def connect(task: dict[str, Any]) -> None:
    """Define the connection of a task."""
    os.environ[f"AIRFLOW_CONN_{task['conn_id'].upper()}"] = json.dumps(
        {
            "conn_type": "silent_witness",
            "host": task["url"],
            "password": task["key"],
            "extra": {"requests_per_minute": 0, "requests_per_hour": 1000},
        }
    )


def count_requests() -> Counter[str]:
    """Return what counts the lists of cases that are read, and the 429s."""
    from airflow_provider.exceptions import RateLimitedError
    from airflow_provider.hooks.silent_witness import SilentWitnessHook

    counts: Counter[str] = Counter()
    plain_list, plain_request = SilentWitnessHook.alist_cases, SilentWitnessHook.arequest

    async def alist_cases(self: SilentWitnessHook, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        counts["lists"] += 1
        return await plain_list(self, *args, **kwargs)

    async def arequest(self: SilentWitnessHook, *args: Any, **kwargs: Any) -> Any:
        try:
            return await plain_request(self, *args, **kwargs)
        except RateLimitedError:
            counts["refused"] += 1
            raise

    SilentWitnessHook.alist_cases = alist_cases  # type: ignore[method-assign]
    SilentWitnessHook.arequest = arequest  # type: ignore[assignment, method-assign]
    return counts


async def follow(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """Follow the reports of several keys that have nothing to do with each other."""
    from airflow_provider.core.polling.shared_clients import SharedClients

    counts = count_requests()
    waits: list[Coroutine[Any, Any, bool]] = []
    async with aiohttp.ClientSession() as client:
        runs = [Run({**task, "conn_id": f"bench_{number}"}, client) for number, task in enumerate(tasks)]
        clients = SharedClients(clock=runs[0].clock, sleep=runs[0].sleep)
        SharedClients._of_loop[asyncio.get_running_loop()] = clients
        for run in runs:
            connect(run.task)
            contender = run.task["contender"]
            for case_id in run.task["cases"]:
                if contender in LOOPS:
                    waits.append(run.loop(case_id, *LOOPS[contender]))
                else:
                    waits.append(run.ours(case_id, listed=contender == "ours"))
        ended = await asyncio.gather(*waits)
    refused = counts["refused"] + sum(run.refused for run in runs)
    return {"failed": ended.count(False), "refused": refused, "lists": counts["lists"]}


def main() -> None:
    logging.disable(logging.WARNING)
    import airflow_provider.core.http.async_sessions
    import airflow_provider.triggers.silent_witness  # noqa: F401
    from airflow_provider.compat import airflow_stats

    airflow_stats()

    print(json.dumps(asyncio.run(follow(json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
