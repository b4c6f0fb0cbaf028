"""``verify``: every check of a migration, and the proof that the cutover asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.indices import count_documents, refresh_index
from opensearch_funnel.engine.scanning import StoredDocument, shard_bounds
from opensearch_funnel.engine.source_bytes import decoded_source
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration, update_migration
from opensearch_funnel.migrating.operating import workers_at_work
from opensearch_funnel.migrating.verifying.coverage import Expected, faults_of
from opensearch_funnel.migrating.verifying.documents import Comparison, compare_documents
from opensearch_funnel.migrating.verifying.probes import ProbeQuery
from opensearch_funnel.migrating.verifying.rankings import Qrels, Wanted, compare_rankings
from opensearch_funnel.migrating.verifying.report import Check, Named, VerifyReport, listed
from opensearch_funnel.migrating.verifying.schema import check_schema
from opensearch_funnel.migrating.verifying.searchable import (
    Sample,
    without_indexed_terms,
    without_indexed_vector,
)

_WANTED = Wanted()
_FEW, _SMALL_SHARE = 1000, 0.05
"""What workers may have left to copy for the copy to count as finished."""
_LOOK_S, _AGAIN_S = 5.0, 0.2


def verify(  # noqa: PLR0913 - what is asked for
    client: OpenSearch,
    migration: Migration,
    *,
    queries: Sequence[ProbeQuery] | None = None,
    qrels: Qrels | None = None,
    wanted: Wanted = _WANTED,
    progress: Progress = SILENT,
) -> VerifyReport:
    """Compare source and target, and write the outcome into the migration's log.

    Changes neither index. Writers and workers may be at work: what is compared are the operations
    that the journal says are copied, and documents that change meanwhile are counted, not judged.

    Args:
        client: made by ``connect``.
        migration: which one; it must have been run.
        queries: searches whose answers are compared.
        qrels: judgments of some of them, query id → document id → grade.
        wanted: how alike the answers have to be.
        progress: told of every document and query.

    Raises:
        InputError: there is nothing to compare yet, or it is too late.
        EngineError: a shard did not answer.
    """
    start = time.monotonic()
    _refuse(migration)
    source, target = migration.source, migration.target
    done = Journal(client, target=target).done()
    bounds = shard_bounds(client, source)
    target_bounds = shard_bounds(client, target)
    refresh_index(client, index=target)
    upto = {shard: min(done.get(shard, -1), bound) for shard, bound in bounds.items()}
    coverage = _Coverage(Expected.of(migration))
    found = compare_documents(
        client,
        migration,
        after={},
        upto=upto,
        inspect=coverage.inspect,
        progress=progress,
        total=count_documents(client, index=source),
    )
    checks = [
        _copied(client, migration, bounds=bounds, documents=found.documents),
        _counts(client, migration, found),
        _documents(found),
        *check_schema(client, migration),
        coverage.check(),
        coverage.searchable(client, index=target),
    ]
    if queries is not None:
        checks += compare_rankings(
            client,
            queries,
            source=source,
            target=target,
            wanted=wanted,
            qrels=qrels,
            progress=progress,
        )
    report = VerifyReport(
        alias=migration.alias,
        source=source,
        target=target,
        target_uuid=migration.target_uuid,
        checks=tuple(checks),
        bounds=upto,
        target_bounds=target_bounds,
        documents=found.documents,
        in_motion=found.in_motion,
        seconds=time.monotonic() - start,
    )
    update_migration(client, migration.alias, report.logged_in)
    return report


def _refuse(migration: Migration) -> None:
    alias = migration.alias
    if migration.phase == "planned" or not migration.target_uuid:
        raise InputError(f"nothing of {alias} was copied yet: funnel migrate run {alias}")
    if migration.phase not in {"copying", "cutting_over"}:
        raise InputError(
            f"the migration of {alias} is {migration.phase}: source and target go ways of their "
            "own since clients moved, and there is nothing left to prove"
        )


def _copied(
    client: OpenSearch, migration: Migration, *, bounds: dict[int, int], documents: int
) -> Check:
    """See that the copy is finished, but for what workers are at right now.

    The cutover copies and compares the rest; a copy that stopped half way is another thing.
    """
    most = max(_FEW, documents * _SMALL_SHARE)
    until = time.monotonic() + _LOOK_S
    while True:
        left = _left(client, migration, bounds=bounds)
        workers = workers_at_work(client, migration)
        passed = left == 0 or bool(workers and left <= most)
        # A worker writes down what there is to do before it takes it up.
        if passed or left > most or time.monotonic() > until:
            break
        time.sleep(_AGAIN_S)
    at_it = f"; {' and '.join(workers)} is at it" if workers else ""
    return Check(
        name="copied",
        passed=passed,
        summary=(
            "everything that was to be copied is copied"
            if left == 0
            else f"{left:,} operations are not copied yet{at_it}"
            + ("" if passed else f": funnel migrate run {migration.alias}")
        ),
        details={"operations_left": left, "workers": workers},
    )


def _left(client: OpenSearch, migration: Migration, *, bounds: dict[int, int]) -> int:
    slices = Journal(client, target=migration.target).slices()
    reached = {one.shard for one in slices}
    left = sum(one.upto - one.done for one in slices)
    return left + sum(bound + 1 for shard, bound in bounds.items() if shard not in reached)


def _counts(client: OpenSearch, migration: Migration, found: Comparison) -> Check:
    in_source = count_documents(client, index=migration.source)
    in_target = count_documents(client, index=migration.target)
    apart = abs(found.documents - found.copies)
    return Check(
        name="counts",
        passed=apart <= found.in_motion,
        summary=(
            f"{found.documents:,} documents in the source and {found.copies:,} in the target up "
            f"to the bounds, {found.in_motion:,} in motion; {in_source:,} and {in_target:,} in all"
        ),
        details={
            "source": found.documents,
            "target": found.copies,
            "in_motion": found.in_motion,
            "source_in_all": in_source,
            "target_in_all": in_target,
        },
    )


def _documents(found: Comparison) -> Check:
    faults, details = listed(found.faults)
    compared = f"{found.alike:,} of {found.slices:,} slices have the same hash"
    return Check(
        name="documents",
        passed=found.equal,
        summary=faults or f"id, routing and _source of every document are equal ({compared})",
        details={"slices": found.slices, "slices_alike": found.alike, "faults": details},
    )


@dataclass(slots=True)
class _Coverage:
    """The object ``funnel`` of every document that the walk meets."""

    expected: Expected
    inspected: int = 0
    with_text: int = 0
    faults: dict[str, Named] = field(default_factory=dict)
    sample: Sample = field(default_factory=Sample)

    def inspect(self, document: StoredDocument) -> None:
        """Look at one document of the target."""
        source = decoded_source(document.source)
        self.inspected += 1
        for fault in faults_of(source, doc_id=document.doc_id, expected=self.expected):
            self.faults.setdefault(fault, Named()).add(document.doc_id)
        made = source.get("funnel")
        weights = made.get(self.expected.sparse) if isinstance(made, dict) else None
        if isinstance(weights, dict) and weights:
            self.with_text += 1
            self.sample.add(document.doc_id, document.routing, weights)

    def check(self) -> Check:
        """Say what is wrong with the fields that were made."""
        faults, details = listed(self.faults)
        right = (
            f"all {self.inspected:,} documents have the fields that the migration's models make "
            "of their text"
        )
        return Check(
            name="coverage",
            passed=not faults,
            summary=faults or right,
            details={"documents": self.inspected, "faults": details},
        )

    def searchable(self, client: OpenSearch, *, index: str) -> Check:
        """Say whether what is stored is found, too."""
        lost: dict[str, Named] = {}
        asked = []
        if self.expected.dense:
            lost["not found in the dense field"] = without_indexed_vector(
                client, index=index, expected=self.expected
            )
            asked.append("every vector")
        if self.expected.sparse:
            lost["not found by a term of their own"] = without_indexed_terms(
                client, index=index, sparse_field=self.expected.sparse, sample=self.sample
            )
            asked.append(f"the terms of {len(self.sample.kept):,} documents")
        faults, details = listed(lost)
        return Check(
            name="searchable",
            passed=not faults,
            summary=faults or f"found by a search: {' and '.join(asked)}",
            details={"probed": len(self.sample.kept), "faults": details},
        )
