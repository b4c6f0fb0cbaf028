"""A training run: a budget, a log, checkpoints, and a stop that loses nothing.

What is trained is a ``Task``; this is the loop around it. Needs torch, which is imported where it
is used: nothing that serves imports this module.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from opensearch_funnel.core.errors import FunnelError, InputError, MissingExtraError
from opensearch_funnel.training.checkpoints import (
    appearing,
    checkpoint_folder,
    drop_old_checkpoints,
    learning_rate_at,
    newest_checkpoint,
    share_done,
)
from opensearch_funnel.training.devices import Compute
from opensearch_funnel.training.loss_plot import draw_loss

_SECONDS_A_LINE = 20
_LOSSES_A_MEAN = 100
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Task(Protocol):
    """What a run trains."""

    @property
    def model(self) -> Any:
        """The ``torch.nn.Module`` whose parameters are learnt."""
        ...

    @property
    def compute(self) -> Compute:
        """Where the model is, and how exactly it is multiplied."""
        ...

    def loss(self, step: int, *, done: float) -> Any:
        """Return the loss of a step as a tensor with gradients.

        Args:
            step: from 0; the same number always sees the same data.
            done: share of the run that is done, 0 to 1.
        """
        ...

    def values(self) -> Mapping[str, float]:
        """Return what else is worth a place in the log, of the last step."""
        ...

    def figures(self) -> dict[str, Any]:
        """Measure the model as it is on queries that are never trained on."""
        ...

    def save(self, folder: Path) -> None:
        """Write config, weights (safetensors) and tokenizer in Hugging Face's layout."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How long a run lasts, how fast it learns, and how often it writes and looks.

    Attributes:
        out: folder of ``log.jsonl``, ``loss.png``, ``checkpoints`` and ``model``.
        minutes: end after so much time, earlier parts of a resumed run included.
        steps: end after so many steps; one of the two is needed.
        learning_rate: the highest rate, of AdamW.
        warmup: share of the run in which the rate rises.
        checkpoint_minutes: time between checkpoints.
        measure_minutes: time between looks at ``Task.figures``.
    """

    out: Path
    minutes: float | None
    steps: int | None
    learning_rate: float
    warmup: float
    checkpoint_minutes: float
    measure_minutes: float


def starting_point(out: Path, *, resume: bool, recipe: Mapping[str, Any]) -> Path | None:
    """Return the newest checkpoint, from which a run goes on; None where it begins.

    Raises:
        InputError: there are checkpoints, and the run was not asked to go on from them, or they
            were made by another recipe.
    """
    newest = newest_checkpoint(out / "checkpoints")
    if newest is None:
        return None
    if not resume:
        raise InputError(f"{out} holds a run: add --resume, or name another --out")
    made_by = _state_of(newest)["recipe"]
    for name, value in recipe.items():
        if made_by.get(name) != value:
            raise InputError(f"--resume: {name} was {made_by.get(name)} in {newest.name}")
    return newest


def _state_of(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
    return state


class Run:
    """One run of one task.

    Args:
        task: what is trained, loaded from ``starting_point`` or a base.
        options: budget, rates and times.
        recipe: what decides the course of the run; one that is resumed must have the same.
        counts: what the log says of the data.
    """

    def __init__(
        self,
        task: Task,
        options: RunOptions,
        *,
        recipe: Mapping[str, Any],
        counts: Mapping[str, int] | None = None,
    ) -> None:
        import torch

        self.task, self.options, self.recipe = task, options, dict(recipe)
        self._about: dict[str, Any] = {
            "device": task.compute.device,
            "precision": task.compute.precision,
            **({"data": dict(counts)} if counts else {}),
        }
        self.step, self.used = 0, 0.0
        named = list(task.model.named_parameters())
        plain = [p for name, p in named if _is_plain(name)]
        decayed = [p for name, p in named if not _is_plain(name)]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
        self._folder = options.out / "checkpoints"
        newest = newest_checkpoint(self._folder)
        if newest is not None:
            self._load(newest)

    def train(self) -> dict[str, Any] | None:
        """Go on to the end of the budget and write ``out/model`` with ``training.json`` in it.

        However it ends, ``out/loss.png`` is drawn from the log, where matplotlib is installed.

        Returns:
            Steps, minutes, mean of the last losses, recipe and figures; None when SIGTERM or
            Ctrl-C ended it first, which leaves a checkpoint.
        """
        stops = _Stops()
        options = self.options
        self._note(**self._about)
        loss = self._go_on(stops)
        self._save()
        if stops.asked:
            self._draw()
            return None
        figures = self._figures()
        self._note(**figures)
        result = {
            "steps": self.step,
            "minutes": round(self.used / 60, 1),
            "loss": loss,
            **self._about,
            "recipe": self.recipe,
            "figures": figures,
        }
        with appearing(options.out / "model") as made:
            self.task.save(made)
            (made / "training.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        self._draw()
        return {"model": str(options.out / "model"), **result}

    def _go_on(self, stops: _Stops) -> float:
        """Learn until the budget is used up or a stop is asked for; return the last mean loss."""
        options = self.options
        save_time = _Every(60 * options.checkpoint_minutes)
        look_time = _Every(60 * options.measure_minutes)
        tell_time = _Every(_SECONDS_A_LINE)
        begun = time.monotonic() - self.used
        losses: list[float] = []
        told = (self.step, time.monotonic())
        self.task.model.train()
        while True:
            self.used = time.monotonic() - begun
            done = share_done(
                step=self.step, steps=options.steps, seconds=self.used, minutes=options.minutes
            )
            if done >= 1 or stops.asked:
                break
            losses = [*losses[1 - _LOSSES_A_MEAN :], self._learn(done)]
            if tell_time.due() or self.step == 1:
                told = self._tell(losses, done=done, since=told)
            if save_time.due():
                self._save()
            if look_time.due():
                self._note(**self._figures())
                told = (self.step, time.monotonic())
        if self.step > told[0]:
            self._tell(losses, done=done, since=told)
        return _mean(losses)

    def _tell(
        self, losses: list[float], *, done: float, since: tuple[int, float]
    ) -> tuple[int, float]:
        """Note how the run goes; return the step and the time of it."""
        now = time.monotonic()
        left = self.used * (1 - done) / done / 60 if done else 0.0
        self._note(
            loss=_mean(losses),
            **{name: round(value, 4) for name, value in self.task.values().items()},
            rate=self._optimizer.param_groups[0]["lr"],
            steps_s=round((self.step - since[0]) / max(now - since[1], 1e-6), 2),
            left_min=round(max(left, 0.0), 1),
        )
        return self.step, now

    def _draw(self) -> None:
        """Draw the log; a plot that cannot be drawn takes nothing from the run."""
        out = self.options.out
        try:
            draw_loss(out / "log.jsonl", out / "loss.png")
        except FunnelError as error:
            later = isinstance(error, MissingExtraError)
            then = "; then the same command with --plot-only" if later else ""
            print(f"no loss.png: {error}{then}", file=sys.stderr)  # noqa: T201

    def finish(self) -> int:
        """Train to the end and print the result as one JSON object.

        Returns:
            0; or 1 when a signal ended the run first.
        """
        result = self.train()
        if result is None:
            print(  # noqa: T201 - a script's answer
                f"stopped at step {self.step}: go on with --resume", file=sys.stderr
            )
            return 1
        print(json.dumps(result))  # noqa: T201
        return 0

    def _learn(self, done: float) -> float:
        import torch

        rate = learning_rate_at(done, peak=self.options.learning_rate, warmup=self.options.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss = self.task.loss(self.step, done=done)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.task.model.parameters(), 1.0)
        self._optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _figures(self) -> dict[str, Any]:
        import torch

        self.task.model.eval()
        with torch.inference_mode():
            figures = self.task.figures()
        self.task.model.train()
        return figures

    def _load(self, folder: Path) -> None:
        from safetensors.torch import load_file

        state = _state_of(folder)
        self.step, self.used = state["step"], state["used"]
        # Moments are tensors by parameter name: a checkpoint never holds a pickle. They go where
        # their parameter is, which may be another device than before; AdamW counts on the CPU.
        moments = load_file(folder / "optimizer.safetensors")
        for name, parameter in self.task.model.named_parameters():
            if f"step.{name}" in moments:
                self._optimizer.state[parameter] = {
                    kind: moments[f"{kind}.{name}"].to(
                        "cpu" if kind == "step" else parameter.device
                    )
                    for kind in _MOMENTS
                }

    def _save(self) -> None:
        """Write a checkpoint, then drop all but the newest two."""
        from safetensors.torch import save_file

        moments = {
            f"{kind}.{name}": self._optimizer.state[parameter][kind]
            for name, parameter in self.task.model.named_parameters()
            if parameter in self._optimizer.state
            for kind in _MOMENTS
        }
        state = {"step": self.step, "used": self.used, "recipe": self.recipe}
        with appearing(checkpoint_folder(self._folder, step=self.step)) as made:
            self.task.save(made)
            save_file(moments, made / "optimizer.safetensors")
            (made / "state.json").write_text(json.dumps(state), encoding="utf-8")
        drop_old_checkpoints(self._folder)

    def _note(self, **values: Any) -> None:
        """Add a line to the log and show it."""
        line = json.dumps({"step": self.step, "minutes": round(self.used / 60, 2), **values})
        with (self.options.out / "log.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - what a person watches


class _Stops:
    """Hears SIGTERM and Ctrl-C, so that a step ends and a checkpoint is written first."""

    def __init__(self) -> None:
        self.asked = False
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._hear)

    def _hear(self, _number: int, _frame: object) -> None:
        self.asked = True


class _Every:
    """Tells when so many seconds have gone by since it last said so."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        """Say whether the time has come, and if so start anew."""
        come = time.monotonic() - self._last > self._seconds
        if come:
            self._last = time.monotonic()
        return come


def _is_plain(name: str) -> bool:
    return "bias" in name or "LayerNorm" in name


def _mean(losses: list[float]) -> float:
    return round(sum(losses) / max(len(losses), 1), 4)
