"""The numbers of the models are the committed ones: a change is a change of every index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_encoder
from opensearch_funnel.encoders.splade import SpladeEncoder

pytestmark = pytest.mark.model

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("encoder_numbers.json").read_text(encoding="utf-8")
)
# Processors round differently in 8 bits, so that a value near the middle may go either way.
TOLERANCE = {"fp32": 1e-4, "int8": 0.1}
SCORE_TOLERANCE = {"fp32": 1e-3, "int8": 0.5}
CASES = [(name, precision) for name, golden in GOLDEN.items() for precision in golden]


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_numbers_are_as_committed(name: str, precision: str) -> None:
    golden = dict(GOLDEN[name][precision])
    encoder = open_encoder(name, precision=precision)
    assert encoder.fingerprint == golden.pop("fingerprint")
    for text, expected in golden.items():
        if isinstance(encoder, SpladeEncoder):
            made = encoder.encode_query(text)
            for token, weight in expected.items():
                assert made[token] == pytest.approx(weight, abs=TOLERANCE[precision]), (text, token)
        elif isinstance(encoder, CrossEncoder):
            answers = (
                "dict.fromkeys(items) drops repeated items and keeps their order",
                "a fish in the sea",
            )
            scores = encoder.score(text, answers)
            assert scores == pytest.approx(expected, abs=SCORE_TOLERANCE[precision])
        else:
            query = text.removeprefix("query: ")
            vector = (
                encoder.encode_query(query)
                if query != text
                else encoder.encode_documents([text])[0]
            )
            tolerance = TOLERANCE[precision] / 4
            np.testing.assert_allclose(vector[: len(expected)], expected, atol=tolerance)


def test_every_model_of_the_project_has_golden_numbers() -> None:
    for name, golden in GOLDEN.items():
        assert sorted(golden) == sorted(load_manifest(name).precisions)
    assert {"splade-tiny", "bge-small-en-v1.5", "all-minilm-l6-v2"} <= set(GOLDEN)
