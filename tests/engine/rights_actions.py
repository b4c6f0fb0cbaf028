"""Which actions of the engine a call over HTTP takes: what the security plugin asks about.

Read off a node of 3.6.0: its TaskManager logs every action that it registers. A test compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_ML = "/_plugins/_ml"
_WRITES = ("indices:data/write/bulk[s]",)
_CALLS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("GET|HEAD", r"/", ("cluster:monitor/main",)),
    ("GET", r"/_cluster/health(/.+)?", ("cluster:monitor/health",)),
    ("GET", r"/_cluster/settings", ("cluster:monitor/state",)),
    ("PUT", r"/_cluster/settings", ("cluster:admin/settings/update",)),
    ("GET", r"/_nodes/plugins", ("cluster:monitor/nodes/info",)),
    ("GET", r"/_nodes/stats(/.+)?", ("cluster:monitor/nodes/stats",)),
    ("GET", r"/_search/pipeline(/.+)?", ("cluster:admin/search/pipeline/get",)),
    ("PUT", r"/_search/pipeline/.+", ("cluster:admin/search/pipeline/put",)),
    ("DELETE", r"/_search/pipeline/.+", ("cluster:admin/search/pipeline/delete",)),
    ("GET", r"/_ingest/pipeline(/.+)?", ("cluster:admin/ingest/pipeline/get",)),
    ("PUT", r"/_ingest/pipeline/.+", ("cluster:admin/ingest/pipeline/put",)),
    ("DELETE", r"/_ingest/pipeline/.+", ("cluster:admin/ingest/pipeline/delete",)),
    ("GET", r"/_template", ("indices:admin/template/get",)),
    ("GET", r"/_index_template", ("indices:admin/index_template/get",)),
    ("GET", r"/_component_template", ("cluster:admin/component_template/get",)),
    ("POST", rf"{_ML}/connectors/_create", ("cluster:admin/opensearch/ml/create_connector",)),
    ("GET", rf"{_ML}/connectors/[^/]+", ("cluster:admin/opensearch/ml/connectors/get",)),
    ("DELETE", rf"{_ML}/connectors/[^/]+", ("cluster:admin/opensearch/ml/connectors/delete",)),
    (
        "POST",
        rf"{_ML}/models/_register",
        (
            "cluster:admin/opensearch/ml/register_model",
            "cluster:admin/opensearch/ml/deploy_model",
            "cluster:admin/opensearch/ml/deploy_model_on_nodes",
        ),
    ),
    ("POST", rf"{_ML}/models/_search", ("cluster:admin/opensearch/ml/models/search",)),
    ("GET", rf"{_ML}/models/[^/]+", ("cluster:admin/opensearch/ml/models/get",)),
    ("DELETE", rf"{_ML}/models/[^/]+", ("cluster:admin/opensearch/ml/models/delete",)),
    (
        "POST",
        rf"{_ML}/(models/[^/]+/_predict|_predict/.+)",
        ("cluster:admin/opensearch/ml/predict",),
    ),
    (
        "POST",
        rf"{_ML}/models/[^/]+/_undeploy",
        (
            "cluster:admin/opensearch/ml/undeploy_models",
            "cluster:admin/opensearch/ml/undeploy_model",
        ),
    ),
    ("GET", rf"{_ML}/tasks/[^/]+", ("cluster:admin/opensearch/ml/tasks/get",)),
    ("POST", rf"{_ML}/model_groups/_search", ("cluster:admin/opensearch/ml/model_groups/search",)),
    (
        "DELETE",
        rf"{_ML}/model_groups/[^/]+",
        ("cluster:admin/opensearch/ml/model_groups/delete",),
    ),
    ("GET", r"/_alias", ("indices:admin/aliases/get",)),
    ("GET", r"/_all/_settings/.+", ("indices:monitor/settings/get",)),
    ("POST|GET", r"/(?P<index>[^/]+)/_(search|count)", ("indices:data/read/search",)),
    ("GET", r"/(?P<index>[^/]+)/_doc/.+", ("indices:data/read/get",)),
    ("PUT|POST", r"/(?P<index>[^/]+)/_doc(/.+)?", ("indices:data/write/index", *_WRITES)),
    ("DELETE", r"/(?P<index>[^/]+)/_doc/.+", ("indices:data/write/delete", *_WRITES)),
    ("GET", r"/(?P<index>[^/]+)/_mapping", ("indices:admin/mappings/get",)),
    ("GET", r"/(?P<index>[^/]+)/_settings(/.+)?", ("indices:monitor/settings/get",)),
    ("PUT", r"/(?P<index>[^/]+)/_settings", ("indices:admin/settings/update",)),
    ("HEAD", r"/(?P<index>[^/_][^/]*)", ("indices:admin/get",)),
    ("PUT", r"/(?P<index>[^/_][^/]*)", ("indices:admin/create",)),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """The actions of a call, and the indices that it names; all of them where it names none."""

    actions: tuple[str, ...]
    indices: tuple[str, ...] = ("*",)


def taken_by(method: str, path: str) -> Taken | None:
    """Return what a call takes; ``None`` for a call that is not known here.

    Args:
        method: of HTTP.
        path: without parameters.
    """
    for methods, pattern, actions in _CALLS:
        found = re.fullmatch(pattern, unquote(path))
        if found is None or method not in methods.split("|"):
            continue
        index = found.groupdict().get("index")
        return Taken(actions, tuple(index.split(",")) if index else ("*",))
    return None
