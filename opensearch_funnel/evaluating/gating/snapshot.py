"""What systems reached at one time, query by query: what a baseline file holds.

JSON, so that a repository can keep it: a few kilobytes for hundreds of queries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import msgspec

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.measures import Measure, Values
from opensearch_funnel.evaluating.whole_files import write_whole

_FORMAT = "funnel gate baseline"
_VERSION = 1
_HASH_DIGITS = 12
# Ten: further apart than this are values only that differ in a ranking.
_VALUE_DIGITS = 10


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers took, in milliseconds.

    Attributes:
        p50: half of the answers took at most this.
        p95: nineteen of twenty did.
        timed: how many answers were timed.
        degraded: how many of those lacked a stage.
    """

    p50: float
    p95: float
    timed: int
    degraded: int = 0


class SystemFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one system reached.

    Attributes:
        values: by measure, the value of each query, in the order of the snapshot's queries.
        latency_ms: ``None`` where nobody asked for it.
    """

    values: dict[str, list[float]]
    latency_ms: Timing | None = None


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures were measured with; what is unknown is empty.

    Attributes:
        plan: as it was evaluated.
        plan_id: of that plan.
        models: fingerprints by name.
        execution: ``native``, ``client``, or empty for run files.
        opensearch: the version of the cluster.
        cpus: of the machine that measured.
    """

    plan: dict[str, Any] = msgspec.field(default_factory=dict)
    plan_id: str = ""
    models: dict[str, str] = msgspec.field(default_factory=dict)
    execution: str = ""
    opensearch: str = ""
    cpus: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of some systems on one split of a data set.

    Attributes:
        dataset: its name; only shown.
        split: of the data set.
        corpus: hash of the documents' file.
        queries: of each query a hash of its text and its grades.
        systems: by name.
        by: what they were measured with.
        format: what the file is.
        version: of the format.
    """

    dataset: str
    split: str
    corpus: str
    queries: dict[str, str]
    systems: dict[str, SystemFigures]
    by: Circumstances = Circumstances()
    format: str = _FORMAT
    version: int = _VERSION

    @property
    def measures(self) -> list[str]:
        """Names of all measures that some system has."""
        return list(dict.fromkeys(m for system in self.systems.values() for m in system.values))

    def values(self, system: str, measure: str) -> dict[str, float]:
        """Return a measure of a system, by query."""
        return dict(zip(self.queries, self.systems[system].values[measure], strict=True))


def snapshot_of(
    dataset: Dataset,
    values: Mapping[str, Mapping[Measure, Values]],
    *,
    latency: Mapping[str, Timing] | None = None,
    by: Circumstances | None = None,
) -> Snapshot:
    """Put together what was measured.

    Args:
        dataset: queries and judgments that it was measured on.
        values: by system and measure, the value of each query.
        latency: by system, where it was taken.
        by: what it was measured with.
    """
    marks = query_marks(dataset)
    timings = latency or {}
    return Snapshot(
        dataset=dataset.name,
        split=dataset.split,
        corpus=corpus_hash(dataset),
        queries=marks,
        systems={
            name: SystemFigures(
                values={
                    str(measure): [round(one[query_id], _VALUE_DIGITS) for query_id in marks]
                    for measure, one in measured.items()
                },
                latency_ms=timings.get(name),
            )
            for name, measured in values.items()
        },
        by=by or Circumstances(),
    )


def query_marks(dataset: Dataset) -> dict[str, str]:
    """Return for each query a hash of what its value depends on besides the ranking."""
    return {
        query.query_id: _hashed([query.text, sorted(dataset.qrels[query.query_id].items())])
        for query in dataset.queries
    }


def corpus_hash(dataset: Dataset) -> str:
    """Return a hash of the file with the documents."""
    with dataset.corpus.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()[:_HASH_DIGITS]


def _hashed(content: Any) -> str:
    return sha256(msgspec.json.encode(content)).hexdigest()[:_HASH_DIGITS]


def write_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a baseline whole, or leave what was there.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole({path: _text(snapshot).encode()})


def _text(snapshot: Snapshot) -> str:
    """Write a line for each query and each list of values: a change shows where it is."""
    plain = msgspec.to_builtins(snapshot)
    order = ("format", "version", "dataset", "split", "corpus", "by")
    parts = [f" {_json(name)}: {_json(plain[name])}" for name in order]
    parts.append(f' "systems": {{\n{_entries(_systems(plain["systems"]))}\n }}')
    queries = (f"{_json(q)}: {_json(mark)}" for q, mark in plain["queries"].items())
    parts.append(f' "queries": {{\n{_entries(queries)}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _systems(systems: Mapping[str, Any]) -> Iterable[str]:
    for name, one in systems.items():
        values = ",\n".join(f"    {_json(m)}: {_json(v)}" for m, v in one["values"].items())
        timing = _json(one["latency_ms"])
        yield f'{_json(name)}: {{"latency_ms": {timing}, "values": {{\n{values}\n  }}}}'


def _entries(lines: Iterable[str]) -> str:
    return ",\n".join(f"  {line}" for line in lines)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def read_snapshot(path: Path) -> Snapshot:
    """Read a baseline.

    Raises:
        InputError: it is missing, not one, of a later version, or its parts do not fit together.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: write it with --update") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != _FORMAT:
            raise _unusable(path, "it is another kind of file")
        if head.version != _VERSION:
            raise _unusable(path, f"its version is {head.version}, this funnel reads {_VERSION}")
        found = msgspec.json.decode(content, type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from error
    if not found.queries or not found.systems:
        raise _unusable(path, "it has no queries, or no systems")
    for name, system in found.systems.items():
        for measure, values in system.values.items():
            if len(values) != len(found.queries) or not all(map(math.isfinite, values)):
                raise _unusable(path, f"{name} {measure} has not one number for each query")
    return found


class _Head(msgspec.Struct):
    format: str = ""
    version: int = 0


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is no baseline that can be read ({why}): delete it and write it with --update"
    )
