"""The settings to try: every mix of legs in even steps, and the ways to rerank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from opensearch_funnel.core.plan import Fusion, Reranking
from opensearch_funnel.evaluating.replaying.setting import QUERY_TERMS, Setting

RANK_CONSTANTS = (10, 30, 60, 100)
FUSIONS: tuple[Fusion, ...] = (
    Fusion(technique="min_max"),
    Fusion(technique="min_max", combination="geometric_mean"),
    Fusion(technique="min_max", combination="harmonic_mean"),
    Fusion(technique="l2"),
    Fusion(technique="z_score"),
    *(Fusion(technique="rrf", rank_constant=constant) for constant in RANK_CONSTANTS),
)
DEPTHS = (50, 100, 200)
QUERY_TERMS_TRIED = (8, 16, 32)
BLENDS = (0.0, 0.25, 0.5, 0.75)
KEEPS = (6, 12, 25)
RERANK_DEPTHS = (20, 50, 100)


def fusion_grid(  # noqa: PLR0913 - what is mixed
    legs: Sequence[str],
    *,
    steps: int = 10,
    fusions: Sequence[Fusion] = FUSIONS,
    depths: Sequence[int] = (200,),
    query_terms: Sequence[int] = (QUERY_TERMS,),
    rerank: Reranking | None = None,
) -> list[Setting]:
    """Return every mix of legs whose weights are multiples of ``1 / steps``, legs left out too.

    A leg alone is of one order, however it is fused, and comes with the first fusion only.

    Args:
        legs: in the order of the plan.
        steps: how fine weights are: 10 gives 66 mixes of three legs, 1,001 of five.
        fusions: what each mix is fused by.
        depths: how deep each leg is searched.
        query_terms: how many of a query's terms the sparse leg searches, where there is one.
        rerank: how all of them are reranked.

    Example:
        >>> some = fusion_grid(("bm25", "dense"), steps=2, fusions=FUSIONS[:2])
        >>> [(setting.legs, setting.weights) for setting in some][:2]
        [(('dense',), (2.0,)), (('bm25', 'dense'), (1.0, 1.0))]
        >>> len(some)
        4
    """
    found: dict[Setting, None] = {}
    for depth, terms, parts in product(depths, query_terms, _compositions(steps, of=len(legs))):
        mix = [(leg, float(part)) for leg, part in zip(legs, parts, strict=True) if part]
        names = tuple(leg for leg, _ in mix)
        for fusion in fusions if len(mix) > 1 else fusions[:1]:
            setting = Setting(
                legs=names,
                weights=tuple(weight for _, weight in mix),
                fusion=fusion,
                depth=depth,
                # Nothing searches them without the leg: one number stands for all.
                query_terms=terms if "sparse" in names else query_terms[0],
                rerank=rerank,
            )
            found[setting] = None
    return list(found)


def rerank_grid(
    setting: Setting,
    plan: Reranking,
    *,
    depths: Sequence[int] = RERANK_DEPTHS,
    keeps: Sequence[int] = KEEPS,
    blends: Sequence[float] = BLENDS,
) -> list[Setting]:
    """Return a setting without reranking, and with each way to rerank.

    Args:
        setting: the fusion, which all have.
        plan: names the models; a cascade is tried where there is a first one.
        depths: hits that are reranked; none deeper than the setting.
        keeps: hits that a cascade leaves to its last model; fewer than are reranked.
        blends: shares of the fused order.

    Example:
        >>> fused = Setting(legs=("bm25",), weights=(1.0,))
        >>> len(rerank_grid(fused, Reranking(), depths=[20], keeps=[6, 25], blends=[0.0]))
        3
    """
    plain = replace(plan, enabled=True, decided=False, reason=Reranking().reason)
    found: dict[Setting, None] = {replace(setting, rerank=None): None}
    for depth in (depth for depth in depths if depth <= setting.depth):
        forms = [replace(plain, depth=depth, cascade=False)]
        if plan.first_model:
            fewer = (keep for keep in keeps if keep < depth)
            forms += [replace(plain, depth=depth, cascade=True, keep=keep) for keep in fewer]
        for form in forms:
            for blend in blends:
                found[replace(setting, rerank=replace(form, blend=blend))] = None
    return list(found)


def _compositions(total: int, *, of: int) -> Iterator[tuple[int, ...]]:
    """Return the ways to share out so many steps."""
    if of == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, of=of - 1):
            yield (first, *rest)
