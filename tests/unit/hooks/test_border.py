"""
The border: whatever a service answers, a hook returns plain JSON or raises an error of the package.

``BORDER_EXAMPLES`` sets how many answers each method is fed, default 15 of each kind.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider.core.http import async_sessions
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.core.http.responses import Request, Response
from airflow_provider.core.text import public
from airflow_provider.exceptions import MalformedResponseError, ProviderError, SubmitOutcomeUnknownError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import SUBMISSION
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT
from airflow_provider.operators.mediamagic.rows import write_issues

EXAMPLES = int(os.environ.get("BORDER_EXAMPLES", "15"))
MOMENT = "2026-06-03T12:00:00Z"

ISSUE = {
    "id": "i1",
    "referenceNumber": 1,
    "ruleCode": "CAP_8.4",
    "summary": "two\nlines",
    "severity": "MAJOR",
    "status": "OPEN",
    "createdAt": MOMENT,
    "precedents": [{"url": "https://example.com", "title": "t", "decision": "Upheld", "date": "2024-01-01"}],
}
SUBMITTED = {
    "submissionId": "s1",
    "workflowId": "w1",
    "status": "submitted",
    "assets": [{"assetId": "a1", "versionGroupId": "g1", "versionNumber": 1}],
}
STATUS = {
    "submissionId": "s1",
    "status": "failed",
    "progressPercent": 40,
    "createdAt": MOMENT,
    "completedAt": MOMENT,
    "errorMessage": "1 asset failed",
    "isRetryable": True,
    "assets": [
        {"assetId": "a1", "issueCount": 2, "errorMessage": None, "errorType": None, "isRetryable": False},
        {"assetId": "a2", "errorMessage": "codec", "errorType": "TranscodeError", "isRetryable": True},
    ],
}
ASSET = {"assetId": "a1", "submissionId": "s1", "filename": "a.mp4", "status": "complete", "issues": [ISSUE]}
TOPICS = {"assetId": "a1", "topics": [{"issues": [ISSUE]}], "orphanIssues": [ISSUE], "metadata": {}}
SUBSCRIPTION = {
    "id": "sub1",
    "endpointUrl": "https://example.com/in",
    "eventTypes": ["asset.processing.completed"],
    "enabled": True,
    "createdAt": MOMENT,
    "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
}
DELIVERIES = {
    "attempts": [{"id": "d1", "status": "ok", "createdAt": MOMENT, "responseStatus": 200}],
    "total": 1,
}
ORGANIZATION = {"id": "org_1", "account_id": "acc_1", "name": "Firm", "created_at": MOMENT}
CASE = {
    "id": "case_1",
    "name": "Smith v. Johnson",
    "has_edr": False,
    "status": "active",
    "created_at": MOMENT,
    "accident": {"date": "2024-01-01"},
    "vehicles": [{"id": "veh_1", "role": "plaintiff", "image_file_ids": ["file_1"]}],
    "report": {"id": "rpt_1", "status": "completed", "pdf_url": "https://storage.example.com/a?sig=x"},
    "analysis_status": {"technical_report": {"status": "processing"}},
}
INVOICE = {"id": "inv_1", "amount": 299.0, "payment_url": "https://pay.example.com/i?token=x"}
FILE = {"id": "file_1", "file_name": "a.jpg", "file_size": 10, "status": "ready", "created_at": MOMENT}
UPLOADED = {"fileId": "file_1", "fileName": "a.jpg", "status": "processing", "url": "https://s.example.com/a"}
JOB = {
    "id": "rpt_1",
    "case_id": "case_1",
    "status": "completed",
    "progress": {"message": "Report generation complete", "steps_completed": ["report_generation"]},
    "output": {"pdf_url": "https://storage.example.com/a.pdf?sig=x", "docx_url": None},
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
PARTIES = {"plaintiff_name": "Ann Smith", "defendant_name": "Bob Jones", "attorney_name": "Cleo Park"}
ADDRESS = dict.fromkeys(
    ("name", "phone_number", "street_address", "city", "state", "zip_code", "country"), "x"
)


def wrapped(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data}


MM, SW = MediaMagicHook, SilentWitnessHook
CALLS: dict[str, tuple[type[Any], Callable[[Any], Any], Any]] = {
    "create_upload_url": (
        MM,
        lambda hook: hook.create_upload_url("a.mp4", "video/mp4"),
        {"uploadUrl": "https://store.example.com/a?sig=x", "blobPath": "w/a.mp4", "expiresAt": MOMENT},
    ),
    "upload_direct": (
        MM,
        lambda hook: hook.upload_direct("a.txt", "text/plain", io.BytesIO(b"text")),
        {"blobPath": "w/a.txt"},
    ),
    "create_submission": (MM, lambda hook: hook.create_submission([{"blobPath": "w/a"}]), SUBMITTED),
    "get_submission": (MM, lambda hook: hook.get_submission("s1"), STATUS),
    "get_asset_result": (MM, lambda hook: hook.get_asset_result("s1", "a1"), ASSET),
    "get_issues": (MM, lambda hook: hook.get_issues("s1", "a1"), [ISSUE]),
    "get_topics": (MM, lambda hook: hook.get_topics("s1", "a1"), TOPICS),
    "retry_asset": (MM, lambda hook: hook.retry_asset("s1", "a1"), SUBMITTED),
    "create_subscription": (
        MM,
        lambda hook: hook.create_subscription("https://example.com/in"),
        SUBSCRIPTION,
    ),
    "list_subscriptions": (MM, lambda hook: hook.list_subscriptions(), [SUBSCRIPTION]),
    "get_subscription": (MM, lambda hook: hook.get_subscription("sub1"), SUBSCRIPTION),
    "set_subscription_enabled": (
        MM,
        lambda hook: hook.set_subscription_enabled("sub1", True),
        SUBSCRIPTION,
    ),
    "delete_subscription": (MM, lambda hook: hook.delete_subscription("sub1"), {}),
    "list_deliveries": (MM, lambda hook: hook.list_deliveries("sub1"), DELIVERIES),
    "fire_sandbox_event": (MM, lambda hook: hook.fire_sandbox_event("s1"), {"dispatched": 1}),
    "mediamagic request": (MM, lambda hook: hook.request("GET", "/api/integrations/new"), STATUS),
    "create_case": (
        SW,
        lambda hook: hook.create_case(**PARTIES),
        wrapped({"case": CASE, "invoice": INVOICE}),
    ),
    "get_case": (SW, lambda hook: hook.get_case("case_1"), wrapped({"case": CASE})),
    "list_cases": (SW, lambda hook: hook.list_cases(), wrapped([CASE])),
    "update_case": (SW, lambda hook: hook.update_case("case_1", name="x"), wrapped({"case": CASE})),
    "upload_file": (
        SW,
        lambda hook: hook.upload_file(
            "case_1", "a.jpg", io.BytesIO(b"jpeg"), category="vehicle_photo", content_type="image/jpeg"
        ),
        wrapped(UPLOADED),
    ),
    "list_files": (SW, lambda hook: hook.list_files("case_1"), wrapped([FILE])),
    "get_file_status": (SW, lambda hook: hook.get_file_status("file_1"), wrapped(FILE)),
    "delete_file": (SW, lambda hook: hook.delete_file("file_1"), wrapped({"message": "gone"})),
    "create_report": (SW, lambda hook: hook.create_report("case_1"), wrapped(JOB)),
    "get_report": (SW, lambda hook: hook.get_report("rpt_1"), wrapped(JOB)),
    "list_reports": (SW, lambda hook: hook.list_reports("case_1"), wrapped({"reports": [JOB], "total": 1})),
    "cancel_report": (SW, lambda hook: hook.cancel_report("rpt_1"), wrapped({"id": "rpt_1"})),
    "create_organization": (SW, lambda hook: hook.create_organization(**ADDRESS), wrapped(ORGANIZATION)),
    "get_organization": (SW, lambda hook: hook.get_organization("org_1"), wrapped(ORGANIZATION)),
    "list_organizations": (
        SW,
        lambda hook: hook.list_organizations(),
        wrapped({"organizations": [ORGANIZATION], "total": 1}),
    ),
    "update_organization": (
        SW,
        lambda hook: hook.update_organization("org_1", name="x"),
        wrapped(ORGANIZATION),
    ),
    "delete_organization": (SW, lambda hook: hook.delete_organization("org_1"), wrapped({"message": "x"})),
    "silent witness request": (SW, lambda hook: hook.request("POST", "/api/new", json={}), wrapped(JOB)),
}

ODD_TEXTS = st.text(
    st.one_of(
        st.characters(categories=["Cs", "Cc", "Cf", "Zl"]),
        st.sampled_from("\x00\x1b\u202e\u2066\ufeff[]m0a "),
        st.characters(categories=["Ll", "Lo"]),
    ),
    max_size=12,
)
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 7, 1.5, 2.0, 10**25, -(2**63) - 1, 1e300, 1e308]),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "now", "12:00", "P1D"]),
    st.sampled_from(["a/b", "..", "https%3A%2F%2Fa.example%2Fa%3Fsig%3DTOPSECRET", "?a_token=TOPSECRET"]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.sampled_from(["", " ", "soon", "COMPLETED", "https://s.example.com/a?sig=TOPSECRET", "x" * 5000]),
    ODD_TEXTS,
    st.just([]),
    st.just({}),
    st.lists(st.one_of(st.none(), st.integers(), ODD_TEXTS), max_size=3),
)
ANY_JSON = st.recursive(
    ODD_VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3),
    max_leaves=10,
)
DROPPED = object()


def places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a body something can be changed."""
    yield at
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*at, key))


