"""What importing the operators adds to the parse time of a Dag file, over ``airflow.sdk`` alone."""

from __future__ import annotations

import statistics
import subprocess
import sys

from tests.benchmarks.processes import QUICK, REPOSITORY, environment, table, undisturbed

CONTENDERS = {
    "ours, MediaMagic": "airflow_provider.operators.mediamagic",
    "ours, Silent Witness": "airflow_provider.operators.silent_witness",
    "dbt Cloud": "airflow.providers.dbt.cloud.operators.dbt",
    "Airbyte": "airflow.providers.airbyte.operators.airbyte",
}
HEAVY = ("aiohttp", "requests", "pendulum", "httpx", "fastapi", "sqlalchemy")
SCRIPT = """
import sys, time
from airflow.sdk import DAG, BaseOperator, BaseHook
before = set(sys.modules)
start = time.process_time()
import {module}
took = time.process_time() - start
new = set(sys.modules) - before
print(took, len(new), ",".join(name for name in {heavy} if name in new) or "none")
"""


def main() -> None:
    undisturbed()
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    modules, heavy = {}, {}
    for _ in range(3 if QUICK else 7):
        for name, module in CONTENDERS.items():
            script = SCRIPT.format(module=module, heavy=HEAVY)
            out = subprocess.run(
                [sys.executable, "-c", script], env=environment(), cwd=REPOSITORY, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
            took, modules[name], heavy[name] = out.stdout.splitlines()[-1].split()
            times[name].append(float(took))
    peer = statistics.median(times["dbt Cloud"])
    table(
        "Import cost over airflow.sdk (median; which heavy modules airflow.sdk had not imported)",
        ["operators", "CPU time", "times dbt Cloud", "modules", "heavy ones"],
        [
            [
                name,
                f"{1000 * statistics.median(took):.0f} ms",
                f"{statistics.median(took) / peer:.2f}",
                modules[name],
                heavy[name],
            ]
            for name, took in times.items()
        ],
    )


if __name__ == "__main__":
    main()
