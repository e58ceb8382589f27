"""One contender waiting for many jobs in a process of its own; prints what that cost as one line of JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

FAR = 1e6
REPORTS = "ours, reports"
"""Contender that waits for reports as the package does by itself: within the limits of the key."""

REPORT_AGE = 60.0
"""Seconds since reports were ordered: soon the first of them may end, which is when they are polled most."""

lookups = 0


def rss() -> int:
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def count_lookups() -> None:
    """Count what every contender asks Airflow's connections for."""
    from airflow.sdk import BaseHook

    plain, native = BaseHook.get_connection, BaseHook.aget_connection

    def get(cls: type, conn_id: str) -> Any:
        global lookups
        lookups += 1
        return plain(conn_id)

    async def aget(cls: type, conn_id: str) -> Any:
        global lookups
        lookups += 1
        return await native(conn_id)

    BaseHook.get_connection = classmethod(get)  # type: ignore[method-assign, assignment]
    BaseHook.aget_connection = classmethod(aget)  # type: ignore[method-assign, assignment]


async def drain(events: AsyncIterator[Any]) -> None:
    async for event in events:
        raise SystemExit(f"a wait ended: {event}")


def bare(url: str, interval: float) -> Callable[[int, aiohttp.ClientSession], Awaitable[None]]:
    """The floor: what a loop costs that does nothing but ask and sleep."""

    async def wait(number: int, client: aiohttp.ClientSession) -> None:
        while True:
            async with client.get(f"{url}/api/integrations/submissions/{number}") as response:
                await response.json()
            await asyncio.sleep(interval)

    return wait


def like_a_triggerer() -> None:
    """
    Bring this process to where a triggerer is when waits begin, whatever the contender.

    Airflow is imported and has looked a connection up. Its heap is left out of garbage collections: a full
    one takes some 100 ms, comes with whatever allocates next, and is no contender's doing.
    """
    from airflow.sdk import BaseHook
    from airflow.triggers.base import BaseTrigger, TriggerEvent  # noqa: F401

    os.environ["AIRFLOW_CONN_WARM"] = json.dumps({"conn_type": "http", "host": "localhost"})
    BaseHook.get_connection("warm")
    gc.collect()
    gc.freeze()


def no_errors(wait: object, error: Exception, now: float) -> None:
    """Stop: what failed polls cost is another question."""
    raise SystemExit(f"a poll failed: {error}")


def trigger(contender: str, url: str, interval: float) -> Callable[[int], AsyncIterator[Any]]:
    """Return what starts one wait of a provider's trigger."""
    now = time.time()
    if contender.startswith("ours"):
        # What a triggerer imports with its first wait is no cost of waiting; the peers import at the top.
        import requests.utils  # noqa: F401

        import airflow_provider.core.http.async_sessions  # noqa: F401
        from airflow_provider.compat import airflow_stats
        from airflow_provider.core.polling.wait import Wait
        from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger
        from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger

        airflow_stats()
        Wait.on_error = no_errors  # type: ignore[method-assign, assignment]
        os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(
            {"conn_type": "mediamagic", "host": url, "password": "k"}
        )
        if contender == REPORTS:
            os.environ["AIRFLOW_CONN_REPORTS"] = json.dumps(
                {"conn_type": "silent_witness", "host": url, "password": "k"}
            )
            return lambda number: SilentWitnessReportTrigger(
                "reports", f"rpt_{number}", now - REPORT_AGE, now + FAR, case_id=f"case_{number}"
            ).run()
        return lambda number: MediaMagicSubmissionTrigger(
            "bench", str(number), now, now + FAR, poll_interval=interval
        ).run()
    if contender == "dbt Cloud":
        from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

        os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(
            {"conn_type": "dbt_cloud", "host": url.removeprefix("https://"), "login": "1", "password": "k"}
        )
        return lambda number: DbtCloudRunJobTrigger("bench", number, now + FAR, interval, 1).run()
    from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger

    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps({"conn_type": "airbyte", "host": url})
    return lambda number: AirbyteSyncTrigger(number, "bench", now + FAR, interval).run()


async def measure(
    contender: str, waits: int, url: str, interval: float, seconds: float, *, stalls: bool = True
) -> dict[str, Any]:
    """
    Start waits evenly over one interval, then measure for some seconds.

    :param stalls: whether to watch for stalls of the event loop, which itself costs CPU.
    """
    loop = asyncio.get_running_loop()
    stall = 0.0

    async def watch() -> None:
        nonlocal stall
        while stalls:
            before = loop.time()
            await asyncio.sleep(0.02)
            stall = max(stall, loop.time() - before - 0.02)

    async with aiohttp.ClientSession() as client:

        async def polls() -> int:
            async with client.get(f"{url}/polls") as response:
                return int((await response.json())["polls"])

        if contender == "aiohttp":
            floor = bare(url, interval)
            begin: Callable[[int], Awaitable[None]] = lambda number: floor(number, client)  # noqa: E731
        else:
            start = trigger(contender, url, interval)
            begin = lambda number: drain(start(number))  # noqa: E731
        await polls()
        like_a_triggerer()
        count_lookups()
        memory = rss()
        watcher = asyncio.create_task(watch())
        began, tasks = loop.time(), []
        for number in range(waits):
            if (pause := began + number * interval / waits - loop.time()) > 0:
                await asyncio.sleep(pause)
            tasks.append(asyncio.ensure_future(begin(number + 1)))
        await asyncio.sleep(max(0.5, interval / 4))
        first, cpu, at = await polls(), time.process_time(), loop.time()
        await asyncio.sleep(seconds)
        cpu = time.process_time() - cpu
        made, took = await polls() - first, loop.time() - at
        memory = rss() - memory
        for task in tasks:
            if task.done() and task.exception():
                raise RuntimeError("a wait failed") from task.exception()
            task.cancel()
        watcher.cancel()
        await asyncio.gather(*tasks, watcher, return_exceptions=True)
    return {
        "waits": waits,
        "polls": made,
        "polls_per_second": made / took,
        "cpu_per_1000": 1000 * cpu / max(1, made),
        "cpu_per_hour": 3600 * cpu / took,
        "stall_ms": 1000 * stall,
        "kb_per_wait": memory / waits / 1024,
        "lookups": lookups,
    }


def main() -> None:
    contender, waits, url, interval, seconds, *stalls = sys.argv[1:]
    logging.disable(logging.INFO)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = measure(contender, int(waits), url, float(interval), float(seconds), stalls=not stalls)
    print(json.dumps(asyncio.run(found)))


if __name__ == "__main__":
    main()
