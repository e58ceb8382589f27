"""Uploads: direct, presigned, in blocks; names, types, sizes."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import LONG, MediaMagicTalk, picture

MEBIBYTE = 1024 * 1024
BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


def test_a_part_without_a_content_type_is_taken_by_its_name(mediamagic: MediaMagicTalk) -> None:
    answer = mediamagic.send("POST", "/uploads/direct", files={"file": ("photo.png", picture(kind="PNG"))})
    assert answer.status_code == 201
    assert answer.json()["blobPath"].endswith("/photo.png")


def test_the_same_name_twice_is_two_blobs(mediamagic: MediaMagicTalk) -> None:
    assert mediamagic.upload("a.txt") != mediamagic.upload("a.txt")


@pytest.mark.parametrize(
    ("filename", "content", "content_type"),
    [
        ("photo.jpg", picture(), "image/png"),
        ("film.mp4", b"not a film", "video/mp4"),
        ("page.html", b"<p>", "text/html"),
        ("data.bin", b"\x00\x01", ""),
    ],
)
def test_unsupported_or_untrue_types(
    mediamagic: MediaMagicTalk, filename: str, content: bytes, content_type: str
) -> None:
    part = (filename, content, content_type) if content_type else (filename, content)
    answer = mediamagic.send("POST", "/uploads/direct", files={"file": part})
    assert (answer.status_code, list(answer.json())) == (415, ["detail"])


def test_ten_megabytes_are_the_most(mediamagic: MediaMagicTalk) -> None:
    mediamagic.upload("most.txt", b"x" * 10 * MEBIBYTE)
    more = mediamagic.send(
        "POST", "/uploads/direct", files={"file": ("more.txt", b"x" * (10 * MEBIBYTE + 1))}
    )
    assert more.status_code == 413


def test_a_form_without_a_file(mediamagic: MediaMagicTalk) -> None:
    assert mediamagic.send("POST", "/uploads/direct", files={"other": ("a.txt", b"x")}).status_code == 422
    assert mediamagic.send("POST", "/uploads/direct", json={}).status_code == 422


@pytest.mark.parametrize("filename", ["", "../a.txt", "a/b.txt", "a\\b.txt", "x" * 260 + ".txt"])
def test_invalid_filenames(mediamagic: MediaMagicTalk, filename: str) -> None:
    answer = mediamagic.send("POST", "/uploads/url", json={"filename": filename, "contentType": "text/plain"})
    assert answer.status_code == 403


def test_presigned_request_is_checked(mediamagic: MediaMagicTalk) -> None:
    assert mediamagic.send("POST", "/uploads/url", json={"filename": "a.txt"}).status_code == 422
    body = {"filename": "a.exe", "contentType": "application/x-msdownload"}
    assert mediamagic.send("POST", "/uploads/url", json=body).status_code == 415


def test_presigned_upload_goes_to_the_other_origin(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    link = mediamagic.presign("campaign.txt", "text/plain")
    assert list(link) == ["uploadUrl", "blobPath", "expiresAt"]
    assert link["uploadUrl"].startswith(f"{sim.storage_url}/assets/{link['blobPath']}?")
    put = requests.put(link["uploadUrl"], data=b"guaranteed", headers=BLOCK_BLOB, timeout=60)
    assert put.status_code == 201
    submission = mediamagic.submit(link["blobPath"])
    sim.advance(LONG)
    assert mediamagic.status(submission)["assets"][0]["issueCount"] == 1


def test_the_storage_wants_what_azure_wants(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    url = mediamagic.presign("a.txt", "text/plain")["uploadUrl"]

    def chunks() -> Iterator[bytes]:
        yield b"x"

    no_type = requests.put(url, data=b"x", timeout=60)
    no_length = requests.put(url, data=chunks(), headers=BLOCK_BLOB, timeout=60)
    forged = requests.put(url.replace("sig=", "sig=0"), data=b"x", headers=BLOCK_BLOB, timeout=60)
    unsigned = requests.put(url.partition("?")[0], data=b"x", headers=BLOCK_BLOB, timeout=60)
    sim.advance(3601)
    expired = requests.put(url, data=b"x", headers=BLOCK_BLOB, timeout=60)

    codes = [one.status_code for one in (no_type, no_length, forged, unsigned, expired)]
    assert codes == [400, 411, 403, 403, 403]
    for answer in (forged, unsigned, expired):
        assert "<Code>AuthenticationFailed</Code>" in answer.text


def test_blocks_are_joined_in_the_order_of_the_list(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    link = mediamagic.presign("big.txt", "text/plain")
    ids = [base64.b64encode(b"%04d" % number).decode() for number in range(3)]
    for block_id, content in zip(ids, (b"teed", b"guar", b"an"), strict=True):
        params = {"comp": "block", "blockid": block_id}
        assert requests.put(link["uploadUrl"], params=params, data=content, timeout=60).status_code == 201
    latest = "".join(f"<Latest>{ids[position]}</Latest>" for position in (1, 2, 0))
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{latest}</BlockList>'
    done = requests.put(link["uploadUrl"], params={"comp": "blocklist"}, data=body, timeout=60)
    assert done.status_code == 201
    submission = mediamagic.submit(link["blobPath"])
    sim.advance(LONG)
    assert [issue["summary"] for issue in mediamagic.asset(submission).json()["issues"]] == [
        'Promise without evidence: "guaranteed"'
    ]


def test_a_list_of_unknown_blocks(mediamagic: MediaMagicTalk) -> None:
    link = mediamagic.presign("big.txt", "text/plain")
    body = "<BlockList><Latest>AAAA</Latest></BlockList>"
    answer = requests.put(link["uploadUrl"], params={"comp": "blocklist"}, data=body, timeout=60)
    assert (answer.status_code, "InvalidBlockList" in answer.text) == (400, True)


def test_size_and_type_of_a_presigned_upload_are_checked_at_submission(mediamagic: MediaMagicTalk) -> None:
    def submitted(filename: str, content_type: str, content: bytes) -> int:
        link = mediamagic.presign(filename, content_type)
        requests.put(link["uploadUrl"], data=content, headers=BLOCK_BLOB, timeout=60)
        return mediamagic.send(
            "POST", "/submissions", json={"assets": [{"blobPath": link["blobPath"]}]}
        ).status_code

    assert submitted("a.png", "image/png", b"no picture") == 415
    assert submitted("a.png", "image/png", picture(kind="PNG") + b"\0" * 50 * MEBIBYTE) == 413
    assert submitted("a.png", "image/png", picture(kind="PNG")) == 201
