"""What to measure: what the user names, else what the baseline has, else what a first one gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.gating.snapshot import Snapshot, SystemFigures
from opensearch_funnel.evaluating.measures import DEFAULT_MEASURES, Measure, measure_named

_FIRST_SPLIT = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is measured for a gate.

    Attributes:
        split: of the data set.
        systems: by name; empty for all that there are.
        measures: what to compute.
    """

    split: str
    systems: tuple[str, ...]
    measures: tuple[Measure, ...]


def wanted(
    baseline: Snapshot | None,
    *,
    split: str | None = None,
    systems: Sequence[str] = (),
    measures: Sequence[Measure] = (),
    first_systems: Sequence[str] = (),
) -> Wanted:
    """Choose what is measured; whatever is not said is what the baseline has.

    Args:
        baseline: where there is one.
        split: as the user says.
        systems: likewise.
        measures: likewise.
        first_systems: those of a first baseline.

    Example:
        >>> [str(measure) for measure in wanted(None, first_systems=["hybrid"]).measures]
        ['nDCG@10', 'R@100']
    """
    if baseline is None:
        return Wanted(
            split=split or _FIRST_SPLIT,
            systems=tuple(systems or first_systems),
            measures=tuple(measures or DEFAULT_MEASURES),
        )
    return Wanted(
        split=split or baseline.split,
        systems=tuple(systems or baseline.systems),
        measures=tuple(measures or map(measure_named, baseline.measures)),
    )


def only(baseline: Snapshot, chosen: Wanted) -> Snapshot:
    """Return a baseline with the chosen systems and measures, and no others.

    Raises:
        InputError: it lacks one of them.
    """
    names = [str(measure) for measure in chosen.measures]
    systems: dict[str, SystemFigures] = {}
    for name in chosen.systems:
        found = baseline.systems.get(name)
        if found is None:
            raise _lacks(name, there=baseline.systems)
        for measure in names:
            if measure not in found.values:
                raise _lacks(f"{measure} of {name}", there=found.values)
        values = {measure: found.values[measure] for measure in names}
        systems[name] = msgspec.structs.replace(found, values=values)
    return msgspec.structs.replace(baseline, systems=systems)


def _lacks(what: str, *, there: Iterable[str]) -> InputError:
    return InputError(
        f"the baseline has no {what}; it has: {', '.join(there)}; leave it out, or measure the "
        "baseline anew with --update"
    )
