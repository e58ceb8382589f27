"""Write a review as a document for people who do not use Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.arguments import required_text
from airflow_provider.core.links import web_address
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.core.text import snippet
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.links import FileLink, MediaMagicStatusLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.arguments import PathArgument

Finding = Mapping[str, Any]


class MediaMagicReviewDocumentOperator(ServiceOperator[MediaMagicHook]):
    """
    Write the findings of a review as one HTML file that stands alone, to be kept, sent or printed. It shows
    what the page "Review" shows, and asks no service for anything.

    Returns a manifest: ``path``, ``bytes``, ``sha256``, ``media_type``, ``findings``, their number, and
    ``link``, the page of the file in the console of Amazon S3 or Google Cloud Storage. The events of
    ``outlets`` carry it, as ``extra={"manifests": [...]}``.

    :param issues: what ``MediaMagicGetIssuesOperator`` or ``MediaMagicGetAssetResultOperator`` returns, of
        one task or of a mapped one (``.output``): lists or manifests; or paths of files of issues.
    :param output_path: ``.html`` file to write, local or an object-storage URL. An older one is replaced.
    :param topics: what ``MediaMagicGetTopicsOperator`` returns, of one task or of a mapped one.
    :param verdict: what ``MediaMagicComplianceGateOperator`` returns.
    :param title: heading of the document, default ``Review``.
    :param source_conn_id: connection for object-storage URLs in ``issues`` that name none.
    :param output_conn_id: connection for an ``output_path`` that names none.
    :param mediamagic_conn_id: MediaMagic connection id; not used, as no service is asked.
    :param deferrable: no effect, as no service is asked.
    :param max_turn_wait: no effect, for the same reason.

    See https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    hook_class = MediaMagicHook
    template_fields: Sequence[str] = (
        "issues",
        "output_path",
        "topics",
        "verdict",
        "title",
        "source_conn_id",
        "output_conn_id",
        "mediamagic_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"verdict": "json"}
    ui_color = "#d9ecff"
    operator_extra_links = (MediaMagicStatusLink(), FileLink())

    def __init__(
        self,
        *,
        issues: Any,
        output_path: PathArgument,
        topics: Any = None,
        verdict: Mapping[str, Any] | None = None,
        title: str = "Review",
        source_conn_id: str | None = None,
        output_conn_id: str | None = None,
        mediamagic_conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mediamagic_conn_id = mediamagic_conn_id
        self.issues = issues
        self.output_path = output_path
        self.topics = topics
        self.verdict = verdict
        self.title = title
        self.source_conn_id = source_conn_id
        self.output_conn_id = output_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Gather the findings, write the document."""
        title = required_text("title", self.title)
        if self.verdict is not None and not isinstance(self.verdict, Mapping):
            raise InvalidInputError(
                f"verdict must be what a gate returns; got {self.verdict!r}.", parameter="verdict"
            )
        manifest = write_document(
            self.issues,
            self.output_path,
            topics=self.topics,
            verdict=self.verdict,
            title=title,
            source_conn_id=self.source_conn_id,
            output_conn_id=self.output_conn_id,
        )
        self.record_files(context, [manifest])
        return manifest


def write_document(
    issues: Any,
    output_path: Any,
    *,
    topics: Any = None,
    verdict: Mapping[str, Any] | None = None,
    title: str = "Review",
    source_conn_id: str | None = None,
    output_conn_id: str | None = None,
    argument: str = "output_path",
) -> dict[str, Any]:
    """
    Write a review as one HTML file; the arguments are those of :class:`MediaMagicReviewDocumentOperator`.

    :param argument: that ``output_path`` was given as, for errors.
    :return: a manifest with ``findings``, their number, and ``link``, the page of the file in the console of
        its store, where it has one.
    """
    from airflow_provider.core.files.atomic import write_atomic
    from airflow_provider.core.files.locations import locate
    from airflow_provider.mediamagic.review_page import review_page

    location = locate(output_path, conn_id=output_conn_id, argument=argument)
    names: list[str] = []
    findings = list(_findings(issues, names, source_conn_id))
    page = review_page(title, findings, names, list(_topics(topics, source_conn_id)), verdict)
    with write_atomic(location) as file:
        # JSON can carry half a surrogate pair, UTF-8 cannot.
        file.write(page.encode("utf-8", "replace"))
    return file.manifest("text/html", findings=len(findings), link=web_address(location) or None)


def _findings(given: Any, names: list[str], conn_id: str | None) -> Iterator[Finding]:
    """Yield issues that name their asset; add the names of files, also of those without issues."""
    if isinstance(given, str) or (isinstance(given, Mapping) and "path" in given):
        yield from _rows_of(given, names, conn_id)
    elif isinstance(given, Mapping) and isinstance(given.get("issues"), list):
        asset = {name: given.get(name) for name in ("assetId", "filename")}
        names.append(str(asset["filename"] or asset["assetId"]))
        for issue in given["issues"]:
            if not isinstance(issue, Mapping):
                raise _wrong("issues", issue, "an issue")
            yield {**issue, **asset}
    elif isinstance(given, Mapping) and {"id", "severity"} <= given.keys():
        yield given
    elif isinstance(given, Iterable) and not isinstance(given, Mapping | bytes):
        for item in given:
            yield from _findings(item, names, conn_id)
    else:
        raise _wrong("issues", given, "an issue or a file of issues")


def _rows_of(source: Any, names: list[str], conn_id: str | None) -> Iterator[Finding]:
    from airflow_provider.core.http.responses import load_json
    from airflow_provider.operators.mediamagic.rows import issue_of_row, read_issue_rows

    if isinstance(source, Mapping) and source.get("filename"):
        names.append(str(source["filename"]))
    for row in read_issue_rows(source, conn_id=conn_id):
        whole = row.get("issue")
        if isinstance(whole, str):
            with suppress(ValueError):  # another program's column of that name
                whole = load_json(whole)
        named = {"assetId": row.get("asset_id"), "filename": row.get("filename")}
        yield {**(whole if isinstance(whole, Mapping) else {}), **issue_of_row(row), **named}


def _topics(given: Any, conn_id: str | None) -> Iterator[Mapping[str, Any]]:
    from airflow_provider.core.files.locations import locate_source, storage_errors
    from airflow_provider.core.http.responses import load_json

    if given is None:
        return
    if isinstance(given, Mapping) and "path" in given:
        location = locate_source(given["path"], conn_id=conn_id, argument="topics")
        with storage_errors("cannot read", location), location.open() as file:
            content = file.read()
        try:
            found = load_json(content)
        except ValueError:
            raise _wrong("topics", given["path"], "a file of topics") from None
        yield from _topics(found, conn_id)
    elif isinstance(given, Mapping) and isinstance(given.get("topics"), list):
        yield given
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        for item in given:
            yield from _topics(item, conn_id)
    else:
        raise _wrong("topics", given, "a list of topics")


def _wrong(argument: str, given: Any, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"{argument}: {snippet(repr(given))} is not {expected}. Give what MediaMagicGetIssuesOperator, "
        "MediaMagicGetAssetResultOperator or MediaMagicGetTopicsOperator returns.",
        parameter=argument,
    )
