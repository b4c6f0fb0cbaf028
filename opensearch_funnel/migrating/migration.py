"""A migration: an index on its way to another one that has funnel fields, as the cluster keeps it.

One record an alias, so that two migrations of one alias cannot be under way at once, and whoever
comes next, on any machine, finds what was decided and what was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.records import (
    RecordChangedError,
    Version,
    create_record,
    delete_record,
    get_versioned,
    list_records,
    replace_record,
)

Phase = Literal["planned", "copying", "cutting_over", "cut_over", "rolling_back", "rolled_back"]
PHASES: tuple[Phase, ...] = get_args(Phase)

_KIND = "migration"
_SHARD_BITS = 40
_MOST_SHARDS = 2**13


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the source was when the migration was planned, for the proof that a rollback is one.

    Attributes:
        mappings: the body of its mapping.
        settings: its settings, as ``GET <index>/_settings`` has them, whole.
        aliases: its aliases, each with its filter, routing and write flag.
    """

    mappings: dict[str, Any]
    settings: dict[str, Any]
    aliases: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What was decided about a migration, and how far it is.

    Attributes:
        alias: the name that clients search; it moves from the source to the target.
        source: the concrete index behind it.
        source_uuid: what tells the source from a later index of the same name.
        target: the concrete index that is made.
        target_uuid: the same of the target; empty until it is made.
        writing_alias: a name for the target that is gone when the target is, so that no write
            makes up an index in its place.
        snapshot: the source as it was.
        text_fields: what is encoded, most telling first.
        slot: which slot is filled.
        sparse_model: fills its sparse field; empty for none.
        dense_model: fills its dense field; empty for none.
        max_tokens: where longer texts are cut; 0 for each model's own limit.
        dimension: numbers in a vector of the dense model; 0 without one.
        slots: ``_meta.funnel.slots`` of the target: what filled each slot, the kept ones too.
        kept_slots: slots of the source whose fields are taken over as they are.
        shards: how many the target has.
        phase: how far it is.
        paused: whether workers are to stop at their next page.
        deleted: copies that were deleted because their document is gone from the source.
        cutover: what the cutover found and did; empty before. ``target_bounds`` is, by shard, the
            target's last operation that was the migration's and not a client's.
        log: what happened, in order, each with its time (UTC) and the event.
        operator: who is at a step that only one may be at; empty for nobody.
        operator_until: when that is void, in seconds since 1970.
    """

    alias: str
    source: str
    source_uuid: str
    target: str
    snapshot: Snapshot
    text_fields: tuple[str, ...]
    slots: dict[str, Any]
    slot: str = "a"
    sparse_model: str = ""
    dense_model: str = ""
    max_tokens: int = 0
    dimension: int = 0
    kept_slots: tuple[str, ...] = ()
    shards: int = 1
    target_uuid: str = ""
    phase: Phase = "planned"
    paused: bool = False
    deleted: int = 0
    cutover: dict[str, Any] = field(default_factory=dict)
    log: tuple[dict[str, Any], ...] = ()
    operator: str = ""
    operator_until: float = 0.0

    @property
    def writing_alias(self) -> str:
        """The alias of the target that the migration writes through."""
        return f"{self.target}-writing"

    def logged(self, event: str, **details: Any) -> Migration:
        """Return the migration with one more thing that happened."""
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        return replace(self, log=(*self.log, {**entry, **details}))

    def to_dict(self) -> dict[str, Any]:
        """Return the record's body."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Migration:
        """Read a record's body; what a later version may have added is left out."""
        known = {one.name for one in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        return cls(
            **{
                **kept,
                "snapshot": Snapshot(**values["snapshot"]),
                "text_fields": tuple(values["text_fields"]),
                "kept_slots": tuple(values["kept_slots"]),
                "log": tuple(values["log"]),
            }
        )


def origin_of(*, shard: int, seq_no: int) -> int:
    """Return where a copy comes from, as one whole number that keeps the order within a shard.

    Below 2**53, so that the engine's aggregations, which count in doubles, are exact.

    Example:
        >>> origin_of(shard=2, seq_no=7) - origin_of(shard=2, seq_no=0)
        7
    """
    if not 0 <= shard < _MOST_SHARDS or not 0 <= seq_no < 2**_SHARD_BITS:
        raise InputError(f"shard {shard} with operation {seq_no} is beyond what can be counted")
    return (shard << _SHARD_BITS) | seq_no


def seq_no_of(origin: int) -> int:
    """Return the operation of its shard that a copy comes from.

    Example:
        >>> seq_no_of(origin_of(shard=2, seq_no=7))
        7
    """
    return origin & ((1 << _SHARD_BITS) - 1)


def shard_of(origin: int) -> int:
    """Return the source's shard that a copy comes from.

    Example:
        >>> shard_of(origin_of(shard=2, seq_no=7))
        2
    """
    return origin >> _SHARD_BITS


def target_name(alias: str, *, now: datetime) -> str:
    """Return the name of the index that a migration makes.

    Example:
        >>> target_name("films", now=datetime(2026, 11, 21, 8, 5, 3, tzinfo=UTC))
        'films-funnel-20261121080503'
    """
    return f"{alias}-funnel-{now:%Y%m%d%H%M%S}"


def create_migration(client: OpenSearch, migration: Migration) -> Migration:
    """Store a new migration.

    Raises:
        InputError: there is one of this alias already.
    """
    try:
        create_record(client, _key(migration.alias), _record(migration))
    except RecordChangedError as error:
        present = load_migration(client, migration.alias)
        raise InputError(
            f"a migration of {migration.alias} to {present.target} is {present.phase} already: "
            f"go on with it (funnel migrate status {migration.alias}) or end it "
            f"(funnel migrate cleanup {migration.alias})"
        ) from error
    return migration


def load_migration(client: OpenSearch, alias: str) -> Migration:
    """Read the migration of an alias.

    Raises:
        InputError: there is none.
    """
    return _versioned(client, alias)[0]


def find_migration(client: OpenSearch, alias: str) -> Migration | None:
    """Read the migration of an alias; ``None`` where there is none."""
    found = get_versioned(client, _key(alias))
    return None if found is None else Migration.from_dict(found[0]["migration"])


def list_migrations(client: OpenSearch) -> list[Migration]:
    """Read all migrations, by alias."""
    found = [Migration.from_dict(r["migration"]) for r, _ in list_records(client, kind=_KIND)]
    return sorted(found, key=lambda one: one.alias)


def update_migration(
    client: OpenSearch, alias: str, change: Callable[[Migration], Migration]
) -> Migration:
    """Change the stored migration, from what it is at that moment.

    Args:
        client: the cluster.
        alias: whose migration.
        change: makes the new record of the present one; called again where somebody else was
            faster, and may raise to refuse.

    Raises:
        InputError: there is none.
    """
    while True:
        present, version = _versioned(client, alias)
        changed = change(present)
        if changed == present:
            return present
        try:
            replace_record(client, _key(alias), _record(changed), version=version)
        except RecordChangedError:
            continue
        return changed


def forget_migration(client: OpenSearch, alias: str) -> None:
    """Delete the record of a migration."""
    delete_record(client, _key(alias))


def _versioned(client: OpenSearch, alias: str) -> tuple[Migration, Version]:
    found = get_versioned(client, _key(alias))
    if found is None:
        raise InputError(f"no migration of {alias!r}: plan one (funnel migrate plan {alias})")
    return Migration.from_dict(found[0]["migration"]), found[1]


def _key(alias: str) -> str:
    return f"migration:{alias}"


def _record(migration: Migration) -> dict[str, Any]:
    return {"kind": _KIND, "migration": migration.to_dict()}
