"""The modules of the node: which there are, and the descriptor OpenSearch wants beside each.

Maven holds a module's jars but not its ``plugin-descriptor.properties`` (that is only in the full
distribution), so it is written here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeModule:
    """One folder below ``modules/``."""

    name: str
    artifact: str
    """Artifact of the Maven group ``org.opensearch.plugin``."""
    class_name: str
    description: str
    extends: tuple[str, ...] = ()
    """Modules whose classes it uses; what they bring is not put beside it a second time."""


MODULES: tuple[NodeModule, ...] = (
    NodeModule(
        "lang-painless",
        "lang-painless",
        "org.opensearch.painless.PainlessModulePlugin",
        "the Painless scripting language",
    ),
    NodeModule(
        "mapper-extras",
        "mapper-extras-client",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        "further field types, rank_features among them",
    ),
    NodeModule(
        "reindex",
        "reindex-client",
        "org.opensearch.index.reindex.ReindexModulePlugin",
        "reindex, update by query and delete by query",
    ),
    NodeModule(
        "parent-join",
        "parent-join-client",
        "org.opensearch.join.ParentJoinModulePlugin",
        "parent and child documents",
    ),
    NodeModule(
        "lang-mustache",
        "lang-mustache-client",
        "org.opensearch.script.mustache.MustacheModulePlugin",
        "search templates",
    ),
    NodeModule(
        "transport-netty4",
        "transport-netty4-client",
        "org.opensearch.transport.Netty4ModulePlugin",
        "HTTP and the transport between nodes",
    ),
    NodeModule(
        "analysis-common",
        "analysis-common",
        "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        "analyzers of many languages",
        ("lang-painless",),
    ),
    NodeModule(
        "ingest-common",
        "ingest-common",
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        "processors of ingest pipelines",
        ("lang-painless",),
    ),
    NodeModule(
        "search-pipeline-common",
        "search-pipeline-common",
        "org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin",
        "processors of search pipelines",
        ("lang-painless",),
    ),
    NodeModule(
        "transport-grpc",
        "transport-grpc",
        "org.opensearch.transport.grpc.GrpcPlugin",
        "gRPC, which the k-NN and neural search plugins extend",
    ),
)

PLUGINS: tuple[tuple[str, str], ...] = (
    ("opensearch-job-scheduler", "opensearch-job-scheduler"),
    ("opensearch-knn", "opensearch-knn"),
    ("neural-search", "neural-search"),
    ("opensearch-ml-plugin", "opensearch-ml"),
)
"""Artifact of each plugin's zip and the plugin's own name, which is its folder's."""


def module_descriptor(module: NodeModule, *, version: str) -> str:
    """Write the ``plugin-descriptor.properties`` of a module.

    Args:
        module: whose.
        version: of OpenSearch; a module of another version is refused by the node.

    Example:
        >>> print(module_descriptor(MODULES[0], version="3.6.0").splitlines()[1])
        version=3.6.0
    """
    lines = {
        "description": module.description,
        "version": version,
        "name": module.name,
        "classname": module.class_name,
        "java.version": "21",
        "opensearch.version": version,
        "custom.foldername": "",
        "extended.plugins": ",".join(module.extends),
        "has.native.controller": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())
