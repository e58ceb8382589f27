"""What a row of the fault matrix works with: accounts, runs, and the closing of the books."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider.simulator import Simulator
from tests.live.harness.airflow import Airflow
from tests.live.harness.held import Holding
from tests.live.harness.judge import ID, JOBS, Book, Judge, Tally
from tests.live.harness.patience import until
from tests.live.harness.rest import Run
from tests.simulator.talk import OCCUPANT, SilentWitnessTalk, picture

ENDLESS = 1_000_000.0
"""Vendor seconds of a job that ends only when the test says so."""

SERVICES = ("mediamagic", "silent_witness")
MODES = ("deferred", "sync")


@dataclass(slots=True)
class Account:
    """A connection with a key of its own, so that the ledger tells whose job is whose."""

    service: str
    conn_id: str
    keys: list[str]

    @property
    def key(self) -> str:
        """The key that the connection holds now."""
        return self.keys[-1]


@dataclass(slots=True)
class Job:
    """One task under test, with everything that the judge needs to know of it."""

    run: Run
    account: Account
    mode: str
    holding: Holding | None = None
    #: of a mapped task: what each of its instances asks for
    items: list[dict[str, Any]] = field(default_factory=list)

    @property
    def service(self) -> str:
        """Whose job it is."""
        return self.account.service


class Bench:
    """
    One row.

    :param airflow: the deployment.
    :param simulator: both vendors.
    :param book: where the numbers go.
    :param directory: an empty directory of the row.
    :param name: the row's name in the table.
    :param endless: jobs end only when the test says so.
    """

    def __init__(
        self,
        airflow: Airflow,
        simulator: Simulator,
        book: Book,
        directory: Path,
        name: str,
        *,
        endless: bool = True,
    ) -> None:
        self.airflow = airflow
        self.simulator = simulator
        self.judge = Judge(simulator)
        self.tally = Tally(name)
        self._directory = directory
        self._held = 0
        book.rows.append(self.tally)
        if endless:
            for service in SERVICES:
                simulator.script(service, duration=ENDLESS)

    # Before the fault

    def account(self, service: str) -> Account:
        """A new key with a connection that holds it."""
        token = secrets.token_hex(32)
        account = Account(service, f"{service}_{token[:8]}", [self.new_key(service, token[:8])])
        self.store(account)
        return account

    def new_key(self, service: str, workspace: str) -> str:
        """A key for a workspace (MediaMagic) or an account (Silent Witness)."""
        token = secrets.token_hex(32)
        key = f"sk_live_{token}" if service == "mediamagic" else f"sk-{token[:61]}"
        self.simulator.keys({"key": key, "workspace": workspace})
        return key

    def rotate(self, account: Account) -> None:
        """Put another key of the same account into the connection; the old one stays good for now."""
        account.keys.append(self.new_key(account.service, account.conn_id.rpartition("_")[2]))
        self.store(account)

    def revoke(self, key: str, account: Account) -> None:
        """The vendor no longer accepts this key."""
        workspace = account.conn_id.rpartition("_")[2]
        self.simulator.keys({"key": key, "workspace": workspace, "state": "revoked"})

    def store(self, account: Account, url: str = "") -> None:
        """Write the connection."""
        # Waits are looked at every second here, which is above what a real key allows.
        extra = {"requests_per_hour": 1_000_000, "requests_per_minute": 100_000}
        extra |= {"connect_timeout": 5, "read_timeout": 20}
        self.airflow.rest.set_connection(
            account.conn_id, account.service, url or self.simulator.url, account.key, **extra
        )

    def item(self, account: Account, name: str = "spot") -> dict[str, Any]:
        """What one job is asked for: a file of its own, or a case of its own with a photo."""
        if account.service == "mediamagic":
            path = self._directory / f"{name}-{secrets.token_hex(4)}.txt"
            path.write_text(f"{name}: GlowTonic is the number one tonic. A bottle costs $19.99.\n")
            return {"files": [str(path)]}
        talk = SilentWitnessTalk(self.simulator)
        talk.key = account.key
        return {"case_id": talk.ready_case(analysis_type="accident_injury", occupants=[OCCUPANT])}

    def start(
        self,
        service: str,
        mode: str,
        *,
        variant: str = "retries",
        hold: str = "",
        through: str = "",
        **conf: Any,
    ) -> Job:
        """
        Trigger a Dag run with one job, for an account of its own.

        :param variant: of the Dag, see ``dags/live_jobs.py``.
        :param hold: where the task is held, see ``held.py``.
        :param through: URL of a gateway in front of the vendors.
        :param conf: more for the run's conf.
        """
        account = self.account(service)
        if through:
            self.store(account, through)
        holding = None
        if hold:
            self._held += 1
            holding = Holding(self._directory / f"hold-{self._held}", hold)
            conf["hold_dir"] = str(holding.directory)
        conf |= {"conn_id": account.conn_id, **self.item(account)}
        run = self.airflow.rest.trigger(f"live_{service}_{mode}_{variant}", conf)
        return Job(run, account, mode, holding)

    def prepare_mapped(self, service: str, mode: str, count: int) -> Job:
        """Make the inputs of a mapped task of ``count`` jobs; :meth:`start_mapped` starts it."""
        account = self.account(service)
        items = [self.item(account) for _ in range(count)]
        if service == "mediamagic":
            items = [item | {"metadata": {"item": f"item-{number}"}} for number, item in enumerate(items)]
        return Job(Run(self.airflow.rest, f"live_{service}_{mode}_mapped", ""), account, mode, items=items)

    def start_mapped(self, *jobs: Job) -> None:
        """Trigger the runs of mapped tasks."""
        for job in jobs:
            job.run = self.airflow.rest.trigger(
                job.run.dag_id, {"items": job.items, "conn_id": job.account.conn_id}
            )

    # While it happens

    def jobs_of(self, job: Job) -> list[dict[str, Any]]:
        """What the vendor knows of this task's jobs."""
        return self.judge.jobs(job.service, set(job.account.keys))

    def polls_of(self, job: Job) -> int:
        """How often the vendor was asked for the status of this task's jobs."""
        polls = self.simulator.ledger()["polls"]
        # A job that began between the two looks at the ledger is only in the second.
        return sum(polls[one["id"]]["count"] for one in self.jobs_of(job) if one["id"] in polls)

    def until_polled(self, job: Job, more: int = 2, what: str = "") -> None:
        """Wait until the job is being waited for: status requests arrive."""
        before = self.polls_of(job)
        until(lambda: self.polls_of(job) >= before + more, f"{what or job.run.dag_id} is polled")

    def until_waiting(self, job: Job, try_number: int = 0) -> None:
        """Wait until the task waits for its job in its own mode."""
        job.run.until_task("deferred" if job.mode == "deferred" else "running", try_number=try_number)
        self.until_polled(job)

    def accepted_cancels(self, job: Job) -> list[str]:
        """Reports of this task that were cancelled by a request, in order."""
        own = {one["id"] for one in self.jobs_of(job)}
        cancels = self.simulator.ledger()["cancels"]
        return [one["report_id"] for one in cancels if one["accepted"] and one["report_id"] in own]

    def finish_jobs(self) -> None:
        """Let every job end at the vendor."""
        self.simulator.advance(ENDLESS)

    # After it

    def close(self, job: Job, *, state: str, jobs: int = 1, marked: bool = False) -> None:
        """
        Wait for the task's end and close its books.

        :param state: how the task must end.
        :param jobs: how many jobs it may have started; more are duplicates.
        :param marked: a user said so; a success then claims no result.
        """
        ended = job.run.until_task_ended()
        found = self.jobs_of(job)
        self.tally.tasks += 1
        self.tally.jobs += len(found)
        self.tally.duplicates += max(0, len(found) - jobs)
        if (
            ended == "success"
            and not marked
            and not self.judge.is_result(job.service, set(job.account.keys), job.run.xcom())
        ):
            self.tally.false_successes += 1
        log = self.airflow.log_of(job.run.run_id)
        assert ended == state, f"{job.run.dag_id} ended as {ended}, not {state}:\n{log[-6000:]}"
        assert len(found) == jobs, (
            f"{job.run.dag_id}: {len(found)} jobs instead of {jobs}: {found}\n{log[-6000:]}"
        )

    def close_mapped(self, job: Job, *, lost: str = "") -> None:
        """
        Wait for the end of a mapped task and close its books: one job per instance, each with its own result.

        :param lost: an instance may fail with an error that says this, and with nothing submitted again.
        """
        job.run.until_ended(seconds=900)
        found = self.jobs_of(job)
        of_item = [[one["id"] for one in found if self._is_of(one, item, job.service)] for item in job.items]
        tasks = job.run.tasks()
        self.tally.tasks += len(job.items)
        self.tally.jobs += len(found)
        self.tally.duplicates += sum(max(0, len(ids) - 1) for ids in of_item)
        wrong = []
        for task in tasks:
            index = task["map_index"]
            value = job.run.xcom(map_index=index)
            right = (
                self.judge.is_result(job.service, set(job.account.keys), value)
                and value[ID[job.service]] in of_item[index]
            )
            if task["state"] == "success":
                self.tally.false_successes += not right
            elif lost and lost in self.airflow.log_of(job.run.run_id, index):
                self.tally.honest_failures += 1
                continue
            if task["state"] != "success" or not right:
                log = self.airflow.log_of(job.run.run_id, index)[-3000:]
                wrong.append(f"{index}: {task['state']} after {task['try_number']} tries, {value}\n{log}")
        assert len(tasks) == len(job.items)
        assert not wrong, f"{job.run.dag_id}:\n" + "\n".join(wrong)
        assert [len(ids) for ids in of_item] == [1] * len(job.items), f"{job.run.dag_id}: one job each"

    @staticmethod
    def _is_of(one: dict[str, Any], item: dict[str, Any], service: str) -> bool:
        if service == "mediamagic":
            return bool(one["metadata"].get("item") == item["metadata"]["item"])
        return bool(one["case_id"] == item["case_id"])

    def until_nothing_runs(self, job: Job) -> None:
        """Wait until no job of this task runs at the vendor; nothing but a cancellation can have ended it."""
        until(
            lambda: all(one["terminal"] for one in self.jobs_of(job)),
            f"every job of {job.run.dag_id} is cancelled",
        )

    def count_orphans(self, *, allowed: tuple[str, ...] = ()) -> None:
        """
        Count what still runs at the vendor although no task waits for it.

        :param allowed: services whose jobs cannot be cancelled.
        """
        ledger = self.simulator.ledger()
        running = [
            job
            for service, name in JOBS.items()
            if service not in allowed
            for job in ledger[name]
            if not job["terminal"]
        ]
        self.tally.orphans += len(running)
        assert not running, f"jobs go on that nobody waits for: {running}"


def take_photos(folder: Path) -> None:
    """Write the two photos of every case of a night."""
    for name, color in {"a": (200, 0, 0), "b": (0, 0, 200)}.items():
        (folder / f"{name}.jpg").write_bytes(picture(color))
