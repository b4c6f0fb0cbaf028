"""The embedded node: an OpenSearch of one node on loopback, without Docker.

Its files come from Maven by ``lock.json``, its data lives below ``FUNNEL_HOME``.
"""

from opensearch_funnel.engine.node.embedded import embedded_node
from opensearch_funnel.engine.node.install import ensure_node_installed
from opensearch_funnel.engine.node.lifecycle import (
    NodeStatus,
    RunningNode,
    node_status,
    start_node,
    stop_node,
)
from opensearch_funnel.engine.node.removal import (
    NodeFolder,
    NodeRemoval,
    plan_removal,
    remove_node,
)

__all__ = [
    "NodeFolder",
    "NodeRemoval",
    "NodeStatus",
    "RunningNode",
    "embedded_node",
    "ensure_node_installed",
    "node_status",
    "plan_removal",
    "remove_node",
    "start_node",
    "stop_node",
]
