"""
A provider for a made-up service: renders of scenes, which take a while, can be cancelled, and end in a PDF.

Everything that a third service needs beside ``airflow_provider.core``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.arguments import required_id, required_text
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.connection import Service
from airflow_provider.core.http.error_bodies import Paid
from airflow_provider.core.http.responses import Body, plain_id
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.jobs.ledger import Entry
from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.core.jobs.sensor import JobSensor
from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.exceptions import JobFailedError, LedgerError

if TYPE_CHECKING:
    import aiohttp
    from airflow.sdk import Context

    from airflow_provider.core.files.download import DownloadLink

RENDER_FARM = Service(conn_type="render_farm", name="Render Farm", base_url="https://render-farm.example")

STATES = {
    "queued": JobState.ACTIVE,
    "rendering": JobState.ACTIVE,
    "done": JobState.SUCCEEDED,
    "broken": JobState.FAILED,
    "stopped": JobState.CANCELLED,
}


class RenderFarmHook(ServiceHook):
    """One method per endpoint."""

    service = RENDER_FARM
    conn_name_attr = "render_farm_conn_id"
    default_conn_name = "render_farm_default"
    conn_type = "render_farm"
    hook_name = "Render Farm"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the connection form."""
        return {
            "hidden_fields": ["schema", "login"],
            "relabeling": {"host": "Base URL", "password": "API key"},
            "placeholders": {"host": RENDER_FARM.base_url},
        }

    def _probe(self) -> str:
        self.request("GET", "/renders")
        return "The API key is accepted."

    def create_render(self, scene: str) -> dict[str, Any]:
        """Start a render. **Paid.**"""
        paid = Paid("the render", "GET /renders lists them.")
        return self.request(
            "POST", "/renders", json={"scene": required_text("scene", scene)}, read=_render, paid=paid
        )

    def get_render(self, render_id: str) -> dict[str, Any]:
        """Return a render as it is now."""
        return self.request("GET", _path(render_id), read=_render)

    async def aget_render(self, client: aiohttp.ClientSession, render_id: str) -> dict[str, Any]:
        """Return a render as it is now."""
        return await self.arequest(client, "GET", _path(render_id), read=_render)

    def list_renders(self) -> list[dict[str, Any]]:
        """Return all renders of the account."""
        return self.request("GET", "/renders", read=lambda body: body.rows("renders", "render_id", "scene"))

    def stop_render(self, render_id: str) -> dict[str, Any]:
        """Cancel a render."""
        return self.request("DELETE", _path(render_id), read=_render)

    async def astop_render(self, client: aiohttp.ClientSession, render_id: str) -> dict[str, Any]:
        """Cancel a render."""
        return await self.arequest(client, "DELETE", _path(render_id), read=_render, attempts=3)


def _path(render_id: str) -> str:
    return f"/renders/{plain_id('render_id', render_id)}"


def _render(body: Body) -> dict[str, Any]:
    return body.object("render_id", "state")


def observe_render(body: Mapping[str, Any]) -> Observation:
    """Tell what the state of a render means."""
    state = STATES.get(body["state"])
    return Observation(
        job_id=body["render_id"],
        raw_status=body["state"],
        state=state or JobState.ACTIVE,
        known=state is not None,
        message=str(body.get("reason") or ""),
    )


RENDER = JobKind(
    noun="render",
    id_key="render_id",
    get=lambda hook, render_id: hook.get_render(render_id),
    aget=lambda hook, client, render_id: hook.aget_render(client, render_id),
    observe=observe_render,
    id_of=lambda body: str(body["render_id"]),
    public=lambda body: {name: value for name, value in body.items() if name != "file_url"},
    cancel=lambda hook, render_id: hook.stop_render(render_id),
    acancel=lambda hook, client, render_id: hook.astop_render(client, render_id),
    backoff=Backoff(first=1.0, factor=1.5, cap=10.0),
    typical={"": (1.0, 60.0)},
    limits={"": 300.0},
)


