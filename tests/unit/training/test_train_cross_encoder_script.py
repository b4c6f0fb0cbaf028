"""The training script itself, on a tiny model: a kill at any moment costs nothing but time.

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
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.oracle

SCRIPT = Path(__file__).parents[3] / "scripts" / "train-cross-encoder"
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
BertModel(config).save_pretrained(folder)
tokenizer.save(folder + "/tokenizer.json")
"""


@pytest.fixture(scope="module")
def torch_python() -> str:
    """Name an interpreter that has torch; without one skip, but fail in CI."""
    python = os.environ.get("FUNNEL_TORCH_PYTHON", sys.executable)
    found = subprocess.run(
        [python, "-c", "import torch, transformers, tokenizers, safetensors"],
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
    """Make a base model of two layers and two data sets of forty documents."""
    root = tmp_path_factory.mktemp("training")
    command = [torch_python, "-c", MAKE_BASE, str(root / "base"), *WORDS]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("msrd_movies", "scifact"):
        folder = root / "datasets" / name
        (folder / "qrels").mkdir(parents=True)
        documents = [
            {"_id": f"d{n}", "title": f"Film {n}", "text": f"Hero {n} goes home. The fox {n} eats."}
            for n in range(40)
        ]
        queries = [{"_id": f"q{n}", "text": f"fox {n}"} for n in range(40)]
        for kind, lines in (("corpus", documents), ("queries", queries)):
            text = "\n".join(json.dumps(line) for line in lines)
            (folder / f"{kind}.jsonl").write_text(text, encoding="utf-8")
        for split, numbers in (("train", range(30)), ("dev", range(30, 40))):
            labels = "".join(f"q{n}\td{n}\t1\nq{n}\td{(n + 1) % 40}\t0\n" for n in numbers)
            path = folder / "qrels" / f"{split}.tsv"
            path.write_text(f"query-id\tcorpus-id\tscore\n{labels}", encoding="utf-8")
    return root


def command_for(python: str, tiny: Path, out: Path, *options: str) -> list[str]:
    """Build a short run that writes a checkpoint after every step."""
    return [
        *(python, str(SCRIPT), "--out", str(out), "--datasets", str(tiny / "datasets")),
        *("--base", str(tiny / "base"), "--layers", "2", "--max-tokens", "32"),
        *("--precision", "fp32", "--threads", "1", "--learning-rate", "0.01"),
        *("--steps", str(STEPS), "--checkpoint-minutes", "0", "--measure-queries", "3"),
        *options,
    ]


def stop_early(command: list[str], *, out: Path, beyond: int, kind: signal.Signals) -> int:
    """Start a run, end it once it has a checkpoint beyond a step, and give its exit status."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 120
        while running.poll() is None and time.monotonic() < deadline:
            names = [path.name for path in (out / "checkpoints").glob("step-*")]
            if any(int(name.removeprefix("step-")) > beyond for name in names):
                running.send_signal(kind)
                break
            time.sleep(0.01)
        return running.wait(timeout=60)


def weights_of(folder: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Read all the numbers of a safetensors file, in its own order."""
    content = (folder / "model.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")
    return np.frombuffer(content[8 + header :], dtype=np.float32)


def test_a_run_that_is_stopped_and_killed_ends_with_the_weights_of_one_that_was_not(
    torch_python: str, tiny: Path
) -> None:
    straight, broken = tiny / "straight", tiny / "broken"
    done = subprocess.run(
        command_for(torch_python, tiny, straight), capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["steps"] == STEPS
    assert set(result["figures"]) == {"msrd_movies_dev", "scifact_held_out"}

    first = command_for(torch_python, tiny, broken)
    again = command_for(torch_python, tiny, broken, "--resume")
    assert stop_early(first, out=broken, beyond=5, kind=signal.SIGTERM) == 1
    assert stop_early(again, out=broken, beyond=25, kind=signal.SIGKILL) == -signal.SIGKILL
    assert not (broken / "model").exists()
    done = subprocess.run(again, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr

    assert not np.array_equal(weights_of(straight / "model"), weights_of(tiny / "base"))
    np.testing.assert_allclose(
        weights_of(broken / "model"), weights_of(straight / "model"), rtol=0, atol=1e-5
    )
    config = json.loads((straight / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForSequenceClassification"]


@pytest.fixture(scope="module")
def begun(torch_python: str, tiny: Path) -> Path:
    """Make one step of a run that others are asked to go on with."""
    out = tiny / "begun"
    made = subprocess.run(
        command_for(torch_python, tiny, out, "--steps", "1"), capture_output=True, check=False
    )
    assert made.returncode == 0
    return out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--seed", "2", "--resume"], "--resume: seed was 1"),
        ([], "holds a run: add --resume"),
        (["--layers", "9", "--resume"], "the base has 2"),
        (["--datasets", "nowhere", "--resume"], "corpus.jsonl is missing"),
    ],
)
def test_a_run_that_cannot_go_on_says_why_in_one_line(
    torch_python: str, tiny: Path, begun: Path, options: list[str], reason: str
) -> None:
    command = command_for(torch_python, tiny, begun, *options)
    failed = subprocess.run(command, capture_output=True, check=False, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert reason in failed.stderr
