"""The service of benchmarks/overhead.py: the product's, with models that cost no time.

The application and the supervisor are the product's own. A query's vector and term weights are
made once and kept, and the reranker answers at once, without a look at the texts.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.stage import Vector
from opensearch_funnel.engine import state
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.process import address, end_with_parent, listen, listen_at, run
from opensearch_funnel.service.supervisor.supervising import supervise
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import WordVector, WordWeights

_DIMENSION, _VOCABULARY, _TERMS_A_WORD = 384, 20_000, 10


class KeptWeights:
    """A sparse encoder stand-in: every word stands for itself and ten others."""

    fingerprint = WordWeights().fingerprint

    @cache  # noqa: B019 - as many as there are queries
    def encode_query(self, text: str) -> Mapping[str, float]:
        """Return the weights of a text, made once."""
        terms: dict[str, float] = {}
        for word in text.split():
            for step in range(_TERMS_A_WORD):
                terms[f"w{crc32(f'{word}{step}'.encode()) % _VOCABULARY}"] = 1.0 / (1 + step)
            terms[word] = 2.0
        return terms


class KeptVector:
    """A dense encoder stand-in: a direction that depends on the text, made once."""

    fingerprint = WordVector().fingerprint

    @cache  # noqa: B019 - as many as there are queries
    def encode_query(self, text: str) -> Vector:
        """Return the vector of a text."""
        random = np.random.default_rng(crc32(text.encode()))
        vector = random.standard_normal(_DIMENSION).astype(np.float32)
        return vector / np.float32(np.linalg.norm(vector))


class AtOnce:
    """A reranker stand-in: turns the order round."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one score a text."""
        del query
        return [place / len(texts) for place in range(len(texts))]


def work(settings: Settings, path: Path) -> None:
    """Be the supervisor's worker."""
    end_with_parent()
    client = connect(settings, pool_size=16)
    models = PlanModels(sparse=KeptWeights(), dense=KeptVector(), reranker=AtOnce())
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=lambda _: models
    )
    app = create_app(plans, IndexTexts(client), engine_url=settings.url, preload=list)
    run(app, listen_at(path), until_eof=sys.stdin.fileno())


def main() -> None:
    """Be the supervisor, which says its address on standard output, or its worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(levelname)s %(message)s")
    settings = Settings()
    if arguments.worker is not None:
        work(settings, arguments.worker)
        return
    sock = listen("127.0.0.1", 0)
    sys.stdout.write(address(sock) + "\n")
    sys.stdout.flush()
    supervise(
        sock,
        worker_command=lambda path: [sys.executable, __file__, "--worker", str(path)],
        identity={"service": "opensearch-funnel", "engine": settings.url},
        until_eof=sys.stdin.fileno(),
    )


if __name__ == "__main__":
    main()
