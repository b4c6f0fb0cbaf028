"""Whether the target fits on the cluster's disks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError

_DISK = "cluster.routing.allocation.disk."
_UNITS = {"b": 0, "k": 1, "kb": 1, "m": 2, "mb": 2, "g": 3, "gb": 3, "t": 4, "tb": 4, "p": 5}
_UNITS |= {"pb": 5}
_STEP = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free for new shards, on each node that holds data.

    Attributes:
        free: node → bytes until its disk is as full as it may get.
        watermark: what says how full that is; empty where nothing does.
    """

    free: Mapping[str, int]
    watermark: str

    @property
    def total(self) -> int:
        """Bytes on all nodes together."""
        return sum(self.free.values())


def read_room(client: OpenSearch) -> Room:
    """Read how much room there is below the low watermark of each node's disk.

    Raises:
        EngineError: it cannot be read.
    """
    flat = {"flat_settings": "true", "include_defaults": "true"}
    found = client.cluster.get_settings(params=flat)
    settings = {**found["defaults"], **found["persistent"], **found["transient"]}
    on = str(settings.get(f"{_DISK}threshold_enabled", "true")) == "true"
    low = str(settings.get(f"{_DISK}watermark.low", "85%")) if on else ""
    nodes = client.nodes.stats(metric="fs")["nodes"]
    return Room(
        free={
            node["name"]: below_watermark(
                available=node["fs"]["total"]["available_in_bytes"],
                total=node["fs"]["total"]["total_in_bytes"],
                watermark=low,
            )
            for node in nodes.values()
            if any(role == "data" or role.startswith("data_") for role in node["roles"])
        },
        watermark=low,
    )


def below_watermark(*, available: int, total: int, watermark: str) -> int:
    """Return how many bytes may be written to a disk until it reaches a watermark.

    Args:
        available: bytes that are free.
        total: bytes of the whole disk.
        watermark: a share that may be used (``85%`` or ``0.85``), or bytes that have to stay free
            (``50gb``); empty for none.

    Example:
        >>> [below_watermark(available=300, total=1000, watermark=w) for w in
        ...  ("85%", "0.85", "100b", "10%", "")]
        [150, 150, 200, 0, 300]
    """
    text = watermark.strip().lower()
    if text.endswith("%"):
        kept = total * (1 - float(text[:-1]) / 100)
    elif text.replace(".", "", 1).isdecimal():
        kept = total * (1 - float(text))
    elif text:
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        kept = float(number) * _STEP ** _UNITS[text.removeprefix(number)]
    else:
        kept = 0.0
    return max(0, round(available - kept))


def refuse_no_room(room: Room, *, primaries: int, replicas: int, shards: int) -> None:
    """Refuse a target that does not fit.

    Args:
        room: what is free.
        primaries: bytes of all primaries of the target.
        replicas: copies of each; those that no node is left for take no room.
        shards: how many primaries there are; each has to fit on one node.

    Raises:
        InputError: names what is needed and what is there.

    Example:
        >>> room = Room(free={"n1": 100, "n2": 20}, watermark="85%")
        >>> refuse_no_room(room, primaries=50, replicas=1, shards=1)
        >>> refuse_no_room(room, primaries=110, replicas=0, shards=1)
        Traceback (most recent call last):
        ...
        opensearch_funnel.core.errors.InputError: the target does not fit: it takes about 110 \
bytes, one shard of it 110 bytes, and there are 120 bytes left below the watermark 85% (at most \
100 bytes on a node): free some, add a node, or go on all the same (--force)
    """
    needed = primaries * (1 + min(replicas, max(0, len(room.free) - 1)))
    largest = max(room.free.values(), default=0)
    if needed <= room.total and primaries / shards <= largest:
        return
    below = f"below the watermark {room.watermark}" if room.watermark else "on disk"
    raise InputError(
        f"the target does not fit: it takes about {in_bytes(needed)}, one shard of it "
        f"{in_bytes(primaries / shards)}, and there are {in_bytes(room.total)} left {below} (at "
        f"most {in_bytes(largest)} on a node): free some, add a node, or go on all the same "
        "(--force)"
    )


def in_bytes(count: float) -> str:
    """Write a number of bytes for a person.

    Example:
        >>> in_bytes(12), in_bytes(2048), in_bytes(3.5 * 1024**3)
        ('12 bytes', '2.0 kB', '3.5 GB')
    """
    if count < _STEP:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= _STEP
        if count < _STEP:
            return f"{count:.1f} {unit}"
    return f"{count / _STEP:.1f} TB"