def changed(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value, or none, in one place."""
    if not at:
        return None if value is DROPPED else value
    found = copy.deepcopy(data)
    holder = found
    for key in at[:-1]:
        holder = holder[key]
    if value is not DROPPED:
        holder[at[-1]] = value
    else:
        del holder[at[-1]]
    return found


@st.composite
def nearly(draw: st.DrawFn, body: Any) -> Any:
    """A documented body, with one to three changes."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(list(places(body))))
        body = changed(body, at, draw(st.one_of(st.just(DROPPED), ODD_VALUES)))
    return body


def answering(kind: type[Any], content: bytes, status: int = 200) -> Any:
    """A hook whose every request is answered with this body."""
    hook = kind("c1", settings=ConnectionSettings("c1", "http://127.0.0.1:1", "sk_test_topsecretkey"))
    hook._answer = lambda request, *_, **__: Response(request.endpoint, status, {}, content)
    hook._sleep = lambda seconds: None
    return hook


def assert_plain(value: Any) -> None:
    """Whether every JSON writer and database takes it."""
    written = json.dumps(value, allow_nan=False, ensure_ascii=False)
    written.encode()
    assert "\\u0000" not in written
    assert "\\u001b" not in written


def feed(name: str, content: bytes) -> None:
    kind, call, _ = CALLS[name]
    try:
        result = call(answering(kind, content))
    except ProviderError as error:
        result = {"error": str(error)}
    assert_plain(result)
    assert "TOPSECRET" not in json.dumps(public(result))


def written(data: Any) -> bytes:
    return json.dumps(data).encode()


@pytest.mark.parametrize("name", CALLS)
def test_the_documented_body_is_read(name: str) -> None:
    kind, call, body = CALLS[name]

    assert_plain(call(answering(kind, written(body))))


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_json_is_read_or_refused(name: str, data: st.DataObject) -> None:
    feed(name, written(data.draw(ANY_JSON)))


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_body_that_is_nearly_right_is_read_or_refused(name: str, data: st.DataObject) -> None:
    feed(name, written(data.draw(nearly(CALLS[name][2]))))


@settings(max_examples=EXAMPLES)
@given(content=st.binary(max_size=200), status=st.sampled_from([200, 201, 301, 400, 401, 404, 429, 500]))
def test_bytes_that_are_no_json_make_an_error_that_can_be_stored(content: bytes, status: int) -> None:
    with pytest.raises(ProviderError) as caught:
        answering(SilentWitnessHook, b"\xff" + content, status).get_report("rpt_1")

    assert_plain(str(caught.value))


@settings(max_examples=EXAMPLES * 4)
@given(data=st.data())
def test_what_is_known_of_a_job_is_plain_too(data: st.DataObject) -> None:
    for job, kind, body in (
        (SUBMISSION, MediaMagicHook, STATUS),
        (REPORT, SilentWitnessHook, wrapped(JOB)),
    ):
        content = written(data.draw(nearly(body)))
        try:
            found = job.get(answering(kind, content), "job")
        except ProviderError:
            continue
        seen = job.observe(found)
        assert_plain([seen.job_id, seen.raw_status, seen.progress, seen.message, seen.fraction])
        assert len(seen.message) <= 2000
        assert_plain(job.public(found))
        assert "sig=x" not in json.dumps(job.public(found))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@settings(max_examples=EXAMPLES * 4)
@given(data=st.data())
def test_issues_that_are_let_in_land(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    asset, issues = written(data.draw(nearly(ASSET))), written(data.draw(nearly([ISSUE, ISSUE])))
    try:
        found = (
            answering(MediaMagicHook, asset).get_asset_result("s1", "a1"),
            answering(MediaMagicHook, issues).get_issues("s1", "a1"),
        )
    except ProviderError:
        return
    manifest = write_issues([found], run_id="r", target=tmp_path_factory.mktemp("t") / f"i.{suffix}")
    assert manifest["rows"] == len(found[1])
    assert_plain(manifest)


@settings(max_examples=EXAMPLES * 2)
@given(data=st.data())
def test_the_asynchronous_half_reads_the_same(data: st.DataObject) -> None:
    content = written(data.draw(nearly(wrapped(JOB))))

    async def send(client: Any, request: Request, *args: Any) -> Response:
        return Response(request.endpoint, 200, {}, content)

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ProviderError as error:
            return type(error), str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(async_sessions, "send", send)
        hook = answering(SilentWitnessHook, content)
        apart = outcome(lambda: asyncio.run(hook.aget_report(None, "rpt_1")))

    assert outcome(lambda: hook.get_report("rpt_1")) == apart


# -- the rules one by one ------------------------------------------------------------------------------------


def get_report(**fields: Any) -> Any:
    return answering(SilentWitnessHook, written(wrapped(JOB | fields))).get_report("rpt_1")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("half \ud83d an emoji", "half \ufffd an emoji"),
        ("a\x00b", "a b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\u200eWhatsApp Image.jpg", "\u200eWhatsApp Image.jpg"),
        ("é 文 👍", "é 文 👍"),
    ],
)
def test_a_text_is_made_fit_and_otherwise_left_alone(given: str, found: str) -> None:
    assert get_report(progress={"message": given})["progress"]["message"] == found


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 30, "1" * 5000])
def test_a_number_that_json_does_not_know_is_absent(number: str) -> None:
    content = f'{{"submissionId": "s1", "status": "processing", "progressPercent": {number}}}'.encode()

    assert answering(MediaMagicHook, content).get_submission("s1")["progressPercent"] is None


