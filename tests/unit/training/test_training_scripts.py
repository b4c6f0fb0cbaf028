"""The training scripts themselves, on tiny models: a kill at any moment costs nothing but time.

Needs an interpreter with torch and transformers: this one, or the one that
``FUNNEL_TORCH_PYTHON`` names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.training.loss_plot import read_log
from tests.unit.training.conftest import write_corpus

pytestmark = pytest.mark.oracle

SCRIPTS = Path(__file__).parents[3] / "scripts"
ARCHITECTURES = {
    "train-cross-encoder": "BertForSequenceClassification",
    "train-splade": "BertForMaskedLM",
    "train-dense": "BertModel",
}
LOOKS = {
    "train-cross-encoder": {"msrd_movies_dev", "scifact_held_out"},
    "train-splade": {"msrd_movies_dev", "scifact_held_out"},
    "train-dense": {"not_trained_on"},
}
STEPS = 60
WORDS = [
    "film",
    "hero",
    "fox",
    "hen",
    "home",
    "goes",
    "eats",
    "sings",
    "about",
    "then",
    "the",
    "now",
]

MAKE_BASE = """
import sys
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel
folder, words = sys.argv[1], sys.argv[2:]
marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
pieces = [chr(c) for c in range(33, 127)]
terms = list(dict.fromkeys([*marks, *words, *pieces, *("##" + p for p in pieces)]))
vocabulary = {term: place for place, term in enumerate(terms)}
tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
config = BertConfig(vocab_size=len(terms), hidden_size=16, num_hidden_layers=2,
                    num_attention_heads=2, intermediate_size=32, max_position_embeddings=64)
torch.manual_seed(5)
BertModel(config).save_pretrained(folder)
tokenizer.save(folder + "/tokenizer.json")
"""


@pytest.fixture(scope="module")
def torch_python() -> str:
    """Name an interpreter that has torch; without one skip, but fail in CI."""
    python = os.environ.get("FUNNEL_TORCH_PYTHON", sys.executable)
    found = subprocess.run(
        [python, "-c", "import torch, transformers, tokenizers, safetensors, matplotlib"],
        capture_output=True,
        check=False,
    )
    if found.returncode:
        reason = f"{python} has no torch: install opensearch-funnel[train]"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.fixture(scope="module")
def tiny(torch_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a base model of two layers, two data sets of forty documents and a Python library."""
    root = tmp_path_factory.mktemp("training")
    command = [torch_python, "-c", MAKE_BASE, str(root / "base"), *WORDS]
    subprocess.run(command, check=True, capture_output=True)
    splits = {"train": range(30), "dev": range(30, 40)}
    for name in ("msrd_movies", "scifact"):
        write_corpus(root / "datasets" / name, splits=splits)
    (root / "library").mkdir()
    says = "It eats and sings about the hen at home. " * 2
    functions = [f'def feed_{n}():\n    """Feed fox {n}. {says}"""\n' for n in range(12)]
    (root / "library" / "foxes.py").write_text("\n".join(functions), encoding="utf-8")
    return root


def command_for(python: str, tiny: Path, script: str, out: Path, *options: str) -> list[str]:
    """Build a short run that writes a checkpoint after every step."""
    mixture = ("--datasets", str(tiny / "datasets"), "--library", str(tiny / "library"))
    own: dict[str, tuple[str, ...]] = {
        "train-cross-encoder": (*mixture, "--layers", "2"),
        "train-splade": (*mixture, "--share", "pieces_python=0.2"),
        "train-dense": (str(tiny / "datasets" / "msrd_movies"),),
    }
    return [
        *(python, str(SCRIPTS / script), "--out", str(out), *own[script]),
        *("--base", str(tiny / "base"), "--max-tokens", "32", "--device", "cpu"),
        *("--precision", "fp32", "--threads", "1", "--learning-rate", "0.01"),
        *("--steps", str(STEPS), "--checkpoint-minutes", "0", "--measure-queries", "3"),
        *options,
    ]


