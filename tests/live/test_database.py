"""The metadata database crashes and comes back: no lost and no second job."""

from __future__ import annotations

from tests.live.harness.bench import MODES, SERVICES, Bench


def test_metadata_database_restarted(bench: Bench) -> None:
    jobs = [bench.start(service, mode) for service in SERVICES for mode in MODES]
    for job in jobs:
        bench.until_waiting(job)
    bench.airflow.database.restart()
    # What gave up for want of its database is started again, as by any supervisor of services.
    bench.airflow.start()
    for job in jobs:
        bench.until_polled(job)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
    bench.count_orphans()