def test_what_is_nested_too_deeply_is_refused() -> None:
    content = b'{"a":' * 300 + b"1" + b"}" * 300
    with pytest.raises(ProviderError, match="not JSON"):
        answering(MediaMagicHook, content).request("GET", "/api/integrations/new")


@pytest.mark.parametrize("given", [7, True, ["x"], {"message": "x"}, "soon"])
@pytest.mark.parametrize("name", ["created_at", "updated_at", "output", "progress"])
def test_an_optional_field_of_another_type_is_absent(name: str, given: Any) -> None:
    found = get_report(**{name: given})[name]

    assert found is None or (name == "progress" and found == given) or (name == "output" and found == given)
    assert REPORT.observe(get_report(**{name: given})).finished


@pytest.mark.parametrize("link", [7, ["https://x.example"], {"url": "x"}, False])
def test_a_link_that_is_no_text_is_absent(link: Any) -> None:
    assert get_report(output={"pdf_url": link})["output"]["pdf_url"] is None


@pytest.mark.parametrize(
    "time",
    [
        "now",
        "12:00",
        "2020-01-01/2021-01-01",
        "P1D",
        "0000-00-00T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "٢٠٢٦-٠٦-٠٣T١٢:٠٠:٠٠Z",
        "x" * 100_000,
    ],
)
def test_a_time_that_is_no_moment_is_absent(time: str) -> None:
    assert get_report(created_at=time)["created_at"] is None


