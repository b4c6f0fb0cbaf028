"""Judgments and runs against a corpus, and against each other."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.model import Judgments, RankedRun


def judgments_against_corpus(judgments: Judgments, doc_ids: Container[str]) -> tuple[Finding, ...]:
    """Tell judgments for documents that are not there.

    Args:
        judgments: any.
        doc_ids: of all documents.
    """
    judged = {query.query_id: query.grades for query in judgments.queries}
    return _unknown(judged, doc_ids, kind=Kind.UNKNOWN_DOCUMENT)


def qrels_against_corpus(
    qrels: Mapping[str, Iterable[str]], doc_ids: Container[str]
) -> tuple[Finding, ...]:
    """Tell judgments for documents that are not there, of the qrels that are measured by."""
    return _unknown(qrels, doc_ids, kind=Kind.UNKNOWN_DOCUMENT)


def run_against_corpus(run: RankedRun, doc_ids: Container[str]) -> tuple[Finding, ...]:
    """Tell ranked documents that are not there."""
    return _unknown(run.doc_ids, doc_ids, kind=Kind.RUN_UNKNOWN_DOCUMENT)


def _unknown(
    named: Mapping[str, Iterable[str]], doc_ids: Container[str], *, kind: Kind
) -> tuple[Finding, ...]:
    findings = Findings()
    for query_id, documents in named.items():
        for doc_id in documents:
            if doc_id not in doc_ids:
                findings.add(kind, f"document {doc_id!r} of query {query_id!r}")
    return findings.all()


def run_against_judgments(run: RankedRun, judgments: Judgments) -> tuple[Finding, ...]:
    """Tell queries that only one of the two has."""
    findings = Findings()
    judged = {query.query_id for query in judgments.queries if query.grades}
    for query_id in run.rankings:
        if query_id not in judged:
            findings.add(Kind.RUN_UNJUDGED, f"query {query_id!r}")
    for query in judgments.queries:
        if query.query_id in judged and not run.rankings.get(query.query_id):
            findings.add(Kind.NOT_IN_RUN, f"query {query.query_id!r}")
    return findings.all()
