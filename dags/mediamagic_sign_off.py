"""
Release reviewed media, or let a person decide.

The files are reviewed, and the review is written as a document, ``review.html``. What has no critical issue
is released at once. Otherwise, and when the review itself asks for a person (issue status
``AWAITING_HUMAN_INPUT``), the task ``sign_off`` waits for an answer under "Required Actions" in the web
interface: release or withdraw. Nobody answers within two days: withdraw. While it waits it takes no worker;
on Airflow 3.3 its state is ``awaiting_input``, before that it is deferred.

Run it with a scheduler; ``--conf '{"files": ["spot.mp4"], "output_dir": "out"}'``. Needs the connection
``mediamagic_default``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLBranchOperator
from airflow.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider.core.text import markdown
from airflow_provider.mediamagic.compliance import CompliancePolicy
from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup

FILES = Param(None, type=["null", "array"], description="Paths, globs or URLs, one per line")

# The links are addresses that the gate has made: the page "Review" of this run and, on S3 and GCS, the
# document in the console of its store.
QUESTION = """\
{% set gate = "review.gate" %}
{% set verdict = ti.xcom_pull(task_ids=gate) %}
{% set page = ti.xcom_pull(task_ids=gate, key="_link_MediaMagicStatusLink") %}
{{ verdict["message"] | markdown }}

{% if page %}[Open the review]({{ page }}){% endif %}
{% if "link" in verdict["document"] %}[Open the document]({{ verdict["document"]["link"] }}){% endif %}
"""


def write_decision(output_dir: str, decision: str, verdict: dict[str, Any]) -> str:
    target = ObjectStoragePath(output_dir) / f"{decision}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(verdict, indent=2))
    return str(target)


@dag(
    schedule=None,
    catchup=False,
    params={"files": FILES},
    # What the service and the names of files say is shown to whoever decides, and nothing of it as a link.
    user_defined_filters={"markdown": markdown},
    tags=["mediamagic", "example"],
)
def mediamagic_sign_off(files: list[str] | None = None, output_dir: str = "mediamagic-sign-off") -> None:
    review = MediaMagicReviewTaskGroup(
        files=files,
        policy=CompliancePolicy(block_at="CRITICAL"),
        on_blocked="branch",
        blocked_task_ids="sign_off",
        document_path="{{ params.output_dir }}/review.html",
    )

    sign_off = HITLBranchOperator(
        task_id="sign_off",
        subject="Release these media in spite of what the review found?",
        body=QUESTION,
        options=["Release", "Withdraw"],
        options_mapping={"Release": "release", "Withdraw": "withdraw"},
        defaults="Withdraw",
        response_timeout=timedelta(days=2),
    )

    @task(trigger_rule="none_failed_min_one_success")
    def release(verdict: dict[str, Any], output_dir: str) -> str:
        return write_decision(output_dir, "released", verdict)

    @task
    def withdraw(verdict: dict[str, Any], output_dir: str) -> str:
        return write_decision(output_dir, "withdrawn", verdict)

    released = release(review.verdict, output_dir)
    withdrawn = withdraw(review.verdict, output_dir)
    review >> [sign_off, released]
    sign_off >> [released, withdrawn]


mediamagic_sign_off()
