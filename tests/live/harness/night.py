"""What the pipelines of a night are made of: a case, two photos, a report and its two documents."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from airflow.sdk import get_parsing_context

PIPELINES = int(os.environ.get("NIGHT_PIPELINES", "12"))
SUBMISSIONS = 20
SLOTS = 8
"""Tasks of one Dag run that may hold a worker slot at once."""

#: of the tasks that know of no turns
RETRIES = {
    "retries": 5,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
}
PHOTO = {"file_category": "vehicle_photo", "vehicle_role": "plaintiff"}

CONNECTION = "{{ dag_run.conf['conn_id'] }}"
FOLDER = "{{ dag_run.conf['folder'] }}"


def case_of(number: int) -> dict[str, Any]:
    """What a case is made of."""
    return {
        "plaintiff_name": f"Ann Smith {number}",
        "defendant_name": "Bob Jones",
        "attorney_name": "Cleo Park",
        "accident": {"date": "2026-01-31", "description": "Rear-ended", "location": "Main and 3rd"},
        "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
    }


def is_parsed(dag_id: str) -> bool:
    """Whether Airflow wants this Dag of its file: a task's process needs only its own."""
    return get_parsing_context().dag_id in (None, dag_id)


def report_of(case_id: str) -> dict[str, Any]:
    """What a report is ordered with."""
    return {"case_id": case_id, "type": "technical_report", "options": {"use_demo_data": True}}


def photos(conf: dict[str, Any]) -> list[Path]:
    """The photos of a run."""
    return sorted(Path(conf["folder"]).glob("*.jpg"))


def save(output: dict[str, str], conf: dict[str, Any], run_id: str, name: str) -> None:
    """Fetch both documents."""
    folder = Path(conf["folder"], run_id)
    folder.mkdir(exist_ok=True)
    for fmt in ("pdf", "docx"):
        response = requests.get(output[f"{fmt}_url"], timeout=60)
        response.raise_for_status()
        (folder / f"{name}.{fmt}").write_bytes(response.content)
