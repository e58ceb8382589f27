"""Every body that the two vendors, and a proxy in between, may answer with."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import pytest

from airflow_provider.compat import AirflowFailException
from airflow_provider.core.http.error_bodies import Paid, error_for
from airflow_provider.core.http.responses import Body, Response, parse_json
from airflow_provider.core.http.retry import may_have_started, retry_after
from airflow_provider.core.text import redact, snippet
from airflow_provider.exceptions import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    NotReadyError,
    PermissionDeniedError,
    PlanError,
    RateLimitedError,
    ServerError,
)

KEY = "sk_live_secretsecret"
ENDPOINT = "GET /api/things/1"


def answer(status: int, body: Any = b"", **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(ENDPOINT, status, {k.replace("_", "-"): v for k, v in headers.items()}, content)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, PlanError),
        (408, ServerError),
        (409, ConflictError),
        (413, InvalidRequestError),
        (415, InvalidRequestError),
        (418, InvalidRequestError),
        (422, InvalidRequestError),
        (425, ServerError),
        (429, RateLimitedError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (301, MalformedResponseError),
        (307, MalformedResponseError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b'{"detail": null}', b"\xff\xfe\x00"])
def test_the_status_decides_the_kind(status: int, kind: type[ApiError], body: bytes) -> None:
    error = error_for(answer(status, body))

    assert type(error) is kind
    assert error.http_status == status
    assert error.endpoint == ENDPOINT
    assert str(error).startswith(f"{ENDPOINT} answered {status}")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"detail": null}', b"\xff\xfe\x00", b"no"])
def test_a_403_is_about_the_key(body: bytes) -> None:
    assert type(error_for(answer(403, body))) is PermissionDeniedError


@pytest.mark.parametrize(
    "body", [b"<html>no</html>", b"\r\n <!DOCTYPE html><title>This web app is stopped.</title>"]
)
def test_a_403_that_is_a_web_page_says_nothing_of_the_key(body: bytes) -> None:
    error = error_for(answer(403, body))
    assert (type(error), error.http_status) == (MalformedResponseError, 403)
    assert not may_have_started(error)
    assert "something else has answered" in str(error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 413, 415, 422])
def test_what_no_retry_can_help_stops_the_retries_of_airflow(status: int) -> None:
    assert isinstance(error_for(answer(status)), AirflowFailException)


@pytest.mark.parametrize("status", [404, 408, 409, 425, 429, 500, 502, 503, 504, 302])
def test_what_may_pass_does_not(status: int) -> None:
    assert not isinstance(error_for(answer(status)), AirflowFailException)


@pytest.mark.parametrize(
    ("status", "body", "shown", "known"),
    [
        pytest.param(
            401,
            {"detail": "This API key has expired", "docs_url": "https://docs.example.com"},
            "This API key has expired",
            {},
            id="mediamagic-domain",
        ),
        pytest.param(
            422,
            {"detail": [{"loc": ["body", "assets", 0, "blobPath"], "msg": "field required"}]},
            "field required (at body.assets.0.blobPath)",
            {"parameter": "body.assets.0.blobPath"},
            id="mediamagic-validation-list",
        ),
        pytest.param(
            422,
            {"error": {"message": "Validation failed", "field": "assets"}},
            "Validation failed",
            {"parameter": "assets"},
            id="mediamagic-validation-object",
        ),
        pytest.param(
            422,
            {"errors": [{"message": "too short", "field": "filename"}]},
            "too short (at filename)",
            {"parameter": "filename"},
            id="mediamagic-validation-errors",
        ),
        pytest.param(
            429,
            {"error": "Rate limit exceeded: too many submission writes"},
            "too many submission writes",
            {},
            id="mediamagic-rate",
        ),
        pytest.param(
            402,
            {
                "error_code": "tier_not_authorized_for_integrations_api",
                "message": "Your plan does not include access.",
                "bucket": "submission_write",
            },
            "Bucket: submission_write.",
            {"code": "tier_not_authorized_for_integrations_api"},
            id="mediamagic-plan",
        ),
        pytest.param(
            400,
            {
                "success": False,
                "error": "case_id is required",
                "error_code": "case_id_missing",
                "error_type": "invalid_request_error",
                "error_param": "case_id",
                "request_id": "req_abc123",
            },
            "case_id is required. Code: case_id_missing. Field: case_id. Request id: req_abc123.",
            {"code": "case_id_missing", "parameter": "case_id", "request_id": "req_abc123"},
            id="silent-witness-new",
        ),
        pytest.param(
            400,
            {
                "success": False,
                "error": "Invalid input",
                "details": {"field": "case_id", "message": "case_id is required"},
            },
            "Invalid input (case_id is required)",
            {"parameter": "case_id"},
            id="silent-witness-old",
        ),
        pytest.param(503, b"<html><h1>Busy</h1></html>", "<html><h1>Busy</h1></html>", {}, id="proxy"),
    ],
)
def test_each_body_shape_is_read(status: int, body: Any, shown: str, known: dict[str, str]) -> None:
    error = error_for(answer(status, body))

    assert shown in str(error)
    found = {name: getattr(error, name) for name in ("code", "parameter", "request_id")}
    assert found == {"code": None, "parameter": None, "request_id": None} | known


def test_a_message_ends_with_what_to_do() -> None:
    assert str(error_for(answer(401, {"detail": "Invalid API key"}))).endswith("belong to one environment.")
    assert str(error_for(answer(400, {"error": "no"}))).endswith("sending it unchanged fails again.")


@pytest.mark.parametrize("field", ["detail", "error", "error_code", "message"])
def test_a_404_in_the_words_of_an_api_is_not_found(field: str) -> None:
    assert type(error_for(answer(404, {field: None}))) is NotFoundError


FOREIGN = [
    b"",
    b"default backend - 404",
    b"<html>no</html>",
    b"[]",
    b'"detail"',
    b'{"path": "/x"}',
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("body", FOREIGN)
@pytest.mark.parametrize("pending", [False, True])
def test_a_404_in_other_words_is_not_the_answer_of_the_api(body: bytes, pending: bool) -> None:
    error = error_for(answer(404, body), pending=pending)

    assert type(error) is MalformedResponseError
    assert error.http_status == 404
    assert error.endpoint == ENDPOINT
    assert str(error).startswith(f"{ENDPOINT} answered 404")
    assert "something else has answered" in str(error)


@pytest.mark.parametrize("body", FOREIGN)
def test_a_404_in_other_words_leaves_a_paid_call_that_started_nothing_its_retries(body: bytes) -> None:
    error = error_for(answer(404, body), paid=Paid("the report", "List the reports first."))

    assert type(error) is MalformedResponseError
    assert not may_have_started(error)
    assert "something else has answered" in str(error)


def test_a_404_of_an_unfinished_asset_is_not_ready() -> None:
    error = error_for(answer(404, {"detail": "pending"}), pending=True)

    assert type(error) is NotReadyError
    assert "unknown id" in str(error)


def test_a_5xx_on_a_paid_call_says_how_to_find_out() -> None:
    paid = Paid("the report", "List the reports first.")

    assert "List the reports first." in str(error_for(answer(500), paid=paid))
    assert "List the reports first." not in str(error_for(answer(422), paid=paid))


def test_a_redirect_names_the_other_host_and_nothing_more_of_it() -> None:
    error = error_for(answer(302, location="https://login.example.com/in?token=abc"))

    assert "login.example.com" in str(error)
    assert "token" not in str(error)


def test_the_request_id_is_ours_when_the_answer_has_none() -> None:
    ours = Response(ENDPOINT, 500, {}, b"", "req_ours")

    assert error_for(ours).request_id == "req_ours"
    assert (
        error_for(Response(ENDPOINT, 500, {"x-request-id": "req_echo"}, b"", "req_ours")).request_id
        == "req_echo"
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:00:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:20 GMT"}, 10),
        ({"retry-after": "later"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
        ({"x-ratelimit-reset": "1792567725", "x-ratelimit-remaining": "0"}, 45),
        ({"x-ratelimit-reset": "1792567725", "x-ratelimit-remaining": "7"}, None),
        ({"x-ratelimit-reset": "45"}, None),
    ],
)
def test_how_long_a_service_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=1792567680.0) == seconds


@pytest.mark.parametrize("zone", ["", " -0000", " GMT"])
def test_a_date_without_a_zone_is_no_local_time(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert retry_after({"retry-after": f"Wed, 21 Oct 2026 07:28:30{zone}"}, now=1792567680.0) == 30
    time.tzset()


@pytest.mark.parametrize("status", [429, 503])
def test_the_asked_pause_is_on_the_error(status: int) -> None:
    error = error_for(answer(status, retry_after="17"))

    assert error.retry_after == 17
    assert "17 s" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"", "an empty body"),
        (200, b" \n", "an empty body"),
        (200, b"<!doctype html><title>Welcome</title>", "an HTML page"),
        (200, b'{"cut": ', "not JSON"),
        (200, b"\xff\xfe\xfa", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
        (201, b"", "an empty body"),
    ],
)
def test_a_success_that_is_none_is_malformed(status: int, body: bytes, said: str) -> None:
    with pytest.raises(MalformedResponseError, match=said) as caught:
        parse_json(answer(status, body))

    assert caught.value.endpoint == ENDPOINT
    assert caught.value.http_status == status
    assert ENDPOINT in str(caught.value)


def test_a_success_that_says_it_is_none_is_malformed() -> None:
    error = error_for(answer(200, {"success": False, "error": "nope", "error_code": "e1"}))

    assert isinstance(error, MalformedResponseError)
    assert (error.endpoint, error.http_status, error.code) == (ENDPOINT, 200, "e1")
    assert "nope" in str(error)
    assert ENDPOINT in str(error)


def test_json_is_returned_and_204_is_nothing() -> None:
    assert parse_json(answer(200, [1])) == [1]
    assert parse_json(answer(200, b"\xef\xbb\xbf{}")) == {}
    assert parse_json(answer(204)) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "nothing in the field `id`"),
        ({"id": None}, "null in the field `id`"),
        ({"id": ""}, "an empty text in the field `id`"),
        ({"id": 7}, "a number in the field `id`"),
        ({"id": {}}, "an object in the field `id`"),
        ([], "an array where an object with the field `id`"),
        (None, "null where an object"),
        ("text", "text where an object"),
    ],
)
def test_a_missing_field_is_named(data: Any, said: str) -> None:
    with pytest.raises(MalformedResponseError, match=said) as caught:
        Body(ENDPOINT, data).require("id")

    assert ENDPOINT in str(caught.value)


LEAKS = (
    f"bad key {KEY}",
    "see https://store.example.com/a/b?sv=1&sig=TOPSECRET&se=2 now",
    '{"url":"https://store.example.com/a?X-Amz-Signature=TOPSECRET"}',
    "https://store.example.com/a/b?password=TOPSECRET",
    "sig=TOPSECRET&x=1",
    "X-Amz-Credential=TOPSECRET",
    "proxy http://user:TOPSECRET@proxy:3128 refused",
    "x" * 195 + KEY,
)


@pytest.mark.parametrize("text", LEAKS)
def test_secrets_are_scrubbed_from_text(text: str) -> None:
    assert "TOPSECRET" not in redact(text, [KEY])
    assert "secretsecret" not in snippet(text, [KEY])


@pytest.mark.parametrize("text", LEAKS)
@pytest.mark.parametrize("status", [200, 302, 401, 402, 404, 422, 429, 500])
@pytest.mark.parametrize("shape", ["html", "detail", "error", "code", "request_id", "errors"])
def test_no_error_shows_a_secret(text: str, status: int, shape: str) -> None:
    bodies: dict[str, Any] = {
        "html": f"<html>{text}</html>".encode(),
        "detail": {"detail": text, "success": False},
        "error": {"error": text, "success": False, "details": {"message": text, "field": text}},
        "code": {"error_code": text, "bucket": text, "message": "m", "success": False},
        "request_id": {"request_id": text, "success": False},
        "errors": {"errors": [{"weird": text}], "success": False},
    }
    found = answer(status, bodies[shape], location=text, x_request_id=text)

    if status == 200 and shape == "html":
        with pytest.raises(MalformedResponseError) as caught:
            parse_json(found, [KEY])
        error: ApiError = caught.value
    else:
        error = error_for(found, [KEY])

    for shown in (str(error), repr(error), repr(vars(error))):
        assert "TOPSECRET" not in shown
        assert KEY not in shown


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["a.", "a://", "a://a.", "x-amz-", "https://h/", "sig", "a://b@"])
def test_no_answer_is_scrubbed_for_ever(piece: str) -> None:
    assert len(snippet((piece * 65536).encode())) <= 200


def test_a_snippet_is_one_line_of_at_most_200_characters() -> None:
    assert len(snippet(b"a \n b" * 500)) == 200
    assert "\n" not in snippet(b"a \n b" * 500)


def test_an_error_survives_pickling_with_what_it_knows() -> None:
    error = error_for(answer(429, {"error": "slow"}, retry_after="3"))

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), again.retry_after, again.http_status) == (
        RateLimitedError,
        str(error),
        3,
        429,
    )
