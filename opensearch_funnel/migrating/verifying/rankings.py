"""Whether the target answers the clients' own queries as the source does.

Both indices get the same body, without any search pipeline, so this is what clients get before
the funnel does anything. The statistics behind the scores are gathered over all shards first
(``dfs_query_then_fetch``): otherwise a source of five shards and a target of one would weigh the
same word differently. What is left are documents that were deleted or overwritten and that the
source still counts until its segments are merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2, sqrt
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.core.progress import Progress
from opensearch_funnel.core.rank_overlap import rank_biased_overlap
from opensearch_funnel.migrating.verifying.probes import ProbeQuery
from opensearch_funnel.migrating.verifying.report import NAMED, Check

K = 10
_DEPTH = 100
_TIE = 1e-5
_ONE_SIDED_95 = 1.6449
_ROUNDED = 4
Qrels = Mapping[str, Mapping[str, int]]
Hits = list[tuple[str, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the comparison has to show.

    Attributes:
        overlap: least mean overlap of the first ten.
        margin: by how much nDCG@10 may be lower, at most, with 95 % certainty.
    """

    overlap: float = 0.9
    margin: float = 0.01


def compare_rankings(  # noqa: PLR0913 - what is compared, on what
    client: OpenSearch,
    queries: Sequence[ProbeQuery],
    *,
    source: str,
    target: str,
    wanted: Wanted,
    qrels: Qrels | None,
    progress: Progress,
) -> list[Check]:
    """Ask source and target the same queries.

    Raises:
        InputError: a query is refused, or none of the queries is judged.
        EngineError: an index did not answer.
    """
    asked: dict[str, tuple[Hits, Hits]] = {}
    with progress.task("comparing rankings", total=len(queries), unit="queries") as advance:
        for query in queries:
            asked[query.query_id] = (
                _hits(client, source, query),
                _hits(client, target, query),
            )
            advance(1)
    checks = [_overlap(asked, wanted=wanted.overlap)]
    if qrels is not None:
        checks.append(_judged(asked, qrels=qrels, margin=wanted.margin))
    return checks


def tied_overlap(first: Hits, second: Hits, *, k: int = K) -> float:
    """Return the share of the first ``k`` that two answers have in common.

    The engine orders hits of the same score by where they happen to be stored. So a hit also
    counts as common where the other answer has it with the score of its last place.

    Args:
        first: ids and scores, best first, deeper than ``k`` so that ties can be seen.
        second: the same of the other index.
        k: how many are looked at.

    Example:
        >>> one = [("a", 2.0), ("b", 1.0), ("c", 1.0)]
        >>> tied_overlap(one, [("a", 2.0), ("c", 1.0), ("b", 1.0)], k=2)
        1.0
        >>> tied_overlap(one, [("a", 2.0), ("d", 1.0)], k=2)
        0.5
    """
    if not first and not second:
        return 1.0
    found = _within(first, second, k=k) + _within(second, first, k=k)
    return found / (len(first[:k]) + len(second[:k]))


def ndcg_at(ranking: Sequence[str], grades: Mapping[str, int], *, k: int = K) -> float:
    """Return the normalised discounted cumulative gain, as trec_eval has it.

    Example:
        >>> ndcg_at(["x", "a"], {"a": 1}) == 1 / log2(3)
        True
    """
    gains = [max(grades.get(doc_id, 0), 0) for doc_id in ranking[:k]]
    ideal = sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:k]
    best = _discounted(ideal)
    return _discounted(gains) / best if best else 0.0


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 2) for rank, gain in enumerate(gains))


def _within(first: Hits, second: Hits, *, k: int) -> int:
    """Count those of the first ``k`` that are among the other's first, or tied with its last."""
    top = {doc_id for doc_id, _ in second[:k]}
    last = second[k - 1][1] if len(second) >= k else None
    if last is not None:
        tied = last - abs(last) * _TIE
        top |= {doc_id for doc_id, score in second[k:] if score is not None and score >= tied}
    return sum(doc_id in top for doc_id, _ in first[:k])


def _hits(client: OpenSearch, index: str, query: ProbeQuery) -> Hits:
    body: dict[str, Any] = {**query.body, "size": _DEPTH, "_source": False}
    params = {
        "search_pipeline": "_none",
        "search_type": "dfs_query_then_fetch",
        "allow_partial_search_results": "false",
    }
    try:
        answer = client.search(index=index, body=body, params=params)
    except EngineError as error:
        if error.status != 400:  # noqa: PLR2004 - the engine's word for a wrong query
            raise
        raise InputError(f"query {query.query_id!r} cannot be compared: {error}") from error
    return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def _overlap(asked: Mapping[str, tuple[Hits, Hits]], *, wanted: float) -> Check:
    shares = {query_id: tied_overlap(*pair) for query_id, pair in asked.items()}
    agreement = [
        rank_biased_overlap(_ids(one)[:K], _ids(other)[:K]) for one, other in asked.values()
    ]
    mean = sum(shares.values()) / len(shares)
    biased = sum(agreement) / len(agreement)
    worst = sorted(shares, key=lambda query_id: (shares[query_id], query_id))[:NAMED]
    low = [query_id for query_id in worst if shares[query_id] < 1.0]
    return Check(
        name="rankings",
        passed=mean >= wanted,
        summary=(
            f"the clients' own queries, without the funnel: overlap@{K} of source and target "
            f"{mean:.3f} over {len(shares):,} queries (at least {wanted:g}), rank-biased overlap "
            f"{biased:.3f}"
        ),
        details={
            "queries": len(shares),
            "overlap_at_10": round(mean, _ROUNDED),
            "wanted": wanted,
            "rank_biased_overlap": round(biased, _ROUNDED),
            "least_alike": {query_id: round(shares[query_id], _ROUNDED) for query_id in low},
        },
    )


def _judged(asked: Mapping[str, tuple[Hits, Hits]], *, qrels: Qrels, margin: float) -> Check:
    known = [q for q in asked if any(grade > 0 for grade in qrels.get(q, {}).values())]
    if not known:
        raise InputError("none of the queries has a relevant document in the judgments")
    pairs = [
        tuple(ndcg_at(_ids(hits), qrels[query_id]) for hits in asked[query_id])
        for query_id in known
    ]
    differences = [target - source for source, target in pairs]
    mean, low = _lower_bound(differences)
    source, target = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return Check(
        name="judgments",
        passed=low >= -margin,
        summary=(
            f"nDCG@{K} {source:.4f} in the source, {target:.4f} in the target over {len(known):,} "
            f"judged queries: with 95 % certainty not lower by more than {max(0.0, -low):.4f} "
            f"(at most {margin:g})"
        ),
        details={
            "judged_queries": len(known),
            "ndcg_at_10_source": round(source, _ROUNDED),
            "ndcg_at_10_target": round(target, _ROUNDED),
            "difference": round(mean, _ROUNDED),
            "lower_bound": round(low, _ROUNDED),
            "margin": margin,
        },
    )


def _lower_bound(differences: Sequence[float]) -> tuple[float, float]:
    """Return the mean of paired differences and its one-sided 95 % bound, by the normal law."""
    n = len(differences)
    mean = sum(differences) / n
    if n == 1:
        return mean, mean
    variance = sum((one - mean) ** 2 for one in differences) / (n - 1)
    return mean, mean - _ONE_SIDED_95 * sqrt(variance / n)


def _ids(hits: Hits) -> list[str]:
    return [doc_id for doc_id, _ in hits]
