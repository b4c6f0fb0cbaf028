"""From what was recorded to cases; signals take a while to read and are kept."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.fusion_study import signals
from benchmarks.fusion_study.cases import (
    VARIANTS,
    Case,
    Full,
    Variant,
    arrays_of,
    ideal_of,
    permuted,
    signals_of_all,
)
from benchmarks.fusion_study.collections_of_study import Part
from benchmarks.fusion_study.found import Asked
from benchmarks.fusion_study.signals import Floats
from opensearch_funnel.core import query_weights, rank_overlap
from opensearch_funnel.core.progress import SILENT, Progress

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A part of a collection with what was found for it.

    Attributes:
        part: of a collection.
        asked: its queries.
        words: the collection's probes of their own words.
    """

    part: Part
    asked: Sequence[Asked]
    words: Sequence[Asked]


def cases_of(
    material: Sequence[Material], *, kept_in: Path, progress: Progress = SILENT
) -> list[Case]:
    """Return every part in every variant.

    Args:
        material: what was recorded.
        kept_in: a folder for signals.
        progress: hears of each case.
    """
    cases = []
    with progress.task(
        "reading signals", total=len(material) * len(VARIANTS), unit="cases"
    ) as advance:
        for one in material:
            renamed = permuted(sorted(one.part.dataset.doc_ids()))
            full = Full.of(one.words)
            for variant in VARIANTS:
                cases.append(_case(one, variant, renamed=renamed, full=full, kept_in=kept_in))
                advance(1)
    return cases


def _case(
    material: Material, variant: Variant, *, renamed: Mapping[str, str], full: Full, kept_in: Path
) -> Case:
    asked, part = material.asked, material.part
    name = f"{part.collection}-{part.dataset.split}-{variant.name or 'natural'}".replace(" ", "-")
    path = kept_in / f"{name}-{_digest(full, asked)}.npy"
    if path.is_file():
        told: Floats = np.load(path)
    else:
        told = signals_of_all(asked, variant, renamed=renamed, full=full)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, told)
    arrays = arrays_of(asked, variant, renamed=renamed)
    return Case(
        part=part.name,
        collection=part.collection,
        family=part.family,
        fitted=part.fitted,
        variant=variant,
        query_ids=[one.query_id for one in asked],
        signals=told,
        normalized=arrays["normalized"],
        ranks=arrays["ranks"],
        gains=arrays["gains"],
        ideal=ideal_of(asked),
    )


def _digest(full: Full, asked: Sequence[Asked]) -> str:
    """Return what signals rest on: the code that reads them, and what it is given."""
    code = [inspect.getsource(module) for module in (query_weights, rank_overlap, signals)]
    given = [repr(full), *(one.query_id for one in asked)]
    return sha256("\n".join([*code, *given]).encode()).hexdigest()[:_DIGITS]
