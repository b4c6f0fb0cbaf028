"""What there is to judge: the best documents of several systems, without a trace of which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.model import Judgments, RankedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A query and a document, to be judged together."""

    query_id: str
    query: str
    doc_id: str

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.query_id, self.doc_id


@dataclass(frozen=True, slots=True)
class Pool:
    """Pairs in the order in which they are judged, and what was left out."""

    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]


def pooled(
    runs: Sequence[RankedRun],
    judgments: Judgments,
    *,
    depth: int,
    seed: int = 0,
    unjudged: bool = False,
) -> Pool:
    """Put the first documents of every run together, query by query.

    The documents of a query are in an order of chance, so that their places say nothing of the
    systems and ranks they come from. A run more adds documents and leaves the order of the others.

    Args:
        runs: what the systems found.
        judgments: the queries, with texts; their grades matter for ``unjudged`` alone.
        depth: how many of each ranking.
        seed: another one gives another order.
        unjudged: whether to leave out what is judged already.

    Raises:
        InputError: no run ranks any of the queries.
    """
    findings = Findings()
    known = {query.query_id for query in judgments.queries}
    for run in runs:
        for query_id in run.rankings:
            if query_id not in known:
                findings.add(Kind.RUN_OTHER_QUERY, f"query {query_id!r} of {run.tag}")
    pairs: list[Pair] = []
    for query in judgments.queries:
        found = {
            document.doc_id
            for run in runs
            for document in run.rankings.get(query.query_id, ())[:depth]
        }
        if not found:
            findings.add(Kind.NOT_POOLED, f"query {query.query_id!r}")
            continue
        if query.text is None:  # told by the reader
            continue
        if unjudged:
            found -= set(query.grades)
        pairs += [
            Pair(query_id=query.query_id, query=query.text, doc_id=doc_id)
            for doc_id in by_chance(found, query_id=query.query_id, seed=seed)
        ]
    if not pairs and not unjudged:
        theirs = next((repr(query_id) for run in runs for query_id in run.rankings), "none")
        ours = next((repr(query.query_id) for query in judgments.queries), "none")
        raise InputError(
            f"no run ranks any of these queries: ids of the runs are such as {theirs}, of the "
            f"queries such as {ours}"
        )
    return Pool(tuple(pairs), findings.all())


def by_chance(doc_ids: Iterable[str], *, query_id: str, seed: int) -> list[str]:
    """Order documents by a hash: as good as shuffled, and the same on every machine.

    Example:
        >>> by_chance(["a", "b", "c"], query_id="q", seed=0)
        ['c', 'b', 'a']
    """
    return sorted(doc_ids, key=lambda doc_id: (lot(query_id, doc_id, seed=seed), doc_id))


def lot(query_id: str, doc_id: str, *, seed: int) -> bytes:
    """Draw the lot of a pair: bytes that look like chance, and are the same every time."""
    drawn = f"{seed}\0{query_id}\0{doc_id}".encode("utf-8", "surrogatepass")
    return sha256(drawn).digest()
