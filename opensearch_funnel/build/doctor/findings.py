"""What a check says: one finding, and how it is put right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Level = Literal["ok", "skipped", "warning", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)
_BAD: frozenset[Level] = frozenset({"warning", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found about one thing.

    Attributes:
        check: the check's name, which stays the same from version to version.
        subject: what was looked at, where there are several: an index, a pipeline, an address.
        level: ``error`` is broken now or at the next restart, ``warning`` is worth a look, and
            ``skipped`` could not be looked at.
        finding: what was found, in one line.
        fix: a command for a shell that puts it right; empty where none can, or nothing has to be.
        advice: what a person has to know or do besides; one line.
    """

    check: str
    level: Level
    finding: str
    subject: str = ""
    fix: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found."""

    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[Level, int]:
        """How many findings there are of each level."""
        found = Counter(finding.level for finding in self.findings)
        return {level: found[level] for level in LEVELS}

    def failed(self, *, strict: bool = False) -> bool:
        """Say whether something is wrong.

        Args:
            strict: take warnings for errors.

        Example:
            >>> report = Report((Finding(check="c", level="warning", finding="w"),))
            >>> report.failed(), report.failed(strict=True)
            (False, True)
        """
        counts = self.counts
        return counts["error"] > 0 or (strict and counts["warning"] > 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {
            "counts": dict(self.counts),
            "findings": [asdict(finding) for finding in self.findings],
        }


def is_bad(findings: Iterable[Finding], *checks: str, subjects: Sequence[str] = ()) -> str:
    """Return the first of some checks that found something wrong; empty where none did.

    Args:
        findings: what was found so far.
        checks: names of checks, or of groups of them (``settings`` for all ``settings.…``).
        subjects: look at what was found about these alone, and about nothing in particular.

    Example:
        >>> found = [Finding(check="a.b", level="error", finding="e", subject="films")]
        >>> is_bad(found, "a"), is_bad(found, "a.b", subjects=["news"]), is_bad(found, "b")
        ('a.b', '', '')
    """
    for finding in findings:
        named = any(finding.check == one or finding.check.startswith(f"{one}.") for one in checks)
        meant = not subjects or not finding.subject or finding.subject in subjects
        if named and meant and finding.level in _BAD:
            return finding.check
    return ""