class RenderTrigger(JobTrigger):
    """Wait for a render."""

    hook_class = RenderFarmHook
    job = RENDER


class RenderSensor(JobSensor[RenderFarmHook]):
    """
    Wait for a render that something else started.

    :param render_id: the render.
    :param render_farm_conn_id: connection id.
    :param deferrable: wait for turns in the triggerer. Default: ``[operators] default_deferrable``.
    :param max_turn_wait: seconds that one wait for a turn on the key may take; default the connection's.
    """

    hook_class = RenderFarmHook
    trigger_class = RenderTrigger
    job = RENDER
    template_fields: Sequence[str] = ("render_id", "render_farm_conn_id")

    def __init__(
        self, *, render_id: str, render_farm_conn_id: str = RenderFarmHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.render_id = render_id
        self.render_farm_conn_id = render_farm_conn_id


class RenderSceneOperator(JobOperator[RenderFarmHook]):
    """
    Render a scene and wait for it. **Paid**, once per task instance.

    :param scene: its name; each is rendered once, so that a render is found by it.
    :param render_farm_conn_id: connection id.
    :param deferrable: wait for turns in the triggerer. Default: ``[operators] default_deferrable``.
    :param max_turn_wait: seconds that one wait for a turn on the key may take; default the connection's.
    """

    hook_class = RenderFarmHook
    trigger_class = RenderTrigger
    job = RENDER
    template_fields: Sequence[str] = ("scene", "timeout", "render_farm_conn_id")

    def __init__(
        self, *, scene: str, render_farm_conn_id: str = RenderFarmHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.scene = scene
        self.render_farm_conn_id = render_farm_conn_id

    def check(self) -> None:
        required_text("scene", self.scene)

    def request(self) -> dict[str, Any]:
        return {"scene": self.scene}

    def submit(self, hook: RenderFarmHook, entry: Entry) -> dict[str, Any]:
        return hook.create_render(self.scene)

    def find_orphaned(
        self, hook: RenderFarmHook, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        found = [one["render_id"] for one in hook.list_renders() if one["scene"] == self.scene]
        if len(found) > 1:
            raise LedgerError(f"Several renders of scene {self.scene!r}: {', '.join(found)}.")
        return hook.get_render(found[0]) if found else None

    def result(self, hook: RenderFarmHook, body: dict[str, Any]) -> dict[str, Any]:
        return RENDER.public(body)

    def failed(self, hook: RenderFarmHook, body: dict[str, Any]) -> dict[str, Any]:
        raise JobFailedError(f"Render {body['render_id']} failed: {observe_render(body).message}")


class DownloadRenderOperator(ServiceOperator[RenderFarmHook]):
    """
    Download a finished render: whole or not at all. Returns the manifest of the file.

    :param render_id: the render.
    :param output_path: folder to write to, local or an object-storage URL.
    :param render_farm_conn_id: connection id.
    :param deferrable: wait for turns in the triggerer. Default: ``[operators] default_deferrable``.
    :param max_turn_wait: seconds that one wait for a turn on the key may take; default the connection's.
    """

    hook_class = RenderFarmHook
    template_fields: Sequence[str] = ("render_id", "output_path", "render_farm_conn_id")

    def __init__(
        self,
        *,
        render_id: str,
        output_path: str,
        render_farm_conn_id: str = RenderFarmHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.render_id = render_id
        self.output_path = output_path
        self.render_farm_conn_id = render_farm_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch a link, then the file behind it."""
        from airflow_provider.core.files.download import DownloadLink, download
        from airflow_provider.core.files.locations import target_path

        render_id = required_id("render_id", self.render_id)
        with self.hook() as hook:

            def link() -> DownloadLink:
                return DownloadLink(hook.get_render(render_id)["file_url"])

            target = target_path(self.output_path, f"{render_id}.pdf")
            manifest = download(hook.storage_session, link, target, expected_type="pdf")
        self.files_written = [manifest["path"]]
        return manifest
