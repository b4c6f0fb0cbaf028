"""Jobs that change or copy documents do under every plan what they do without one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tests.clients import comparing
from tests.clients.catalogue import PRODUCTS, bulk_lines, shop_body
from tests.clients.conftest import AppliedPlan, fill_index
from tests.clients.corpus.everything import JOBS
from tests.clients.requests import Job, Shop

pytestmark = pytest.mark.engine

Outcome = dict[str, Any]
RunJob = Callable[[Job, str | None], Outcome]
TOLD = ("total", "created", "updated", "deleted", "noops", "version_conflicts", "failures")
SEARCHED = {"query": {"match": {"text": "red lamp"}}, "size": 5}


@pytest.fixture(scope="session")
def run_job(client: OpenSearch, shop: Shop) -> RunJob:
    """Run a job on a copy of the shop, and say what it told and what is there afterwards."""

    def run(job: Job, pipeline: str | None) -> Outcome:
        index = f"{shop.base}-copy-{uuid.uuid4().hex[:8]}"
        into = f"{index}-into"
        fill_index(client, index, shop_body(default_pipeline=pipeline), bulk_lines(PRODUCTS))
        if job.copies:
            fill_index(client, into, shop_body(default_pipeline=pipeline), [])
        try:
            # A copy on which the pipeline does nothing would prove nothing.
            searched = client.search(index=index, body=SEARCHED)
            assert (comparing.find_mark(searched) is not None) == (pipeline is not None)
            try:
                told = job.run(shop.client, index, into)
            except Exception as error:  # noqa: BLE001 - what a client gets is compared
                told = {"raised": f"{type(error).__name__}: {error}"[:200]}
            new = _held(client, into) if job.copies else {}
            return {"told": _told(told), "left": _held(client, index), "new": new}
        finally:
            client.indices.delete(index=f"{index}*")

    return run


@pytest.fixture(scope="session")
def without_funnel(run_job: RunJob) -> Callable[[Job], Outcome]:
    """Run each job once on a copy without a pipeline."""
    outcomes: dict[str, Outcome] = {}

    def outcome(job: Job) -> Outcome:
        if job.name not in outcomes:
            outcomes[job.name] = run_job(job, None)
        return outcomes[job.name]

    return outcome


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_touches_exactly_what_it_did(
    job: Job,
    applied_plan: AppliedPlan,
    run_job: RunJob,
    without_funnel: Callable[[Job], Outcome],
) -> None:
    plain = without_funnel(job)
    funnel = run_job(job, applied_plan.pipeline)
    assert "raised" not in str(plain["told"])
    if job.refused:
        assert "400" in funnel["told"]["raised"]
        assert funnel["new"] == {}, "nothing half done"
        return
    assert comparing.untouched({"outcome": plain}, {"outcome": funnel}) == []
    # A job that did nothing would be the same with any rewrite.
    moved = set(plain["left"]) ^ set(PRODUCTS) or plain["new"]
    changed = {doc_id for doc_id, (_, version) in plain["left"].items() if version > 1}
    assert moved or changed, "the job does nothing"


def _told(told: Any) -> Any:
    """Return what a client learns from a job, without how long it took."""
    if isinstance(told, dict) and "took" in told:
        return {name: told[name] for name in TOLD if name in told}
    return told


def _held(client: OpenSearch, index: str) -> dict[str, tuple[dict[str, Any], int]]:
    """Return every document of an index and how often it was written."""
    everything = {"query": {"match_all": {}}, "size": 100, "version": True, "sort": ["_doc"]}
    hits = client.search(index=index, body=everything, params={"search_pipeline": "_none"})
    return {hit["_id"]: (hit["_source"], hit["_version"]) for hit in hits["hits"]["hits"]}
