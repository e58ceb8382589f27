"""What cannot work is refused before anything is sent, and the argument, file or field at fault is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider.exceptions import ConfigurationError, InvalidInputError, UndefinedConnectionError
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator as CreateSubmission,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubscriptionOperator as CreateSubscription,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetAssetResultOperator as GetResult,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetIssuesOperator as GetIssues,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetTopicsOperator as GetTopics,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicListDeliveriesOperator as ListDeliveries,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicRetryAssetOperator as RetryAsset,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicUploadFilesOperator as UploadFiles,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCancelReportOperator as CancelReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator as CreateCase,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator as CreateReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessDownloadReportOperator as DownloadReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import Connect
from tests.airflow.lone import execute
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.simulator.talk import OCCUPANT, picture

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}
ASSET = {"submission_id": "sub", "asset_id": "ast"}

pytestmark = pytest.mark.usefixtures("mediamagic_conn", "silent_witness_conn")


@pytest.fixture
def refused(simulator: Simulator) -> Callable[..., str]:
    """Execute an operator; return the message of the refusal, once nothing was sent."""

    def check(operator: type[Any], parameter: str, **arguments: Any) -> str:
        with pytest.raises(InvalidInputError) as caught:
            execute(operator(task_id="job", **arguments))
        assert caught.value.parameter == parameter
        assert simulator.ledger()["total_requests"] == 0
        return str(caught.value)

    return check


# -- files ---


def _submission(files: Any) -> dict[str, Any]:
    return {"files": files}


def _upload(files: Any) -> dict[str, Any]:
    return {"files": files}


def _evidence(files: Any) -> dict[str, Any]:
    return {"case_id": "case_1", "files": files}


TAKES_FILES = pytest.mark.parametrize(
    ("operator", "arguments"),
    [(CreateSubmission, _submission), (UploadFiles, _upload), (UploadEvidence, _evidence)],
    ids=["submission", "upload", "evidence"],
)


@TAKES_FILES
def test_a_missing_file(refused: Any, tmp_path: Path, operator: Any, arguments: Any) -> None:
    gone = tmp_path / "gone.jpg"
    assert str(gone) in refused(operator, "files", **arguments([str(gone)]))


@TAKES_FILES
def test_a_web_address(refused: Any, operator: Any, arguments: Any) -> None:
    told = refused(operator, "files", **arguments(["https://media.example/ad.jpg?X-Amz-Signature=secret"]))
    assert "media.example" in told
    assert "secret" not in told


@TAKES_FILES
def test_an_empty_file(refused: Any, tmp_path: Path, operator: Any, arguments: Any) -> None:
    (tmp_path / "nothing.jpg").touch()
    assert "nothing.jpg is empty" in refused(operator, "files", **arguments([str(tmp_path / "nothing.jpg")]))


@TAKES_FILES
def test_a_folder(refused: Any, tmp_path: Path, operator: Any, arguments: Any) -> None:
    assert "is a folder" in refused(operator, "files", **arguments([str(tmp_path)]))


@TAKES_FILES
def test_a_glob_without_a_match(refused: Any, tmp_path: Path, operator: Any, arguments: Any) -> None:
    assert "no file matches" in refused(operator, "files", **arguments([str(tmp_path / "*.mov")]))


@TAKES_FILES
@pytest.mark.parametrize("files", ["photo.jpg", "", [], None, 7], ids=repr)
def test_something_other_than_a_list_of_files(
    refused: Any, operator: Any, arguments: Any, files: Any
) -> None:
    refused(operator, "files", **arguments(files))


@TAKES_FILES
def test_a_file_of_a_type_nobody_takes(refused: Any, tmp_path: Path, operator: Any, arguments: Any) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(b"PK\x05\x06" + bytes(18))
    message = refused(operator, "files", **arguments([str(path)]))
    assert "archive.zip" in message
    assert "does not accept" in message


@TAKES_FILES
def test_a_file_whose_name_lies(refused: Any, tmp_path: Path, operator: Any, arguments: Any) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(picture())
    assert "is named like image/png but contains image/jpeg" in refused(
        operator, "files", **arguments([str(path)])
    )


def test_one_bad_file_keeps_the_good_ones_from_being_sent(refused: Any, tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("fine")
    assert "gone.txt" in refused(UploadFiles, "files", files=[str(good), str(tmp_path / "gone.txt")])


def test_an_image_above_its_limit(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    path.write_bytes(picture())
    with path.open("r+b") as stream:
        stream.truncate(50_000_001)
    message = refused(CreateSubmission, "files", files=[str(path)])
    assert "huge.jpg has 50000001 bytes" in message
    assert "up to 50000000 bytes" in message


def test_evidence_above_50_mb(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    path.write_bytes(picture())
    with path.open("r+b") as stream:
        stream.truncate(50_000_001)
    assert "huge.jpg has 50000001 bytes" in refused(UploadEvidence, "files", case_id="c", files=[str(path)])


def test_a_picture_as_edr_document(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "edr.jpg").write_bytes(picture())
    message = refused(
        UploadEvidence, "files", case_id="c", files=[str(tmp_path / "edr.jpg")], category="edr_document"
    )
    assert "application/pdf" in message


# -- words from closed lists ---

WORDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "category": (UploadEvidence, "category", {"case_id": "c", "files": ["x.jpg"], "category": "selfie"}),
    "role": (UploadEvidence, "vehicle_role", {"case_id": "c", "files": ["x.jpg"], "vehicle_role": "witness"}),
    "role-of-a-police-report": (
        UploadEvidence,
        "vehicle_role",
        {"case_id": "c", "files": ["x.pdf"], "category": "tcr_document", "vehicle_role": "plaintiff"},
    ),
    "analysis-type-of-a-case": (CreateCase, "analysis_type", {**PARTIES, "analysis_type": "guess"}),
    "side": (CreateCase, "side", {**PARTIES, "side": "both"}),
    "vehicle-role": (CreateCase, "vehicles[0].role", {**PARTIES, "vehicles": [{"role": "witness"}]}),
    "analysis-type-of-a-report": (CreateReport, "analysis_type", {"case_id": "c", "analysis_type": "guess"}),
    "report-type": (CreateReport, "report_type", {"case_id": "c", "report_type": "novel"}),
    "demo-data": (CreateReport, "use_demo_data", {"case_id": "c", "use_demo_data": "perhaps"}),
    "formats": (
        DownloadReport,
        "formats",
        {"report_id": "r", "output_path": "/tmp/x", "formats": ["pdf", "odt"]},
    ),
    "on-lost": (CreateSubmission, "on_lost_submission", {"blob_paths": ["b"], "on_lost_submission": "pray"}),
}


@pytest.mark.parametrize(("operator", "parameter", "arguments"), WORDS.values(), ids=WORDS)
def test_an_unknown_word(refused: Any, operator: Any, parameter: str, arguments: dict[str, Any]) -> None:
    assert parameter in refused(operator, parameter, **arguments)


HUGE = 10**400
"""A number that is none for a computer's arithmetic."""

