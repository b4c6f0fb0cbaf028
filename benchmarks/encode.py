"""How fast SPLADE documents are encoded, against the loop that most people write first.

The same model (splade-tiny), the same SciFact abstracts, 256 tokens, the same result (a dict of
token to weight for each document):

* ``torch``: batches of 32 in the order of the file, padded to the longest, pooled over the full
  logits, in float32
* ``fp32``: ours, in float32
* ``default``: ours, in the precision that the manifest puts first

The three take turns in every round, so that a busy machine slows all of them; the figure is the
median of the ratios of the rounds. Goal (fp32 against fp32): 2.5 times; default precision: 4 times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import FunnelError, InputError, MissingExtraError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.fetch import pull
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_splade

MODEL = "splade-tiny"
BATCH = 32
GOALS = {"fp32": 2.5, "default": 4.0}

Encode = Callable[[Sequence[str]], list[dict[str, float]]]


def run(
    datasets: Path, *, documents: int = 128, rounds: int = 5, progress: Progress = SILENT
) -> dict[str, Any]:
    """Time the three encoders side by side.

    Args:
        datasets: a folder with ``scifact`` in BEIR layout.
        documents: how many abstracts, taken evenly from the corpus.
        rounds: how often each encoder goes over them; at least 1.
        progress: hears of each finished pass.

    Returns:
        Documents a second of each encoder (median over rounds), the ratios to ``torch`` (median,
        lowest, highest), how far the weights are apart, and the machine.

    Raises:
        InputError: there is no SciFact.
        MissingExtraError: torch or transformers is not installed.
    """
    texts = abstracts(datasets / "scifact" / "corpus.jsonl", count=documents)
    encoders: dict[str, Encode] = {
        "torch": torch_loop(max_tokens=load_manifest(MODEL).max_tokens),
        "fp32": open_splade(MODEL, precision="fp32").encode_documents,
        "default": open_splade(MODEL).encode_documents,
    }
    results = {name: encode(texts[:BATCH]) for name, encode in encoders.items()}  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    with progress.task("encoding", total=rounds * len(encoders), unit="passes") as advance:
        for number in range(rounds):
            names = list(encoders)
            # Another one starts in every round: no encoder always runs after the same neighbour.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                start = time.perf_counter()
                encoders[name](texts)
                seconds[name].append(time.perf_counter() - start)
                advance(1)
    ratios = {
        name: [t / own for t, own in zip(seconds["torch"], seconds[name], strict=True)]
        for name in GOALS
    }
    return {
        "model": MODEL,
        "default_precision": load_manifest(MODEL).precision(),
        "documents": len(texts),
        "rounds": rounds,
        "documents_per_second": {
            name: round(len(texts) / statistics.median(times), 2) for name, times in seconds.items()
        },
        "times_torch": {
            name: {
                "median": round(statistics.median(values), 2),
                "lowest": round(min(values), 2),
                "highest": round(max(values), 2),
                "goal": GOALS[name],
                "reached": statistics.median(values) >= GOALS[name],
            }
            for name, values in ratios.items()
        },
        "largest_difference_to_torch": {
            name: largest_difference(results["torch"], results[name]) for name in GOALS
        },
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def abstracts(path: Path, *, count: int) -> list[str]:
    """Read title and text of ``count`` documents, spread evenly over the file.

    Raises:
        InputError: the file is not there.
    """
    if not path.is_file():
        raise InputError(f"no {path}: set FUNNEL_DATASETS to the folder that holds scifact")
    with path.open(encoding="utf-8") as lines:
        corpus = [json.loads(line) for line in lines]
    step = max(1, len(corpus) // count)
    return [f"{d.get('title', '')} {d['text']}".strip() for d in corpus[::step][:count]]


def torch_loop(*, max_tokens: int) -> Encode:
    """Return the usual loop: tokenise 32, pad to the longest, pool over all logits.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingExtraError("torch with transformers", extra="export") from error
    folder = pull(load_manifest(MODEL))
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="[PAD]",  # noqa: S106 - no password
    )
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))

    def encode(texts: Sequence[str]) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                list(texts[start : start + BATCH]),
                padding=True,
                truncation=True,
                max_length=max_tokens,
                return_tensors="pt",
                return_token_type_ids=False,
            )
            with torch.inference_mode():
                logits = model(**batch).logits
                weights = torch.log1p(torch.relu(logits)) * batch["attention_mask"][..., None]
                pooled = weights.amax(dim=1)
            for row in pooled:
                ids = row.nonzero()[:, 0]
                pairs = zip(ids.tolist(), row[ids].tolist(), strict=True)
                found.append({tokens[i]: weight for i, weight in pairs})
        return found

    return encode


def largest_difference(
    reference: Sequence[dict[str, float]], ours: Sequence[dict[str, float]]
) -> float:
    """Return the largest difference of one weight; special tokens, which we drop, left out."""
    return max(
        abs(a.get(token, 0.0) - b.get(token, 0.0))
        for a, b in zip(reference, ours, strict=True)
        for token in a.keys() | b.keys()
        if not (token.startswith("[") and token.endswith("]"))
    )


def main() -> int:
    """Run from the command line; the result is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--datasets", type=Path, default=None)
    parser.add_argument("--documents", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    datasets = given.datasets or Path(os.environ.get("FUNNEL_DATASETS", "../shared/datasets"))
    try:
        result = run(datasets, documents=given.documents, rounds=given.rounds)
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0 if all(figure["reached"] for figure in result["times_torch"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