def stop_early(command: list[str], *, out: Path, beyond: int, kind: signal.Signals) -> int:
    """Start a run, end it once it has a checkpoint beyond a step, and give its exit status."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 300
        while running.poll() is None and time.monotonic() < deadline:
            names = [path.name for path in (out / "checkpoints").glob("step-*")]
            if any(int(name.removeprefix("step-")) > beyond for name in names):
                running.send_signal(kind)
                break
            time.sleep(0.01)
        return running.wait(timeout=120)


def weights_of(folder: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Read all the numbers of a safetensors file, tensor by tensor in the order of their names."""
    return np.frombuffer(b"".join(tensors_of(folder).values()), dtype=np.float32)


def tensors_of(folder: Path) -> dict[str, bytes]:
    """Read the numbers of each tensor of a safetensors file, as they lie there."""
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    places = {name: tensor["data_offsets"] for name, tensor in header.items()}
    numbers = content[8 + length :]
    return {name: numbers[first:end] for name, (first, end) in sorted(places.items())}


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def straight(torch_python: str, tiny: Path) -> Callable[[str], Path]:
    """Run a script from its first step to its last, once for all tests; give its folder."""

    @cache
    def run(script: str) -> Path:
        out = tiny / f"{script}-straight"
        command = command_for(torch_python, tiny, script, out)
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["steps"] == STEPS
        assert set(result["figures"]) == LOOKS[script]
        return out

    return run


@pytest.mark.parametrize("script", ARCHITECTURES)
def test_a_run_that_is_stopped_and_killed_ends_with_the_weights_of_one_that_was_not(
    torch_python: str, tiny: Path, straight: Callable[[str], Path], script: str
) -> None:
    out = tiny / f"{script}-broken"
    first = command_for(torch_python, tiny, script, out)
    again = command_for(torch_python, tiny, script, out, "--resume")
    assert stop_early(first, out=out, beyond=5, kind=signal.SIGTERM) == 1
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert stop_early(again, out=out, beyond=25, kind=signal.SIGKILL) == -signal.SIGKILL
    assert not (out / "model").exists()
    done = subprocess.run(again, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        weights_of(out / "model"), weights_of(straight(script) / "model"), rtol=0, atol=1e-5
    )
    steps = [line["step"] for line in read_log(out / "log.jsonl")]
    assert (steps[0], steps[-1]) == (0, STEPS)


