"""Hosted models: asked in their own form, believed only as far as they can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.models import models
from opensearch_funnel.core.errors import (
    FunnelError,
    InputError,
    ModelError,
    StageUnavailableError,
)
from opensearch_funnel.encoders.hosted import HostedEncoder, open_hosted
from opensearch_funnel.encoders.manifest import Api, Endpoint, Manifest, Output
from opensearch_funnel.encoders.opening import open_encoder
from tests.unit.encoders.embedding_server import (
    DIMENSION,
    KEY,
    Heard,
    embedding_server,
    vector_of,
)

TEXTS = ["hotel", "a fish in the sea", "🙂", "", "hotel"]


@pytest.fixture
def heard() -> Iterator[Heard]:
    with embedding_server() as server:
        yield server


def manifest_of(url: str, *, api: Api = "openai", output: Output = "float") -> Manifest:
    return Manifest(
        name="hosted",
        kind="dense",
        pooling="none",
        query_prefix="query: ",
        max_tokens=8192,
        dimension=DIMENSION,
        licence="proprietary",
        precisions=("fp32",),
        endpoint=Endpoint(
            api=api,
            url=url,
            model="small",
            key_variable="TEST_EMBEDDING_KEY",
            output=output,
            batch=2,
            price_per_million=0.5,
        ),
        files=(),
        sources=(),
        folder=Path(),
    )


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_EMBEDDING_KEY", KEY)


def opened(heard: Heard, *, api: Api = "openai", output: Output = "float") -> HostedEncoder:
    """Open the server's model; waits are not slept through, but remembered."""
    encoder = open_hosted(manifest_of(heard.url, api=api, output=output))
    return replace(encoder, wait=lambda _: None)


