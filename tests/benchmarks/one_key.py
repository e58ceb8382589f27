"""Many reports on one key with 1,000 requests an hour: requests, 429s, failed tasks, detection delay."""

from __future__ import annotations

import json
import statistics
from typing import Any

import requests

from airflow_provider.simulator import Simulator
from tests.benchmarks.processes import QUICK, result, start, table, undisturbed

SCALE = 15.0
ALL = ("fixed 5 s", "3 s to 15 s", "fixed 30 s", "ours")

SCENARIOS: list[tuple[str, int, tuple[float, float], float, int, tuple[str, ...]]] = [
    # (title, reports, shortest and longest duration, timeout, triggerers, contenders)
    ("1 report, 120 to 300 s", 1, (120, 300), 600, 1, ALL),
    ("100 reports, 120 to 300 s", 100, (120, 300), 600, 1, ALL),
    ("300 reports, 120 to 300 s", 300, (120, 300), 600, 1, ALL),
    ("100 reports, 10 s", 100, (10, 11), 600, 1, ("3 s to 15 s", "fixed 30 s", "ours")),
    ("100 reports, 20 min", 100, (1200, 1210), 2400, 1, ("ours",)),
    ("two triggerers, 100 reports in all", 100, (120, 300), 600, 2, ("fixed 30 s", "ours")),
    ("two triggerers, 300 reports in all", 300, (120, 300), 600, 2, ("fixed 30 s", "ours")),
]
LONE = 9
"""Reports followed one by one for the case of one report: one alone says nothing about a median."""


def call(simulator: Simulator, key: str, path: str, **kwargs: Any) -> dict[str, Any]:
    answer = requests.post(f"{simulator.url}{path}", headers={"X-API-Key": key}, timeout=30, **kwargs)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()["data"]
    return found


def prepare(simulator: Simulator, account: str, durations: list[float]) -> dict[str, str]:
    """Make an account with a case: one key to order reports, one to follow them, whose hour is all theirs."""
    ordering, key = f"sk-order-{account}", f"sk-follow-{account}"
    simulator.keys(
        {"key": ordering, "service": "silent_witness", "workspace": account, "rate_limit": "1000000/3600"},
        {"key": key, "service": "silent_witness", "workspace": account, "rate_limit": "1000/3600"},
    )
    body = {
        "plaintiff_name": "Ann Smith",
        "defendant_name": "Bob Jones",
        "attorney_name": "Cleo Park",
        "accident": {
            "date": "2026-01-31",
            "description": "Rear-ended at a light",
            "location": "Main and 3rd",
        },
        "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
    }
    case_id = str(call(simulator, ordering, "/api/cases", json=body)["case"]["id"])
    call(
        simulator,
        ordering,
        "/api/files/upload",
        data={"case_id": case_id, "file_category": "vehicle_photo"},
        files={"file": ("front.png", PICTURE)},
    )
    for duration in durations:
        simulator.script("silent_witness", match={"case_id": case_id}, times=1, duration=duration)
    return {"case_id": case_id, "ordering_key": ordering, "key": key}


def picture() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (640, 480), "grey").save(out, "PNG")
    return out.getvalue()


PICTURE = picture()


def measure(
    title: str,
    reports: int,
    between: tuple[float, float],
    timeout: float,
    triggerers: int,
    contenders: tuple[str, ...],
) -> list[list[object]]:
    """Let the contenders follow equal reports at the same time, each on a key of its own."""
    low, high = between
    rounds = LONE if reports == 1 else 1
    count = reports * rounds
    durations = [low + (high - low) * ((number * 0.618034) % 1) for number in range(count)]
    rows: list[list[object]] = []
    with Simulator(time_scale=SCALE, arguments=("--sw-rate-limit", "off")) as simulator:
        started = []
        for contender in contenders:
            parts: list[list[dict[str, Any]]] = [[] for _ in range(triggerers)]
            for number in range(rounds):
                account = f"{contender}-{number}".replace(" ", "-")
                mine = durations[number : number + 1] if rounds > 1 else durations
                task = {
                    **prepare(simulator, account, mine),
                    "contender": contender,
                    "url": simulator.url,
                    "scale": SCALE,
                    "timeout": timeout,
                }
                for place, part in enumerate(parts):
                    part.append({**task, "reports": reports // triggerers + (place < reports % triggerers)})
            cases = {task["case_id"] for task in parts[0]}
            started.append((contender, cases, [start("report_waits", json.dumps(part)) for part in parts]))
        results = [
            (contender, cases, [result(process, timeout=600) for process in processes])
            for contender, cases, processes in started
        ]
        ledger = simulator.ledger()
    for contender, cases, ended in results:
        followed = [
            ledger["polls"][report["id"]] for report in ledger["reports"] if report["case_id"] in cases
        ]
        delays = sorted(
            (one["first_seen_terminal_at"] - one["finished_at"]) * SCALE
            for one in followed
            if one["first_seen_terminal_at"] is not None
        )
        # Whoever does not survive fails all its tasks.
        failed = sum(one["failed"] if one else count // triggerers for one in ended)
        rows.append(
            [
                title,
                contender,
                f"{sum(one['count'] for one in followed) / max(1, len(followed)):.1f}",
                sum(one["refused"] if one else 0 for one in ended),
                f"{failed} of {count}",
                f"{statistics.median(delays):.1f} s" if delays else "never",
                f"{delays[int(0.95 * (len(delays) - 1) + 0.5)]:.1f} s" if delays else "never",
            ]
        )
    return rows


def main() -> None:
    undisturbed()
    rows = []
    for scenario in SCENARIOS[1:2] if QUICK else SCENARIOS:
        rows += measure(*scenario)
    head = ["one key, 1,000 requests/h", "contender", "status requests per report", "429s", "failed tasks",
            "detection delay, median", "95th percentile"]  # fmt: skip
    table(f"Reports on one key (vendor seconds; time runs {SCALE:g} times as fast)", head, rows)


if __name__ == "__main__":
    main()
