"""What a test does with both simulated services: connect, decide what happens, see what arrived."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

    from airflow_provider.simulator import Simulator

KEYS = {"mediamagic": "sk_live_" + "0123456789abcdef" * 4, "silent_witness": "sk-" + "a1b2c3d4e5" * 6 + "f"}
"""Made-up keys of the form that each service uses."""

DOCUMENTED_HOUR = 1000
"""Requests an hour on a Silent Witness key."""

DOCUMENTED_MINUTE = 100
"""Requests a minute, after another page."""

MOST_AN_HOUR = 1_000_000
"""What a connection may say at most."""

CASE = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
    "accident": {"date": "2026-01-31", "description": "Rear-ended at a light", "location": "Main and 3rd"},
    "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
}


class SimulatedServices:
    """
    Both services on localhost: what the fixture ``simulated_services`` returns.

    Durations are seconds of the vendors, or a timedelta; ``time_scale`` of them pass in a real second. An
    outcome is decided before the job is submitted. Where several fit a job, the first counts.

    .. code-block:: python

        def test_a_failed_asset_is_paid_for_once(simulated_services):
            simulated_services.asset_fails("*.mp4", retryable=True)
            assert simulated_services.run(my_dag()).state == "success"
            assert len(simulated_services.submissions) == 1

    :param simulator: both servers; has faults, keys, limits and webhooks beside what is here.
    :param monkeypatch: undoes what is set in the environment.
    :param time_scale: seconds of the vendors in a real one.
    :param may_run_dags: whether Airflow is a throwaway, which a Dag may be written to.
    """

    def __init__(
        self,
        simulator: Simulator,
        monkeypatch: pytest.MonkeyPatch,
        *,
        time_scale: float,
        may_run_dags: bool,
    ) -> None:
        self.simulator = simulator
        self.time_scale = time_scale
        self._monkeypatch = monkeypatch
        self._may_run_dags = may_run_dags

    def connect(self, conn_type: str, conn_id: str | None = None, **extra: Any) -> str:
        """
        Define one more connection to a service.

        :param conn_type: ``mediamagic`` or ``silent_witness``.
        :param conn_id: default ``mediamagic_default`` or ``silent_witness_default``, which are there already.
        :param extra: of the connection, for example ``max_retries=0``.
        :return: the connection id.

        The test fails when Airflow has another connection of that id, which it prefers.
        """
        conn_id = conn_id or f"{conn_type}_default"
        if conn_type == "silent_witness":
            # The hour and the minute are as much shorter as everything else.
            hour, minute = (
                min(int(limit * self.time_scale), MOST_AN_HOUR)
                for limit in (DOCUMENTED_HOUR, DOCUMENTED_MINUTE)
            )
            extra = {"requests_per_hour": hour, "requests_per_minute": minute, **extra}
        fields = {"conn_type": conn_type, "host": self.simulator.url, "password": KEYS[conn_type]}
        self._monkeypatch.setenv(
            f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**fields, "extra": json.dumps(extra)})
        )
        self._check_leads_here(conn_id)
        return conn_id

    def run(self, dag: DAG, conf: dict[str, Any] | None = None) -> DagRun:
        """
        Run a Dag with ``dag.test()``, deferred tasks and retries included; look at ``state`` of what returns.

        :param dag: to run; it need not be in the Dags folder.
        :param conf: of the run.
        """
        if not self._may_run_dags:
            pytest.fail(
                "simulated_services.run() writes to Airflow's metadata database: set "
                "'throwaway_airflow = true' in pytest's configuration, so that it is never one of yours.",
                pytrace=False,
            )
        from airflow_provider.testing.throwaway import run_dag

        return run_dag(dag, conf)

    def ready_case(self, **fields: Any) -> str:
        """
        Make a case with one vehicle and one photo, on which a report can be ordered.

        :param fields: as ``SilentWitnessHook.create_case`` takes them; default parties, accident and vehicle.
        :return: its id.
        """
        from PIL import Image

        from airflow_provider.core.http.connection import ConnectionSettings
        from airflow_provider.hooks.silent_witness import SilentWitnessHook

        photo = io.BytesIO()
        Image.new("RGB", (640, 480), (90, 110, 130)).save(photo, "JPEG")
        photo.seek(0)
        settings = ConnectionSettings("simulated_services", self.simulator.url, KEYS["silent_witness"])
        with SilentWitnessHook(settings.conn_id, settings=settings) as hook:
            case = hook.create_case(**{**CASE, **fields})
            case_id = str(case["case"]["id"])
            hook.upload_file(
                case_id,
                "front.jpg",
                photo,
                category="vehicle_photo",
                vehicle_role="plaintiff",
                content_type="image/jpeg",
            )
        return case_id

    # -- what happens to jobs to come ------------------------------------------------------------------------

    def asset_takes(self, duration: float | timedelta, filename: str = "*") -> None:
        """Let assets with such a file name (a glob) take this long."""
        self._script("mediamagic", duration, match={"filename": filename})

    def asset_fails(
        self,
        filename: str = "*",
        *,
        retryable: bool = True,
        attempts: int = 1,
        message: str = "Transcoding stopped",
        after: float | timedelta | None = None,
    ) -> None:
        """
        Let assets with such a file name fail.

        :param filename: a glob.
        :param retryable: whether the service lets the asset be retried.
        :param attempts: how many attempts of the asset fail before one succeeds.
        :param message: the service's ``errorMessage``.
        :param after: duration of the first attempt; default a usual one.
        """
        self._script(
            "mediamagic",
            after,
            match={"filename": filename},
            asset_status="failed",
            error_message=message,
            error_type="processing_error",
            is_retryable=retryable,
            attempts_failing=attempts,
        )

    def report_takes(self, duration: float | timedelta, *, case_id: str = "*") -> None:
        """Let reports on such a case (a glob on its id) take this long."""
        self._script("silent_witness", duration, match={"case_id": case_id})

    def report_fails(
        self,
        message: str = "Report generation timed out",
        *,
        case_id: str = "*",
        times: int | None = None,
        after: float | timedelta | None = None,
    ) -> None:
        """
        Let reports fail.

        :param message: the service's reason: "Delta-V calculation failed..." and "Biomechanics analysis
            failed..." are about the evidence, others are passing ones.
        :param case_id: a glob.
        :param times: how many reports fail; default all.
        :param after: duration until then; default a usual one.
        """
        self._script(
            "silent_witness",
            after,
            match={"case_id": case_id},
            status="failed",
            message=message,
            times=times,
        )

    # -- what arrived ----------------------------------------------------------------------------------------

    @property
    def submissions(self) -> list[dict[str, Any]]:
        """The submissions that MediaMagic has: ``id``, ``status``, ..."""
        return list(self.simulator.ledger()["submissions"])

    @property
    def cases(self) -> list[dict[str, Any]]:
        """The cases that Silent Witness has, each of them invoiced."""
        return list(self.simulator.ledger()["cases"])

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports that Silent Witness has: ``id``, ``status``, ..."""
        return list(self.simulator.ledger()["reports"])

    def requests(self, route: str) -> int:
        """How many requests arrived, for example of ``POST /api/reports`` or ``GET /api/reports/{id}``."""
        return int(self.simulator.ledger()["requests"].get(route, 0))

    def _check_leads_here(self, conn_id: str) -> None:
        from airflow.sdk import BaseHook

        if BaseHook.get_connection(conn_id).host != self.simulator.url:
            pytest.fail(
                f"Connection {conn_id!r} does not lead to the simulator: Airflow's secrets backend has one "
                "of that id, perhaps a real one. Set 'throwaway_airflow = true' in pytest's configuration, "
                "which leaves that backend out, or use another id.",
                pytrace=False,
            )

    def _script(self, service: str, duration: float | timedelta | None, **outcome: Any) -> None:
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        self.simulator.script(service, duration=seconds, **outcome)