def unit(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = vector_of(text)
    return vector / np.linalg.norm(vector)


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize(
    ("api", "path", "tokens"),
    [("openai", "/embeddings", 50), ("cohere", "/v2/embed", 35), ("tei", "/embed", 0)],
)
def test_each_api_is_asked_in_its_own_form(heard: Heard, api: Api, path: str, tokens: int) -> None:
    with opened(heard, api=api) as encoder:
        made = encoder.encode_documents(TEXTS)
        for text, vector in zip(TEXTS, made, strict=True):
            np.testing.assert_allclose(vector, unit(text or " "), atol=1e-6)
        assert set(heard.paths) == {path}
        assert len(heard.bodies) == 3, "two texts a request"
        assert (encoder.usage.requests, encoder.usage.texts) == (3, 5)
        assert encoder.usage.tokens == tokens
        assert encoder.usage.cost == tokens * 0.5 / 1_000_000
        query = encoder.encode_query("hotel")
        np.testing.assert_allclose(query, unit("query: hotel"), atol=1e-6)
    if api == "cohere":
        kinds = [body["input_type"] for body in heard.bodies]
        assert kinds == ["search_document"] * 3 + ["search_query"]


@pytest.mark.usefixtures("_key")
def test_whole_numbers_and_bits_point_where_the_floats_do(heard: Heard) -> None:
    texts = [f"text {i}" for i in range(20)]
    with opened(heard, api="cohere", output="int8") as encoder:
        for text, vector in zip(texts, encoder.encode_documents(texts), strict=True):
            assert float(vector @ unit(text)) > 0.99
    with opened(heard, api="cohere", output="binary") as encoder:
        for text, vector in zip(texts, encoder.encode_documents(texts), strict=True):
            assert np.array_equal(vector > 0, vector_of(text) > 0)
            np.testing.assert_allclose(np.abs(vector), 1 / np.sqrt(DIMENSION), rtol=1e-6)


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("fault", ["429", "429 without a word", "500", "cut"])
def test_what_passes_is_waited_for(heard: Heard, fault: str) -> None:
    heard.faults = [fault, "", fault, fault]
    with opened(heard) as encoder:
        made = encoder.encode_documents(TEXTS)
        np.testing.assert_allclose(made[4], unit("hotel"), atol=1e-6)
        assert encoder.usage.retries == 3
        assert encoder.usage.texts == 5, "a text that was asked for again is counted once"


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("400", "refuses: status 400: .*the input is too long"),
        ("an error in it", "answered in no form of openai: .*overloaded"),
        ("one too few", "answered in no form of openai|gave 0"),
        ("too short", "gave 1 of 2 numbers for 1 texts, not 8 each"),
        ("not a number", "vectors that are not finite|in no form"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused_at_once(
    heard: Heard, fault: str, reason: str
) -> None:
    heard.faults = [fault]
    with opened(heard) as encoder, pytest.raises(ModelError, match=reason) as caught:
        encoder.encode_query("hotel")
    assert len(heard.bodies) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("_key")
def test_patience_ends(heard: Heard) -> None:
    heard.faults = ["500"] * 100
    with opened(heard) as encoder:
        never = replace(encoder, query_patience_s=0.6)
        with pytest.raises(StageUnavailableError, match=r"in 0\.6 s .*status 500: .*oops"):
            never.encode_query("hotel")


@pytest.mark.usefixtures("_key")
def test_a_server_that_hangs_costs_no_more_than_the_patience(heard: Heard) -> None:
    heard.faults = ["hang"] * 100
    with opened(heard) as encoder:
        never = replace(encoder, query_patience_s=0.3)
        with pytest.raises(StageUnavailableError, match="Timeout"):
            never.encode_query("hotel")


def test_a_key_that_is_missing_or_wrong_is_named_and_never_printed(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_EMBEDDING_KEY", raising=False)
    with pytest.raises(InputError, match="needs its key in TEST_EMBEDDING_KEY"):
        opened(heard)
    monkeypatch.setenv("TEST_EMBEDDING_KEY", "wrong-secret")
    with opened(heard) as encoder:
        with pytest.raises(FunnelError, match="put the key into TEST_EMBEDDING_KEY") as caught:
            encoder.encode_query("hotel")
        assert "wrong-secret" not in str(caught.value) + repr(encoder)


@pytest.mark.usefixtures("_key")
def test_an_endpoint_that_is_not_there_is_named() -> None:
    with open_hosted(manifest_of("http://127.0.0.1:9")) as encoder:
        never = replace(encoder, query_patience_s=0.1)
        with pytest.raises(StageUnavailableError, match=r"http://127\.0\.0\.1:9 \(small\)"):
            never.encode_query("hotel")


def test_an_output_that_the_api_lacks_is_refused() -> None:
    with pytest.raises(ModelError, match="openai gives no binary"):
        open_hosted(manifest_of("http://127.0.0.1:9", output="binary"))


def add(url: str, *options: str) -> Result:
    named = ["--api", "openai", "--model", "Acme/Small_1", "--key-variable", "TEST_EMBEDDING_KEY"]
    return CliRunner().invoke(models, ["add", url, *named, *options, "--output", "json"])


@pytest.mark.usefixtures("_key")
def test_a_hosted_model_is_added_by_asking_it_once(heard: Heard, home: Path) -> None:
    added = add(heard.url, "--price", "0.5", "--query-prefix", "query: ")
    assert json.loads(added.stdout)["dimension"] == DIMENSION
    assert len(heard.bodies) == 1
    assert KEY not in (home / "manifests" / "small-1.toml").read_text(encoding="utf-8")
    encoder = open_encoder("small-1")
    assert isinstance(encoder, HostedEncoder)
    with encoder:
        np.testing.assert_allclose(encoder.encode_query("hotel"), unit("query: hotel"), atol=1e-6)
    listed = CliRunner().invoke(models, ["list", "--output", "json"]).stdout
    assert "small-1" in {model["name"] for model in json.loads(listed)["models"]}


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--dimension", "4"], "gave 8 numbers, not the 4 that it was asked for"),
        (["--weights", "model.onnx"], "--weights is for models with files"),
        (["--model", ""], "say how the hosted model is asked"),
        (["--key-variable", "NOT_SET_AT_ALL"], "needs its key in NOT_SET_AT_ALL"),
    ],
)
def test_a_hosted_model_that_cannot_be_added_leaves_nothing(
    heard: Heard, home: Path, options: list[str], reason: str
) -> None:
    result = add(heard.url, *options)
    assert isinstance(result.exception, FunnelError)
    assert reason in str(result.exception)
    assert list((home / "manifests").iterdir()) == []


def test_options_of_hosted_models_are_not_for_folders(tiny_model: Path) -> None:
    result = add(str(tiny_model))
    assert "is for a hosted model, whose SOURCE is a URL" in str(result.exception)
