"""Are an index's documents encoded, by the models that its searches use?"""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.indices import Coverage
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import not_read


def check_documents(case: Case) -> Iterator[Finding]:
    """Look how many documents of each encoded index have their funnel fields."""
    name = "documents.encoded"
    for index in case.facts.indices:
        coverage = index.coverage
        if isinstance(coverage, Unread):
            yield not_read(name, coverage, fixes=case.fixes, subject=index.name, index=index.name)
            continue
        if not index.is_encoded:
            continue
        wrong = said_of(coverage)
        share = f"{coverage.ready} of {coverage.documents} documents are ready"
        if not wrong:
            yield Finding(check=name, level="ok", finding=share, subject=index.name)
            continue
        none_ready = coverage.ready == 0 and coverage.documents > 0
        yield Finding(
            check=name,
            level="error" if none_ready else "warning",
            subject=index.name,
            finding=f"{share}; {'; '.join(wrong)}",
            fix=case.fixes.funnel("migrate", "repair", index.alias),
        )


def said_of(coverage: Coverage) -> list[str]:
    """Return what is wrong with an index's documents, in a few words each.

    Example:
        >>> said_of(Coverage(documents=9, ready=8, pending=1, without_id=0, foreign=0))
        ['1 pending: found by their words alone']
        >>> said_of(Coverage(documents=9, ready=9, pending=0, without_id=0, foreign=0))
        []
    """
    silent = coverage.documents - coverage.ready - coverage.pending
    counted = (
        (coverage.pending, "pending: found by their words alone"),
        (silent, "never encoded: found by their words alone"),
        (coverage.without_id if silent == 0 else 0, "without funnel.id: never reranked"),
        (coverage.foreign, "encoded by other models than the plan's"),
    )
    return [f"{many} {what}" for many, what in counted if many > 0]