@pytest.mark.parametrize(
    "time", ["2026-06-03", "2026-06-03T12:00:00", "0001-01-01T00:00:00Z", "20260603T120000Z"]
)
def test_a_time_of_any_notation_and_century_stays(time: str) -> None:
    assert get_report(created_at=time)["created_at"] == time


@pytest.mark.parametrize("number", [1e19, -1e300, 2**63, 1.5, "7.5", "٣", "9" * 19, True])
def test_a_whole_number_that_does_not_fit_is_absent(number: Any) -> None:
    content = written([ISSUE | {"referenceNumber": number}])

    assert answering(MediaMagicHook, content).get_issues("s1", "a1")[0]["referenceNumber"] is None


IDS: dict[str, str] = {
    "create_submission": "submissionId",
    "get_submission": "submissionId",
    "get_asset_result": "assetId",
    "retry_asset": "submissionId",
    "get_subscription": "id",
    "create_case": "id",
    "get_case": "id",
    "list_cases": "id",
    "upload_file": "fileId",
    "list_files": "id",
    "create_report": "id",
    "get_report": "id",
    "list_reports": "id",
}


def with_id(name: str, value: Any) -> bytes:
    """The documented answer with another id, wherever in it the id is."""
    body = CALLS[name][2]
    at = next(at for at in places(body) if at and at[-1] == IDS[name])
    return written(changed(body, at, value))


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(
    "value", ["a/b", "..", "x" * 129, "a b", "https://s.example.com/a?sig=TOPSECRET", 1.5, True, ["x"]]
)
def test_an_id_that_fits_no_path_is_refused_where_it_is_read(name: str, value: Any) -> None:
    kind, call, _ = CALLS[name]
    with pytest.raises(ProviderError, match=r"(id|Id)`") as caught:
        call(answering(kind, with_id(name, value)))
    assert isinstance(caught.value, MalformedResponseError | SubmitOutcomeUnknownError)
    assert caught.value.endpoint
    assert "TOPSECRET" not in str(caught.value)
    assert len(str(caught.value)) < 1000