SUBSCRIPTION = {"endpoint_url": "https://airflow.example.com/", "secret_variable": "a_secret"}

OF_ANOTHER_KIND: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "timeout": (CreateReport, "timeout", {"case_id": "c", "timeout": HUGE}),
    "backoff": (CreateReport, "exponential_backoff", {"case_id": "c", "exponential_backoff": HUGE}),
    "turn": (CancelReport, "max_turn_wait", {"report_id": "r", "max_turn_wait": HUGE}),
    "sensor": (SilentWitnessReportSensor, "poke_interval", {"report_id": "r", "exponential_backoff": [5]}),
    "long-sensor": (
        MediaMagicSubmissionSensor,
        "poke_interval",
        {"submission_id": "s", "exponential_backoff": HUGE},
    ),
    "event-types": (CreateSubscription, "event_types", {**SUBSCRIPTION, "event_types": 5}),
    "nested-event-types": (CreateSubscription, "event_types", {**SUBSCRIPTION, "event_types": [[]]}),
    "secret-variable": (CreateSubscription, "secret_variable", {**SUBSCRIPTION, "secret_variable": 5}),
    "report": (CancelReport, "report_id", {"report_id": "half \ud83d"}),
    "filter": (ListDeliveries, None, {"subscription_id": "s", "status_filter": "half \ud83d"}),
}


