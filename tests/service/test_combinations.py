"""Whatever comes together of faults, deaths, attempts and oddities, each request is paid for once."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard

from airflow_provider.compat import AirflowFailException
from airflow_provider.exceptions import JobTimeoutError, ProviderError
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicRetryAssetOperator,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from airflow_provider.simulator import Simulator
from airflow_provider.testing.pace import quicken
from airflow_provider.testing.services import KEYS
from tests.airflow.lone import DAG_RUN, FakeStateStore, FakeTaskInstance, TaskDeferred
from tests.airflow.task_run import WorkerDied
from tests.simulator.talk import MediaMagicTalk, SilentWitnessTalk, picture

COMBINATIONS = int(os.environ.get("COMBINATIONS", "24"))
SEED = int(os.environ.get("COMBINATIONS_SEED", "20261130"))

SCALE = 60.0
DURATION = 6.0
"""Vendor seconds that a job takes."""

LATE = (0.1, 0.6)
"""Real seconds after which a lost request is carried out; a search takes two thirds of one at this pace."""

WRONG = ("duplicate", "orphan", "foreign adoption", "another's result", "raw error")

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}

UNANSWERED: list[dict[str, Any]] = [
    {"kind": "lost_answer"},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "html"},
    *({"kind": "late", "delay": delay} for delay in LATE),
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503, "after": True},
    {"kind": "status", "status": 409},
    {"kind": "status", "status": 409, "after": True},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 402},
]
UNREADABLE: list[dict[str, Any]] = [
    {"kind": "status", "status": 404, "times": 2},
    {"kind": "status", "status": 500, "times": 3},
    {"kind": "html", "times": 1},
    {"kind": "null_data", "times": 1},
    {"kind": "reset", "times": 2},
    {"kind": "status", "status": 403, "times": 4},
    *({"kind": "status", "status": status, "times": 2} for status in (401, 402, 410)),
]
REFUSED_CANCELS: list[dict[str, Any]] = [
    {"kind": "status", "status": status, "after": after, "times": times}
    for status in (403, 404, 409, 500)
    for after in (False, True)
    for times in (1, 2)
] + [
    # Accepted, and not carried out.
    {
        "kind": "status",
        "status": 200,
        "body": {"success": True, "data": {"status": "cancelled"}},
        "times": times,
    }
    for times in (1, 2)
]
WRONG_ARGUMENTS: list[dict[str, Any]] = [
    {"timeout": "soon"},
    {"on_clear": "perhaps"},
    {"max_paid_requests": "1"},
    {"reuse_completed": "yes"},
]
CLOCKS = (-300.0, -20.0, 20.0, 300.0)
DEATHS = ("submit", "after submit", "announce", "push_result", "refused result", "full store")


class Attempt(FakeTaskInstance):
    """One attempt, in a Dag run whose other tasks have some jobs."""

    claimed: tuple[str, ...] = ()
    refuses = False

    def xcom_push(self, key: str, value: Any) -> None:
        if self.refuses and key == "return_value":
            raise OSError("the bucket is read-only")
        super().xcom_push(key, value)

    def xcom_pull(self, task_ids: Any, key: str, map_indexes: int = -1, run_id: str = "") -> Any:
        return self.claimed

    @staticmethod
    def get_task_states(**_: Any) -> dict[str, dict[str, str]]:
        return {}


@dataclass
class Store(FakeStateStore):
    """A record that cannot be written once."""

    fails: int = 0

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if self.fails and value["intent_at"]:
            self.fails -= 1
            raise OSError("the database is read-only")
        super().set(key, value)


@dataclass
class Request:
    """What one task of a user asks for, and what the service has of it."""

    make: Callable[[], Any]
    create_path: str
    read_path: str
    paid: Callable[[], list[str]]
    result: Callable[[Any], Any]
    cancellable: bool = False
    listed: str = ""
    another: tuple[str, Any] = ("", None)
    """A field, and a value of it that makes an answer one to another request."""
    behind: tuple[int, ...] = ()
    """Refusals of a service that does not see everywhere what was uploaded a moment ago."""
    named: bool = False
    """Whether the user has named something that exists: an answer that denies it is believed."""

    def odd_answers(self) -> list[dict[str, Any]]:
        """What the paid request alone may be answered with."""
        field_name, value = self.another
        return [{"kind": "set_field", "field": field_name, "value": value}] if field_name else []


@dataclass
class World:
    """The service of one combination."""

    simulator: Simulator
    folder: Path
    rng: random.Random
    deferrable: bool
    skew: float
    clock_is_set: bool = True
    """Whether the clock may be set between attempts."""
    others: list[str] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.media, self.witness = MediaMagicTalk(self.simulator), SilentWitnessTalk(self.simulator)
        self.media.key, self.witness.key = KEYS["mediamagic"], KEYS["silent_witness"]
        self.waits: dict[str, Any] = {"task_id": "job", "deferrable": self.deferrable, "poll_interval": 0.05}

    def siblings(self, order: Callable[[], str]) -> None:
        """Let others have the same made: one a while ago, one now whose task is in the same Dag run."""
        for claimed, past in ((self.others, 20.0), (self.claimed, 0.0)):
            if self.rng.random() < 0.5:
                self.simulator.settings(clock_skew=self.skew - past)
                claimed.append(order())
        self.simulator.settings(clock_skew=self.skew)

    def of_ledger(self, name: str) -> list[str]:
        known = {*self.others, *self.claimed}
        return [one["id"] for one in self.simulator.ledger()[name] if one["id"] not in known]

    def report(self) -> Request:
        case_id = self.witness.ready_case()
        self.siblings(lambda: str(self.witness.order(case_id).json()["data"]["id"]))
        return Request(
            lambda: SilentWitnessCreateReportOperator(case_id=case_id, **self.waits),
            "/api/reports",
            "/api/reports/*",
            lambda: self.of_ledger("reports"),
            lambda value: value["id"],
            cancellable=True,
            listed="/api/reports",
            another=("data.case_id", "case_other"),
            behind=(422,),
        )

    def case(self) -> Request:
        self.siblings(lambda: self.witness.case(**PARTIES))
        return Request(
            lambda: SilentWitnessCreateCaseOperator(task_id="job", **PARTIES),
            "/api/cases",
            "/api/cases/*",
            lambda: self.of_ledger("cases"),
            lambda value: value["case"]["id"],
            listed="/api/cases",
        )

    def submission(self) -> Request:
        file = self.folder / "ad.txt"
        file.write_text("A plain text.")
        return Request(
            lambda: MediaMagicCreateSubmissionOperator(files=[str(file)], **self.waits),
            "/api/integrations/submissions",
            "/api/integrations/submissions/*",
            lambda: self.of_ledger("submissions"),
            lambda value: value["submissionId"],
            behind=(403, 404),
        )

    def retry(self) -> Request:
        self.simulator.script("mediamagic", duration=0, asset_status="failed", times=1)
        made = self.media.submit(self.media.upload())
        submission_id, asset_id = made["submissionId"], made["assets"][0]["assetId"]
        self.simulator.settings(stale_status=self.rng.choice([0.0, DURATION]))
        return Request(
            lambda: MediaMagicRetryAssetOperator(
                submission_id=submission_id, asset_id=asset_id, **self.waits
            ),
            "/api/integrations/submissions/*/retry",
            "/api/integrations/submissions/*",
            lambda: [one["submission_id"] for one in self.simulator.ledger()["asset_retries"]],
            lambda value: value["submissionId"],
            another=("submissionId", "00000000-0000-4000-8000-000000000001"),
            named=True,
        )

    def evidence(self) -> Request:
        case_id, files = self.witness.case(), []
        for number, side in enumerate(("left", "right")):
            path = self.folder / side / "front.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture((90 + number, 110, 130)))
            files.append(str(path))
        self.simulator.settings(older_file_list=self.rng.random() < 0.5)
        return Request(
            lambda: SilentWitnessUploadEvidenceOperator(task_id="job", case_id=case_id, files=files),
            "/api/files/upload",
            "/api/files",
            lambda: [one["file_id"] for one in self.simulator.ledger()["uploads"]],
            lambda value: tuple(sorted(one["file_id"] for one in value)),
        )


def run_attempt(operator: Any, ti: Attempt, store: Store) -> Any:
    """Make one attempt, with the triggers it defers to."""
    context = {
        "ti": ti,
        "task_state_store": store,
        "run_id": ti.run_id,
        "dag_run": DAG_RUN,
        "dag": SimpleNamespace(task_ids=["job"]),
    }
    sentinel = {f"{type(operator).__name__}__sentinel": ExecutorSafeguard.sentinel_value}
    try:
        return operator.execute(context, **sentinel)
    except TaskDeferred as deferral:
        deferred: TaskDeferred = deferral
    while True:
        _, kwargs = deferred.trigger.serialize()
        trigger: Any = type(deferred.trigger)(**{**kwargs, "push_progress": False})
        try:
            return operator.execute_complete(context, asyncio.run(_first_event(trigger)))
        except TaskDeferred as deferral:
            deferred = deferral


async def _first_event(trigger: Any) -> Any:
    return (await anext(trigger.run())).payload


def prepare(operator: Any, ti: Attempt, store: Store, death: str) -> None:
    """Let an attempt die or fail at a point."""
    if death == "refused result":
        ti.refuses = True
    elif death == "full store":
        store.fails = 1
    elif method := getattr(operator, death.removeprefix("after "), None):

        def doomed(*args: Any, **kwargs: Any) -> Any:
            if death.startswith("after"):
                method(*args, **kwargs)
            raise WorkerDied(death)

        vars(operator)[death.removeprefix("after ")] = doomed


def violations(world: World, request: Request, story: list[str]) -> list[str]:
    """Play one combination; return what is wrong at its end."""
    rng, simulator, store = world.rng, world.simulator, Store()
    attempts, found, value, end = rng.randint(2, 4), [], None, "died"
    max_tries, cleared = attempts - 1, False
    before = set(request.paid())
    for number in range(1, attempts + 1):
        last = number == attempts
        if number > 1 and not (last or request.behind) and rng.random() < 0.2:
            # A user clears the task, and wants what it has paid for.
            max_tries, cleared = max_tries + 1, True
            story.append(f"{number}: cleared")
        ti = Attempt(try_number=number + max_tries - attempts + 1, max_tries=max_tries)
        ti.claimed = tuple(world.claimed)
        operator = request.make()
        if cleared and hasattr(operator, "on_clear"):
            operator.on_clear = "attach"
        simulator.clear_faults()
        if number > 1 and world.clock_is_set and rng.random() < 0.2:
            # As when a clock is set right: what was created until then keeps its time.
            world.skew += rng.choice(CLOCKS)
            simulator.settings(clock_skew=world.skew)
            story.append(f"{number}: clock_skew={world.skew}")
        if request.behind and rng.random() < 0.3:
            refusal = {"status": rng.choice(request.behind), "times": rng.randint(1, 3)}
            simulator.fault("status", request.create_path, "POST", **refusal)
            story.append(f"{number}: behind {refusal}")
        if request.cancellable:
            simulator.fault(path=request.read_path, method="DELETE", **rng.choice(REFUSED_CANCELS))
            if rng.random() < 0.2:
                operator.timeout = 0.03
                story.append(f"{number}: timeout")
        if number > 1 and rng.random() < 0.2:
            for argument, wrong in rng.choice(WRONG_ARGUMENTS).items():
                if hasattr(operator, argument):
                    setattr(operator, argument, wrong)
                    story.append(f"{number}: {argument}={wrong!r}")
        if not last:
            for path, method, faults in (
                (request.create_path, "POST", [*UNANSWERED, *request.odd_answers()]),
                (request.read_path, "GET", UNREADABLE),
                (request.listed, "GET", UNREADABLE),
            ):
                fault = {"times": 1, **rng.choice(faults)}
                denied = request.named and fault.get("status") in (403, 404)
                if path and not denied and rng.random() < 0.5:
                    simulator.fault(path=path, method=method, **fault)
                    story.append(f"{number}: {method} {path} {fault}")
            if rng.random() < 0.5:
                death = rng.choice(DEATHS)
                prepare(operator, ti, store, death)
                story.append(f"{number}: {death}")
        try:
            value = run_attempt(operator, ti, store)
        except WorkerDied:
            continue
        except ProviderError as error:
            end = type(error).__name__
            story.append(f"{number}: {end}: {error}")
            if isinstance(error, JobTimeoutError) and request.cancellable:
                # The next attempt orders a new one, and this one must have been cancelled.
                if left := set(simulator.ledger()["running_ids"]) & set(request.paid()):
                    found.append(f"orphan: {left}")
                before |= set(request.paid())
            if isinstance(error, AirflowFailException):
                break
        except Exception as error:
            found.append(f"raw error: {type(error).__name__}: {error}")
        else:
            end = "success"
            break
    story.append(f"{number}: ended as {end}")
    return [*found, *_wrong_at_the_end(world, request, store, before, value)]


def _wrong_at_the_end(
    world: World, request: Request, store: Store, before: set[str], value: Any
) -> list[str]:
    found = []
    paid = [one for one in request.paid() if one not in before or request.create_path.endswith("retry")]
    files = request.create_path == "/api/files/upload"
    if len(paid) > (2 if files else 1):
        found.append(f"duplicate: {paid}")
    if value is not None:
        result = request.result(value)
        if result in (*world.others, *world.claimed):
            found.append(f"foreign adoption: {result}")
        elif result != (tuple(sorted(paid)) if files else paid[0] if paid else None):
            found.append(f"another's result: {result}, paid {paid}")
    record: dict[str, Any] = next(iter(store.values.values()), {})
    running = set(world.simulator.ledger()["running_ids"]) & set(paid)
    if value is None and request.cancellable and record.get("job_id") in running:
        found.append(f"orphan: {record['job_id']}")
    return found


@pytest.mark.timeout(7200)
def test_whatever_comes_together_each_request_is_paid_for_once(
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``COMBINATIONS`` of them, from ``COMBINATIONS_SEED`` on; each can be played again by its number."""
    quicken(monkeypatch, SCALE)
    extra = {"max_retries": 0, "read_timeout": 10, "requests_per_minute": 0, "requests_per_hour": 0}
    for service, key in KEYS.items():
        connection = {"conn_type": service, "host": simulator.url, "password": key, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{service.upper()}_DEFAULT", json.dumps(connection))
    wrong: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    told: list[str] = []
    for number in range(COMBINATIONS):
        rng = random.Random(SEED + number)
        simulator.reset()
        simulator.settings(silent_witness_limits="off")
        folder = tmp_path / str(number)
        folder.mkdir()
        skew = rng.choice([0.0, -300.0, 300.0, -7200.0, 7200.0])
        simulator.settings(clock_skew=skew)
        # One of two clocks may be wrong by hours, not each by its own.
        date_skew = rng.choice([0.0, 0.0, -skew, -7200.0, 300.0] if abs(skew) < 600 else [0.0, 0.0, 300.0])
        world = World(simulator, folder, rng, rng.random() < 0.5, skew)
        kind = rng.choice(["report", "case", "submission", "retry", "evidence"])
        request: Request = getattr(world, kind)()
        oddities = {
            "read_lag": rng.choice([0.0, 0.0, 6.0]),
            "list_cap": rng.choice([0, 1, 2]),
            "null_lists": rng.random() < 0.2,
            "list_order": rng.choice(["newest", "oldest"]),
            "list_times": rng.choice(["time", "time", "time", "date", "none"]),
            "date_skew": date_skew,
        }
        if request.named:
            oddities["read_lag"] = 0.0
        # What is too new to be shown would be hidden for as long as the clock was set back.
        world.clock_is_set &= not oddities["read_lag"]
        simulator.settings(**oddities)
        for service in ("mediamagic", "silent_witness"):
            simulator.script(service, duration=DURATION)
        story = [f"{SEED + number}: {kind}, deferrable={world.deferrable}, skew={skew}, {oddities}"]
        for one in violations(world, request, story):
            wrong[one.partition(":")[0]] += 1
            told.append("\n  ".join([one, *story]))
        ends[f"{kind} {story[-1].rpartition(' ended as ')[2]}"] += 1
    with capsys.disabled():
        print(f"\n{COMBINATIONS} combinations:", ", ".join(f"{name}: {wrong[name]}" for name in WRONG))
        print("\n".join(f"  {count:5} {end}" for end, count in sorted(ends.items())))
    assert told == [], "\n".join(told)