ASKED_BY_ID: dict[str, Callable[[Any, str], Any]] = {
    "get_submission": lambda hook, job: hook.get_submission(job),
    "get_asset_result": lambda hook, asset: hook.get_asset_result("s1", asset),
    "get_topics": lambda hook, asset: hook.get_topics("s1", asset),
    "get_case": lambda hook, case: hook.get_case(case),
    "get_report": lambda hook, report: hook.get_report(report),
}


@pytest.mark.parametrize("name", ASKED_BY_ID)
def test_an_answer_about_another_thing_than_was_asked_for_is_none(name: str) -> None:
    kind, _, documented = CALLS[name]
    with pytest.raises(MalformedResponseError, match=r"another .* than was asked for"):
        ASKED_BY_ID[name](answering(kind, written(documented)), "4711")


def test_reports_of_another_case_are_no_list_of_this_one() -> None:
    content = written(wrapped({"reports": [{"id": "rpt_1", "case_id": "case_2", "status": "pending"}]}))
    with pytest.raises(MalformedResponseError, match=r"another case .'case_2'"):
        answering(SilentWitnessHook, content).list_reports("case_1")


def test_files_of_other_cases_are_left_out() -> None:
    files = [
        {"id": f"file_{number}", "case_id": case} for number, case in enumerate(["case_1", "case_2", None])
    ]
    found = answering(SilentWitnessHook, written(wrapped(files))).list_files("case_1")
    assert [file["id"] for file in found] == ["file_0", "file_2"]


@pytest.mark.parametrize("name", IDS)
def test_an_id_that_is_a_number_is_read_as_text(name: str) -> None:
    kind, as_documented, _ = CALLS[name]
    asked: dict[str, Any] = {**ASKED_BY_ID, "retry_asset": lambda hook, job: hook.retry_asset(job, "a1")}
    call = asked.get(name, lambda hook, _: as_documented(hook))

    found = call(answering(kind, with_id(name, 4711)), "4711")

    assert '"4711"' in json.dumps(found)


@pytest.mark.parametrize("word", ["COMPLETED", " completed ", "Completed\n"])
def test_a_status_word_is_read_however_it_is_written(word: str) -> None:
    assert get_report(status=word)["status"] == "completed"


@pytest.mark.parametrize("status", [None, 7, "", " "])
def test_a_paid_answer_without_a_status_says_what_is_documented(status: Any) -> None:
    submitted = written(SUBMITTED | {"status": status})

    assert (
        answering(MediaMagicHook, submitted).create_submission([{"blobPath": "w/a"}])["status"] == "submitted"
    )
    assert answering(MediaMagicHook, submitted).retry_asset("s1", "a1")["status"] == "processing"
    ordered = written(wrapped(JOB | {"status": status}))
    assert answering(SilentWitnessHook, ordered).create_report("case_1")["status"] == "pending"


