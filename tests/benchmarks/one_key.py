"""Many reports on one key with 1,000 requests an hour: requests, 429s, failed tasks, detection delay."""

from __future__ import annotations

import json
import statistics
from typing import Any

import requests

from airflow_provider.simulator import Simulator
from tests.benchmarks.processes import QUICK, result, start, table, undisturbed

SCALE = 10.0
"""How much faster than real time; half of it for many reports, or the processes would be too slow."""
POLLED = "ours, each polled"
ALL = ("fixed 5 s", "3 s to 15 s", "fixed 30 s", POLLED, "ours")
OURS = (POLLED, "ours")

SCENARIOS: list[tuple[str, int, tuple[float, float], float, int, int, tuple[str, ...]]] = [
    # (title, reports, shortest and longest duration, timeout, triggerers, old cases, contenders)
    ("1 report, 120 to 300 s", 1, (120, 300), 600, 1, 0, ALL),
    ("100 reports, 120 to 300 s", 100, (120, 300), 600, 1, 0, ALL),
    ("300 reports, 120 to 300 s", 300, (120, 300), 600, 1, 0, ALL),
    ("100 reports, 5,000 old cases", 100, (120, 300), 600, 1, 5000, OURS),
    ("100 reports, 10 s", 100, (10, 11), 600, 1, 0, ("3 s to 15 s", "fixed 30 s", *OURS)),
    ("100 reports, 20 min", 100, (1200, 1210), 2400, 1, 0, OURS),
    ("two triggerers, 100 reports in all", 100, (120, 300), 600, 2, 0, ("fixed 30 s", *OURS)),
    ("two triggerers, 300 reports in all", 300, (120, 300), 600, 2, 0, ("fixed 30 s", *OURS)),
]
LONE = 9
"""Reports followed one by one for the case of one report: one alone says nothing about a median."""


class Account:
    """An account with a key whose hour is for reports, and one without limits to prepare their cases."""

    def __init__(self, simulator: Simulator, name: str) -> None:
        self.url = simulator.url
        self.key, self._preparing = f"sk-{name}", f"sk-prepare-{name}"
        simulator.keys(
            {"key": self.key, "service": "silent_witness", "workspace": name, "rate_limit": "1000/3600"},
            {
                "key": self._preparing,
                "service": "silent_witness",
                "workspace": name,
                "rate_limit": "1000000/3600",
            },
        )
        self._session = requests.Session()

    def case(self) -> str:
        """Create a case."""
        return str(self._call("/api/cases", json=CASE)["case"]["id"])

    def case_with_photo(self) -> str:
        """Create a case on which a report can be ordered."""
        case_id = self.case()
        fields = {"case_id": case_id, "file_category": "vehicle_photo"}
        self._call("/api/files/upload", data=fields, files={"file": ("front.png", PICTURE)})
        return case_id

    def _call(self, path: str, **kwargs: Any) -> dict[str, Any]:
        headers = {"X-API-Key": self._preparing}
        answer = self._session.post(f"{self.url}{path}", headers=headers, timeout=30, **kwargs)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["data"]
        return found


CASE = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
    "accident": {"date": "2026-01-31", "description": "Rear-ended at a light", "location": "Main and 3rd"},
    "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
}


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
    old_cases: int,
    contenders: tuple[str, ...],
) -> list[list[object]]:
    """Let the contenders order and follow equal reports at the same time, each with a key of its own."""
    scale = SCALE if reports < 300 else SCALE / 2
    low, high = between
    rounds = LONE if reports == 1 else 1
    count = reports * rounds
    durations = [low + (high - low) * ((number * 0.618034) % 1) for number in range(count)]
    rows: list[list[object]] = []
    with Simulator(time_scale=scale, arguments=("--sw-rate-limit", "off")) as simulator:
        tasks: dict[str, list[list[dict[str, Any]]]] = {}
        for contender in contenders:
            parts = tasks[contender] = [[] for _ in range(triggerers)]
            for number in range(rounds):
                account = Account(simulator, f"{contender}-{number}".replace(" ", "-").replace(",", ""))
                for _ in range(old_cases):
                    account.case()
                cases = [account.case_with_photo() for _ in range(reports)]
                for case_id, duration in zip(cases, durations[number:], strict=False):
                    simulator.script("silent_witness", match={"case_id": case_id}, duration=duration)
                for place, part in enumerate(parts):
                    task = {
                        "contender": contender,
                        "url": simulator.url,
                        "key": account.key,
                        "scale": scale,
                        "timeout": timeout,
                        "cases": cases[place::triggerers],
                    }
                    part.append(task)
        started = [
            (contender, parts, [start("report_waits", json.dumps(part)) for part in parts])
            for contender, parts in tasks.items()
        ]
        results = [
            (contender, parts, [result(process, timeout=600) for process in processes])
            for contender, parts, processes in started
        ]
        ledger = simulator.ledger()
    for contender, parts, ended in results:
        mine = {case_id for part in parts for task in part for case_id in task["cases"]}
        followed = [
            ledger["polls"][report["id"]] for report in ledger["reports"] if report["case_id"] in mine
        ]
        delays = sorted(
            (one["first_seen_terminal_at"] - one["finished_at"]) * scale
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
                sum(one["lists"] if one else 0 for one in ended),
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
    head = ["one key, 1,000 requests/h", "contender", "status requests per report", "lists read", "429s",
            "failed tasks", "detection delay, median", "95th percentile"]  # fmt: skip
    table(f"Reports on one key (vendor seconds; time runs up to {SCALE:g} times as fast)", head, rows)


if __name__ == "__main__":
    main()