@pytest.mark.parametrize("script", ARCHITECTURES)
def test_the_loss_falls_and_the_log_the_plot_and_the_model_say_how(
    straight: Callable[[str], Path], script: str
) -> None:
    out = straight(script)
    log = log_of(out)
    said = {"device": "cpu", "precision": "fp32"}
    assert said.items() <= log[0].items()
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < 0.97 * losses[0]
    assert all(line["rate"] > 0 for line in log if "loss" in line)
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    training = json.loads((out / "model" / "training.json").read_text(encoding="utf-8"))
    assert said.items() <= training.items()
    assert not {"device", "precision"} & set(training["recipe"])
    config = json.loads((out / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [ARCHITECTURES[script]]


@pytest.mark.parametrize(
    ("script", "options", "reason"),
    [
        ("train-cross-encoder", ["--seed", "2", "--resume"], "--resume: seed was 1"),
        ("train-cross-encoder", [], "holds a run: add --resume"),
        ("train-cross-encoder", ["--out", "new", "--layers", "9"], "the base has 2"),
        ("train-cross-encoder", ["--share", "scifact=1", "--resume"], "--resume: shares was {"),
        ("train-splade", ["--scale", "2", "--resume"], "--resume: scale was 1.0"),
        ("train-splade", ["--queries", "idf", "--resume"], "--queries idf needs --idf FILE"),
        ("train-dense", ["--clicks", "clicks.tsv", "--resume"], "--resume: clicks was None"),
        ("train-dense", ["--clicks", "gone.tsv"], "gone.tsv is missing"),
    ],
)
def test_a_run_that_cannot_go_on_says_why_in_one_line(
    straight: Callable[[str], Path], torch_python: str, script: str, options: list[str], reason: str
) -> None:
    out = straight(script)
    write_clicks(out.parent / "clicks.tsv")
    failed = subprocess.run(
        command_for(torch_python, out.parent, script, out, *options),
        capture_output=True,
        check=False,
        text=True,
        cwd=out.parent,
    )
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert reason in failed.stderr


def write_clicks(path: Path) -> Path:
    """Write two clicks on the film of each query, and one film that was passed over."""
    lines = [f"fox {n}\td{n}\t2\t9\nfox {n}\td39\t0\t9\n" for n in range(39)]
    path.write_text("query\tdocument\tclicks\tshows\n" + "".join(lines), encoding="utf-8")
    return path


def test_clicks_alone_are_trained_on_and_a_fifth_of_them_looked_at(
    torch_python: str, tiny: Path
) -> None:
    folder, out = write_corpus(tiny / "unjudged", splits={}), tiny / "clicked"
    clicks = write_clicks(tiny / "of-unjudged.tsv")
    command = command_for(torch_python, tiny, "train-dense", out, "--steps", "4")
    command[command.index(str(tiny / "datasets" / "msrd_movies"))] = str(folder)
    done = subprocess.run(
        [*command, "--clicks", str(clicks)], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["figures"]) == {"clicks_not_trained_on"}
    assert result["recipe"]["least_clicks"] == 2
    counts = log_of(out)[0]["data"]
    assert counts["judged_queries"] == 0
    assert counts["clicked_queries"] + counts["clicked_queries_looked_at"] == 39


def test_a_table_can_weigh_the_queries(torch_python: str, tiny: Path) -> None:
    table, out = tiny / "idf.json", tiny / "by-table"
    table.write_text(json.dumps({"fox": 2.0, "hero": 1.0, "not-a-token": 9.0}), encoding="utf-8")
    options = ("--steps", "4", "--queries", "idf", "--idf", str(table))
    command = command_for(torch_python, tiny, "train-splade", out, *options)
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"]["queries"] == "idf"


def test_frozen_words_stay_those_of_the_base(torch_python: str, tiny: Path) -> None:
    out = tiny / "frozen"
    options = ("--steps", "4", "--freeze-words")
    command = command_for(torch_python, tiny, "train-splade", out, *options)
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    words, places = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position"))
    before, after = tensors_of(tiny / "base"), tensors_of(out / "model")
    assert after[f"bert.{words}"] == before[words]
    assert after[f"bert.{places}"] != before[places]


def test_a_run_without_matplotlib_ends_well_and_says_how_to_get_the_plot(
    torch_python: str, tiny: Path
) -> None:
    folder = tiny / "without" / "matplotlib"
    folder.mkdir(parents=True)
    missing = "raise ModuleNotFoundError('No module named matplotlib', name='matplotlib')\n"
    (folder / "__init__.py").write_text(missing, encoding="utf-8")
    out = tiny / "undrawn"
    done = subprocess.run(
        command_for(torch_python, tiny, "train-dense", out, "--steps", "4"),
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
    )
    assert done.returncode == 0, done.stderr
    assert (out / "model" / "training.json").is_file()
    assert not (out / "loss.png").exists()
    assert done.stderr.splitlines()[-1] == (
        "no loss.png: matplotlib is not installed: pip install 'opensearch-funnel[train]'; "
        "then the same command with --plot-only"
    )


def test_a_gpu_that_is_not_there_is_said_in_one_line(torch_python: str, tiny: Path) -> None:
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = command_for(torch_python, tiny, "train-dense", tiny / "gpu", "--device", "cuda")
    failed = subprocess.run(command, capture_output=True, check=False, text=True, env=hidden)
    assert failed.returncode == 1
    assert failed.stderr.startswith("--device cuda: torch sees no GPU here")
    assert failed.stderr.count("\n") == 1
