"""What the review finds depends on what was uploaded, and on nothing else."""

from __future__ import annotations

import io
import struct
import wave

import docx
import fpdf
import pytest

from airflow_provider.simulator import Simulator
from tests.simulator.talk import LONG, MediaMagicTalk, picture

AD = "Guaranteed results! Cures everything, risk-free, for a price of $9."


def codes(issues: list[dict[str, object]]) -> list[object]:
    return [issue["ruleCode"] for issue in issues]


def pdf(text: str) -> bytes:
    document = fpdf.FPDF()
    document.add_page()
    document.set_font("Helvetica")
    document.multi_cell(0, 8, text)
    return bytes(document.output())


def word(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def film(payload: bytes, seconds: int = 10) -> bytes:
    header = (
        struct.pack(">I4sI", 108, b"mvhd", 0) + struct.pack(">IIII", 0, 0, 1000, seconds * 1000) + bytes(80)
    )
    boxes = (
        struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512)
        + struct.pack(">I4s", len(header) + 8, b"moov")
        + header
    )
    return boxes + struct.pack(">I4s", len(payload) + 8, b"mdat") + payload


def sound(seconds: int, level: int) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 1, 100, 0, "NONE", ""))
        out.writeframes(bytes([level]) * 100 * seconds)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("ad.txt", AD.encode()),
        ("ad.pdf", pdf(AD)),
        ("ad.docx", word(AD)),
        ("ad.svg", f"<svg xmlns='http://www.w3.org/2000/svg'><text>{AD}</text></svg>".encode()),
    ],
    ids=["txt", "pdf", "docx", "svg"],
)
def test_words_are_found_in_every_kind_of_document(
    mediamagic: MediaMagicTalk, filename: str, content: bytes
) -> None:
    assert codes(mediamagic.reviewed(filename, content)) == [
        "CAP_3.7",
        "CAP_8.4",
        "CAP_8.4",
        "CAP_12.1",
        "CAP_14.1",
    ]


def test_a_clean_file_has_no_issues(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    submission = mediamagic.submit(mediamagic.upload("notes.txt", b"We make chairs."))
    sim.advance(LONG)
    assert mediamagic.asset(submission).json()["issueCount"] == 0
    assert mediamagic.asset(submission, "/issues").json() == []
    topics = mediamagic.asset(submission, "/topics").json()
    assert (topics["topics"], topics["orphanIssues"]) == ([], [])


def test_the_filename_counts_as_text(mediamagic: MediaMagicTalk) -> None:
    assert codes(mediamagic.reviewed("free_beer.txt", b"-")) == ["CAP_3.23", "CAP_18.1"]


def test_the_same_file_gives_the_same_issues(mediamagic: MediaMagicTalk) -> None:
    first, second = (mediamagic.reviewed("film.mp4", film(b"once")) for _ in range(2))
    strip = ("ruleCode", "summary", "severity", "status", "referenceNumber")
    assert [[i[name] for name in strip] for i in first] == [[i[name] for name in strip] for i in second]


def test_films_and_sounds_differ_by_content(mediamagic: MediaMagicTalk) -> None:
    films = {tuple(codes(mediamagic.reviewed("film.mp4", film(b"%d" % number)))) for number in range(8)}
    sounds = {tuple(codes(mediamagic.reviewed("spot.wav", sound(1, number)))) for number in range(8)}
    assert len(films) > 2
    assert len(sounds) > 1


def test_properties_are_measured(mediamagic: MediaMagicTalk) -> None:
    assert codes(mediamagic.reviewed("a.jpg", picture())) == []
    assert codes(mediamagic.reviewed("a.jpg", picture(size=(100, 100)))) == ["LEG_1.1"]
    assert codes(mediamagic.reviewed("a.png", picture((10, 10, 10), kind="PNG"))) == ["LEG_1.2"]
    assert codes(mediamagic.reviewed("a.webp", picture((250, 20, 20), kind="WEBP"))) == ["IMG_2.1"]
    assert codes(mediamagic.reviewed("a.jpg", picture(size=(2000, 330)))) == ["FMT_1.1"]
    assert "AUD_1.1" in codes(mediamagic.reviewed("a.wav", sound(61, 7)))
    assert "VID_1.1" in codes(mediamagic.reviewed("a.mp4", film(b"long", 61)))


def test_a_document_that_cannot_be_read_waits_for_a_person(mediamagic: MediaMagicTalk) -> None:
    (issue,) = mediamagic.reviewed("broken.pdf", b"%PDF-1.7 and then nothing")
    assert (issue["severity"], issue["status"]) == ("INFO", "AWAITING_HUMAN_INPUT")


def test_shape_of_an_issue(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sidekick = "770e8400-e29b-41d4-a716-446655440000"
    submission = mediamagic.submit(mediamagic.upload("ad.txt", b"proven"), sidekickIds=[sidekick])
    sim.advance(LONG)
    result = mediamagic.asset(submission).json()
    assert list(result) == [
        "assetId", "submissionId", "filename", "mimeType", "status", "issueCount", "versionNumber",
        "versionGroupId", "issues",
    ]  # fmt: skip
    assert (result["filename"], result["mimeType"], result["issueCount"]) == ("ad.txt", "text/plain", 1)
    (issue,) = result["issues"]
    assert list(issue)[:6] == ["id", "referenceNumber", "ruleCode", "summary", "severity", "status"]
    assert (issue["referenceNumber"], issue["severity"], issue["status"]) == (1, "MAJOR", "OPEN")
    assert issue["sidekickId"] == sidekick
    (enriched,) = mediamagic.asset(submission, "/issues").json()
    assert {name: enriched[name] for name in issue} == issue
    assert enriched["rule"]["family"] == "misleading"


def test_the_container_of_the_issue_list_can_be_chosen(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    submission = mediamagic.submit(mediamagic.upload("ad.txt", b"proven"))
    sim.advance(LONG)
    as_array = mediamagic.asset(submission, "/issues").json()
    sim.settings(issues_container="object")
    assert mediamagic.asset(submission, "/issues").json()["issues"] == as_array


def test_related_issues_become_a_topic(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    submission = mediamagic.submit(mediamagic.upload("ad.txt", b"Free! Limited time! And a miracle."))
    sim.advance(LONG)
    body = mediamagic.asset(submission, "/topics").json()
    assert list(body) == ["assetId", "topics", "orphanIssues", "metadata"]
    (topic,) = body["topics"]
    assert [issue["ruleCode"] for issue in topic["issues"]] == ["CAP_3.23", "CAP_8.17"]
    assert [issue["ruleCode"] for issue in body["orphanIssues"]] == ["CAP_12.1"]
