"""How many files somebody has to read who follows a download that is continued."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import requests

import airflow_provider
from airflow_provider.core.files.download import DownloadLink  # what its import executes does not count
from airflow_provider.core.files.partial import Checkpoint, PartialFile
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from airflow_provider.operators.silent_witness.documents import Documents
from tests.service.files.origin import Origin

PACKAGE = str(Path(airflow_provider.__file__).parent)


def files_executed(run: Callable[[], object]) -> set[str]:
    """The files of the package of which a function is called; importing one does not count."""
    found: set[str] = set()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(PACKAGE):
            found.add(code.co_filename.removeprefix(f"{PACKAGE}/"))

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return found


def test_a_resumed_download_goes_through_nine_files(origin: Origin, pdf: bytes, tmp_path: Path) -> None:
    stored = origin.put("r.pdf", pdf)
    part = PartialFile(str(tmp_path / "rpt_1.pdf"))
    digest, _ = part.recover()
    part.write(pdf[:1000])
    digest.update(pdf[:1000])
    part.save(Checkpoint(str(stored.etag), len(pdf), 1000, digest.sha256()))
    part.close(keep=True)
    documents = Documents(DownloadReport(task_id="job", report_id="rpt_1", output_path=str(tmp_path)))
    settings = SimpleNamespace(connect_timeout=5, read_timeout=5, max_retries=0, base_url="http://127.0.0.1")
    hook: Any = SimpleNamespace(settings=settings, storage_session=requests.Session())
    found = files_executed(
        lambda: documents._download(hook, "rpt_1", "pdf", DownloadLink(origin.link("r.pdf")))
    )
    assert (tmp_path / "rpt_1.pdf").read_bytes() == pdf
    assert origin.seen[0].headers["range"] == "bytes=1000-"
    assert len(found) <= 9, found