@pytest.mark.parametrize(
    ("operator", "parameter", "arguments"), OF_ANOTHER_KIND.values(), ids=OF_ANOTHER_KIND
)
def test_a_value_of_another_kind(
    refused: Any, operator: Any, parameter: str | None, arguments: dict[str, Any]
) -> None:
    refused(operator, parameter, **arguments)


@pytest.mark.parametrize("formats", ["pdf", [], "", 5, iter(["pdf"])])
def test_formats_that_are_no_list(refused: Any, formats: Any) -> None:
    refused(DownloadReport, "formats", report_id="r", output_path="/tmp/x", formats=formats)


# -- cases ---


@pytest.mark.parametrize("analysis_type", ["accident_injury", "biomechanics_only"])
@pytest.mark.parametrize("occupants", [None, []])
def test_an_analysis_of_injuries_without_occupants(
    refused: Any, analysis_type: str, occupants: list[Any] | None
) -> None:
    refused(CreateCase, "occupants", **PARTIES, analysis_type=analysis_type, occupants=occupants)


@pytest.mark.parametrize("missing", ["name", "age", "seatbelt_worn"])
def test_an_occupant_without_a_field(refused: Any, missing: str) -> None:
    occupant = {name: value for name, value in OCCUPANT.items() if name != missing}
    refused(
        CreateCase,
        f"occupants[0].{missing}",
        **PARTIES,
        analysis_type="accident_injury",
        occupants=[occupant],
    )


@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("value", [None, "", "  ", "None", "half \ud83d", 7, ["Ann Smith"]])
def test_a_party_without_a_name(refused: Any, party: str, value: Any) -> None:
    refused(CreateCase, party, **{**PARTIES, party: value})


def test_a_date_in_another_notation(refused: Any) -> None:
    refused(CreateCase, "accident.date", **PARTIES, accident={"date": "31.01.2026"})


def test_a_case_that_is_refused_leaves_no_intent(simulator: Simulator) -> None:
    from tests.airflow.lone import FakeStateStore

    store = FakeStateStore()
    with pytest.raises(InvalidInputError):
        execute(CreateCase(task_id="job", **PARTIES, side="both"), store=store)
    assert store.values == {}


# -- ids from upstream tasks ---

NEEDS_ID: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "report-of-case": (CreateReport, "case_id", {}),
    "evidence-of-case": (UploadEvidence, "case_id", {"files": ["x.jpg"]}),
    "download-report": (DownloadReport, "report_id", {"output_path": "/tmp/x"}),
    "cancel-report": (CancelReport, "report_id", {}),
    "result-submission": (GetResult, "submission_id", ASSET),
    "issues-asset": (GetIssues, "asset_id", ASSET),
    "topics-asset": (GetTopics, "asset_id", ASSET),
    "retry-asset": (RetryAsset, "asset_id", ASSET),
    "retry-submission": (RetryAsset, "submission_id", ASSET),
    "previous-submission": (CreateSubmission, "previous_submission_id", {"blob_paths": ["b"]}),
    "submission-sensor": (MediaMagicSubmissionSensor, "submission_id", {}),
    "report-sensor": (SilentWitnessReportSensor, "report_id", {}),
}


