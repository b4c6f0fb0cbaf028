"""How far legs are trusted: from the ranks of probes to a plan, without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import LEGS, FunnelPlan, Trust
from opensearch_funnel.evaluating.trust.deciding import (
    FEWEST_CUT,
    FEWEST_PROBES,
    Measured,
    trusted_plan,
)
from opensearch_funnel.evaluating.trust.guard import LEAST_SHARE, fused_ndcg, guarded, with_trust
from opensearch_funnel.evaluating.trust.probed import Probed, ndcg_at
from opensearch_funnel.evaluating.trust.probes import without_lead, without_title
from opensearch_funnel.evaluating.trust.quality import (
    LEAST_HEALTH,
    health_factor,
    quality_ratios,
    trust_of,
)

AUTO = FunnelPlan.from_dict({"alias": "films", "fusion": {"technique": "auto"}})
SOUND = (1.0, 1.0, 1.0)
RANKS = st.lists(st.integers(1, 12), min_size=3, max_size=3)


def probe(ranks: Mapping[str, int], *, number: int = 0, depth: int = 12) -> Probed:
    """Make a probe whose document has these ranks; 0 where a leg does not find it.

    The other hits of each leg are its own: no leg agrees with another.
    """
    target = f"t{number}"
    found = {}
    for leg, rank in ranks.items():
        ids = [f"{leg}-{number}-{place}" for place in range(depth)]
        if rank:
            ids[rank - 1] = target
        found[leg] = [LegHit(doc_id=one, score=2.0 - n / depth) for n, one in enumerate(ids)]
    return Probed(target=target, found=found)


def probes(count: int, **ranks: int) -> list[Probed]:
    return [probe(ranks, number=number) for number in range(count)]


def trusts(plan: FunnelPlan) -> dict[str, float]:
    return {leg: getattr(plan.trust, leg) for leg in plan.active_legs}


ALIKE = {"bm25": 1, "sparse": 1, "dense": 1}


def test_legs_that_are_alike_are_trusted_alike() -> None:
    own = probes(40, **ALIKE)
    titles = [
        probe(dict(zip(LEGS, order, strict=True)), number=number)
        for number, order in enumerate(list(permutations((1, 3, 0))) * 10)
    ]
    for measured in (Measured(own=own), Measured(own=own, cut=titles)):
        made = trusted_plan(AUTO, replace(measured, full_match=0.91236, index="u1"))
        assert trusts(made) == pytest.approx({"bm25": 1.0, "sparse": 1.0, "dense": 1.0}, abs=0.03)
        assert made.trust.decided
        assert not made.trust.thin
        assert made.trust.index == "u1"
        assert made.fusion.full_match == 0.9124
        assert made.fusion.technique == "auto"
        assert made.undecided() == AUTO


@pytest.mark.parametrize("broken", LEGS)
def test_a_leg_that_finds_nothing_is_hardly_trusted(broken: str) -> None:
    made = trusted_plan(AUTO, Measured(own=probes(40, **{**ALIKE, broken: 0})))
    found = trusts(made)
    assert found.pop(broken) <= 0.03
    assert list(found.values()) == [1.0, 1.0]


def test_the_better_leg_at_titles_is_trusted_more_and_the_reason_says_so() -> None:
    own = probes(40, **ALIKE)
    titles = probes(FEWEST_CUT, bm25=4, sparse=4, dense=1)
    made = trusted_plan(AUTO, Measured(own=own, cut=titles))
    assert made.trust.dense == 1.0
    assert made.trust.bm25 == made.trust.sparse < 0.6
    assert made.trust.reason.startswith("dense 1.00, bm25 0.")
    assert "nDCG@10 1.00, 0.43, 0.43 (50 probes)" in made.trust.reason
    assert "reciprocal rank of 1.00, 1.00, 1.00 (40 probes)" in made.trust.reason
    few = trusted_plan(AUTO, Measured(own=own, cut=titles[1:]))
    assert trusts(few) == {"bm25": 1.0, "sparse": 1.0, "dense": 1.0}
    assert "49 titles" in few.trust.reason
    assert "flatters BM25" in few.trust.reason


@pytest.mark.parametrize("broken", LEGS)
def test_a_broken_leg_that_finds_texts_encoded_anew_is_no_better_for_it(broken: str) -> None:
    """What it has stored is wrong, so that what is encoded now stands out among it."""
    own = probes(40, **{**ALIKE, broken: 0})
    titles = probes(100, **{"bm25": 4, "sparse": 5, "dense": 6, broken: 1})
    made = trusted_plan(AUTO, Measured(own=own, cut=titles))
    found = trusts(made)
    assert found.pop(broken) < 0.06
    assert min(found.values()) > 0.7
    assert f"{broken} alone" not in made.trust.reason


def test_the_reason_says_what_was_taken_out() -> None:
    cut = probes(FEWEST_CUT, bm25=4, sparse=4, dense=1)
    measured = Measured(own=probes(40, **ALIKE), cut=cut, cut_by="first sentences")
    assert "first sentences find the rest of" in trusted_plan(AUTO, measured).trust.reason


def test_with_few_probes_legs_are_fused_by_ranks() -> None:
    plan = replace(AUTO, fusion=replace(AUTO.fusion, rank_constant=30))
    made = trusted_plan(plan, Measured(own=probes(FEWEST_PROBES - 1, **ALIKE), index="u"))
    assert made.fusion.technique == "rrf"
    assert made.fusion.rank_constant == 30
    told = "reciprocal ranks: 19 probes, at least 20 are needed"
    assert made.trust == Trust(decided=True, thin=True, reason=told, index="u")
    assert made.undecided() == plan
    enough = trusted_plan(plan, Measured(own=probes(FEWEST_PROBES, **ALIKE)))
    assert not enough.trust.thin


def misleading(count: int) -> list[Probed]:
    """Make probes that one leg alone knows, where two others agree on a wrong document."""
    made = []
    for number in range(count):
        wrong = [LegHit(doc_id=f"w{number}", score=9.0), LegHit(doc_id="x", score=1.0)]
        right = [LegHit(doc_id=f"t{number}", score=2.0), LegHit(doc_id="y", score=1.0)]
        found = {"bm25": wrong, "sparse": wrong, "dense": right}
        made.append(Probed(target=f"t{number}", found=found))
    return made


def test_where_fusing_loses_to_the_best_leg_the_others_are_trusted_less() -> None:
    found = guarded(AUTO, misleading(10), bound=0.02, sound=SOUND)
    assert found.best == "dense"
    assert found.reached == 1.0
    assert found.fused == pytest.approx(ndcg_at(2))
    assert LEAST_SHARE <= found.share < 1
    assert found.mended >= 0.98
    assert fused_ndcg(found.plan, misleading(10)) == found.mended
    # It is about the largest share that does.
    more = with_trust(AUTO, {"bm25": found.share * 1.02, "sparse": found.share * 1.02, "dense": 1})
    assert fused_ndcg(more, misleading(10)) < 0.98
    made = trusted_plan(AUTO, Measured(own=[*probes(20, **ALIKE), *misleading(60)]))
    assert made.trust.dense == 1
    assert made.trust.bm25 == made.trust.sparse < 0.2
    assert "dense alone 1.00, by documents' own words" in made.trust.reason
    assert "the others are trusted 0." in made.trust.reason


def test_a_plan_that_is_as_good_as_its_best_leg_stays() -> None:
    found = guarded(AUTO, probes(10, **ALIKE), bound=0.02, sound=SOUND)
    assert found.plan is AUTO
    assert found.share == 1


def test_of_equal_scores_a_document_has_the_middle_rank_where_health_is_told() -> None:
    flat = [LegHit(doc_id=f"d{number}", score=1.0) for number in range(99)]
    found = Probed(target="d7", found={"dense": flat})
    assert found.reciprocal_ranks == (1 / 50,)
    assert found.ndcgs == (1.0,)


def test_a_document_is_found_only_as_deep_as_the_leg_is_searched() -> None:
    hits = [LegHit(doc_id=f"d{n}", score=9.0 - n) for n in range(4)]
    found = Probed(target="d0", found={"bm25": hits})
    assert found.replaced({"bm25": 0.1}, depth=3).found["bm25"] == hits[1:]
    assert len(found.replaced({"bm25": 0.1}, depth=4).found["bm25"]) == 4
    assert found.replaced({"bm25": 7.5}, depth=9).ndcgs == (ndcg_at(2),)


@pytest.mark.parametrize(
    ("title", "text", "told"),
    [
        ("Heat", "Two thieves meet in Paris.", False),
        ("Run.Some_Thing(now)", "Two thieves meet in Paris.", True),
        ("A long heist", "In Paris.", False),
        ("A long heist", "", False),
        ("A LONG\nheist", "This is a long  heist in Paris.", False),
        (["A long", "heist"], {"text": 1}, False),
    ],
)
def test_titles_that_tell_something(title: Any, text: Any, told: bool) -> None:
    found = without_title({"title": title, "text": text}, fields=("title", "text"))
    assert (found is not None) is told
    assert without_title({"text": "only one field here"}, fields=("text",)) is None


@pytest.mark.parametrize(
    ("source", "asked", "left"),
    [
        (
            {"text": "def wait_for(threads):\n    for one in threads:\n        one.join(timeout)"},
            "def wait_for(threads):",
            {"text": "for one in threads: one.join(timeout)"},
        ),
        (
            {"title": "A heist.", "text": "A heist gone wrong. Two thieves meet in Paris."},
            "A heist gone wrong.",
            {"text": "Two thieves meet in Paris."},
        ),
        (
            {"title": "Heat", "text": "Two thieves meet here. They plan to rob a bank."},
            "Two thieves meet here.",
            {"title": "Heat", "text": "They plan to rob a bank."},
        ),
    ],
)
def test_a_document_without_its_first_sentence(
    source: dict[str, Any], asked: str, left: dict[str, str]
) -> None:
    cut = without_lead(source, fields=("title", "text"))
    assert cut is not None
    assert cut.query == asked
    assert {name: " ".join(text.split()) for name, text in cut.fields.items()} == left
    assert not cut.indexed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One sentence of some words alone.",
        "Yes. But what follows is long enough for once.",
        "A first sentence here. Too short.",
        "Again and again. Again and again. Again and again.",
    ],
)
def test_first_sentences_that_tell_nothing(text: str) -> None:
    assert without_lead({"text": text}, fields=("title", "text")) is None


def test_health_grows_with_what_is_found() -> None:
    factors = [health_factor(found / 1000) for found in range(1001)]
    assert factors == sorted(factors)
    assert factors[0] == LEAST_HEALTH
    assert factors[-1] == pytest.approx(0.952, abs=1e-3)


values = st.lists(
    st.lists(st.sampled_from([0.0, 0.43, 0.63, 1.0]), min_size=3, max_size=3),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(values, st.permutations(range(3)), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_legs_have_no_order(
    rows: list[list[float]], order: Sequence[int], health: list[float]
) -> None:
    table = np.array(rows)
    ratios = quality_ratios(table, sound=SOUND)
    assert quality_ratios(table[:, order], sound=SOUND) == pytest.approx(
        [ratios[place] for place in order]
    )
    told = trust_of(health, ratios)
    assert max(told) == 1
    assert min(told) > 0
    moved = trust_of([health[place] for place in order], [ratios[place] for place in order])
    assert moved == pytest.approx([told[place] for place in order])


@settings(max_examples=60)
@given(values, st.integers(0, 2), st.integers(0))
def test_trust_has_no_jumps(rows: list[list[float]], leg: int, place: int) -> None:
    table = np.array(rows)
    near = table.copy()
    near[place % len(rows), leg] += 1e-7
    assert quality_ratios(near, sound=SOUND) == pytest.approx(
        quality_ratios(table, sound=SOUND), abs=1e-4
    )


@settings(max_examples=25)
@given(st.lists(RANKS, min_size=20, max_size=30))
def test_a_measured_plan_is_a_plan_and_keeps_its_bound(rows: list[list[int]]) -> None:
    own = [
        probe(dict(zip(LEGS, ranks, strict=True)), number=number)
        for number, ranks in enumerate(rows)
    ]
    made = trusted_plan(AUTO, Measured(own=own))
    assert FunnelPlan.from_dict(made.to_dict()) == made
    assert max(trusts(made).values()) == 1
    best = max(np.mean([one.ndcgs for one in own], axis=0))
    assert fused_ndcg(made, own) >= best - 0.10 - 1e-9
    assert made.undecided() == AUTO
