"""Names for people: what a mapped task instance works on, in place of its number."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.core.text import clean, redact

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

NAME = "mapped_name"
"""Key of the context under which the name is kept."""

TEMPLATE = f"{{{{ {NAME} }}}}"
LONGEST_NAME = 200
"""Most characters of a name; Airflow keeps 250."""


def show_name(context: Context, name: str) -> None:
    """
    Let the web interface call a mapped task instance by a name, unless the Dag has a template for that.

    Airflow renders the template when the task ends, so the template refers to the name: a name is never
    rendered itself.

    :param context: of the running task instance.
    :param name: may have come from anywhere; empty for none.
    """
    found: Any = context
    ti = found["ti"]
    mapped = isinstance(ti.map_index, int) and ti.map_index >= 0
    if not name or not mapped or found.get("map_index_template") not in (None, TEMPLATE):
        return
    name = clean(redact(name), LONGEST_NAME)
    found[NAME] = repr(name) if _is_read_as_python(found.get("dag")) else name
    found["map_index_template"] = TEMPLATE
    if ti.rendered_map_index != name:
        ti.rendered_map_index = name  # a task that is deferred is not rendered again
        _send_name(name)


def _is_read_as_python(dag: Any) -> bool:
    """Whether Airflow reads a rendered name as Python again, for which the number 7 is no name."""
    from airflow.sdk.execution_time import task_runner

    renders_text = hasattr(task_runner, "render_template_to_string")  # from Airflow 3.4 on
    return getattr(dag, "render_template_as_native_obj", False) and not renders_text


def _send_name(name: str) -> None:
    """Show the name at once, also while the task is deferred; Airflow 3.1 shows it when the attempt ends."""
    try:
        from airflow.sdk.execution_time.comms import SetRenderedMapIndex
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS
    except ImportError:  # Airflow 3.1, or no task is running
        return
    try:
        SUPERVISOR_COMMS.send(msg=SetRenderedMapIndex(rendered_map_index=name))
    except Exception as error:  # a task does not fail for want of a name
        log.info("The name of this task instance is not shown before it ends: %s", error)


def names_of_files(files: Any) -> str:
    """
    Return how to call a list of files: ``spot.mp4``, or ``spot.mp4 + 2 more``.

    :param files: paths, URLs or mappings with a ``path``, in whatever state a template has left them; empty
        for anything else.
    """
    if isinstance(files, str | os.PathLike | Mapping):
        files = [files]
    if not isinstance(files, Iterable):
        return ""
    names = []
    for item in files:
        path = item.get("path") if isinstance(item, Mapping) else item
        if isinstance(path, str | os.PathLike):
            names.append(clean(str(path).rstrip("/").rpartition("/")[2], LONGEST_NAME))
    if len(names) > 1:
        return f"{names[0]} + {len(names) - 1} more"
    return names[0] if names else ""
