"""Facts of a cluster, a pipeline, a service, an installation that are well: tests spoil them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opensearch_funnel.build.doctor.cluster import Cluster, ClusterSettings, Node, NodeStats
from opensearch_funnel.build.doctor.examining import judged
from opensearch_funnel.build.doctor.facts import Facts
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.fixes import Fixes
from opensearch_funnel.build.doctor.indices import Coverage, Index
from opensearch_funnel.build.doctor.installation import Installation, LocalModel
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.probing import Probe
from opensearch_funnel.build.doctor.records import Records
from opensearch_funnel.build.doctor.runtimes import Runtime
from opensearch_funnel.build.doctor.services import Service
from opensearch_funnel.core.plan import DenseLeg, FunnelPlan, SparseLeg, Trust
from opensearch_funnel.engine.default_pipelines import SEARCH
from opensearch_funnel.engine.search_pipelines import funnel_pipeline, trusted_pattern
from opensearch_funnel.engine.service_access import PRIVATE_IP, TRUSTED
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.settings import Settings

URL = "http://127.0.0.1:9200"
SERVICE = "http://127.0.0.1:8750"
PLUGINS = frozenset({"opensearch-knn", "opensearch-ml", "opensearch-neural-search"})
GREEN = {
    "status": "green",
    "unassigned_shards": 0,
    "number_of_nodes": 3,
    "number_of_data_nodes": 3,
}
LOCAL_PLAN = FunnelPlan(alias="films")
PLAN = replace(
    LOCAL_PLAN,
    searched_fields=("text",),
    sparse=SparseLeg(fingerprint="aaaaaaaaaaaa"),
    dense=DenseLeg(fingerprint="bbbbbbbbbbbb"),
    trust=Trust(decided=True, reason="dense 1.00, …", index="u1"),
)
SLOT = {
    "sparse": {"model": "splade-tiny", "fingerprint": "aaaaaaaaaaaa"},
    "dense": {"model": "bge-small-en-v1.5", "fingerprint": "bbbbbbbbbbbb"},
}
BODY = funnel_pipeline(PLAN, rewrite_model="m1", rank_model=None)


def cluster(**changes: Any) -> Cluster:
    settings = ClusterSettings(
        transient={},
        persistent={TRUSTED: [trusted_pattern(SERVICE)], PRIVATE_IP: "true"},
        defaults={"plugins.ml_commons.remote_inference.enabled": "true"},
    )
    return replace(
        Cluster(
            url=URL,
            info={"version": {"number": "3.6.0", "distribution": "opensearch"}},
            health=GREEN,
            nodes=(Node(name="n1", version="3.6.0", plugins=PLUGINS),),
            stats=(NodeStats(name="n1", total=1000, available=900, searches={"funnel-films": 7}),),
            settings=settings,
        ),
        **changes,
    )


def settings_of(
    *,
    transient: Mapping[str, Any] | None = None,
    persistent: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> ClusterSettings:
    """Return the settings of the healthy cluster, with some more; ``None`` takes one away."""
    well = cluster().settings
    assert isinstance(well, ClusterSettings)

    def merged(before: Mapping[str, Any], more: Mapping[str, Any] | None) -> dict[str, Any]:
        return {k: v for k, v in {**before, **(more or {})}.items() if v is not None}

    return ClusterSettings(
        transient=merged(well.transient, transient),
        persistent=merged(well.persistent, persistent),
        defaults=merged(well.defaults, defaults),
    )


def index(**changes: Any) -> Index:
    return replace(
        Index(
            name="films-1",
            alias="films",
            mapping={
                "_meta": {"funnel": {"slots": {"a": SLOT}}},
                "properties": {
                    "text": {"type": "text"},
                    "funnel": {"properties": {"id": {"type": "keyword"}}},
                },
            },
            settings={
                "index.search.default_pipeline": "funnel-films",
                "index.number_of_shards": "2",
            },
            defaults={"index.max_result_window": "10000"},
            health=GREEN,
            default_body=BODY,
            ingest_found=True,
            aliases=(),
            coverage=Coverage(documents=9, ready=9, pending=0, without_id=0, foreign=0),
        ),
        **changes,
    )


def pipeline(**changes: Any) -> Pipeline:
    return replace(
        Pipeline(
            applied=AppliedPipeline(
                name="funnel-films",
                plan_id=PLAN.plan_id,
                service_url=SERVICE,
                connectors=("c1",),
                models=("m1",),
                default_of={"films-1": ""},
                quiet_log=True,
            ),
            plan=PLAN,
            local_plan=LOCAL_PLAN,
            index="films-1",
            body=BODY,
            ingest_body=None,
            wanted={SEARCH: BODY},
            models={"m1": "DEPLOYED"},
            connectors={"c1": True},
            called=None,
            templates=(),
        ),
        **changes,
    )


def service(**changes: Any) -> Service:
    return replace(
        Service(
            url=SERVICE,
            plan_ids=(PLAN.plan_id,),
            identity={"service": "opensearch-funnel", "version": "1.0", "engine": URL},
            plans={PLAN.plan_id: "ready"},
        ),
        **changes,
    )


def installation(**changes: Any) -> Installation:
    return replace(
        Installation(
            version="1.0",
            runtime=Runtime(
                installed={"onnxruntime": "1.31.1"},
                listed=("CPUExecutionProvider",),
                used=("CPUExecutionProvider",),
            ),
            missing={},
            has_gpu=False,
            models=(
                LocalModel(
                    name="splade-tiny",
                    wanted="aaaaaaaaaaaa",
                    fingerprint="aaaaaaaaaaaa",
                    here=True,
                ),
            ),
        ),
        **changes,
    )


def facts(**changes: Any) -> Facts:
    records = Records(pipelines=(pipeline().applied,), unfinished=(), migrations=())
    return replace(
        Facts(
            asked=None,
            named=(),
            cluster=cluster(),
            records=records,
            pipelines=(pipeline(),),
            unrecorded=None,
            indices=(index(),),
            services={SERVICE: service()},
            spare_service=None,
            installation=installation(),
            probes={"funnel-films": Probe()},
            token=None,
        ),
        **changes,
    )


def findings(spoiled: Facts, *, settings: Settings | None = None) -> list[Finding]:
    """Let every check judge the facts."""
    return list(judged(spoiled, fixes=Fixes(settings or Settings(url=URL), python="python3")))


def bad(spoiled: Facts) -> dict[str, Finding]:
    """Return what is wrong, by the check's name."""
    return {one.check: one for one in findings(spoiled) if one.level in {"warning", "error"}}


def named(spoiled: Facts, check: str) -> Finding:
    """Return the one finding of a check."""
    (found,) = [one for one in findings(spoiled) if one.check == check]
    return found
