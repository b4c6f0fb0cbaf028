"""What a plan would make of a file of a user's own searches; nothing is sent but one question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from opensearchpy import OpenSearch

from opensearch_funnel.build.plans import open_encoders
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.documents.searches import SearchFormat, read_searches
from opensearch_funnel.engine.previews import Outcome, Preview, body_diff, preview
from opensearch_funnel.engine.queries import multi_match
from opensearch_funnel.settings import Settings

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedSearch:
    """One search of the file and what becomes of it.

    Attributes:
        line: where it is first in the file.
        times: how many lines hold it.
        found: what the pipeline makes of it.
    """

    line: int
    times: int
    found: Preview

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--output json`` prints it."""
        found = self.found
        return {
            "line": self.line,
            "times": self.times,
            "outcome": found.outcome.replace(" ", "_"),
            "reason": found.reason or None,
            "before": found.before,
            "after": found.after,
            "diff": body_diff(found),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReport:
    """What becomes of the searches of a file.

    Attributes:
        plan: the plan that would upgrade them.
        path: the file.
        format: what it was read as.
        encoded: whether the vectors are real.
        searches: every different one.
        other_lines: lines of a log that are about something else.
    """

    plan: FunnelPlan
    path: Path
    format: SearchFormat
    encoded: bool
    searches: Sequence[PreviewedSearch]
    other_lines: int

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many different searches have each outcome."""
        counts = Counter(one.found.outcome for one in self.searches)
        return {outcome: counts[outcome] for outcome in _OUTCOMES}

    @property
    def upgraded(self) -> int:
        """How many different searches would be upgraded."""
        return len(self.searches) - self.outcomes["untouched"]

    @property
    def lines(self) -> int:
        """How many lines of the file hold a search."""
        return sum(one.times for one in self.searches)

    @property
    def upgraded_lines(self) -> int:
        """How many of these would be upgraded."""
        return sum(one.times for one in self.searches if one.found.outcome != "untouched")

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why searches pass as they came, and how many; the most frequent reason first."""
        counts = Counter(one.found.reason for one in self.searches if one.found.reason)
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``--output json`` prints it."""
        return {
            "plan_id": self.plan.plan_id,
            "plan": self.plan.to_dict(),
            "file": str(self.path),
            "format": self.format,
            "encoded": self.encoded,
            "searches": [one.to_json() for one in self.searches],
            "summary": {
                "searches": len(self.searches),
                "upgraded": self.upgraded,
                "upgraded_share": round(self.upgraded / len(self.searches), 4),
                "lines": self.lines,
                "upgraded_lines": self.upgraded_lines,
                "other_lines": self.other_lines,
                "outcomes": {name.replace(" ", "_"): n for name, n in self.outcomes.items()},
                "reasons": dict(self.reasons),
            },
        }


def preview_file(  # noqa: PLR0913 - the parts of one call
    client: OpenSearch,
    path: Path,
    *,
    plan: FunnelPlan,
    settings: Settings,
    encode: bool = False,
    progress: Progress = SILENT,
) -> PreviewReport:
    """Say of each search in a file what the pipeline of a plan would make of it.

    The service is not asked, and nothing is changed. The cluster is asked for a mapping only.

    Args:
        client: the cluster.
        path: a file of searches (``documents.searches``); plain texts are searched by
            ``multi_match`` in the plan's text fields.
        plan: a plan that is bound to its index.
        settings: where the models are.
        encode: load the plan's query encoders and show what they give; otherwise vectors are
            placeholders, and no model is loaded.
        progress: hears of models that are fetched.

    Raises:
        InputError: the file cannot be read; says which line.
        ModelError: a model cannot be opened.
    """
    read = read_searches(
        path, as_body=lambda text: {"query": multi_match(text, fields=plan.text_fields)}
    )
    models: PlanModels | None = None
    if encode:
        models = open_encoders(plan, settings=settings, progress=progress)
    become = partial(preview, plan=plan, models=models, dimension=_dimension(client, plan))
    return PreviewReport(
        plan=plan,
        path=path,
        format=read.format,
        encoded=encode,
        searches=[
            PreviewedSearch(line=one.line, times=one.times, found=become(one.body))
            for one in read.searches
        ],
        other_lines=read.other_lines,
    )


def _dimension(client: OpenSearch, plan: FunnelPlan) -> int:
    """Return how many numbers a vector of the plan's index has; 0 without a dense leg."""
    found = client.indices.get_mapping(index=plan.alias)
    field = plan.dense_field.partition(".")[2]
    for one in found.values():
        funnel = one["mappings"].get("properties", {}).get("funnel", {}).get("properties", {})
        if field in funnel:
            return int(funnel[field]["dimension"])
    return 0
