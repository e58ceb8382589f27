"""What waiting costs, and how that grows: CPU, stalls of the event loop, memory, connection lookups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.contenders import REPORTS
from tests.benchmarks.processes import QUICK, result, start, status_server, table, undisturbed

RUNS = [
    # (waits, seconds between two polls of one wait, seconds measured, contenders)
    (300, 5.0, 10.0, ("aiohttp", "ours", "dbt Cloud", "Airbyte")),
    (1000, 5.0, 10.0, ("aiohttp", "ours", "dbt Cloud")),
    (5000, 12.5, 12.5, ("aiohttp", "ours")),
    (10_000, 25.0, 25.0, ("aiohttp", "ours")),
]

AN_HOUR = [
    # (contender, its default seconds between two polls, seconds measured)
    ("dbt Cloud", 60.0, 120.0),
    (REPORTS, 60.0, 120.0),
]


def hour_of_waiting(waits: int, url: str, authority: Path) -> None:
    """Compare the CPU of the triggerer while many jobs are waited for, each contender at its own pace."""
    rows: list[list[object]] = []
    spent: list[float] = []
    for contender, interval, seconds in AN_HOUR:
        arguments = (contender, waits, url, interval, seconds, "without stalls")
        process = start("contenders", *arguments, trusting=authority)
        if (one := result(process, timeout=400)) is not None:
            spent.append(one["cpu_per_hour"])
            requests = 3600 * one["polls_per_second"]
            rows.append(
                [contender, f"{requests:.0f}", f"{one['cpu_per_hour']:.1f} s", f"{spent[0] / spent[-1]:.1f}"]
            )
    head = ["contender", "requests per hour", "CPU per hour", "times less than dbt Cloud"]
    table(f"{waits} waits, each contender at its default interval", head, rows)


def main() -> None:
    undisturbed()
    found: dict[tuple[int, str], dict[str, Any] | None] = {}
    with status_server() as (url, authority):
        for waits, interval, seconds, contenders in RUNS[1:2] if QUICK else RUNS:
            for contender in contenders:
                process = start("contenders", contender, waits, url, interval, seconds, trusting=authority)
                found[waits, contender] = result(process, timeout=120 + 6 * interval + seconds)
        if not QUICK:
            hour_of_waiting(1000, url, authority)
    rows = []
    for (waits, contender), one in found.items():
        floor = found[waits, "aiohttp"]
        if one is None or floor is None:
            rows.append([waits, contender, *["did not survive"] * 1, *[""] * 5])
            continue
        rows.append(
            [
                waits,
                contender,
                f"{one['cpu_per_1000']:.2f} s",
                f"{one['cpu_per_1000'] / floor['cpu_per_1000']:.2f}",
                f"{one['stall_ms']:.0f} ms",
                f"{one['kb_per_wait']:.1f} KB",
                f"{one['kb_per_wait'] - floor['kb_per_wait']:+.1f} KB",
                one["lookups"],
            ]
        )
    head = [
        "waits", "contender", "CPU per 1,000 polls", "times the floor", "longest stall", "memory per wait",
        "over the floor", "connection lookups",
    ]  # fmt: skip
    table("Cost of waiting (polls every 5 s; from 5,000 waits on 400 polls a second)", head, rows)
    few, many = found.get((1000, "ours")), found.get((10_000, "ours"))
    if few and many:
        table(
            "Growth: ten times the waits",
            ["", "1,000 waits", "10,000 waits", "ratio"],
            [
                [name, f"{few[key]:.2f} {unit}", f"{many[key]:.2f} {unit}", f"{many[key] / few[key]:.2f}"]
                for name, key, unit in (
                    ("CPU per 1,000 polls", "cpu_per_1000", "s"),
                    ("memory per wait", "kb_per_wait", "KB"),
                )
            ],
        )


if __name__ == "__main__":
    main()
