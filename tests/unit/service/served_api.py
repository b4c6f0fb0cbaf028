"""Stand-ins for the models that anybody may ask for, and an application that serves them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.encoders.manifest import Kind
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.batched_models import Embedded
from opensearch_funnel.service.metrics import Metrics
from opensearch_funnel.service.model_shelf import ModelShelf, ShelvedModel
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

NOBODY = "http://127.0.0.1:9"


class DenseWords(WordVector):
    """A dense model: a query's words count as ``q:`` and the word."""

    name = "dense-words"

    def embed(self, texts: Sequence[str], *, as_queries: bool) -> Embedded:
        rows = [f"q: {text}" if as_queries else text for text in texts]
        vectors = np.stack([self.encode_query(row) for row in rows])
        return Embedded(vectors, sum(len(row.split()) for row in rows))


class SparseWords(WordWeights):
    """A sparse model over ten words."""

    name = "sparse-words"
    indices: Mapping[str, int] = {f"w{i}": i for i in range(10)}

    def weigh(self, texts: Sequence[str], *, as_queries: bool) -> list[dict[str, float]]:
        factor = 1.0 if as_queries else 1.7
        return [{word: factor * n for word, n in self.encode_query(text).items()} for text in texts]


class Gated(OverlapScorer):
    """A cross-encoder that scores when it is let."""

    go = threading.Event()
    entered = threading.Semaphore(0)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.entered.release()
        assert self.go.wait(30)
        return super().score(query, texts)


class Broken:
    """A cross-encoder that gives whatever the query says."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        if query == "short":
            return [0.5] * (len(texts) - 1)
        if query == "nan":
            return [float("nan")] * len(texts)
        raise RuntimeError("the model is broken")


class Logits:
    """A cross-encoder for which a text is its own score."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        return [float(text) for text in texts]


MODELS: dict[str, tuple[Kind, Any]] = {
    "overlap": ("cross_encoder", OverlapScorer()),
    "gated": ("cross_encoder", Gated()),
    "logits": ("cross_encoder", Logits()),
    "broken": ("cross_encoder", Broken()),
    "dense-words": ("dense", DenseWords()),
    "sparse-words": ("splade", SparseWords()),
    "elsewhere": ("dense", None),
}


def stand_in_shelf() -> ModelShelf:
    """The stand-ins; the model ``elsewhere`` is known and not on this machine."""

    def open_model(name: str) -> Any:
        model = MODELS[name][1]
        assert model is not None, "a model that is not here was opened"
        return model

    return ModelShelf(
        known=lambda: [
            ShelvedModel(name=name, kind=kind, fingerprint=f"{i:012x}", is_here=model is not None)
            for i, (name, (kind, model)) in enumerate(MODELS.items())
        ],
        open_model=open_model,
        opened=lambda: ["overlap"],
        defaults={"cross_encoder": "overlap", "dense": "dense-words", "splade": "sparse-words"},
    )


def api_app(  # noqa: PLR0913 - what an application may differ in
    *,
    plan: FunnelPlan | None = None,
    read_plan: Callable[[str], FunnelPlan] | None = None,
    models: PlanModels | None = None,
    preload: Callable[[], list[str]] = list,
    token: str | None = None,
    service_url: str | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """An application with the stand-ins, and with one plan where it is given."""

    def read(plan_id: str) -> FunnelPlan:
        if plan is None or plan_id != plan.plan_id:
            raise InvalidPlanError("no such plan in this cluster")
        return plan

    return create_app(
        LoadedPlans(read_plan=read_plan or read, open_models=lambda _: models or PlanModels()),
        IndexTexts(connect(Settings(url=NOBODY))),
        engine_url=NOBODY,
        preload=preload,
        shelf=stand_in_shelf(),
        token=token,
        service_url=service_url,
        metrics=metrics,
    )


@contextmanager
def served_api(**options: Any) -> Iterator[str]:
    with served(api_app(**options)) as url:
        yield url
