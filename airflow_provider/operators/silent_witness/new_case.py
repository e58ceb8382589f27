"""Cases and evidence that are new, and that the service may not know everywhere yet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider.core.jobs.claims import claimed_ids
from airflow_provider.core.polling.wait import epoch_seconds
from airflow_provider.exceptions import ApiError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.hooks.silent_witness import SilentWitnessHook

NEW_CASE = "new_case_id"
"""XCom key of the id of a case that the task itself has made."""

NEW_FOR = 900.0
"""
Seconds for which a case or its evidence counts as new, and may be known in one place and not in another; not
documented. Longer than clocks are usually wrong.
"""


def is_new_case(context: Context, case_id: str) -> bool:
    """Whether a task of this Dag has made the case."""
    return case_id in (claimed_ids(context, NEW_CASE) or ())


def has_changed_lately(hook: SilentWitnessHook, case_id: str) -> bool:
    """
    Whether a case or its evidence may have changed a moment ago; also when that is not known, and when the
    case shows no evidence.
    """
    try:
        files = hook.list_files(case_id)
        rows = [hook.get_case(case_id), *files]
    except ApiError:
        return True
    now = time.time()
    since = min(now, hook.service_time(now)) - NEW_FOR
    times = [epoch_seconds(row.get(name)) for row in rows for name in ("created_at", "updated_at")]
    known = [moment for moment in times if moment is not None]
    return not files or not known or max(known) > since
