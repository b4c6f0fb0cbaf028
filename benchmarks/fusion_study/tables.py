"""The study's figures as tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.fusion_study.cases import KINDS
from benchmarks.fusion_study.folds import AUTO, REFERENCES, SYSTEMS, TRUSTED
from benchmarks.fusion_study.found import LEGS
from benchmarks.fusion_study.telling import BETWEEN

Study = Mapping[str, Any]

_ABOUT = (
    "Written by `scripts/study-fusion`; [fusion.md](../fusion.md#the-study) says what they mean. "
    "nDCG@10 of sets that took no part in the fit of `auto`; ! where it misses its goal. As "
    "shipped: by the product's constants, which were learnt on some of these sets. Gains have 95 % "
    "intervals of the paired bootstrap; those of ablations are means over the natural sets."
)


def tables(study: Study) -> str:
    """Lay out a whole study; what a quick one lacks is left out."""
    blocks = ["# The figures of the study", _ABOUT, constants_table(study["constants"])]
    for kind in KINDS:
        rows = [row for row in study["rows"] if row["kind"] == kind]
        blocks += [f"## Legs: {kind}", values_table(rows), gains_table(rows)]
    if "ablations" in study:
        blocks += ["## Ablations", ablations_table(study["ablations"])]
        blocks += ["## Ablations by set: nDCG@10 less that of auto"]
        blocks += [ablations_by_set(study["ablations"])]
        blocks += ["## Signals", correlations_table(study["correlations"])]
        blocks += ["## Probes and teacher", probes_table(study["probes"])]
    return "\n\n".join(blocks) + "\n"


def constants_table(constants: Mapping[str, Any]) -> str:
    """Lay out the constants: found on all, without each family, and the product's."""
    names = list(constants["found"])
    rows = [
        ("found on all", constants["found"]),
        ("the product's", constants["product"]),
        ("found less the product's", constants["apart"]),
        *((f"without {family}", one) for family, one in constants["without"].items()),
    ]
    return table(
        ("constants", *names),
        [(label, *(f"{one[name]:.2f}" for name in names)) for label, one in rows],
    )


def values_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out nDCG@10 by case and system; a missed goal has a mark."""
    trusted = [TRUSTED] if rows and TRUSTED in rows[0]["values"] else []
    names = [*SYSTEMS, *trusted]
    lines = []
    for row in rows:
        cells = [f"{row['values'][name]:.3f}" for name in names]
        cells[names.index(AUTO)] += " !" if row["short"] else ""
        lines.append((_case(row), str(row["queries"]), *cells, f"{row['product']:.3f}"))
    means = [float(np.mean([row["values"][name] for row in rows])) for name in names]
    means.append(float(np.mean([row["product"] for row in rows])))
    lines.append(("mean", "", *(f"{one:.3f}" for one in means)))
    return table(("set", "queries", *names, "as shipped"), lines)


def gains_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out what ``auto`` has more than others, with intervals."""
    lines = []
    for row in rows:
        gains = (row["gains"][name] for name in REFERENCES)
        cells = [_gain(gain) for gain in gains]
        lines.append((_case(row), row["best"], *cells))
    heads = (f"auto - {name}" for name in REFERENCES)
    return table(("set", "best leg", *heads), lines)


def ablations_table(ablations: Sequence[Mapping[str, Any]]) -> str:
    """Lay out what each part of the weighting is worth."""
    lines = []
    for one in ablations:
        means = (f"{one['means'][kind]:.4f}" for kind in KINDS)
        short = (f"{one['short'][kind]:.3f} ({one['missed'][kind]})" for kind in KINDS)
        worse = "" if one["name"] == AUTO else _gain(one["auto_gains"], digits=4)
        lines.append((one["name"], *means, worse, *short))
    heads = (*KINDS, "auto has more (natural)", *(f"short: {kind}" for kind in KINDS))
    return table(("", *heads), lines)


def ablations_by_set(ablations: Sequence[Mapping[str, Any]]) -> str:
    """Lay out how far each way is from ``auto`` on each set as it is."""
    auto = next(one["natural"] for one in ablations if one["name"] == AUTO)
    others = [one for one in ablations if one["natural"] != auto]
    lines = [
        (part, f"{value:.4f}", *(f"{one['natural'][part] - value:+.4f}" for one in others))
        for part, value in auto.items()
    ]
    return table(("set", AUTO, *(one["name"] for one in others)), lines)


def correlations_table(told: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Lay out how far each signal goes with a leg's nDCG@10: the mean over sets, and the range."""
    lines = []
    for name in next(iter(told.values())):
        cells = []
        for of in (*LEGS, BETWEEN):
            each = [own[name][of] for own in told.values()]
            cells.append(f"{np.mean(each):+.2f} ({min(each):+.2f} to {max(each):+.2f})")
        lines.append((name, *cells))
    return table(("signal", *LEGS, "between the legs of a query"), lines)


def probes_table(probes: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out how probes and the teacher measure the legs, beside judgments."""
    lines = []
    for name, own in probes.items():
        lines.append((name, "judgments", _legs(own["real"]), ""))
        lines.append((name, "teacher, queries", *_taught(own["teacher"])))
        for kind in ("title", "lead", "sentence", "words"):
            if kind not in own:
                continue
            told = own[kind]
            lines.append((name, f"{kind} → whole", _legs(told["whole"]), _of3(told["whole_alike"])))
            if told["rest"]:
                lines.append(
                    (name, f"{kind} → rest", _legs(told["rest"]), _of3(told["rest_alike"]))
                )
                lines.append((name, f"teacher, {kind}", *_taught(told["teacher"])))
    return table(("set", "measured by", " / ".join(LEGS), "pairs in the real order"), lines)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown.

    Example:
        >>> print(table(("a", "b"), [("1", "2")]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    rows = [head, ["---"] * len(head), *lines]
    made = ["| " + " | ".join(row) + " |" for row in rows]
    made[1] = made[1].replace(" ", "")
    return "\n".join(made)


def _gain(gain: Mapping[str, float], *, digits: int = 3) -> str:
    mean, low, high = (f"{gain[name]:+.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _case(row: Mapping[str, Any]) -> str:
    return f"{row['part']} {row['variant']}".strip()


def _legs(values: Mapping[str, float]) -> str:
    return " / ".join(f"{values[leg]:.2f}" for leg in LEGS)


def _of3(share: float) -> str:
    return f"{round(share * 3)} of 3"


def _taught(told: Mapping[str, Any]) -> tuple[str, str]:
    return _legs(told["values"]), _of3(told["alike"])
