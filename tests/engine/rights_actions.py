"""Which actions of the engine a call over HTTP takes: what the security plugin asks about.

Read off a node of 3.6.0: its TaskManager logs every action that it registers. A test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import orjson

_ML = "/_plugins/_ml"
_WRITES = ("indices:data/write/bulk[s]",)
_CALLS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("GET|HEAD", r"/", ("cluster:monitor/main",)),
    ("GET", r"/_cluster/health(/.+)?", ("cluster:monitor/health",)),
    ("GET", r"/_cluster/settings", ("cluster:monitor/state",)),
    ("GET", r"/_cluster/state/blocks/.+", ("cluster:monitor/state",)),
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
    (
        "POST",
        r"/_index_template/_simulate_index/.+",
        ("indices:admin/index_template/simulate_index",),
    ),
    ("GET", r"/_plugins/_security/authinfo", ()),
    (
        "GET",
        r"/_plugins/_ism/explain/.+",
        ("cluster:admin/opendistro/ism/managedindex/explain",),
    ),
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
    ("GET|HEAD", r"/_alias/(?P<index>[^/]+)", ("indices:admin/aliases/get",)),
    ("GET", r"/(?P<index>[^/]+)/_alias", ("indices:admin/aliases/get",)),
    ("POST", r"/_aliases", ("indices:admin/aliases",)),
    ("GET", r"/_all/_settings/.+", ("indices:monitor/settings/get",)),
    ("POST|GET", r"/(?P<index>[^/]+)/_(search|count)", ("indices:data/read/search",)),
    ("GET", r"/(?P<index>[^/]+)/_doc/.+", ("indices:data/read/get",)),
    ("PUT|POST", r"/(?P<index>[^/]+)/_doc(/.+)?", ("indices:data/write/index", *_WRITES)),
    ("DELETE", r"/(?P<index>[^/]+)/_doc/.+", ("indices:data/write/delete", *_WRITES)),
    ("GET", r"/(?P<index>[^/]+)/_mapping", ("indices:admin/mappings/get",)),
    ("GET", r"/(?P<index>[^/]+)/_settings(/.+)?", ("indices:monitor/settings/get",)),
    ("PUT", r"/(?P<index>[^/]+)/_settings", ("indices:admin/settings/update",)),
    ("PUT", r"/(?P<index>[^/]+)/_mapping", ("indices:admin/mapping/put",)),
    ("GET", r"/(?P<index>[^/]+)/_stats(/.+)?", ("indices:monitor/stats",)),
    ("GET", r"/_resolve/index/(?P<index>[^/]+)", ("indices:admin/resolve/index",)),
    (
        "POST",
        r"/(?P<index>[^/]+)/_refresh",
        ("indices:admin/refresh", "indices:admin/refresh[s]"),
    ),
    ("POST", r"/(?P<index>[^/]+)/_flush", ("indices:admin/flush", "indices:admin/flush[s]")),
    (
        "PUT",
        r"/(?P<index>[^/]+)/_block/write",
        ("indices:admin/block/add", "indices:admin/block/add[s]"),
    ),
    ("POST", r"/_msearch", ("indices:data/read/msearch",)),
    ("POST", r"/_mget", ("indices:data/read/mget",)),
    ("GET|POST", r"/(?P<index>[^/]+)/_search_shards", ("indices:admin/shards/search_shards",)),
    (
        "GET|POST",
        r"/(?P<index>[^/]+)/_mtermvectors",
        ("indices:data/read/mtv", "indices:data/read/mtv[shard]"),
    ),
    (
        "POST",
        r"/(?P<index>[^/]+)/_mget",
        ("indices:data/read/mget", "indices:data/read/mget[shard]"),
    ),
    (
        "POST",
        r"/(?P<index>[^/]+)/_bulk",
        (
            "indices:data/write/bulk",
            "indices:data/write/index",
            "indices:data/write/delete",
            *_WRITES,
        ),
    ),
    ("GET|HEAD", r"/(?P<index>[^/_][^/]*)", ("indices:admin/get",)),
    ("DELETE", r"/(?P<index>[^/_][^/]*)", ("indices:admin/delete",)),
    ("PUT", r"/(?P<index>[^/_][^/]*)", ("indices:admin/create",)),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """The actions of a call, and the indices that it names; all of them where it names none."""

    actions: tuple[str, ...]
    indices: tuple[str, ...] = ("*",)


def taken_by(method: str, path: str, *, body: bytes = b"") -> Taken | None:
    """Return what a call takes; ``None`` for a call that is not known here.

    Args:
        method: of HTTP.
        path: without parameters.
        body: what is sent along: a change of aliases names its indices there.
    """
    for methods, pattern, actions in _CALLS:
        found = re.fullmatch(pattern, unquote(path))
        if found is None or method not in methods.split("|"):
            continue
        if path == "/_aliases":
            return Taken(actions, tuple(_changed_aliases(body)))
        index = found.groupdict().get("index")
        return Taken(actions, tuple(index.split(",")) if index else ("*",))
    return None


def _changed_aliases(body: bytes) -> Iterator[str]:
    for action in orjson.loads(body)["actions"]:
        for change in action.values():
            yield change["index"]
