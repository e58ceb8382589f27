"""What is documented about waiting for each service's jobs: nouns, intervals, durations, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider.core.polling.backoff import Backoff


@dataclass(frozen=True, slots=True)
class JobProfile:
    """
    Documented facts about one kind of job.

    :param noun: what to call it in messages.
    :param backoff: the vendor's recommended polling intervals.
    :param typical: shortest and longest usual duration in seconds, by kind; the key ``""`` is any other kind.
    :param limits: how long to wait at most in seconds, by kind; the key ``""`` is any other kind.
    """

    noun: str
    backoff: Backoff
    typical: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    def typical_for(self, kind: str) -> tuple[float, float]:
        return self.typical.get(kind) or self.typical[""]

    def limit_for(self, kind: str) -> float:
        return self.limits.get(kind) or self.limits[""]


SUBMISSION = JobProfile(
    noun="submission",
    backoff=Backoff(first=2.0, factor=1.5, cap=30.0),
    typical={"": (2.0, 300.0)},
    limits={"": 600.0},
)
"""
MediaMagic submissions, after the status-polling guide: 2 s, times 1.5, at most 30 s; give up after 600 s.
Usual durations are not documented; the guide's shorter limit stands in for the longest.
"""

DEMO_DATA = "demo_data"
"""Kind of a report made from demo data."""

REPORT = JobProfile(
    noun="report",
    backoff=Backoff(first=3.0, factor=1.5, cap=15.0),
    typical={"": (120.0, 300.0), DEMO_DATA: (3.0, 120.0)},
    limits={"": 600.0, "accident_only": 300.0, DEMO_DATA: 120.0},
)
"""
Silent Witness reports, after https://docs.silentwitness.ai/guides/polling-best-practices: 3 s, times 1.5, at
most 15 s; usually done in 2 to 5 minutes; limits by scenario. The usual duration of demo data is not
documented; its limit stands in for the longest.
"""
