"""A file has the same dataset name as other OpenLineage producers give it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from openlineage.client.naming.dataset import GCS, S3, LocalFileSystem

from airflow_provider.core.lineage import dataset_name, literal_paths


@pytest.mark.parametrize(
    ("path", "naming"),
    [
        ("/data/ad.mp4", LocalFileSystem("/data/ad.mp4")),
        ("file:///data/ad.mp4", LocalFileSystem("/data/ad.mp4")),
        ("file://localhost/data/ad.mp4", LocalFileSystem("/data/ad.mp4")),
        ("ad.mp4", LocalFileSystem(f"{os.getcwd()}/ad.mp4")),
        ("s3://media/2026/ad.mp4", S3("media", "2026/ad.mp4")),
        ("s3://my_aws@media/2026/ad #1?.mp4", S3("media", "2026/ad #1?.mp4")),
        ("s3a://media/ad.mp4", S3("media", "ad.mp4")),
        ("gs://my_gcp@media/ad.mp4", GCS("media", "ad.mp4")),
        ("gcs://media/a@b/ad.mp4", GCS("media", "a@b/ad.mp4")),
    ],
)
def test_named_as_openlineage_names_it(path: str, naming: Any) -> None:
    assert dataset_name(path) == (naming.get_namespace(), naming.get_name())


def test_an_azure_container_goes_without_its_account() -> None:
    assert dataset_name("abfs://my_azure@media/2026/ad.mp4") == ("abfss://media", "2026/ad.mp4")


def test_other_stores_keep_their_scheme() -> None:
    assert dataset_name("memory://bucket/out/r.pdf") == ("memory://bucket", "out/r.pdf")


def test_files_named_one_by_one_are_known_before_any_is_looked_at() -> None:
    files = ["/data/ad.mp4", "s3://media/*.mp4", {"path": "/data/manifest.pdf"}, {"no": "path"}]
    assert literal_paths(files) == ["/data/ad.mp4", "/data/manifest.pdf"]


def test_a_web_address_is_not_told() -> None:
    assert literal_paths(["https://media.example/ad.mp4#X-Amz-Signature=s", "ad.mp4"]) == ["ad.mp4"]


class OfAMappedTask(Sequence[str]):
    """What such a task returned: each item is a request."""

    def __len__(self) -> int:
        raise AssertionError("Airflow was asked")

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("Airflow was asked")


@pytest.mark.parametrize("files", [None, "a string", 7, {"path": "x"}, OfAMappedTask()])
def test_what_is_no_list_names_no_files(files: Any) -> None:
    assert literal_paths(files) == []