# No previous submission is no mistake: it means a first version. No asset means all assets.
NOTHING: tuple[Any, ...] = (None, "", "None", "  ", [])
EMPTY_IDS = [
    pytest.param(*needed, value, id=f"{name}-{value!r}")
    for name, needed in NEEDS_ID.items()
    for value in NOTHING
    if value is not None or name not in ("previous-submission", "issues-asset", "topics-asset")
]


@pytest.mark.parametrize(("operator", "argument", "others", "value"), EMPTY_IDS)
def test_an_empty_id(refused: Any, operator: Any, argument: str, others: dict[str, Any], value: Any) -> None:
    refused(operator, argument, **{**others, argument: value})


@pytest.mark.parametrize("value", ["a/b", "..", "x" * 129, "half \ud83d", "{{ x }}"])
def test_a_previous_submission_that_is_none_is_refused_before_a_file_is_sent(
    refused: Any, tmp_path: Path, value: str
) -> None:
    (tmp_path / "ad.txt").write_text("A cure.")
    refused(
        CreateSubmission,
        "previous_submission_id",
        files=[str(tmp_path / "ad.txt")],
        previous_submission_id=value,
    )


@pytest.mark.parametrize("argument", ["blob_paths", "sidekick_ids"])
@pytest.mark.parametrize("value", ["one", [None], ["None"], [""], {"a": 1}], ids=repr)
def test_a_list_of_ids_that_is_none(refused: Any, argument: str, value: Any) -> None:
    refused(CreateSubmission, argument, **{"blob_paths": ["b"], argument: value})


def test_neither_files_nor_blob_paths(refused: Any) -> None:
    refused(CreateSubmission, "files")


def test_both_files_and_blob_paths(refused: Any) -> None:
    refused(CreateSubmission, "files", files=["a"], blob_paths=["b"])


def test_no_blob_paths(refused: Any) -> None:
    refused(CreateSubmission, "blob_paths", blob_paths=[])


def test_metadata_that_is_no_object(refused: Any) -> None:
    refused(CreateSubmission, "metadata", blob_paths=["b"], metadata="a: 1")


# -- waiting ---

WAITS = pytest.mark.parametrize(
    ("operator", "arguments"),
    [(CreateSubmission, {"blob_paths": ["b"]}), (CreateReport, {"case_id": "c"})],
    ids=["submission", "report"],
)


@WAITS
@pytest.mark.parametrize(
    "switch",
    ["wait_for_completion", "deferrable", "cancel_on_kill", "cancel_on_timeout", "reuse_completed"],
)
def test_a_switch_that_was_meant_to_be_a_template(
    refused: Any, operator: Any, arguments: Any, switch: str
) -> None:
    assert "no template" in refused(operator, switch, **arguments, **{switch: "{{ params.yes }}"})


@pytest.mark.parametrize(
    ("operator", "switch", "arguments"),
    [
        (CreateSubmission, "allow_partial", {"blob_paths": ["b"]}),
        (RetryAsset, "allow_partial", ASSET),
        (CreateCase, "reuse_completed", PARTIES),
        (DownloadReport, "overwrite", {"report_id": "r", "output_path": "/tmp/x"}),
        (MediaMagicSubmissionSensor, "deferrable", {"submission_id": "s"}),
    ],
)
@pytest.mark.parametrize("value", ["{{ params.yes }}", "false", 1, None], ids=repr)
def test_a_switch_that_is_neither_on_nor_off(
    refused: Any, operator: Any, switch: str, arguments: Any, value: Any
) -> None:
    refused(operator, switch, **arguments, **{switch: value})


@pytest.mark.parametrize(
    ("operator", "count", "arguments"),
    [
        (CreateSubmission, "asset_retries", {"blob_paths": ["b"]}),
        (RetryAsset, "asset_retries", ASSET),
        (CreateReport, "report_retries", {"case_id": "c"}),
    ],
)
@pytest.mark.parametrize("value", ["{{ params.some }}", "1", -1, 1.5, True, None], ids=repr)
def test_a_count_that_is_none(refused: Any, operator: Any, count: str, arguments: Any, value: Any) -> None:
    refused(operator, count, **arguments, **{count: value})


