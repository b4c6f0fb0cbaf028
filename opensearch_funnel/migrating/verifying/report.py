"""What a verification found, check by check, and how it is kept as a proof for the cutover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opensearch_funnel.migrating.migration import Migration

NAMED = 20
"""Most documents of one fault that are named; all are counted."""
VERIFIED = "verified"
"""The event under which a proof is in the migration's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question that was asked of source and target.

    Attributes:
        name: which question.
        passed: whether the answer is the one that is needed.
        summary: the answer, in one line.
        details: the numbers and names behind it.
    """

    name: str
    passed: bool
    summary: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Named:
    """How many documents have a fault, and the first of them by name."""

    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, doc_id: str) -> None:
        """Count one more document."""
        self.count += 1
        if len(self.ids) < NAMED:
            self.ids.append(doc_id)

    def __str__(self) -> str:
        more = f" and {self.count - len(self.ids):,} more" if self.count > len(self.ids) else ""
        return ", ".join(self.ids) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """Everything a verification found.

    Attributes:
        alias: whose migration.
        source: the index that was copied.
        target: the copy.
        target_uuid: what tells that copy from a later index of the same name.
        checks: each question and its answer.
        bounds: by source shard, the last operation that was compared.
        target_bounds: by target shard, its last operation when the comparison began.
        documents: of the source that were compared.
        in_motion: documents that changed meanwhile, and were not compared.
        seconds: how long it took.
    """

    alias: str
    source: str
    target: str
    target_uuid: str
    checks: tuple[Check, ...]
    bounds: dict[int, int]
    target_bounds: dict[int, int]
    documents: int
    in_motion: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check has passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> list[str]:
        """The names of the checks that have not."""
        return [check.name for check in self.checks if not check.passed]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "alias": self.alias,
            "source": self.source,
            "target": self.target,
            "passed": self.passed,
            "documents": self.documents,
            "in_motion": self.in_motion,
            "checks": [
                {
                    "name": check.name,
                    "passed": check.passed,
                    "summary": check.summary,
                    **check.details,
                }
                for check in self.checks
            ],
            "bounds": _by_text(self.bounds),
            "seconds": round(self.seconds, 3),
        }

    def logged_in(self, migration: Migration) -> Migration:
        """Return the migration with this proof, or the lack of it, in its log."""
        return migration.logged(
            VERIFIED,
            passed=self.passed,
            failed=self.failed,
            target_uuid=self.target_uuid,
            documents=self.documents,
            in_motion=self.in_motion,
            bounds=_by_text(self.bounds),
            target_bounds=_by_text(self.target_bounds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the last verification said, as far as the cutover needs it.

    Attributes:
        passed: whether it found source and target alike.
        failed: names of the checks that failed.
        at: when, in UTC.
        bounds: by source shard, the last operation that it holds for.
        target_bounds: by target shard, the last operation that was there.
    """

    passed: bool
    failed: tuple[str, ...]
    at: str
    bounds: dict[int, int]
    target_bounds: dict[int, int]


def last_proof(migration: Migration) -> Proof | None:
    """Return what the last verification of this very target said; ``None`` where none was made.

    Example:
        >>> from opensearch_funnel.migrating.migration import Snapshot
        >>> m = Migration(alias="a", source="s", source_uuid="u", target="t", target_uuid="v",
        ...               snapshot=Snapshot(mappings={}, settings={}, aliases={}),
        ...               text_fields=("text",), slots={})
        >>> last_proof(m) is None
        True
        >>> proof = last_proof(m.logged("verified", passed=True, failed=[], target_uuid="v",
        ...                             bounds={"0": 7}, target_bounds={"0": 9}))
        >>> proof.passed, proof.bounds
        (True, {0: 7})
    """
    for entry in reversed(migration.log):
        if entry["event"] == VERIFIED and entry["target_uuid"] == migration.target_uuid:
            return Proof(
                passed=entry["passed"],
                failed=tuple(entry["failed"]),
                at=entry["at"],
                bounds=by_shard(entry["bounds"]),
                target_bounds=by_shard(entry["target_bounds"]),
            )
    return None


def by_shard(numbers: Mapping[str, Any]) -> dict[int, int]:
    """Read numbers by shard out of a record, whose keys are texts."""
    return {int(shard): int(number) for shard, number in numbers.items()}


def listed(faults: Mapping[str, Named]) -> tuple[str, dict[str, Any]]:
    """Return what to say of faults, and the details; only those that occurred.

    Example:
        >>> lost = Named()
        >>> lost.add("7")
        >>> listed({"missing": lost, "extra": Named()})
        ('missing: 1 (7)', {'missing': {'count': 1, 'ids': ['7']}})
    """
    found = {name: fault for name, fault in faults.items() if fault.count}
    text = "; ".join(f"{name}: {fault.count:,} ({fault})" for name, fault in found.items())
    return text, {name: {"count": f.count, "ids": list(f.ids)} for name, f in found.items()}


def _by_text(numbers: Mapping[int, int]) -> dict[str, int]:
    return {str(shard): number for shard, number in sorted(numbers.items())}
