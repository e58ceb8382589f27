from __future__ import annotations

import json

from airflow_provider.core.files.manifest import XCOM_LIMIT_BYTES, fits_xcom, make_manifest


def test_a_manifest_says_where_and_what_and_of_which_job() -> None:
    manifest = make_manifest("s3://c@b/r.pdf", 7, "ab", "application/pdf", report_id="rpt_1", case_id=None)
    assert manifest == {
        "path": "s3://c@b/r.pdf",
        "bytes": 7,
        "sha256": "ab",
        "media_type": "application/pdf",
        "report_id": "rpt_1",
    }
    assert json.loads(json.dumps(manifest)) == manifest


def test_the_limit_counts_bytes_of_json_not_characters() -> None:
    assert fits_xcom("a" * (XCOM_LIMIT_BYTES - 2))
    assert not fits_xcom("a" * (XCOM_LIMIT_BYTES - 1))
    assert not fits_xcom("é" * (XCOM_LIMIT_BYTES // 2))
