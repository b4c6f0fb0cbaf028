"""What the cluster remembers of the funnel: plans and applied pipelines, in one hidden index.

The service keeps nothing but models and caches, so any replica can answer for any plan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.records import (
    delete_record,
    get_record,
    list_records,
    put_record,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPipeline:
    """Everything that applying a pipeline made or changed, so that removing it leaves nothing.

    Attributes:
        name: the search pipeline.
        plan_id: the plan that it runs.
        service_url: where the cluster reaches the service, without a slash at the end.
        connectors: ids of its connectors.
        models: ids of its remote models, in the order of the connectors: rewrite, then rank, then
            embed, as far as its plan has them, then encode, if documents are.
        default_of: concrete indices whose default search pipeline it is, each with what was the
            default before (empty where nothing was set, ``_none`` where that was).
        ingest_of: the concrete index whose default ingest pipeline has its name, in the same form.
        quiet_log: whether the engine keeps what its requests ignore out of its log.
        token_hash: of the token that its connectors carry; empty where they carry none.
    """

    name: str
    plan_id: str
    service_url: str
    connectors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    default_of: dict[str, str] = field(default_factory=dict)
    ingest_of: dict[str, str] = field(default_factory=dict)
    quiet_log: bool = False
    token_hash: str = ""

    def described(self) -> dict[str, Any]:
        """Return what may be shown to everyone: whether there is a token, and nothing of it.

        Example:
            >>> one = AppliedPipeline(name="p", plan_id="p.0a", service_url="http://s")
            >>> one.described()["has_token"]
            False
        """
        plain = asdict(self)
        plain["has_token"] = bool(plain.pop("token_hash"))
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What applying or removing a pipeline has made, or may have to delete, while it goes on.

    Attributes:
        name: the search pipeline.
        service_url: the service that has to be reachable until that is done.
        plan_ids: plans that may be left over.
        connectors: ids of connectors that may be left over; those of the applied pipeline are not.
        quiet_log: whether the pipeline that is being applied wants the engine's log quiet.
    """

    name: str
    service_url: str
    plan_ids: tuple[str, ...]
    connectors: tuple[str, ...] = ()
    quiet_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccess:
    """What let the cluster call the services, and what held before the first one came.

    Attributes:
        trusted: the address patterns that were trusted before.
        trusted_was_set: whether somebody had set those, or they were the engine's defaults.
        private_ip: what was set for private addresses before; ``None`` for nothing.
        patterns: the address patterns that were added.
        private_ip_enabled: whether private addresses were switched on.
        log_quieted: whether the level of the engine's logger of search pipelines was set.
    """

    trusted: tuple[str, ...]
    trusted_was_set: bool
    private_ip: str | None
    patterns: tuple[str, ...] = ()
    private_ip_enabled: bool = False
    log_quieted: bool = False


def save_plan(client: OpenSearch, plan: FunnelPlan) -> None:
    """Store a plan under its id; the same plan again changes nothing."""
    put_record(client, f"plan:{plan.plan_id}", {"kind": "plan", "plan": plan.to_dict()})


def load_plan(client: OpenSearch, plan_id: str) -> FunnelPlan:
    """Read a plan.

    Raises:
        InvalidPlanError: no plan of that id was applied to this cluster.
    """
    stored = get_record(client, f"plan:{plan_id}")
    if stored is None:
        raise InvalidPlanError(
            f"no plan {plan_id!r} in this cluster: apply it (funnel pipeline apply)"
        )
    return FunnelPlan.from_dict(stored["plan"])


def forget_plan(client: OpenSearch, plan_id: str) -> None:
    """Delete a plan, unless a pipeline runs it, or is about to."""
    used = {applied.plan_id for applied in list_pipelines(client)}
    for unfinished in _list_unfinished(client):
        used.update(unfinished.plan_ids)
    if plan_id not in used:
        delete_record(client, f"plan:{plan_id}")


