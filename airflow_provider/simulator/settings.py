"""Everything that can be switched, with the defaults of the vendors' documentation."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider.simulator.keys import parse_limits
from airflow_provider.simulator.limits import Limit

#: Silent Witness publishes both figures; the newer one is the default.
SILENT_WITNESS_HOUR = Limit(1000, 3600)
SILENT_WITNESS_MINUTE = Limit(100, 60)
NAMED_LIMITS = {
    "hour": (SILENT_WITNESS_HOUR,),
    "minute": (SILENT_WITNESS_MINUTE,),
    "both": (SILENT_WITNESS_HOUR, SILENT_WITNESS_MINUTE),
    "off": (),
}
MEDIAMAGIC_BUCKETS = (
    "upload",
    "submission_write",
    "submission_read",
    "webhook_write",
    "webhook_read",
    "sandbox",
)


@dataclass(slots=True)
class Settings:
    """Switches of the two services; those of the process are in ``server.py``."""

    #: both: real seconds by which the vendors' clock is ahead of this machine's; may be negative
    clock_skew: float = 0.0
    #: both: real seconds by which the ``Date`` of answers is ahead of that clock; may be negative
    date_skew: float = 0.0
    #: both: vendor seconds in which a new job or case is in no answer but that to its creation
    read_lag: float = 0.0
    #: Silent Witness: most rows of a page of cases, whatever is asked for; 0 is no cap
    list_cap: int = 0
    #: Silent Witness: every page of cases is the first one
    list_one_page: bool = False
    #: Silent Witness: ``created_at`` in lists of cases and reports: ``time``, a ``date`` alone, or ``none``
    list_times: str = "time"
    #: Silent Witness: order of the list of cases, ``newest`` or ``oldest`` first; it is not documented
    list_order: str = "newest"
    #: Silent Witness: status of every report in the list of cases, whatever is true; empty is the truth
    list_status: str = ""
    #: Silent Witness: an empty list is ``null``
    null_lists: bool = False
    #: Silent Witness: windows that every key has
    silent_witness_limits: tuple[Limit, ...] = (SILENT_WITNESS_HOUR,)
    #: Silent Witness: send the three ``X-RateLimit-*`` headers of the older documentation
    rate_limit_headers: bool = False
    #: Silent Witness: send ``Retry-After`` with a 429
    retry_after: bool = False
    #: Silent Witness: refuse ``gender`` ``other``, as one of two newer pages does
    strict_gender: bool = False
    #: Silent Witness: demo data needs no photos and no EDR report
    demo_without_evidence: bool = False
    #: Silent Witness: ``biomechanics_only`` needs photos or an EDR report too
    biomechanics_only_needs_evidence: bool = True
    #: Silent Witness: name categories and vehicles in lists of files as the older documentation does
    older_file_list: bool = False
    #: MediaMagic: windows by bucket (``*`` is every bucket); the numbers are not published
    mediamagic_limits: dict[str, tuple[Limit, ...]] = field(default_factory=dict)
    #: MediaMagic: container of the issue list, ``array`` or ``object``; it is not documented
    issues_container: str = "array"
    #: MediaMagic: ``retry.max_customer_attempts``; the number is not published
    max_asset_retries: int = 3
    #: MediaMagic: vendor seconds after a retry in which a submission is shown as it was before
    stale_status: float = 0.0
    #: MediaMagic: subscriptions of one workspace; the number is not published
    max_webhook_subscriptions: int = 10
    #: MediaMagic: container of the subscription list, ``array`` or ``object``; it is not documented
    subscriptions_container: str = "array"
    #: MediaMagic: accept ``http`` for endpoints on loopback, where the receivers of tests are
    http_webhooks_on_loopback: bool = True
    #: MediaMagic: vendor seconds from a failed delivery to the next; the schedule is not published
    webhook_retry_delays: tuple[float, ...] = (5, 30, 120, 600, 1800)
    #: MediaMagic: real seconds that an endpoint has to answer; the number is not published
    webhook_timeout: float = 15.0

    def change(self, changes: dict[str, Any]) -> None:
        """Apply switches as the control API writes them.

        :raises ValueError: unknown name, or a value of the wrong kind.
        """
        kinds = {one.name: one.type for one in fields(self)}
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"unknown setting {name!r}, one of {', '.join(sorted(kinds))}")
            setattr(self, name, _checked(name, value, getattr(self, name)))

    def for_mediamagic(self, bucket: str, own: dict[str, tuple[Limit, ...]]) -> tuple[Limit, ...]:
        """Windows of one bucket; those of the key itself win."""
        for limits in (own, self.mediamagic_limits):
            if bucket in limits:
                return limits[bucket]
            if "*" in limits:
                return limits["*"]
        return ()


def silent_witness_limits(value: Any) -> tuple[Limit, ...]:
    """``hour``, ``minute``, ``both``, ``off``, ``"100/60"`` or a list of such pairs."""
    if isinstance(value, str) and value in NAMED_LIMITS:
        return NAMED_LIMITS[value]
    return parse_limits(value).get("*", ())


def mediamagic_limits(value: Any) -> dict[str, tuple[Limit, ...]]:
    """``"100/60"`` for each bucket, or a dict of bucket to that."""
    limits = {} if value == "off" else parse_limits(value)
    for bucket in limits:
        if bucket != "*" and bucket not in MEDIAMAGIC_BUCKETS:
            raise ValueError(f"unknown bucket {bucket!r}, one of {', '.join(MEDIAMAGIC_BUCKETS)}")
    return limits


def _checked(name: str, value: Any, current: Any) -> Any:
    if name == "silent_witness_limits":
        return silent_witness_limits(value)
    if name == "mediamagic_limits":
        return mediamagic_limits(value)
    if name in ("issues_container", "subscriptions_container") and value not in ("array", "object"):
        raise ValueError(f"{name} is 'array' or 'object'")
    if name == "list_order" and value not in ("newest", "oldest"):
        raise ValueError(f"{name} is 'newest' or 'oldest'")
    if name == "webhook_retry_delays":
        return tuple(_seconds(name, one) for one in value)
    if name == "webhook_timeout":
        return _seconds(name, value)
    if type(current) is float and type(value) is int:
        return float(value)
    if type(value) is not type(current):
        raise ValueError(f"{name} is a {type(current).__name__}, not {value!r}")
    return value


def _seconds(name: str, value: Any) -> float:
    seconds = float(value)
    if not seconds > 0:
        raise ValueError(f"{name}: seconds are more than 0, not {value!r}")
    return seconds
