"""What the doctor says of pipelines, plans, indices and documents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opensearch_funnel.build.doctor.applying_again import is_same_plan, plan_line
from opensearch_funnel.build.doctor.check_settings import AUTO_DEPLOY
from opensearch_funnel.build.doctor.facts import Unrecorded
from opensearch_funnel.build.doctor.indices import Coverage
from opensearch_funnel.build.doctor.pipelines import Template
from opensearch_funnel.build.doctor.probing import Probe
from opensearch_funnel.build.doctor.reading import Unread, unread
from opensearch_funnel.core.errors import (
    EngineDeniedError,
    EngineError,
    IndexMissingError,
    InvalidPlanError,
)
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Reranking, Trust
from opensearch_funnel.engine.covering import Alias
from opensearch_funnel.engine.default_pipelines import INGEST, SEARCH
from opensearch_funnel.migrating.migration import Migration, Snapshot
from tests.unit.build.doctor.healthy import (
    BODY,
    PLAN,
    SERVICE,
    bad,
    cluster,
    facts,
    findings,
    index,
    named,
    pipeline,
    settings_of,
)

AGAIN = "funnel pipeline apply --index films --default --rerank off"


def migration(**changes: Any) -> Migration:
    snapshot = Snapshot(mappings={}, settings={}, aliases={})
    return replace(
        Migration(
            alias="films",
            source="films-0",
            source_uuid="u",
            target="films-1",
            snapshot=snapshot,
            text_fields=("text",),
            slots={},
        ),
        **changes,
    )


def with_records(**changes: Any) -> Any:
    return facts(records=replace(facts().records, **changes))


def test_a_migration_that_stopped_in_a_step_is_named_and_one_at_work_is_not() -> None:
    stopped = migration(phase="cutting_over", operator_until=1.0)
    found = bad(with_records(migrations=(stopped,)))
    assert set(found) == {"state.migration"}
    assert "films-0 may be blocked" in found["state.migration"].finding
    assert found["state.migration"].fix.startswith("funnel migrate cutover films ")
    at_work = migration(phase="rolling_back", operator_until=4e9)
    for one in (at_work, migration(phase="copying"), migration(phase="cut_over")):
        assert bad(with_records(migrations=(one,))) == {}


def test_what_an_interrupted_first_apply_left_is_removed() -> None:
    found = bad(with_records(unfinished=("funnel-news",)))["state.unfinished"]
    assert found.fix == "funnel pipeline remove --name funnel-news --url http://127.0.0.1:9200"


def test_a_deleted_connector_is_named() -> None:
    found = bad(facts(pipelines=(pipeline(connectors={"c1": False}),)))
    assert "c1 is gone" in found["pipeline.models"].finding
    assert found["pipeline.models"].fix.startswith(AGAIN)


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ("DEPLOYED", "ok"),
        ("PARTIALLY_DEPLOYED", "ok"),
        ("UNDEPLOYED", "ok"),
        ("DEPLOY_FAILED", "error"),
    ],
)
def test_states_of_models(state: str, level: str) -> None:
    spoiled = facts(pipelines=(pipeline(models={"m1": state}),))
    assert named(spoiled, "pipeline.models").level == level


def test_a_model_that_no_call_opens_has_to_be_opened() -> None:
    never = cluster(settings=settings_of(defaults={AUTO_DEPLOY: "false"}))
    asleep = pipeline(models={"m1": "UNDEPLOYED"})
    found = bad(facts(cluster=never, pipelines=(asleep,)))["pipeline.models"]
    assert found.fix.endswith("/_plugins/_ml/models/m1/_deploy")


def test_an_apply_keeps_a_decision_that_was_made_by_evidence() -> None:
    decided = replace(PLAN, rerank=Reranking(enabled=True, blend=0.25, decided=True, reason="r"))
    found = bad(facts(pipelines=(pipeline(plan=decided, body=None),)))["pipeline.body"]
    assert "--rerank" not in found.fix
    assert "--plan" not in found.fix, "what was decided is no part of the plan as written"


def test_legs_that_nobody_measured_are_measured_by_another_apply() -> None:
    unmeasured = replace(PLAN, trust=Trust(reason="not measured: a model cannot be opened (x)"))
    found = bad(facts(pipelines=(pipeline(plan=unmeasured),)))["plan.measured"]
    assert found.level == "warning"
    assert found.finding == f"its legs are all trusted alike: {unmeasured.trust.reason}"
    assert found.fix.startswith(AGAIN)
    assert "--plan" not in found.fix
    chosen = replace(unmeasured, fusion=Fusion(technique="min_max"))
    assert "plan.measured" not in bad(facts(pipelines=(pipeline(plan=chosen),)))


def test_what_was_measured_on_another_index_is_measured_again() -> None:
    for uuid, told in (("u1", False), ("u2", True)):
        now = index(settings={**dict(index().settings), "index.uuid": uuid})  # type: ignore[arg-type]
        found = bad(facts(indices=(now,)))
        assert ("plan.measured" in found) is told
        thin = replace(PLAN, trust=replace(PLAN.trust, thin=True), fusion=Fusion(technique="rrf"))
        found = bad(facts(indices=(now,), pipelines=(pipeline(plan=thin),)))
        assert ("plan.measured" in found) is told
        if told:
            assert "another index than" in found["plan.measured"].finding
            assert "--plan" not in found["plan.measured"].fix
    by_hand = replace(PLAN, trust=Trust(dense=2.0, decided=True, reason="ours"))
    assert "plan.measured" not in bad(facts(indices=(now,), pipelines=(pipeline(plan=by_hand),)))


def test_trust_that_a_person_wrote_is_part_of_the_plan() -> None:
    theirs = replace(PLAN, trust=Trust(dense=2.0, decided=True, reason="ours"))
    assert is_same_plan(theirs, theirs)
    assert not is_same_plan(theirs, PLAN)


def test_what_an_apply_binds_is_no_part_of_the_plan_as_written() -> None:
    cut = replace(PLAN, sparse=replace(PLAN.sparse, max_tokens=64), mapped_fields=9)
    found = bad(facts(pipelines=(pipeline(plan=cut, body=None),)))["pipeline.body"]
    assert "--plan" not in found.fix


def test_a_plan_that_the_folder_does_not_have_is_written_to_a_file() -> None:
    other = replace(PLAN, depth=100, text_fields=("title", "overview"))
    found = bad(facts(pipelines=(pipeline(plan=other, body=None),)))["pipeline.body"]
    line = 'plan = {alias = "films", text_fields = ["title", "overview"], depth = 100}'
    assert found.fix.startswith(f"printf '%s\\n' '{line}' > ")
    assert found.fix.endswith('--plan "${TMPDIR:-/tmp}/funnel-films.toml"')


def test_a_default_that_was_taken_off_is_not_put_back_by_another_fix() -> None:
    off = index(settings={"index.number_of_shards": "2"}, default_body=None)
    found = bad(facts(indices=(off,), pipelines=(pipeline(body=None),)))
    assert set(found) == {"pipeline.body", "pipeline.default"}
    assert "--default" not in found["pipeline.body"].fix


def test_an_alias_that_moved_to_another_index_lost_its_default() -> None:
    moved = index(name="films-2", settings={"index.number_of_shards": "2"}, default_body=None)
    found = bad(facts(indices=(moved,), pipelines=(pipeline(index="films-2"),)))
    assert set(found) == {"pipeline.default"}
    assert "/films-2/_settings" in found["pipeline.default"].fix


def test_a_plan_of_another_version_is_named() -> None:
    strange = unread(InvalidPlanError("unknown key 'detph' in the plan"))
    spoiled = facts(pipelines=(pipeline(plan=strange, index=Unread(why="no plan")),))
    assert "detph" in bad(spoiled)["plan.stored"].finding


def test_a_plan_whose_index_is_gone_is_removed() -> None:
    gone = unread(IndexMissingError("no such index [films]"))
    found = bad(facts(pipelines=(pipeline(index=gone),), indices=()))
    assert set(found) == {"plan.stored"}
    assert found["plan.stored"].fix.startswith("funnel pipeline remove --name funnel-films")


def test_meta_is_put_right_unless_documents_agree_with_it() -> None:
    meta = {"owner": "us", "funnel": {"slots": {"a": {"sparse": {"fingerprint": "x"}}}}}
    mapping = {"_meta": meta, "properties": {"text": {"type": "text"}}}
    found = bad(facts(indices=(index(mapping=mapping),)))["plan.fingerprints"]
    assert '"owner":"us"' in found.fix
    assert '"fingerprint":"aaaaaaaaaaaa"' in found.fix
    cut = replace(PLAN, sparse=replace(PLAN.sparse, max_tokens=64))
    spoiled = facts(indices=(index(mapping=mapping),), pipelines=(pipeline(plan=cut),))
    assert '"max_tokens":64' in bad(spoiled)["plan.fingerprints"].fix
    recoded = Coverage(documents=9, ready=9, pending=0, without_id=0, foreign=9)
    found = bad(facts(indices=(index(mapping=mapping, coverage=recoded),)))["plan.fingerprints"]
    assert found.fix.startswith(AGAIN)


@pytest.mark.parametrize(
    ("counts", "level", "said"),
    [
        ({"ready": 8, "pending": 1}, "warning", "1 pending"),
        ({"ready": 8}, "warning", "1 never encoded"),
        ({"without_id": 2}, "warning", "2 without funnel.id"),
        ({"foreign": 3}, "warning", "3 encoded by other models"),
        ({"ready": 0, "pending": 9}, "error", "9 pending"),
        ({"documents": 0, "ready": 0}, "ok", "0 of 0"),
    ],
)
def test_documents(counts: dict[str, int], level: str, said: str) -> None:
    well = Coverage(documents=9, ready=9, pending=0, without_id=0, foreign=0)
    found = named(facts(indices=(index(coverage=replace(well, **counts)),)), "documents.encoded")
    assert found.level == level
    assert said in found.finding
    if level != "ok":
        assert found.fix.startswith("funnel migrate repair films ")
        assert ("--pending-only" in found.fix) == (not {"foreign", "without_id"} & set(counts))


def test_a_repair_encodes_what_the_plan_reads() -> None:
    some = Coverage(documents=9, ready=8, pending=1, without_id=0, foreign=0)
    other = replace(PLAN, text_fields=("overview",), slot="b")
    shared = Alias(name="films", others={"news": ""})
    spoiled = index(coverage=some, aliases=(shared,))
    found = named(facts(indices=(spoiled,), pipelines=(pipeline(plan=other),)), "documents.encoded")
    assert found.fix == (
        "funnel migrate repair films-1 --fields overview --slot b --pending-only "
        "--url http://127.0.0.1:9200"
    )


def test_one_shard_is_slow_where_there_is_something_to_fetch() -> None:
    one = {"index.search.default_pipeline": "funnel-films", "index.number_of_shards": "1"}
    many = Coverage(documents=5000, ready=5000, pending=0, without_id=0, foreign=0)
    assert bad(facts(indices=(index(settings=one),))) == {}
    films = index(settings=one, coverage=many)
    fused = {name: replace(PLAN, fusion=Fusion(technique=name)) for name in ("rrf", "auto")}
    by_engine = facts(indices=(films,), pipelines=(pipeline(plan=fused["rrf"]),))
    assert "/films-1/_split/films-1-split" in bad(by_engine)["index.shards"].fix
    by_service = facts(indices=(films,), pipelines=(pipeline(plan=fused["auto"]),))
    assert "index.shards" not in bad(by_service)


@pytest.mark.parametrize(
    ("alias", "level", "said"),
    [
        (Alias(name="all", others={"news": ""}), "warning", "by their words alone"),
        (Alias(name="all", others={"news": "theirs"}), "warning", "no search pipeline at all"),
        (Alias(name="all", others={"old": ""}, strangers=("old",)), "error", "different models"),
    ],
)
def test_aliases(alias: Alias, level: str, said: str) -> None:
    found = bad(facts(indices=(index(aliases=(alias,)),)))["index.aliases"]
    assert found.level == level
    assert said in found.finding
    assert '"remove":{"index":' in found.fix


def test_an_alias_that_is_shared_keeps_being_allowed_by_an_apply() -> None:
    shared = index(aliases=(Alias(name="all", others={"news": ""}),))
    found = bad(facts(indices=(shared,), pipelines=(pipeline(body=None),)))["pipeline.body"]
    assert "--with-others" in found.fix


@pytest.mark.parametrize(
    ("path", "body", "left"),
    [
        (
            "/_template/t",
            {"settings": {"index": {"search": {"default_pipeline": "p"}}}, "order": 1},
            '{"settings":{},"order":1}',
        ),
        (
            "/_component_template/t",
            {"template": {"settings": {"index.search.default_pipeline": "p", "index.knn": True}}},
            '{"template":{"settings":{"index.knn":true}}}',
        ),
    ],
)
def test_templates_are_put_back_without_the_setting(
    path: str, body: dict[str, Any], left: str
) -> None:
    template = Template(path=path, label="template t", setting=SEARCH.setting, body=body)
    found = bad(facts(pipelines=(pipeline(templates=(template,)),)))["pipeline.templates"]
    assert found.fix.endswith(f"-d '{left}'")


def test_a_lost_ingest_pipeline_is_told_from_ours() -> None:
    settings = {**dict(index().settings), "index.default_pipeline": "gone"}  # type: ignore[arg-type]
    lost = index(settings=settings, ingest_found=False)
    found = bad(facts(indices=(lost,)))
    assert set(found) == {"index.ingest_default"}
    assert '{"index.default_pipeline":null}' in found["index.ingest_default"].fix
    ours = replace(pipeline().applied, ingest_of={"films-1": ""})
    live = pipeline(applied=ours, ingest_body={"processors": []})
    wanted = pipeline(applied=ours, ingest_body={}, wanted={SEARCH: BODY, INGEST: {}})
    assert set(bad(facts(indices=(lost,), pipelines=(wanted,)))) == {"index.ingest_default"}
    other = replace(live, wanted={SEARCH: BODY, INGEST: {"processors": [1]}})
    attached = {**dict(index().settings), "index.default_pipeline": "funnel-films"}  # type: ignore[arg-type]
    found = bad(facts(indices=(index(settings=attached),), pipelines=(other,)))
    assert set(found) == {"documents.ingest"}
    assert " --ingest " in found["documents.ingest"].fix


def test_an_ingest_pipeline_that_is_not_on_record_is_applied_again() -> None:
    attached = {**dict(index().settings), "index.default_pipeline": "funnel-films"}  # type: ignore[arg-type]
    found = bad(facts(indices=(index(settings=attached),)))
    assert set(found) == {"documents.ingest"}
    assert " --ingest " in found["documents.ingest"].fix


def test_a_pipeline_without_a_record_is_applied_as_its_index_runs_it() -> None:
    lost = Unrecorded(name="funnel-films", body=BODY, service_url=SERVICE)
    attached = {**dict(index().settings), "index.default_pipeline": "funnel-films"}  # type: ignore[arg-type]
    spoiled = facts(
        asked="films",
        named=("films-1",),
        pipelines=(),
        probes={},
        services={},
        unrecorded=lost,
        indices=(index(settings=attached),),
    )
    assert bad(spoiled)["state.record"].fix == (
        "funnel pipeline apply --index films --default --ingest --rerank off "
        f"--service-url {SERVICE} --url http://127.0.0.1:9200"
    )


def test_a_search_that_fails_is_said_where_nothing_explains_it() -> None:
    failed = Probe(failed=unread(EngineError("OpenSearch refused (400): odd", status=400)))
    found = bad(facts(probes={"funnel-films": failed}))
    assert set(found) == {"search.upgraded"}
    assert '{"index.search.default_pipeline":null}' in found["search.upgraded"].fix
    spoiled = facts(probes={"funnel-films": failed}, pipelines=(pipeline(body=None),))
    assert set(bad(spoiled)) == {"pipeline.body"}
    assert named(spoiled, "search.upgraded").finding == "not looked at: first pipeline.body"


@pytest.mark.parametrize(
    ("probe", "level"),
    [
        (Probe(), "ok"),
        (Probe(degraded=True), "warning"),
        (Probe(shards_failed=1), "error"),
        (Probe(skipped="no mark"), "skipped"),
    ],
)
def test_searches(probe: Probe, level: str) -> None:
    assert named(facts(probes={"funnel-films": probe}), "search.upgraded").level == level


def test_a_check_that_breaks_hides_nothing_that_the_others_found() -> None:
    odd = index(health={"status": "green"})  # what no engine answers
    spoiled = facts(indices=(odd,), pipelines=(pipeline(connectors={"c1": False}),))
    found = bad(spoiled)
    assert set(found) == {"doctor", "pipeline.models"}
    assert "KeyError" in found["doctor"].finding


def test_a_right_that_is_missing_for_an_index_is_granted_for_it() -> None:
    denied = unread(
        EngineDeniedError("no permissions for [indices:monitor/settings/get] and User [name=ann]")
    )
    spoiled = facts(indices=(index(settings=denied),))
    found = named(spoiled, "index.settings")
    assert '"index_patterns":["films-1"]' in found.fix
    assert '"allowed_actions":["indices:monitor/settings/get"]' in found.fix
    assert not [one for one in findings(spoiled) if one.level == "error"]


def test_trust_that_a_person_wrote_is_part_of_the_plan_and_measured_trust_is_not() -> None:
    by_hand = FunnelPlan(alias="films", trust=Trust(decided=True, dense=0.5, reason="mine"))
    assert "dense = 0.5" in plan_line(by_hand)
    assert not is_same_plan(FunnelPlan(alias="films"), by_hand)
    measured = replace(by_hand, trust=replace(by_hand.trust, index="u1"))
    assert "trust" not in plan_line(measured)
    assert is_same_plan(FunnelPlan(alias="films"), measured)