@pytest.mark.parametrize("method", ["list_cases", "list_reports", "list_files", "list_organizations"])
def test_a_row_without_an_id_is_named(method: str) -> None:
    arguments = ["case_1"] if method in ("list_reports", "list_files") else []
    with pytest.raises(ProviderError, match="nothing in the field `id`"):
        getattr(answering(SilentWitnessHook, written(wrapped([{"status": "x"}]))), method)(*arguments)


@pytest.mark.parametrize(("total", "complete"), [(1, True), (3, False), (None, True), ("3", False)])
def test_a_page_of_issues_is_not_taken_for_all_of_them(total: Any, complete: bool) -> None:
    content = written({"issues": [ISSUE], "pagination": {"total": total}})
    if complete:
        assert len(answering(MediaMagicHook, content).get_issues("s1", "a1")) == 1
    else:
        with pytest.raises(ProviderError, match="1 of 3 issues"):
            answering(MediaMagicHook, content).get_issues("s1", "a1")


@pytest.mark.parametrize("name", ["create_upload_url", "upload_direct"])
def test_a_blob_path_that_is_a_signed_link_is_refused(name: str) -> None:
    kind, call, body = CALLS[name]
    content = written(body | {"blobPath": "https://store.example.com/a?sig=TOPSECRET"})
    with pytest.raises(MalformedResponseError, match="a signed link in the field `blobPath`") as caught:
        call(answering(kind, content))
    assert "TOPSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        {"hasMore": True},
        {"nextCursor": "abc"},
        {"next": "/api/integrations/issues?page=2"},
        {"total": 2},
        {"meta": {"total_count": "30"}},
        {"pagination": {"total": 1, "total_pages": 4}},
        {"pagination": {"has_more": True}},
    ],
)
def test_a_list_that_says_that_there_is_more_is_not_taken_for_all(said: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponseError, match=r"1 (of|and)"):
        answering(MediaMagicHook, written({"issues": [ISSUE], **said})).get_issues("s1", "a1")
    for method, key in (("list_cases", "cases"), ("list_reports", "reports")):
        arguments = ["case_1"] if key == "reports" else []
        for body in ({"data": {key: [], **said}}, {"data": [], **said}):
            with pytest.raises(MalformedResponseError, match=f"0 (of|and) .*{key}"):
                getattr(answering(SilentWitnessHook, written(body)), method)(*arguments)


@pytest.mark.parametrize(
    "said", [{"hasMore": False, "next": None}, {"total": 1, "totalPages": 1}, {"total": "x"}]
)
def test_a_list_that_says_that_it_is_whole_is_read(said: dict[str, Any]) -> None:
    content = written({"issues": [ISSUE], **said})

    assert len(answering(MediaMagicHook, content).get_issues("s1", "a1")) == 1


def test_links_and_secrets_never_reach_what_is_public() -> None:
    body = {
        "id": "case_1",
        "invoice": {"payment_url": "https://pay.example.com/?token=TOPSECRET", "amount": 299.0},
        "files": [{"url": "https://s.example.com/a?sig=TOPSECRET", "name": "a"}],
        "downloadUrl": "https://s.example.com/a?sig=TOPSECRET",
        "progress": {"message": "see https://s.example.com/a?sig=TOPSECRET or"},
        "client_secret": "TOPSECRET",
    }

    assert public(body) == {
        "id": "case_1",
        "invoice": {"amount": 299.0},
        "files": [{"name": "a"}],
        "progress": {"message": "see https://s.example.com/a?*** or"},
    }


# -- endpoints without a method ------------------------------------------------------------------------------


def test_an_endpoint_without_a_method_can_be_asked() -> None:
    hook = answering(MediaMagicHook, b'{"new": 1}')

    assert hook.request("GET", "/api/integrations/new") == {"new": 1}
    assert hook.settings.base_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "path",
    [
        None,
        "https://evil.example/api",
        "api/cases",
        "",
        "//evil.example/api",
        "/api/a b",
        "/api/\r\nx",
        "/\x00",
    ],
)
def test_a_path_that_is_none_is_refused_before_anything_is_sent(path: Any) -> None:
    def unsent(*args: Any, **kwargs: Any) -> Response:
        raise AssertionError("sent")

    hook: ServiceHook = answering(MediaMagicHook, b"{}")
    hook._answer = unsent  # type: ignore[method-assign]
    with pytest.raises(ProviderError, match="path must begin with one slash") as caught:
        hook.request("GET", path)
    assert caught.value.parameter == "path"
