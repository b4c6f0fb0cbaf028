"""Judgments and runs against a corpus, and against each other."""

from __future__ import annotations

from collections.abc import Container

from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.model import Judgments, RankedRun


def judgments_against_corpus(judgments: Judgments, doc_ids: Container[str]) -> tuple[Finding, ...]:
    """Tell judgments for documents that are not there.

    Args:
        judgments: any.
        doc_ids: of all documents.
    """
    findings = Findings()
    for query in judgments.queries:
        for doc_id in query.grades:
            if doc_id not in doc_ids:
                example = f"document {doc_id!r} of query {query.query_id!r}"
                findings.add(Kind.UNKNOWN_DOCUMENT, example)
    return findings.all()


def run_against_corpus(run: RankedRun, doc_ids: Container[str]) -> tuple[Finding, ...]:
    """Tell ranked documents that are not there."""
    findings = Findings()
    for query_id, ranking in run.rankings.items():
        for document in ranking:
            if document.doc_id not in doc_ids:
                example = f"document {document.doc_id!r} of query {query_id!r}"
                findings.add(Kind.RUN_UNKNOWN_DOCUMENT, example)
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
