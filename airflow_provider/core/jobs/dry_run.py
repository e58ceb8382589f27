"""DryRun: what the first attempt of a task would send, found out with requests that are free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from logging import Logger
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider.core.files.sources import Source


@dataclass
class DryRun:
    """
    What a task without a record of an earlier attempt would do.

    :param paid_requests: how many of each paid request, by method and path.
    :param other_requests: the same of requests that send something and are not paid for. Status requests of
        the wait are not counted.
    :param files: ``path``, ``media_type`` and ``bytes`` of every file that would be sent.
    :param missing: what the service requires and does not have, one sentence each: it would refuse.
    :param notes: what else is known, one sentence each.
    """

    paid_requests: dict[str, int] = field(default_factory=dict)
    other_requests: dict[str, int] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_files(self, sources: Iterable[tuple[Source, str]]) -> None:
        """Add checked files, each with its media type."""
        self.files += [
            {"path": source.path, "media_type": media_type, "bytes": source.size}
            for source, media_type in sources
        ]

    def require(self, fulfilled: object, otherwise: str) -> None:
        """Note what is missing, unless a requirement is fulfilled."""
        if not fulfilled:
            self.missing.append(otherwise)

    def check_connection(self, hook: Any) -> None:
        """Ask the service whether it takes the key."""
        works, message = hook.test_connection()
        (self.notes if works else self.missing).append(message)

    def check_limit(self, max_paid_requests: int | None) -> None:
        """Compare what a first attempt pays for with the task's limit."""
        paid = sum(self.paid_requests.values())
        self.require(
            max_paid_requests is None or paid <= max_paid_requests,
            f"max_paid_requests={max_paid_requests} does not allow it.",
        )

    def report(self, log: Logger) -> dict[str, Any]:
        """Log it for a person, and return it as plain JSON."""
        size = sum(file["bytes"] for file in self.files)
        log.info("Dry run: nothing was created or paid for. A first attempt would send:")
        for kind, requests in (("paid", self.paid_requests), ("not paid", self.other_requests)):
            for request, number in requests.items():
                log.info("  %d x %s (%s)", number, request, kind)
        if self.files:
            log.info("  %d files with %d bytes in all", len(self.files), size)
        for sentence in self.missing:
            log.warning("Missing: %s", sentence)
        for sentence in self.notes:
            log.info(sentence)
        return {
            "paid_requests": self.paid_requests,
            "other_requests": self.other_requests,
            "files": self.files,
            "bytes": size,
            "missing": self.missing,
            "notes": self.notes,
        }
