"""A case fuses as the product does, and spoils what its variant says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fusion_study.cases import VARIANTS, Variant, found_in, permuted
from benchmarks.fusion_study.constants import in_the_product
from benchmarks.fusion_study.found import LEGS, SPOILED, Asked, Hits, load_asked, save_asked
from benchmarks.fusion_study.fusing import alone, best_mix, fused, reciprocal
from benchmarks.fusion_study.signals import SIGNALS, signals_of
from opensearch_funnel.core.fusion import FusedHit
from opensearch_funnel.core.fusion import fused as product_fused
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Fusion
from opensearch_funnel.core.query_weights import evidence
from opensearch_funnel.evaluating.measures import Measure, measure_run
from tests.unit.fusion_study.small import DOCUMENTS, asked, case_of

NDCG = Measure("nDCG", 10)


def hits_of(
    query: Asked, variant: Variant, *, renamed: Mapping[str, str]
) -> dict[str, list[LegHit]]:
    found = found_in(query, variant, renamed=renamed)
    return {leg: hits.as_leg_hits() for leg, hits in found.items()}


def fuse(query: Asked, fusion: Fusion, weights: tuple[float, ...]) -> Sequence[FusedHit]:
    legs = hits_of(query, VARIANTS[0], renamed={})
    return product_fused(legs, weights=weights, fusion=fusion).hits


def by_product(queries: list[Asked], fusion: Fusion, weights: tuple[float, ...]) -> np.ndarray:
    run = {one.query_id: [hit.doc_id for hit in fuse(one, fusion, weights)] for one in queries}
    qrels = {one.query_id: one.grades for one in queries}
    values = measure_run(run, qrels=qrels, measures=[NDCG])[NDCG]
    return np.array([values[one.query_id] for one in queries])


@pytest.mark.parametrize("seed", range(5))
def test_fixed_weights_and_ranks_fuse_as_the_product_does(seed: int) -> None:
    queries = asked(seed)
    case = case_of(queries)
    weights = (0.4, 0.2, 0.4)
    assert fused(case, weights) == pytest.approx(
        by_product(queries, Fusion(technique="min_max"), weights)
    )


@pytest.mark.parametrize("seed", range(5))
def test_reciprocal_ranks_fuse_as_the_product_does(seed: int) -> None:
    rrf, alike = Fusion(technique="rrf"), (1 / 3, 1 / 3, 1 / 3)
    untied = [
        one
        for one in asked(seed, queries=60)
        if len({hit.score for hit in fuse(one, rrf, alike)[:20]}) == 20
    ]
    assert untied
    assert reciprocal(case_of(untied)) == pytest.approx(by_product(untied, rrf, alike))


@pytest.mark.parametrize("seed", range(5))
def test_the_products_constants_weigh_as_the_product_does(seed: int) -> None:
    queries = asked(seed)
    case = case_of(queries)
    plan_weights = (0.4, 0.2, 0.4)
    fusion = Fusion(technique="auto", full_match=1.0)
    ours = fused(case, in_the_product().weights(case))
    assert ours == pytest.approx(by_product(queries, fusion, plan_weights))


def test_a_leg_alone_is_its_own_order() -> None:
    one = Hits(ids=["a", "b"], scores=[2.0, 1.0], numbers=[0, 1])
    none = Hits(ids=[], scores=[], numbers=[])
    columns = {"bm25": one, "sparse": none, "dense": none}
    query = Asked(query_id="q", text="q", grades={"b": 1}, columns=columns)
    case = case_of([query])
    assert alone(case, "bm25") == pytest.approx([1 / np.log2(3)])
    assert alone(case, "dense") == pytest.approx([0.0])


def test_the_best_mix_is_as_good_as_every_leg() -> None:
    case = case_of(asked(1))
    best = best_mix(case)
    for leg in LEGS:
        assert (best >= fused(case, [float(leg == own) for own in LEGS]) - 1e-9).all()


def test_signals_are_the_products_own() -> None:
    query = asked(2)[0]
    legs = hits_of(query, VARIANTS[0], renamed={})
    told = signals_of(legs, text=query.text, full_match=0.9, full_coverage=1.0)
    own = evidence(legs, full_match=0.9)
    for name in ("gap", "agreement", "others", "match"):
        expected = [getattr(own[leg], name) for leg in LEGS]
        assert told[SIGNALS.index(name)].tolist() == expected


def test_a_permuted_leg_has_its_scores_and_other_documents() -> None:
    query = asked(3)[0]
    [variant] = [one for one in VARIANTS if one.name == "permuted dense"]
    renamed = permuted(DOCUMENTS)
    legs = hits_of(query, variant, renamed=renamed)
    whole = hits_of(query, VARIANTS[0], renamed=renamed)
    assert legs["bm25"] == whole["bm25"]
    assert [h.score for h in legs["dense"]] == [h.score for h in whole["dense"]]
    assert [h.doc_id for h in legs["dense"]] == [renamed[h.doc_id] for h in whole["dense"]]


def test_a_degraded_leg_is_its_spoiled_column() -> None:
    query = asked(3)[0]
    [variant] = [one for one in VARIANTS if one.name == "degraded lexical"]
    legs = hits_of(query, variant, renamed={})
    for leg in ("bm25", "sparse"):
        assert [h.doc_id for h in legs[leg]] == query.columns[SPOILED[leg]].ids
    assert [h.doc_id for h in legs["dense"]] == query.columns["dense"].ids


def test_what_was_found_is_kept(tmp_path: Path) -> None:
    queries = asked(4, queries=3)
    save_asked(tmp_path / "kept" / "found.json.gz", queries)
    assert load_asked(tmp_path / "kept" / "found.json.gz") == queries