@pytest.mark.parametrize("value", ["2", -1, 31, float("nan"), True], ids=repr)
def test_a_simulated_delay_that_is_none(refused: Any, tmp_path: Path, value: Any) -> None:
    (tmp_path / "ad.txt").write_text("An ad.")
    refused(
        CreateSubmission,
        "simulation_delay_seconds",
        files=[str(tmp_path / "ad.txt")],
        simulation_delay_seconds=value,
    )


@WAITS
@pytest.mark.parametrize("timeout", [0, -1, "soon", float("inf"), float("nan"), [], True], ids=repr)
def test_a_timeout_that_is_none(refused: Any, operator: Any, arguments: Any, timeout: Any) -> None:
    refused(operator, "timeout", **arguments, timeout=timeout)


@WAITS
@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("interval", [0, -1, "often", float("nan")], ids=repr)
def test_a_poll_interval_that_is_none(
    refused: Any, operator: Any, arguments: Any, deferrable: bool, interval: Any
) -> None:
    refused(operator, "poll_interval", **arguments, poll_interval=interval, deferrable=deferrable)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_poke_interval_of_zero(refused: Any, deferrable: bool) -> None:
    refused(SilentWitnessReportSensor, "poke_interval", report_id="r", poke_interval=0, deferrable=deferrable)


# -- connections ---

HOST = "https://vendor.example.com"
CONNECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "no key": ("no API key", {"host": HOST}),
    "key in login": ("no API key", {"host": HOST, "login": "key"}),
    "unknown extra": ("`tiemout`", {"host": HOST, "password": "KEY", "extra": json.dumps({"tiemout": 3})}),
    "extra is no JSON": ("not valid JSON", {"host": HOST, "password": "KEY", "extra": "{"}),
    "plain http": ("over plain http", {"host": "http://vendor.example.com", "password": "KEY"}),
    "bad time-out": ("read_timeout", {"host": HOST, "password": "KEY", "extra": '{"read_timeout": 0}'}),
    "bad host": ("host", {"host": "https://", "password": "KEY"}),
}


@pytest.mark.parametrize(("said", "fields"), CONNECTIONS.values(), ids=CONNECTIONS)
@pytest.mark.parametrize("service", ["mediamagic", "silent_witness"])
def test_an_unusable_connection(
    simulator: Simulator, connect: Connect, service: str, said: str, fields: dict[str, Any]
) -> None:
    key = MEDIAMAGIC_KEY if service == "mediamagic" else SILENT_WITNESS_KEY
    connect(service, **{name: key if value == "KEY" else value for name, value in fields.items()})
    operator: Any = (
        GetResult(task_id="job", **ASSET)
        if service == "mediamagic"
        else CancelReport(task_id="job", report_id="rpt_1")
    )
    unreadable = "JSON" in said and airflow_version.startswith("3.1.")  # to Airflow 3.1 it is no connection
    with pytest.raises(UndefinedConnectionError if unreadable else ConfigurationError) as caught:
        execute(operator)
    assert ("is not defined" if unreadable else said) in str(caught.value)
    assert f"{service}_default" in str(caught.value)
    assert key not in str(caught.value)


def test_a_connection_of_the_other_service(connect: Connect) -> None:
    connect("mediamagic", host=HOST, password=MEDIAMAGIC_KEY)
    with pytest.raises(ConfigurationError, match="needs 'silent_witness'"):
        execute(CancelReport(task_id="job", report_id="rpt_1", silent_witness_conn_id="mediamagic_default"))


def test_a_connection_that_is_not_defined() -> None:
    with pytest.raises(UndefinedConnectionError, match="'nowhere' is not defined"):
        execute(CancelReport(task_id="job", report_id="rpt_1", silent_witness_conn_id="nowhere"))
