"""Attractiveness into grades: by how often a document attracts, compared with the mean."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.model import JudgedQuery, Judgments, made_id
from opensearch_funnel.evaluating.labelling.click_log import Shown
from opensearch_funnel.evaluating.labelling.click_model import ClickModel

CUTS = (0.5, 1.0, 2.0)
"""Half the mean, the mean, twice the mean: grades 0 to 3. Only ratios mean something here."""
MIN_VIEWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One pair of query and document.

    Attributes:
        query: as it was typed most.
        doc_id: the document.
        views: in how many searches it was shown.
        clicks: in how many of these it was clicked.
        attractiveness: without the bias of the places; it has no scale of its own.
        ratio: the same over its mean.
        grade: how many of the cuts the ratio reaches.
    """

    query: str
    doc_id: str
    views: int
    clicks: int
    attractiveness: float
    ratio: float
    grade: int


@dataclass(frozen=True, slots=True)
class ClickGrades:
    """Estimates by query and document, and what was left out."""

    estimates: tuple[Estimate, ...]
    findings: tuple[Finding, ...]


def graded(
    shown: Sequence[Shown],
    model: ClickModel,
    *,
    min_views: int = MIN_VIEWS,
    cuts: Sequence[float] = CUTS,
) -> ClickGrades:
    """Grade every pair that was shown often enough.

    Args:
        shown: what the model was fitted to.
        model: the fit.
        min_views: below this a pair is not judged; it has helped to fit the model all the same.
        cuts: rising multiples of the mean attractiveness; a grade more from each on.

    Raises:
        InputError: the cuts do not rise, or no pair was shown often enough.
    """
    if not cuts or list(cuts) != sorted(set(cuts)) or cuts[0] <= 0:
        raise InputError("--cuts must be numbers above 0 that rise, such as 0.5,1,2")
    views: dict[tuple[str, str], int] = {}
    clicks: dict[tuple[str, str], int] = {}
    for one in shown:
        key = (one.query, one.doc_id)
        views[key] = views.get(key, 0) + one.views
        clicks[key] = clicks.get(key, 0) + one.clicks
    findings = Findings()
    estimates = []
    for key in sorted(views):
        if views[key] < min_views:
            findings.add(Kind.FEW_VIEWS, f"{views[key]} x document {key[1]!r} for {key[0]!r:.40}")
            continue
        ratio = model.attractiveness[key] / model.mean
        estimates.append(
            Estimate(
                query=key[0],
                doc_id=key[1],
                views=views[key],
                clicks=clicks[key],
                attractiveness=model.attractiveness[key],
                ratio=ratio,
                grade=bisect_right(cuts, ratio),
            )
        )
    if not estimates:
        raise InputError(
            f"no document was shown {min_views} times for one query (the most is "
            f"{max(views.values(), default=0)}): gather more, or lower --min-views"
        )
    return ClickGrades(tuple(estimates), findings.all())


def as_judgments(estimates: Sequence[Estimate], *, description: str = "") -> Judgments:
    """Return estimates as judgments; the queries' ids are made of their texts."""
    grades: dict[str, dict[str, Decimal]] = {}
    for estimate in estimates:
        grades.setdefault(estimate.query, {})[estimate.doc_id] = Decimal(estimate.grade)
    queries = tuple(
        JudgedQuery(query_id=made_id(text), text=text, grades=found)
        for text, found in grades.items()
    )
    return Judgments(queries=queries, made_ids=True, description=description)
