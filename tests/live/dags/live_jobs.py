"""
Dags for the live tests: one job each, for both services, deferred and synchronous.

What is asked for comes from the run's conf; what Airflow fixes when it parses a Dag makes a variant.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator
from tests.live.harness.held import Held

LIMIT = 60
"""Seconds of the time-outs that are part of a Dag: enough to submit and defer on a machine that is busy."""

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "retries": {"task": {"retries": 4}},
    "late_retries": {"task": {"retries": 4, "retry_delay": timedelta(seconds=20)}},
    "once": {"task": {"retries": 0}},
    "execution_timeout": {"task": {"retries": 0, "execution_timeout": timedelta(seconds=LIMIT)}},
    "dagrun_timeout": {"task": {"retries": 0}, "dag": {"dagrun_timeout": timedelta(seconds=LIMIT)}},
}

with suppress(ImportError):  # before Airflow 3.3
    from airflow_provider.retry_policy import JobRetryPolicy

    # The Dag's own delay is longer than any test waits: only the policy can bring the retry.
    VARIANTS["retry_policy"] = {
        "task": {"retries": 4, "retry_delay": timedelta(hours=1), "retry_policy": JobRetryPolicy()}
    }


class HeldSubmission(Held, MediaMagicCreateSubmissionOperator):
    """The submission operator as shipped, which a test can hold."""


class HeldReport(Held, SilentWitnessCreateReportOperator):
    """The report operator as shipped, which a test can hold."""


OPERATORS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "mediamagic": (
        HeldSubmission,
        {"files": "{{ dag_run.conf['files'] }}", "metadata": {"run": "{{ run_id }}"}},
    ),
    "silent_witness": (HeldReport, {"case_id": "{{ dag_run.conf['case_id'] }}"}),
}

COMMON: dict[str, Any] = {
    "task_id": "job",
    "timeout": "{{ dag_run.conf.get('timeout', 600) }}",
    "poll_interval": 1.0,
    "retry_delay": timedelta(seconds=5),
}


@task
def items(dag_run: Any = None) -> list[dict[str, Any]]:
    """What the mapped job is mapped over."""
    return list(dag_run.conf["items"])


def make(service: str, mode: str) -> None:
    """All Dags of one service and mode."""
    operator, arguments = OPERATORS[service]
    common = {**COMMON, f"{service}_conn_id": "{{ dag_run.conf['conn_id'] }}"}
    deferrable = mode == "deferred"
    for variant, settings in VARIANTS.items():
        with DAG(
            f"live_{service}_{mode}_{variant}",
            schedule=None,
            max_active_runs=64,
            render_template_as_native_obj=True,
            **settings.get("dag", {}),
        ) as dag:
            operator(deferrable=deferrable, **{**common, **settings["task"], **arguments})
        globals()[dag.dag_id] = dag
    with DAG(
        f"live_{service}_{mode}_mapped", schedule=None, max_active_runs=64, render_template_as_native_obj=True
    ) as dag:
        operator.partial(deferrable=deferrable, retries=20, **common).expand_kwargs(items())
    globals()[dag.dag_id] = dag


for one_service in OPERATORS:
    for one_mode in ("deferred", "sync"):
        make(one_service, one_mode)
