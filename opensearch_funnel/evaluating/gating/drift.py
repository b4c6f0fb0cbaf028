"""How far the terms that two versions of a sparse model give to documents lie apart.

An index holds what one model said of its documents. Asked by another, it answers as well as the two
agree; how well they do is measured on a sample of documents, without any judgment.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.documents.document import Document
from opensearch_funnel.encoders.opening import open_splade
from opensearch_funnel.evaluating.gating.checks import Check, Gate
from opensearch_funnel.evaluating.gating.named_models import NamedModel
from opensearch_funnel.evaluating.measures import Values, bootstrap_interval, mean

COLUMNS = ("documents", "old", "new", "value", "95 % interval")
TOP = 20
_MOVED = 10
_DIGITS = 6
Weights = Mapping[str, float]


def overlap(old: Weights, new: Weights) -> float:
    """Return the weighted Jaccard of two documents' terms: 1 for the same, 0 for none in common.

    The sum of the smaller weight of each term over that of the larger.

    Example:
        >>> overlap({"fox": 2.0, "red": 1.0}, {"fox": 1.0, "dog": 1.0})
        0.25
        >>> overlap({}, {})
        1.0
    """
    terms = old.keys() | new.keys()
    larger = sum(max(old.get(t, 0.0), new.get(t, 0.0)) for t in terms)
    smaller = sum(min(old.get(t, 0.0), new.get(t, 0.0)) for t in terms)
    return smaller / larger if larger else 1.0


def top_kept(old: Weights, new: Weights, *, top: int = TOP) -> float:
    """Return the share of a document's heaviest terms that stay among its heaviest.

    Example:
        >>> top_kept({"a": 3.0, "b": 2.0, "c": 1.0}, {"b": 5.0, "c": 4.0, "a": 1.0}, top=2)
        0.5
    """
    heaviest = _heaviest(old, top=top)
    return len(heaviest & _heaviest(new, top=top)) / len(heaviest) if heaviest else 1.0


def _heaviest(weights: Weights, *, top: int) -> set[str]:
    return set(heapq.nsmallest(top, weights, key=lambda term: (-weights[term], term)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A term whose weight changed: means over all documents of the sample."""

    term: str
    old: float
    new: float


def moved_terms(
    old: Sequence[Weights], new: Sequence[Weights], *, most: int = _MOVED
) -> list[Moved]:
    """Return the terms whose mean weight over all documents changed most.

    Example:
        >>> moved_terms([{"a": 1.0}, {}], [{"a": 1.0, "b": 3.0}, {"b": 1.0}], most=1)
        [Moved(term='b', old=0.0, new=2.0)]
    """
    before, after = _totals(old), _totals(new)
    terms = sorted(before.keys() | after.keys(), key=lambda t: (-abs(after[t] - before[t]), t))
    count = max(len(old), 1)
    return [Moved(term=t, old=before[t] / count, new=after[t] / count) for t in terms[:most]]


