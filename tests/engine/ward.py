"""An index whose pipeline and service are well, for the doctor's tests to break.

The encoders are stand-ins that say they are the real models, so that the doctor, which compares
what the plan, the index and the manifests say, finds nothing wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking, Trust
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.search_api import search_routes
from opensearch_funnel.service.search_api_applied import AppliedSearches
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

SPARSE = WordWeights(fingerprint=load_manifest("splade-tiny").fingerprint())
DENSE = WordVector(fingerprint=load_manifest("bge-small-en-v1.5").fingerprint())
PATIENT = Deadlines(rewrite_ms=30_000, rank_ms=30_000, encode_ms=30_000)
PLAN_FILE = "[plan.deadlines]\nrewrite_ms = 30000\nrank_ms = 30000\nencode_ms = 30000\n"
"""What a user would have written for the ward's plan: the deadlines are no test's concern."""
TEXTS = {"d0": "the red fox", "d1": "a grey fox", "d2": "whales"}
BAD = ("warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """What a test breaks, and how the doctor is asked about it."""

    client: OpenSearch
    url: str
    """Of the cluster."""
    service_url: str
    index: str
    plan: FunnelPlan
    applied: AppliedPipeline
    folder: Path

    @property
    def pipeline(self) -> str:
        return self.applied.name

    def settings(self, **values: Any) -> None:
        """Change settings of the index; two underscores stand for a dot."""
        body = {f"index.{name.replace('__', '.')}": value for name, value in values.items()}
        self.client.indices.put_settings(index=self.index, body=body)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.client.transport.perform_request(method, path, body=body)

    def doctor(self, *arguments: str) -> list[dict[str, Any]]:
        """Run the command, and return its findings."""
        with redirect_stdout(StringIO()) as printed:
            code = main(["doctor", "--index", self.index, "--output", "json", *arguments])
        report = json.loads(printed.getvalue())
        assert code == int(report["failed"])
        findings: list[dict[str, Any]] = report["findings"]
        return findings

    def shell(self, command: str) -> None:
        """Run a fix as a person would, who pastes it."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with TemporaryDirectory() as temporary:
            done = subprocess.run(
                ["bash", "-c", command],  # noqa: S607 - what a fix is written for
                capture_output=True,
                cwd=self.folder,
                # A fix writes the plan that it applies into a file there.
                env={**os.environ, "PATH": path, "TMPDIR": temporary},
                text=True,
                timeout=300,
                check=False,
            )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def bad(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what is wrong, by the check's name."""
    return {one["check"]: one for one in findings if one["level"] in BAD}


def slot() -> Slot:
    """Return the slot that the stand-ins filled."""
    return Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=DENSE.fingerprint),
        dimension=DENSE.dimension,
    )


def document(doc_id: str, text: str) -> dict[str, Any]:
    """Return a document as a load or a migration would write it."""
    return {
        "title": "",
        "text": text,
        "funnel": {
            "id": doc_id,
            "hash": f"{len(text):016}",
            "state": "ready",
            "model": [SPARSE.fingerprint, DENSE.fingerprint],
            "sparse_a": SPARSE.encode_query(text),
            "dense_a": DENSE.encode_query(text).tolist(),
        },
    }


def fill(client: OpenSearch, index: str) -> None:
    """Make the ward's index."""
    client.indices.create(index=index, body=index_body(slot=slot()))
    for doc_id, text in TEXTS.items():
        client.index(index=index, id=doc_id, body=document(doc_id, text))
    client.indices.refresh(index=index)


def models_of(plan: FunnelPlan) -> PlanModels:
    """Return the stand-ins that a plan asks for."""
    legs = plan.active_legs
    return PlanModels(
        sparse=SPARSE if "sparse" in legs else None,
        dense=DENSE if "dense" in legs else None,
        reranker=OverlapScorer(),
    )


@contextmanager
def stand_in(client: OpenSearch, *, engine_url: str, token: str | None = None) -> Iterator[str]:
    """A service of the ward's cluster, with the stand-ins for its models."""
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=models_of
    )
    app = create_app(
        plans,
        IndexTexts(client),
        engine_url=engine_url,
        preload=list,
        routers=[search_routes(AppliedSearches(client, ready_plan=plans.get))],
        token=token,
    )
    with served(app) as address:
        yield address


def plan_of(client: OpenSearch, index: str, **changes: Any) -> FunnelPlan:
    """Return the ward's plan, bound to its index."""
    asked = Reranking(reason="off: as asked for")
    trust = Trust(decided=True, reason="as asked for")
    written = FunnelPlan(alias=index, deadlines=PATIENT, rerank=asked, trust=trust)
    return bound_plan(client, FunnelPlan.from_dict({**written.to_dict(), **changes}))


@contextmanager
def applied(
    client: OpenSearch, plan: FunnelPlan, *, service_url: str, **options: Any
) -> Iterator[AppliedPipeline]:
    """The ward's pipeline; removed afterwards, whatever has become of it."""
    done = apply_pipeline(client, plan, service_url=service_url, **options)
    try:
        yield done
    finally:
        # A blocked index takes no change of its settings.
        unblocked = {"index.blocks.read_only_allow_delete": None}
        client.indices.put_settings(index=plan.alias, body=unblocked)
        try:
            remove_pipeline(client, done.name)
        except InvalidPlanError:
            # The record was lost, and nothing applied it again.
            client.indices.put_settings(
                index=plan.alias, body={"index.search.default_pipeline": None}
            )


@contextmanager
def kept_cluster_settings(client: OpenSearch) -> Iterator[None]:
    """Put the cluster's settings back: other tests share the node."""
    before = client.cluster.get_settings(params={"flat_settings": "true"})
    try:
        yield
    finally:
        after = client.cluster.get_settings(params={"flat_settings": "true"})
        body = {
            kind: {**dict.fromkeys(after[kind]), **before[kind]}
            for kind in ("persistent", "transient")
        }
        if body != {"persistent": {}, "transient": {}}:
            client.cluster.put_settings(body=body)
