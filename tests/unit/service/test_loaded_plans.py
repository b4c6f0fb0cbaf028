"""Plans that could not be loaded come back; plans that nobody uses go."""

from __future__ import annotations

import threading
import time

import pytest

from opensearch_funnel.build.plans import SharedModels
from opensearch_funnel.core.errors import (
    EngineUnreachableError,
    InvalidPlanError,
    StageUnavailableError,
)
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.encoders.opening import Encoder
from opensearch_funnel.service.plans import (
    FIRST_RETRY_S,
    KEPT_PLANS,
    LOADERS,
    MOST_LOADING,
    UNKNOWN_RETRY_S,
    LoadedPlans,
)
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.settings import Settings
from tests.unit.service.served_api import served_api

PLANS = {plan.plan_id: plan for plan in (FunnelPlan(alias=f"i{n}") for n in range(KEPT_PLANS + 1))}
PLAN_ID = next(iter(PLANS))


class World:
    """A cluster that may be down, and a clock."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.now = 0.0
        self.opened: list[str] = []
        self.plans = LoadedPlans(read_plan=self.read, open_models=self.open, clock=lambda: self.now)

    def read(self, plan_id: str) -> FunnelPlan:
        if self.error is not None:
            raise self.error
        return PLANS[plan_id]

    def open(self, plan: FunnelPlan) -> PlanModels:
        self.opened.append(plan.plan_id)
        return PlanModels()

    def ask(self, plan_id: str = PLAN_ID) -> str:
        """Ask for a plan as a request does, and say what its state is when nothing loads."""
        self.plans.get(plan_id)
        while (state := self.plans.states()[plan_id]) == "loading":
            time.sleep(0.001)
        return state


@pytest.fixture
def world() -> World:
    return World()


def test_a_hiccup_of_the_cluster_is_over_after_a_pause(world: World) -> None:
    world.error = EngineUnreachableError("down")
    assert world.ask() == "failed: down"
    world.error = None
    world.now = FIRST_RETRY_S - 0.1
    assert world.ask() == "failed: down"
    world.now = FIRST_RETRY_S
    assert world.ask() == "ready"


def test_the_pause_grows_to_a_minute(world: World) -> None:
    world.error = EngineUnreachableError("down")
    reads = []
    for second in range(200):
        world.now = float(second)
        before = world.plans.states()
        world.error = EngineUnreachableError(f"down at {second}")
        if world.ask() != before.get(PLAN_ID):
            reads.append(second)
    assert reads == [0, 5, 15, 35, 75, 135, 195]


def test_a_plan_that_is_applied_after_it_was_asked_for_is_soon_found(world: World) -> None:
    world.error = InvalidPlanError("no such plan in this cluster")
    for second in range(4):
        world.now = float(second)
        assert world.ask().startswith("failed: no such plan")
    world.error = None
    world.now = 3.0 + UNKNOWN_RETRY_S
    assert world.ask() == "ready"


def test_plans_that_are_not_used_any_more_are_dropped(world: World) -> None:
    for plan_id in PLANS:
        assert world.ask(plan_id) == "ready"
    assert len(world.plans.states()) == KEPT_PLANS
    assert PLAN_ID not in world.plans.states()
    assert world.ask() == "ready"
    assert world.opened.count(PLAN_ID) == 2


def test_asking_how_a_plan_is_does_not_cut_the_pause_after_a_failure(world: World) -> None:
    world.error = EngineUnreachableError("down")
    assert world.ask() == "failed: down"
    world.error = None
    for _ in range(20):
        assert world.plans.ask(PLAN_ID) == "failed: down"
    assert not world.opened
    world.now = FIRST_RETRY_S
    assert world.plans.ask(PLAN_ID) == "loading", "tried again: what fails now is new"
    assert world.ask() == "ready"


def test_many_unknown_ids_get_no_thread_each_and_a_known_plan_gets_its_turn() -> None:
    go = threading.Event()
    read_by: list[int] = []

    def read(plan_id: str) -> FunnelPlan:
        read_by.append(threading.get_ident())
        assert go.wait(10)
        if plan_id in PLANS:
            return PLANS[plan_id]
        raise InvalidPlanError("no such plan in this cluster")

    plans = LoadedPlans(read_plan=read, open_models=lambda _: PlanModels())
    try:
        for number in range(800):
            assert plans.ask(f"unknown.{number}") == "loading"
        assert list(plans.states().values()).count("loading") == MOST_LOADING
        # Nothing is let go yet: whatever thread there is has begun to read, or soon will.
        for _ in range(1000):
            if len(read_by) >= LOADERS:
                break
            time.sleep(0.001)
        assert len(read_by) == len(set(read_by)) == LOADERS
    finally:
        go.set()
    for _ in range(1000):
        if (state := plans.ask(PLAN_ID)) == "ready":
            break
        time.sleep(0.005)
    assert state == "ready"
    assert len(read_by) == MOST_LOADING + 1, "what found no place was not read"


def test_a_plan_that_was_stored_just_now_is_waited_for_though_it_was_unknown_before() -> None:
    stored: list[FunnelPlan] = []
    with served_api(read_plan=lambda _: stored[0] if stored else unknown()) as url:
        with pytest.raises(StageUnavailableError, match="no such plan"):
            wait_for_plan(url, PLAN_ID)
        stored.append(PLANS[PLAN_ID])
        wait_for_plan(url, PLAN_ID, timeout_s=10 * UNKNOWN_RETRY_S)


def unknown() -> FunnelPlan:
    raise InvalidPlanError("no such plan in this cluster")


@pytest.mark.model
def test_plans_share_the_models_that_they_have_in_common() -> None:
    shared = SharedModels(Settings())
    fused = FunnelPlan(alias="films").with_legs("bm25", "sparse")
    first = shared.open(fused)
    second = shared.open(FunnelPlan.from_dict({**fused.to_dict(), "depth": 77}))
    assert first.sparse is not None
    assert first.sparse is second.sparse


@pytest.mark.model
def test_both_models_of_a_cascade_are_opened_and_models_are_adapted_once() -> None:
    adapted: list[str] = []

    def adapt(encoder: Encoder) -> Encoder:
        adapted.append(encoder.name)
        return encoder

    mini = "funnel-reranker-mini"
    plain = FunnelPlan(alias="films").with_legs("bm25")
    rerank = {"enabled": True, "model": mini, "first_model": ""}
    shared = SharedModels(Settings(), adapt=adapt)
    alone = shared.open(FunnelPlan.from_dict({**plain.to_dict(), "rerank": rerank}))
    assert alone.first_reranker is None
    cascade = {**rerank, "first_model": mini}
    both = shared.open(FunnelPlan.from_dict({**plain.to_dict(), "rerank": cascade}))
    assert both.first_reranker is both.reranker is alone.reranker is shared.named(mini)
    left_out = {**cascade, "cascade": False}
    single = shared.open(FunnelPlan.from_dict({**plain.to_dict(), "rerank": left_out}))
    assert single.first_reranker is None
    assert adapted == [mini]
    assert shared.opened() == [mini]
