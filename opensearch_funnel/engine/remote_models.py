"""Connectors and remote models of ml-commons: how the engine calls the service.

See https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/connectors/.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    EngineDeniedError,
    EngineError,
    EngineUnreachableError,
    StageUnavailableError,
)

logger = logging.getLogger(__name__)

ML = "/_plugins/_ml"

_DEPLOY_TIMEOUT_S = 60.0
_UNDEPLOY_TIMEOUT_S = 5.0
_LOADING_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 10.0
_POLL_S = 0.1
_ANSWER_POLL_S = 0.5
_BAD_REQUEST, _NOT_FOUND, _CONFLICT = 400, 404, 409

# A model that some nodes could not load is answered by the others.
_USABLE = frozenset({"DEPLOYED", "PARTIALLY_DEPLOYED"})
_TASK_FAILED = frozenset({"FAILED", "COMPLETED_WITH_ERROR", "CANCELLED"})


def create_connector(client: OpenSearch, connector: dict[str, Any]) -> str:
    """Create a connector and return its id."""
    answer = client.transport.perform_request("POST", f"{ML}/connectors/_create", body=connector)
    return str(answer["connector_id"])


def create_model(client: OpenSearch, connector: dict[str, Any], *, connector_id: str) -> str:
    """Create and deploy the remote model of a connector, under the connector's name.

    Args:
        client: the cluster.
        connector: the connector's body.
        connector_id: its id.

    Returns:
        The id of the model, which can be called from now on.

    Raises:
        EngineError: the cluster refused, or did not deploy the model in time. What was made
            until then is deleted by ``delete_connector``.
    """
    body = {
        "name": connector["name"],
        "function_name": "remote",
        "description": connector["description"],
        "connector_id": connector_id,
    }
    answer = client.transport.perform_request(
        "POST", f"{ML}/models/_register", params={"deploy": "true"}, body=body
    )
    return _deployed(client, answer, name=connector["name"])


def _deployed(client: OpenSearch, answer: dict[str, Any], *, name: str) -> str:
    """Wait until the model that a registration answered with can be called."""
    deadline = time.monotonic() + _DEPLOY_TIMEOUT_S
    model_id = answer.get("model_id")
    while time.monotonic() < deadline:
        if model_id is not None:
            state = model_state(client, model_id)
            if state in _USABLE:
                return str(model_id)
            if state == "DEPLOY_FAILED":
                raise EngineError(f"the cluster could not deploy {name}: see its log")
        task = client.transport.perform_request("GET", f"{ML}/tasks/{answer['task_id']}")
        if task.get("state") in _TASK_FAILED:
            raise EngineError(f"the cluster did not register {name}: {task.get('error')}")
        model_id = model_id or task.get("model_id")
        time.sleep(_POLL_S)
    raise EngineError(f"{name} was not deployed within {_DEPLOY_TIMEOUT_S:.0f} s: see the log")


def model_state(client: OpenSearch, model_id: str) -> str | None:
    """Return the engine's word for the state of a model; ``None`` where there is no such model."""
    try:
        model = client.transport.perform_request("GET", f"{ML}/models/{model_id}")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    return str(model.get("model_state"))


def is_usable(client: OpenSearch, model_id: str) -> bool:
    """Say whether a model exists and can be called."""
    return model_state(client, model_id) in _USABLE


def wait_until_answered(client: OpenSearch, model_id: str, *, service_url: str) -> None:
    """Ask the service for a rewrite through the engine until it answers.

    The way is the one of a search: a service that answers here but not to the cluster (another
    machine, a firewall, a setting) does not pass.

    Args:
        client: the cluster.
        model_id: the model of ``/rewrite``.
        service_url: where the cluster looks for the service; for the message only.

    Raises:
        StageUnavailableError: no answer. A service that is loading the plan gets a minute,
            anything else ten seconds: a restart, or a plan that is tried again.
    """
    start = time.monotonic()
    while True:
        try:
            answer = client.transport.perform_request(
                "POST",
                f"{ML}/models/{model_id}/_predict",
                body={"parameters": {"source": '{"query":{"match_all":{}}}'}},
            )
            if _has_body(answer):
                return
            reason = "what answers is no funnel service"
        except EngineError as error:
            if error.status is None:
                raise
            _refuse_wrong_token(error, service_url=service_url)
            reason = str(error)
        loading = 'is loading"' in reason
        patience = _LOADING_TIMEOUT_S if loading else _ANSWER_TIMEOUT_S
        if time.monotonic() - start > patience:
            raise StageUnavailableError(
                f"the cluster gets no rewrite from {service_url} ({reason}): start the service "
                "(funnel serve), name its address as the cluster sees it (--service-url), or "
                "apply with --no-check"
            )
        time.sleep(_ANSWER_POLL_S)


