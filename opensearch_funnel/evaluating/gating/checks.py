"""What a gate found: checks that passed, failed or were not judged, with a sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not judged", "shown"]
"""``not judged``: a limit is set and could not be applied; ``shown``: a figure without a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is, for example ``hybrid nDCG@10``.
        outcome: ``failed`` alone closes the gate.
        finding: what was seen, without a full stop.
        advice: what to do about a failure; empty for the others.
        cells: the same as figures, one for each column of the gate behind the first.
        figures: the same for programs.
    """

    name: str
    outcome: Outcome
    finding: str
    advice: str = ""
    cells: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the check in one line.

        Example:
            >>> Check(name="bm25 p50", outcome="failed", finding="grew", advice="look").line()
            'failed: bm25 p50 grew; look'
        """
        return f"{self.outcome}: {self.name} {self.finding}" + (self.advice and f"; {self.advice}")

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of it."""
        plain: dict[str, Any] = {
            "check": self.name,
            "outcome": self.outcome,
            "finding": self.finding,
        }
        return {**plain, **({"advice": self.advice} if self.advice else {}), **self.figures}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """All checks of one call.

    Attributes:
        title: what was checked, in a few words.
        columns: names of the figures that the checks' cells are.
        checks: in the order in which they are shown.
        warnings: what makes the checks say less than they seem to, a sentence each.
        notes: what else a reader should know, a sentence each.
        figures: more for programs.
    """

    title: str
    columns: Sequence[str]
    checks: Sequence[Check]
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> list[Check]:
        """The checks that close the gate."""
        return [check for check in self.checks if check.outcome == "failed"]

    @property
    def passed(self) -> bool:
        """Whether the gate is open: nothing failed, and something was judged."""
        return not self.failed and any(check.outcome == "passed" for check in self.checks)

    @property
    def verdict(self) -> str:
        """Say in a few words how many checks passed.

        Example:
            >>> one = Check(name="a", outcome="passed", finding="is well")
            >>> Gate(title="t", columns=(), checks=[one]).verdict
            'passed: 1 of 1 checks'
            >>> Gate(title="t", columns=(), checks=[]).verdict
            'failed: nothing was judged'
        """
        if not self.passed and not self.failed:
            return "failed: nothing was judged"
        word: Outcome = "passed" if self.passed else "failed"
        counts = Counter(check.outcome for check in self.checks)
        limited = len(self.checks) - counts["shown"]
        rest = f", {counts['not judged']} not judged" if counts["not judged"] else ""
        return f"{word}: {counts[word]} of {limited} checks{rest}"

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints."""
        return {
            "passed": self.passed,
            "verdict": self.verdict,
            "checks": [check.to_json() for check in self.checks],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            **self.figures,
        }