def save_pipeline(client: OpenSearch, applied: AppliedPipeline) -> None:
    """Store what applying a pipeline made."""
    put_record(
        client, f"pipeline:{applied.name}", {"kind": "pipeline", "pipeline": asdict(applied)}
    )


def load_pipeline(client: OpenSearch, name: str) -> AppliedPipeline | None:
    """Read what applying a pipeline made; ``None`` where it was never applied."""
    stored = get_record(client, f"pipeline:{name}")
    return None if stored is None else _pipeline(stored)


def list_pipelines(client: OpenSearch) -> list[AppliedPipeline]:
    """Read all applied pipelines, by name."""
    return sorted(map(_pipeline, _list(client, kind="pipeline")), key=lambda one: one.name)


def forget_pipeline(client: OpenSearch, name: str) -> None:
    """Delete the record of a pipeline."""
    delete_record(client, f"pipeline:{name}")


def save_unfinished(client: OpenSearch, unfinished: Unfinished) -> None:
    """Store what has been made so far, or has still to be deleted.

    Written before the thing itself: whoever was killed leaves nothing that the next call for the
    same pipeline cannot find.
    """
    document = {"kind": "unfinished", "unfinished": asdict(unfinished)}
    put_record(client, f"unfinished:{unfinished.name}", document)


def load_unfinished(client: OpenSearch, name: str) -> Unfinished | None:
    """Read what an interrupted call left behind; ``None`` where none was interrupted."""
    stored = get_record(client, f"unfinished:{name}")
    return None if stored is None else _unfinished(stored)


def forget_unfinished(client: OpenSearch, name: str) -> None:
    """Delete the record of what has been made so far."""
    delete_record(client, f"unfinished:{name}")


def service_urls(client: OpenSearch) -> set[str]:
    """Return the services that some pipeline calls, or is about to."""
    applied = {one.service_url for one in list_pipelines(client)}
    return applied | {one.service_url for one in _list_unfinished(client)}


def wants_quiet_log(client: OpenSearch) -> bool:
    """Say whether some pipeline, or one that is being applied, wants the engine's log quiet."""
    applied = any(one.quiet_log for one in list_pipelines(client))
    return applied or any(one.quiet_log for one in _list_unfinished(client))


def save_access(client: OpenSearch, access: ServiceAccess) -> None:
    """Store what the cluster's settings were, and what was added to them."""
    put_record(client, "access", {"kind": "access", "access": asdict(access)})


def load_access(client: OpenSearch) -> ServiceAccess | None:
    """Read what the cluster's settings were; ``None`` where nothing has been added to them."""
    stored = get_record(client, "access")
    if stored is None:
        return None
    values = stored["access"]
    return ServiceAccess(
        **{
            **values,
            "trusted": tuple(values["trusted"]),
            "patterns": tuple(values["patterns"]),
        }
    )


def forget_access(client: OpenSearch) -> None:
    """Delete the record of the cluster's settings: they are as they were."""
    delete_record(client, "access")


def _list_unfinished(client: OpenSearch) -> list[Unfinished]:
    return [_unfinished(stored) for stored in _list(client, kind="unfinished")]


def _list(client: OpenSearch, *, kind: str) -> list[dict[str, Any]]:
    return [record for record, _ in list_records(client, kind=kind)]


def _unfinished(stored: dict[str, Any]) -> Unfinished:
    values = stored["unfinished"]
    return Unfinished(
        **{
            **values,
            "plan_ids": tuple(values["plan_ids"]),
            "connectors": tuple(values["connectors"]),
        }
    )


def _pipeline(stored: dict[str, Any]) -> AppliedPipeline:
    known = {one.name for one in fields(AppliedPipeline)}
    values = {name: value for name, value in stored["pipeline"].items() if name in known}
    return AppliedPipeline(
        **{
            **values,
            "connectors": tuple(values["connectors"]),
            "models": tuple(values["models"]),
        }
    )