def ask_for_vector(client: OpenSearch, model_id: str, *, service_url: str) -> int:
    """Ask the service for the vector of a text through the engine, once.

    Args:
        client: the cluster.
        model_id: the model of ``/embed``.
        service_url: where the cluster looks for the service; for the message only.

    Returns:
        How many numbers the vector has.

    Raises:
        StageUnavailableError: there was none.
    """
    try:
        answer = client.transport.perform_request(
            "POST",
            f"{ML}/_predict/text_embedding/{model_id}",
            body={"text_docs": ["fox"], "return_number": True},
        )
        return len(answer["inference_results"][0]["output"][0]["data"])
    except EngineUnreachableError:
        raise
    except (EngineError, LookupError, TypeError) as error:
        raise StageUnavailableError(
            f"the cluster gets no vector from {service_url} ({error}): is funnel serve of this "
            "version? or leave dense.native_neural out of the plan"
        ) from error


def ask_for_encoding(client: OpenSearch, model_id: str, *, service_url: str) -> None:
    """Ask the service for the funnel fields of a document through the engine, once.

    Args:
        client: the cluster.
        model_id: the model of ``/encode``.
        service_url: where the cluster looks for the service; for the message only.

    Raises:
        StageUnavailableError: there were none.
    """
    try:
        answer = client.transport.perform_request(
            "POST",
            f"{ML}/models/{model_id}/_predict",
            body={"parameters": {"doc": '{"_id":"1"}'}},
        )
        read = answer["inference_results"][0]["output"][0]["dataAsMap"]["funnel"]
    except EngineUnreachableError:
        raise
    except (EngineError, LookupError, TypeError) as error:
        raise StageUnavailableError(
            f"the cluster gets no funnel fields of a document from {service_url} ({error}): is "
            "funnel serve of this version? or apply without --ingest"
        ) from error
    if not isinstance(read, str):
        raise StageUnavailableError(f"what answers at {service_url} is no funnel service")


def _refuse_wrong_token(error: EngineError, *, service_url: str) -> None:
    """Give up at once where the service wants another token: waiting does not help."""
    if isinstance(error, EngineDeniedError) and "remote service" in str(error):
        raise StageUnavailableError(
            f"the service at {service_url} refuses the token: set FUNNEL_SERVICE_TOKEN here to "
            "the one that it was started with"
        ) from error


def _has_body(answer: dict[str, Any]) -> bool:
    outputs = (answer.get("inference_results") or [{}])[0].get("output") or [{}]
    return isinstance((outputs[0].get("dataAsMap") or {}).get("body"), str)


def delete_models_of(client: OpenSearch, connector_id: str) -> None:
    """Delete the models made of a connector."""
    for model_id in _ids(client, "models", field="connector_id", value=connector_id):
        _delete_model(client, model_id)


def delete_connector(client: OpenSearch, connector_id: str) -> None:
    """Delete a connector and the models made of it; one that is gone already is no error.

    The engine looks for models of a connector by the *words* of its id. On a node whose ids hold
    a dash, all ids share words, and it refuses for the sake of models of other connectors. Such a
    connector stays, used by nobody.
    """
    delete_models_of(client, connector_id)
    try:
        _unless_missing(client, "DELETE", f"{ML}/connectors/{connector_id}")
    except EngineError as error:
        if error.status != _CONFLICT:
            raise
        logger.warning("the engine keeps the unused connector %s: %s", connector_id, error)


def delete_groups(client: OpenSearch, name: str) -> None:
    """Delete the group that the engine made for the models of a name, if none is in it."""
    for group_id in _ids(client, "model_groups", field="name", value=name):
        try:
            _unless_missing(client, "DELETE", f"{ML}/model_groups/{group_id}")
        except EngineError as error:
            if error.status != _CONFLICT:
                raise


def _ids(client: OpenSearch, kind: str, *, field: str, value: str) -> list[str]:
    """Return the ids of what has exactly this value in a field."""
    # Whether the engine maps the field as text or keyword differs by field and version.
    body = {"query": {"match_phrase": {field: value}}, "size": 100}
    found = _unless_missing(client, "POST", f"{ML}/{kind}/_search", body=body)
    hits = found["hits"]["hits"] if found else []
    return [hit["_id"] for hit in hits if hit["_source"].get(field) == value]


def _delete_model(client: OpenSearch, model_id: str) -> None:
    deadline = time.monotonic() + _UNDEPLOY_TIMEOUT_S
    while True:
        _unless_missing(client, "POST", f"{ML}/models/{model_id}/_undeploy")
        try:
            _unless_missing(client, "DELETE", f"{ML}/models/{model_id}")
        except EngineError as error:
            # A model that is being deployed cannot be stopped: it has to get there first.
            if error.status != _BAD_REQUEST or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(_POLL_S)


def _unless_missing(
    client: OpenSearch, method: str, path: str, *, body: dict[str, Any] | None = None
) -> Any:
    try:
        return client.transport.perform_request(method, path, body=body)
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
