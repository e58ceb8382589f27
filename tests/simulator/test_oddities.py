"""What no page forbids: clocks that differ, answers that are behind, lists that are short or none."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pendulum
import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import MediaMagicTalk, SilentWitnessTalk


@pytest.mark.parametrize("skew", [-300.0, 300.0])
def test_the_vendors_clock_may_be_another(
    sim: Simulator, silent_witness: SilentWitnessTalk, skew: float
) -> None:
    sim.settings(clock_skew=skew)
    silent_witness.case()
    answer = silent_witness.send("GET", "/api/cases")
    created_at = pendulum.parse(answer.json()["data"][0]["created_at"])
    assert isinstance(created_at, pendulum.DateTime)
    for moment in (created_at.timestamp(), parsedate_to_datetime(answer.headers["Date"]).timestamp()):
        assert moment - time.time() == pytest.approx(skew, abs=60)


def test_a_request_may_be_carried_out_after_its_answer_was_lost(
    sim: Simulator, silent_witness: SilentWitnessTalk
) -> None:
    sim.fault("late", "/api/cases", "POST", delay=0.2, times=1)
    asked_at = requests.get(f"{sim.url}/_simulator/health", timeout=60).json()["now"]
    with pytest.raises(requests.ConnectionError):
        silent_witness.case()
    until = time.monotonic() + 60
    while not (cases := sim.ledger()["cases"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert cases[0]["created_at"] >= asked_at + 0.2


def test_what_is_late_is_not_carried_out_after_a_reset(
    sim: Simulator, silent_witness: SilentWitnessTalk
) -> None:
    for name in ("before", "after"):
        sim.reset()
        sim.fault("late", "/api/cases", "POST", delay=0.2, times=1)
        with pytest.raises(requests.ConnectionError):
            silent_witness.case(name=name)
    until = time.monotonic() + 60
    while not (cases := sim.ledger()["cases"]):  # the first was due earlier
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [case["name"] for case in cases] == ["after"]


def test_what_is_new_may_not_be_shown_yet(
    sim: Simulator, silent_witness: SilentWitnessTalk, mediamagic: MediaMagicTalk
) -> None:
    sim.settings(read_lag=100.0)
    case_id = silent_witness.ready_case()
    report_id = silent_witness.order(case_id).json()["data"]["id"]
    submission = mediamagic.submit(mediamagic.upload())["submissionId"]
    shown = [
        silent_witness.send("GET", f"/api/cases/{case_id}").status_code,
        silent_witness.send("GET", f"/api/reports/{report_id}").json()["data"],
        silent_witness.send("GET", "/api/reports", params={"case_id": case_id}).json()["data"]["total"],
        mediamagic.send("GET", f"/submissions/{submission}").status_code,
    ]
    assert shown == [404, None, 0, 404]
    sim.advance(101)
    assert silent_witness.report(report_id)["id"] == report_id
    assert mediamagic.send("GET", f"/submissions/{submission}").status_code == 200


def test_lists_may_be_short_or_none(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.settings(list_cap=1, null_lists=True)
    case_id = silent_witness.case()
    silent_witness.case()
    pages = [
        silent_witness.send("GET", "/api/cases", params={"limit": 100, "offset": offset}).json()["data"]
        for offset in range(3)
    ]
    assert [len(page) if page else page for page in pages] == [1, 1, None]
    files = silent_witness.send("GET", "/api/files", params={"caseId": case_id})
    reports = silent_witness.send("GET", "/api/reports", params={"case_id": case_id})
    assert files.json()["data"] is None
    assert reports.json()["data"] == {"reports": None, "total": 0}


def test_cases_may_be_listed_in_another_order(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    older, newer = silent_witness.case(), silent_witness.case()
    found = []
    for order in ("newest", "oldest"):
        sim.settings(list_order=order)
        found.append([row["id"] for row in silent_witness.send("GET", "/api/cases").json()["data"]])
    assert found == [[newer, older], [older, newer]]


def test_the_list_of_cases_may_lie(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    silent_witness.case()
    sim.settings(list_status="processing")
    (row,) = silent_witness.send("GET", "/api/cases").json()["data"]
    assert row["analysis_status"]["technical_report"] == {"status": "processing"}


def test_files_may_be_listed_in_the_older_form(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.settings(older_file_list=True)
    case_id = silent_witness.ready_case()
    (file,) = silent_witness.send("GET", "/api/files", params={"caseId": case_id}).json()["data"]
    assert (file["file_category"], file["vehicle_role"]) == ("crash_analysis_plaintiff", "plaintiff")
    assert "vehicle_index" not in file


def test_a_retry_may_not_be_shown_yet(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.script("mediamagic", duration=0, asset_status="failed", times=1)
    made = mediamagic.submit(mediamagic.upload())
    sim.settings(stale_status=100.0)
    path = f"/submissions/{made['submissionId']}/assets/{made['assets'][0]['assetId']}/retry"
    assert mediamagic.send("POST", path).status_code == 202
    assert mediamagic.status(made)["status"] == "failed"
    assert mediamagic.status(made)["assets"][0]["retryCount"] == 0
    sim.advance(101)
    assert mediamagic.status(made)["assets"][0]["retryCount"] == 1


@pytest.mark.parametrize(("times", "length"), [("time", 20), ("date", 10), ("none", 0)])
def test_lists_may_show_less_of_a_time(
    sim: Simulator, silent_witness: SilentWitnessTalk, times: str, length: int
) -> None:
    case_id = silent_witness.ready_case()
    silent_witness.order(case_id)
    sim.settings(list_times=times)
    (case,) = silent_witness.send("GET", "/api/cases").json()["data"]
    listed = silent_witness.send("GET", "/api/reports", params={"case_id": case_id}).json()["data"]
    for row in (case, *listed["reports"]):
        assert len(row["created_at"] or "") == length


def test_every_page_may_be_the_first(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    for _ in range(3):
        silent_witness.case()
    sim.settings(list_one_page=True, list_cap=2)
    pages = [
        silent_witness.send("GET", "/api/cases", params=asked).json()["data"]
        for asked in ({}, {"offset": 2}, {"page": 2})
    ]
    assert pages[0] == pages[1] == pages[2]
    assert len(pages[0]) == 2


def test_dates_of_answers_may_be_wrong(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.settings(date_skew=-7200.0)
    served_at = parsedate_to_datetime(silent_witness.send("GET", "/api/cases").headers["Date"])
    assert served_at.timestamp() - time.time() == pytest.approx(-7200, abs=60)