def _totals(rows: Sequence[Weights]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for row in rows:
        totals.update(row)
    return totals


def sampled_texts(
    documents: Iterable[Document],
    count: int,
    *,
    seed: int = 0,
    fields: Sequence[str] = ("title", "text"),
) -> dict[str, str]:
    """Return the texts of some documents, the same ones every time.

    Documents are drawn by a hash of seed and id, so that a few that come or go leave the rest
    of the sample as it is.

    Args:
        documents: where to draw from.
        count: at most so many.
        seed: which ones.
        fields: what a model reads of them.
    """

    def drawn(doc_id: str) -> bytes:
        return sha256(f"{seed}:{doc_id}".encode("utf-8", "surrogatepass")).digest()

    chosen = heapq.nsmallest(count, documents, key=lambda one: drawn(one.doc_id))
    return {one.doc_id: encoded_text(one.source, fields=fields) for one in chosen}


def judge_drift(  # noqa: PLR0913 - two models, what they read, and what may differ
    old: NamedModel,
    new: NamedModel,
    texts: Mapping[str, str],
    *,
    at_least: float = 0.8,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> Gate:
    """Encode documents with both models and compare their terms.

    Args:
        old: the model that encoded the index.
        new: the one that is to take its place.
        texts: of documents, by id.
        at_least: the mean weighted Jaccard that passes.
        threads: cores of one run.
        progress: hears of the documents.

    Raises:
        InputError: the two are the same model in the same precision, or there is no document.
        ModelError: one is no sparse model.
    """
    if old.fingerprint == new.fingerprint:
        raise InputError(f"{old.name} and {new.name} give the same numbers: name two models")
    if not texts:
        raise InputError("there are no documents to encode")
    rows = []
    for one in (old, new):
        encoder = open_splade(
            one.manifest, precision=one.precision, threads=threads, progress=progress
        )
        rows.append(encoder.encode_documents(list(texts.values()), progress=progress))
    before, after = rows
    terms = dict(zip(texts, zip(before, after, strict=True), strict=True))
    return drift_of(old.name, new.name, terms, at_least=at_least)


def drift_of(
    old: str, new: str, terms: Mapping[str, tuple[Weights, Weights]], *, at_least: float
) -> Gate:
    """Compare the terms that two models gave to the same documents.

    Args:
        old: the name of the first.
        new: the name of the second.
        terms: by document, those of the first and those of the second.
        at_least: the mean weighted Jaccard that passes.
    """
    jaccard = {doc: overlap(a, b) for doc, (a, b) in terms.items()}
    kept = {doc: top_kept(a, b) for doc, (a, b) in terms.items()}
    found = mean(jaccard)
    passed = found >= at_least
    advice = (
        f"do not search with {new} what {old} encoded: encode it into a second slot "
        "(docs/change-the-model.md)"
    )
    checks = [
        Check(
            name="weighted Jaccard",
            outcome="passed" if passed else "failed",
            finding=f"is {found:.4f}, where {at_least:g} or more is asked for",
            advice="" if passed else advice,
            cells=_cells(jaccard),
            figures=_figures(jaccard),
        ),
        _shown(f"top {TOP} terms kept", kept),
        _change("terms of a document", {d: (len(a), len(b)) for d, (a, b) in terms.items()}),
        _change(
            "weight of a document",
            {d: (sum(a.values()), sum(b.values())) for d, (a, b) in terms.items()},
        ),
    ]
    moved = moved_terms([a for a, _ in terms.values()], [b for _, b in terms.values()])
    return Gate(
        title=f"{new} against {old}: terms of {len(terms):,} documents",
        columns=COLUMNS,
        checks=checks,
        notes=["terms that moved most, mean weight a document: " + ", ".join(map(_told, moved))],
        figures={
            "old": old,
            "new": new,
            "documents": len(terms),
            "at_least": at_least,
            "moved": [
                {"term": m.term, "old": round(m.old, _DIGITS), "new": round(m.new, _DIGITS)}
                for m in moved
            ],
        },
    )


def _shown(name: str, values: Values) -> Check:
    return Check(
        name=name,
        outcome="shown",
        finding=f"is {mean(values):.4f}",
        cells=_cells(values),
        figures=_figures(values),
    )


def _change(name: str, pairs: Mapping[str, tuple[float, float]]) -> Check:
    """Show what one document has on average of both, and the difference."""
    old, new = ({doc: pair[side] for doc, pair in pairs.items()} for side in (0, 1))
    changes = {doc: b - a for doc, (a, b) in pairs.items()}
    low, high = bootstrap_interval(changes)
    return Check(
        name=name,
        outcome="shown",
        finding=f"went from {mean(old):.2f} to {mean(new):.2f}",
        cells=(
            f"{len(changes):,}",
            f"{mean(old):.2f}",
            f"{mean(new):.2f}",
            f"{mean(changes):+.2f}",
            f"{low:+.2f} to {high:+.2f}",
        ),
        figures={
            "old": round(mean(old), _DIGITS),
            "new": round(mean(new), _DIGITS),
            **_figures(changes),
        },
    )


def _cells(values: Values) -> tuple[str, ...]:
    low, high = bootstrap_interval(values)
    return (f"{len(values):,}", "", "", f"{mean(values):.4f}", f"{low:.4f} to {high:.4f}")


def _figures(values: Values) -> dict[str, Any]:
    return {
        "mean": round(mean(values), _DIGITS),
        "interval": [round(end, _DIGITS) for end in bootstrap_interval(values)],
    }


def _told(moved: Moved) -> str:
    return f"{moved.term} {moved.old:.3f} -> {moved.new:.3f}"
