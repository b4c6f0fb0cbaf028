"""How long a model is waited for, against scripted answers of the engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.remote_models import create_model

CONNECTOR = {"name": "funnel films.0a rewrite", "description": "for a test"}


class Engine:
    """Answers the requests of one registration from a script, in place of a client."""

    def __init__(self, *, models: list[str], tasks: list[dict[str, Any]]) -> None:
        self.transport = SimpleNamespace(perform_request=self.answer)
        self.models = models
        self.tasks = tasks

    def answer(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        del options
        if path.endswith("_register"):
            assert method == "POST"
            return {"task_id": "t", "model_id": "m"} if self.models else {"task_id": "t"}
        if "/tasks/" in path:
            return self.tasks.pop(0)
        return {"model_state": self.models.pop(0)}


def created(*, models: list[str], tasks: list[dict[str, Any]]) -> str:
    engine: Any = Engine(models=models, tasks=tasks)
    return create_model(engine, CONNECTOR, connector_id="c")


@pytest.mark.parametrize("state", ["DEPLOYED", "PARTIALLY_DEPLOYED"])
def test_a_model_is_used_as_soon_as_some_node_has_it(state: str) -> None:
    running = {"state": "RUNNING"}
    assert created(models=["DEPLOYING", state], tasks=[running]) == "m"


@pytest.mark.parametrize("state", ["FAILED", "COMPLETED_WITH_ERROR", "CANCELLED"])
def test_a_registration_that_failed_is_not_waited_for(state: str) -> None:
    failed = {"state": state, "error": "no space left"}
    with pytest.raises(EngineError, match="no space left"):
        created(models=[], tasks=[failed])
    with pytest.raises(EngineError, match="no space left"):
        created(models=["DEPLOYING"], tasks=[failed])


def test_a_model_that_could_not_be_deployed_is_not_waited_for() -> None:
    with pytest.raises(EngineError, match="could not deploy"):
        created(models=["DEPLOY_FAILED"], tasks=[])
