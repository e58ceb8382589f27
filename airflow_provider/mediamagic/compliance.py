"""
Compliance policy: which issues of a review block its media.

Pure: no Airflow, no HTTP. ``MediaMagicComplianceGateOperator`` asks it inside a Dag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any
from unicodedata import normalize

from airflow_provider.core.text import clean
from airflow_provider.exceptions import InvalidInputError

SEVERITIES = ("CRITICAL", "MAJOR", "MINOR", "INFO")
"""The vendor's severities, worst first."""

STATUSES = ("OPEN", "ACKNOWLEDGED", "AWAITING_HUMAN_INPUT", "RESOLVED", "DISMISSED")
"""The vendor's issue statuses."""

UNSETTLED = ("OPEN", "ACKNOWLEDGED", "AWAITING_HUMAN_INPUT")

LISTED = 50
"""Most blocking issues in a verdict: with their summaries cut it stays well below what XCom takes."""

SHOWN = 20
"""Most blocking issues in a message."""

SUMMARY_CHARACTERS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """
    One issue, with the asset that it was found in where that is known.

    No field of the vendor's says where in the media an issue is (not documented); ``reference_number`` is the
    order in which the vendor lists them.
    """

    id: str
    severity: str
    status: str
    rule_code: str
    summary: str
    reference_number: int | None = None
    asset_id: str | None = None
    filename: str | None = None

    @classmethod
    def of(
        cls, issue: Mapping[str, Any], *, asset_id: str | None = None, filename: str | None = None
    ) -> Issue:
        """
        Return an issue as the vendor sends it.

        :param issue: with ``id``, ``severity``, ``status``, ``ruleCode``, ``summary``, ``referenceNumber``.
        :param asset_id: the asset; the vendor's issues do not name their own.
        """
        number = str(issue.get("referenceNumber"))
        return cls(
            id=clean(issue.get("id")),
            severity=clean(issue.get("severity")).upper(),
            status=clean(issue.get("status")).upper(),
            rule_code=clean(issue.get("ruleCode")),
            summary=clean(issue.get("summary")),
            reference_number=int(number) if number.isdecimal() else None,
            asset_id=asset_id,
            filename=filename,
        )

    @property
    def asset(self) -> str:
        """What a person calls the asset; empty when it is not known."""
        return self.filename or self.asset_id or ""

    def line(self) -> str:
        """One line for a reviewer."""
        where = ", ".join(
            part
            for part in (self.asset, f"no. {self.reference_number}" if self.reference_number else "")
            if part
        )
        return clean(
            f"{self.severity or 'NO SEVERITY'} {self.rule_code or 'no rule'}"
            + (f" ({where})" if where else "")
            + f": {_cut(self.summary)} [{self.status or 'no status'}, {self.id}]"
        )

    def to_xcom(self) -> dict[str, Any]:
        """The issue in the vendor's field names, with its asset."""
        return {
            "id": self.id,
            "severity": self.severity,
            "status": self.status,
            "ruleCode": self.rule_code,
            "summary": _cut(self.summary),
            "referenceNumber": self.reference_number,
            "assetId": self.asset_id,
            "filename": self.filename,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a policy says to a list of issues.

    :param judged: how many issues it was given.
    :param counts: how many of them counted, by severity, worst first.
    :param blocking: the issues that block: worst severity first, then by asset, then by reference number.
    :param reasons: why they do, one entry per broken rule of the policy.
    """

    judged: int
    counts: Mapping[str, int]
    blocking: tuple[Issue, ...]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing blocks."""
        return not self.blocking

    def headline(self) -> str:
        """The verdict in one line, with the worst issue."""
        if self.passed:
            return self.message()
        worst = self.blocking[0]
        where = f" in {worst.asset}" if worst.asset else ""
        return clean(
            f"Blocked by {_issues(len(self.blocking))}: {'; '.join(self.reasons)}. Worst: "
            f"{worst.severity or 'NO SEVERITY'} {worst.rule_code or 'no rule'}{where}."
        )

    def message(self) -> str:
        """The verdict for a person, as plain text; ``core.text.markdown`` makes Markdown of it."""
        counted = ", ".join(f"{count} {severity}" for severity, count in self.counts.items())
        judged = f"{_issues(self.judged)} judged, {sum(self.counts.values())} counted" + (
            f" ({counted})" if counted else ""
        )
        if self.passed:
            return f"Passed: {judged}."
        lines = [f"Blocked by {_issues(len(self.blocking))}: {'; '.join(self.reasons)}. {judged}.", ""]
        lines += [f"- {issue.line()}" for issue in self.blocking[:SHOWN]]
        if len(self.blocking) > SHOWN:
            lines.append(f"- and {len(self.blocking) - SHOWN} more")
        return "\n".join(lines)

    def to_xcom(self) -> dict[str, Any]:
        """
        The verdict as small JSON.

        :return: ``passed``, ``judged``, ``counts``, ``reasons``, ``blockingCount``, ``blocking`` (the first
            50) and ``message``.
        """
        return {
            "passed": self.passed,
            "judged": self.judged,
            "counts": dict(self.counts),
            "reasons": list(self.reasons),
            "blockingCount": len(self.blocking),
            "blocking": [issue.to_xcom() for issue in self.blocking[:LISTED]],
            "message": self.message(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CompliancePolicy:
    """
    What may pass.

    In doubt it blocks: a severity that is not in the vendor's scale is worse than ``CRITICAL`` and nothing is
    allowed of it; a status that nobody knows counts.

    :param block_at: the mildest severity of which no issue may pass, default ``MAJOR``; ``None`` for no
        threshold, so that only ``allowed`` and what is insisted on block.
    :param allowed: how many issues of a severity may pass, all assets together, such as
        ``{"MAJOR": 2, "MINOR": 20}``. When there are more, all of that severity block.
    :param ignore_rules: rule codes that do not count, as a list; ``*`` and ``?`` are wildcards (``CAP_8.*``).
        What is insisted on counts all the same.
    :param insist_on_rules: rule codes of which every counting issue blocks, whatever its severity; wins over
        ``ignore_rules``.
    :param statuses: issue statuses that count, default ``OPEN``, ``ACKNOWLEDGED``, ``AWAITING_HUMAN_INPUT``.
    :param insist_on_statuses: statuses in which every issue of ``assets`` blocks, whatever its severity; wins
        over ``ignore_rules``. Default ``AWAITING_HUMAN_INPUT``: the review itself asks for a person. An empty
        list switches that off.
    :param assets: asset ids or file names that count, with wildcards; default all.
    :raises InvalidInputError: a value is wrong; the message names it.

    The severities and statuses are those of https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    block_at: str | None = "MAJOR"
    allowed: Mapping[str, int] | None = None
    ignore_rules: Sequence[str] = ()
    insist_on_rules: Sequence[str] = ()
    statuses: Sequence[str] = UNSETTLED
    insist_on_statuses: Sequence[str] = ("AWAITING_HUMAN_INPUT",)
    assets: Sequence[str] | None = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if self.block_at is not None:
            put("block_at", _word("block_at", self.block_at, SEVERITIES))
        put("allowed", _limits(self.allowed))
        for name in ("ignore_rules", "insist_on_rules"):
            put(name, _texts(name, getattr(self, name)))
        for name in ("statuses", "insist_on_statuses"):
            given = _texts(name, getattr(self, name))
            put(name, tuple(_word(name, status, STATUSES) for status in given))
        if not self.statuses:
            raise _wrong("statuses", "is empty, so that open issues would pass; leave it out for the default")
        if self.assets is not None:
            put("assets", _texts("assets", self.assets))
            if not self.assets:
                raise _wrong("assets", "is empty, so that nothing would be judged; leave it out for all")

    @classmethod
    def of(cls, value: Any) -> CompliancePolicy:
        """
        Return a policy, also of a mapping with its fields, as templates and Dag parameters give it.

        :raises InvalidInputError: neither, an unknown key, or a wrong value.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InvalidInputError(
                f"policy must be a CompliancePolicy or a mapping with its fields; got {value!r}.",
                parameter="policy",
            )
        known = [field.name for field in fields(cls)]
        for key in value:
            if key not in known:
                raise InvalidInputError(
                    f"policy: unknown key {key!r}; the keys are {', '.join(known)}.", parameter="policy"
                )
        return cls(**value)

    def covers(self, asset_id: str | None, filename: str | None) -> bool:
        """Tell whether what is found in an asset counts."""
        return self.assets is None or any(
            _matches(name, self.assets) for name in (asset_id, filename) if name
        )

    def judge(self, issues: Iterable[Issue]) -> Verdict:
        """
        Judge issues.

        :raises InvalidInputError: ``assets`` is set and an issue comes without its asset.
        """
        given = list(issues)
        counting = sorted((issue for issue in given if self._counts(issue)), key=_reviewers_order)
        counts = Counter(issue.severity for issue in counting)
        limits = {severity: self._limit(severity) for severity in counts}
        exceeded = {
            severity: limit
            for severity, limit in limits.items()
            if limit is not None and counts[severity] > limit
        }
        reasons: Counter[str] = Counter()
        blocking = []
        for issue in counting:
            why = self._why(issue, exceeded)
            reasons.update(why)
            if why:
                blocking.append(issue)
        return Verdict(
            judged=len(given),
            counts={severity or "NO SEVERITY": count for severity, count in counts.items()},
            blocking=tuple(blocking),
            reasons=tuple(f"{count} {reason}" for reason, count in reasons.items()),
        )

    def _counts(self, issue: Issue) -> bool:
        if self.assets is not None and not issue.asset:
            raise InvalidInputError(
                f"policy: assets is set, and nothing says which asset issue {issue.id} is of. Give "
                "asset_ids, or asset results or files of issues, which name it.",
                parameter="policy.assets",
            )
        if not self.covers(issue.asset_id, issue.filename):
            return False
        if issue.status in self.insist_on_statuses:
            return True
        unsettled = issue.status in self.statuses or issue.status not in STATUSES
        ignored = _matches(issue.rule_code, self.ignore_rules) and not self._insists_on_rule(issue)
        return unsettled and not ignored

    def _limit(self, severity: str) -> int | None:
        """How many may pass; ``None`` for any number."""
        if severity not in SEVERITIES:
            return 0
        if self.allowed and severity in self.allowed:
            return self.allowed[severity]
        if self.block_at is None or severity_rank(severity) > severity_rank(self.block_at):
            return None
        return 0

    def _why(self, issue: Issue, exceeded: Mapping[str, int]) -> list[str]:
        why = []
        if issue.severity in exceeded:
            known = (
                issue.severity if issue.severity in SEVERITIES else f"of unknown severity {issue.severity!r}"
            )
            why.append(f"{known} ({exceeded[issue.severity] or 'none'} allowed)")
        if self._insists_on_rule(issue):
            why.append(f"of rule {issue.rule_code} (insisted on)")
        if issue.status in self.insist_on_statuses:
            why.append(f"in status {issue.status} (insisted on)")
        return why

    def _insists_on_rule(self, issue: Issue) -> bool:
        return _matches(issue.rule_code, self.insist_on_rules)


def _reviewers_order(issue: Issue) -> tuple[Any, ...]:
    number = issue.reference_number
    return severity_rank(issue.severity), issue.asset, issue.asset_id or "", number is None, number or 0


def severity_rank(severity: str) -> int:
    """Return a number to sort severities by, worst first; an unknown one is the worst."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


def _matches(text: str, patterns: Iterable[str]) -> bool:
    # A name may itself hold what is a wildcard: spot[1].mp4. One system writes é as one character, another as
    # two; the patterns are in the first form.
    text = normalize("NFC", text)
    return any(text == pattern or fnmatchcase(text, pattern) for pattern in patterns)


def _issues(number: int) -> str:
    return "1 issue" if number == 1 else f"{number} issues"


def _cut(text: str) -> str:
    return text if len(text) <= SUMMARY_CHARACTERS else f"{text[: SUMMARY_CHARACTERS - 1]}…"


def _wrong(name: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"policy: {name} {problem}.", parameter=f"policy.{name}")


def _word(name: str, value: Any, allowed: Sequence[str]) -> str:
    word = str(value).strip().upper()
    if word not in allowed:
        raise _wrong(name, f"must be one of {', '.join(allowed)}; got {value!r}")
    return word


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise _wrong(name, f"must be a list; got {value!r}")
    for item in value:
        if not isinstance(item, str) or not item.strip():
            raise _wrong(name, f"must be a list of texts; got {item!r} in it")
    return tuple(normalize("NFC", item.strip()) for item in value)


def _limits(value: Any) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong("allowed", f"must be a mapping such as {{'MAJOR': 2}}; got {value!r}")
    limits = {}
    for severity, limit in value.items():
        # Templates turn numbers into text.
        if isinstance(limit, bool) or not isinstance(limit, int | str) or not str(limit).strip().isdecimal():
            raise _wrong("allowed", f"must give a whole number from 0 for {severity!r}; got {limit!r}")
        limits[_word("allowed", severity, SEVERITIES)] = int(limit)
    return limits
