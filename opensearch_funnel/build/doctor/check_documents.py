"""Are an index's documents encoded, by the models that its searches use?"""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.indices import Coverage, Index
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import not_read
from opensearch_funnel.core.plan import FunnelPlan


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
            fix=_repair(case, index, coverage),
        )


def _repair(case: Case, index: Index, coverage: Coverage) -> str:
    """Return the command that encodes what is not encoded, as the plan wants it."""
    aliases = () if isinstance(index.aliases, Unread) else index.aliases
    shared = any(one.name == index.alias and one.others for one in aliases)
    arguments = ["migrate", "repair", index.name if shared else index.alias]
    pipeline = case.facts.pipeline_of(index)
    if pipeline is not None and not isinstance(pipeline.plan, Unread):
        plan = pipeline.plan
        said = tuple(index.funnel_meta.get("text_fields") or FunnelPlan(alias="-").text_fields)
        if plan.text_fields != said:
            arguments += ["--fields", ",".join(plan.text_fields)]
        if plan.slot != "a":
            arguments += ["--slot", plan.slot]
    if not coverage.foreign and coverage.without_id <= coverage.unmarked:
        arguments.append("--pending-only")
    return case.fixes.funnel(*arguments)


def said_of(coverage: Coverage) -> list[str]:
    """Return what is wrong with an index's documents, in a few words each.

    Example:
        >>> said_of(Coverage(documents=9, ready=8, pending=1, without_id=0, foreign=0))
        ['1 pending: found by their words alone']
        >>> said_of(Coverage(documents=9, ready=9, pending=0, without_id=0, foreign=0))
        []
    """
    keyless = coverage.without_id if coverage.unmarked == 0 else 0
    counted = (
        (coverage.pending, "pending: found by their words alone"),
        (coverage.unmarked, "never encoded: found by their words alone"),
        (keyless, "without funnel.id: never reranked"),
        (coverage.foreign, "encoded by other models than the plan's"),
    )
    return [f"{many} {what}" for many, what in counted if many > 0]
