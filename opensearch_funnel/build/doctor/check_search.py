"""Does a search come back as the funnel's, and which ones cannot?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding, is_bad
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import after, not_read
from opensearch_funnel.engine.covering import SCROLL_NOTE

_EXPLAINING = ("settings", "pipeline", "plan", "service", "index", "documents", "rights", "state")


def check_searches(case: Case, *, found: Sequence[Finding]) -> Iterator[Finding]:
    """Look what came of a search through each pipeline.

    Args:
        case: what was gathered.
        found: what was found before: where that explains a plain answer, it is not said twice.
    """
    for pipeline in case.facts.pipelines:
        name, probe = "search.upgraded", case.facts.probes[pipeline.name]
        index = case.facts.index_of(pipeline)
        subjects = (pipeline.name, pipeline.applied.service_url, str(pipeline.index))
        bad = probe.failed is not None or probe.degraded or probe.shards_failed > 0
        first = is_bad(found, *_EXPLAINING, subjects=subjects)
        if first and (bad or probe.skipped):
            yield after(name, first, subject=pipeline.name)
        elif probe.skipped:
            told = f"not looked at: {probe.skipped}"
            yield Finding(check=name, level="skipped", finding=told, subject=pipeline.name)
        elif probe.failed is not None and probe.failed.rights:
            yield not_read(
                name, probe.failed, fixes=case.fixes, subject=pipeline.name, index=pipeline.alias
            )
        elif probe.failed is not None:
            yield Finding(
                check=name,
                level="error",
                subject=pipeline.name,
                finding=f"a search through {pipeline.name} fails: {probe.failed.why}",
                fix=_off(case, pipeline.index),
                advice="that turns the funnel off for the index until it is understood",
            )
        elif probe.shards_failed:
            yield Finding(
                check=name,
                level="error",
                subject=pipeline.name,
                finding=f"{probe.shards_failed} shards fail in a search through {pipeline.name}: "
                "their hits are missing",
                fix=_off(case, pipeline.index),
                advice="that turns the funnel off for the index until it is understood",
            )
        elif probe.degraded:
            yield Finding(
                check=name,
                level="warning",
                subject=pipeline.name,
                finding=f"a search through {pipeline.name} came back without one of its stages",
                fix=f"curl -fsS {pipeline.applied.service_url}/metrics",
                advice="funnel_degraded_total says which and why; the log of funnel serve has a "
                "line for each",
            )
        else:
            told = "a search comes back with every stage"
            yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
        if index is not None and index.default == pipeline.name:
            yield Finding(
                check="search.scrolls", level="ok", finding=SCROLL_NOTE, subject=pipeline.name
            )


def _off(case: Case, index: str | Unread) -> str:
    if isinstance(index, Unread):
        return ""
    return case.fixes.index_settings(index, {"index.search.default_pipeline": None})
