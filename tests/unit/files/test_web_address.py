"""A stored file has a web address where its store has a console, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from s3fs import S3FileSystem  # type: ignore[import-untyped]

from airflow_provider.core.files.locations import Location, locate
from airflow_provider.core.links import web_address


def s3(region: str, path: str = "bucket/out/a report.pdf", **options: Any) -> Location:
    fs = S3FileSystem(
        key="testing",
        secret="testing",
        client_kwargs={"region_name": region},
        skip_instance_cache=True,
        **options,
    )
    return Location(f"s3://conn@{path}", path, fs)


def gcs(base: str) -> Location:
    """The little of gcsfs that tells which server it speaks to."""
    fs = SimpleNamespace(protocol=("gs", "gcs"), base=base)
    return Location("gs://conn@bucket/out/a report.pdf", "bucket/out/a report.pdf", fs)


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("eu-west-1", "https://console.aws.amazon.com"),
        ("cn-north-1", "https://console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
    ],
)
def test_s3_is_the_console_of_its_partition(region: str, console: str) -> None:
    assert web_address(s3(region)) == f"{console}/s3/object/bucket?prefix=out%2Fa%20report.pdf"


def test_what_only_speaks_s3_has_none() -> None:
    assert web_address(s3("eu-west-1", endpoint_url="http://127.0.0.1:9000")) == ""
    assert web_address(s3("eu-west-1", endpoint_url="https://amazonaws.com.example")) == ""


def test_an_endpoint_that_the_environment_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    assert web_address(s3("eu-west-1")) == ""


def test_gcs_is_the_page_of_the_object() -> None:
    assert web_address(gcs("https://storage.googleapis.com/storage/v1/")) == (
        "https://console.cloud.google.com/storage/browser/_details/bucket/out/a%20report.pdf"
    )


def test_an_emulator_of_gcs_has_none() -> None:
    assert web_address(gcs("http://127.0.0.1:4443/storage/v1/")) == ""


@pytest.mark.parametrize("path", ["/tmp/report.pdf", "file:///tmp/report.pdf", "memory://reports/report.pdf"])
def test_other_places_have_none(path: str) -> None:
    assert web_address(locate(path)) == ""
