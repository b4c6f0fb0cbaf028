"""The texts that tell OpenSearch how to run: command line, ``opensearch.yml`` and logging."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.java import VECTOR_MODULE, JavaRuntime

DEFAULT_HEAP = "1g"
CLUSTER_NAME = "opensearch-funnel"


@dataclass(frozen=True, slots=True)
class NodeFolders:
    """What one node writes; the distribution itself is read only and shared."""

    root: Path

    @property
    def indices(self) -> Path:
        """Where OpenSearch keeps its indices."""
        return self.root / "indices"

    @property
    def config(self) -> Path:
        """``opensearch.yml`` and its neighbours, written anew at each start."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """Rolling logs."""
        return self.root / "logs"

    @property
    def temporary(self) -> Path:
        """Java's temporary files."""
        return self.root / "tmp"

    @property
    def log(self) -> Path:
        """The node's own log."""
        return self.logs / f"{CLUSTER_NAME}.log"

    @property
    def console(self) -> Path:
        """What Java prints when it cannot even log."""
        return self.logs / "console.log"

    @property
    def configuration(self) -> tuple[Path, ...]:
        """The files in ``config``."""
        names = ("opensearch.yml", "log4j2.properties", "jvm.options")
        return tuple(self.config / name for name in names)

    @property
    def every(self) -> tuple[Path, ...]:
        """All folders, the root first."""
        return (self.root, self.indices, self.config, self.logs, self.temporary)


def checked_heap(heap: str) -> str:
    """Return a heap size as Java takes it.

    Args:
        heap: a number with ``m`` or ``g``.

    Raises:
        NodeError: anything else.

    Example:
        >>> checked_heap("2G")
        '2g'
    """
    if not re.fullmatch(r"[1-9]\d*[mg]", heap.lower()):
        msg = f"the heap {heap!r} is not a size; write it like 1g or 768m"
        raise NodeError(msg)
    return heap.lower()


def opensearch_yml(folders: NodeFolders, *, port: int) -> str:
    """Write the node's ``opensearch.yml``: one node, loopback only, fit for a laptop.

    What the funnel needs in the cluster is set by ``funnel pipeline apply``, here as in any other
    cluster.

    Args:
        folders: of the node.
        port: of HTTP. The transport port is any free one, and gRPC listens on none (it is off
            unless ``aux.transport.types`` names it), so that two nodes never clash.
    """
    entries: Mapping[str, object] = {
        "cluster.name": CLUSTER_NAME,
        "node.name": f"funnel-{port}",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": port,
        "transport.port": 0,
        "path.data": str(folders.indices),
        "path.logs": str(folders.logs),
        # A laptop's disk is often nine tenths full, and indices turn read-only at 95 %.
        "cluster.routing.allocation.disk.threshold_enabled": False,
        # The same for ml-commons, which refuses models below 5 GB free, above 85 % of the Java
        # heap (usual between two collections of a small one) or 90 % of the memory.
        "plugins.ml_commons.disk_free_space_threshold": "200mb",
        "plugins.ml_commons.jvm_heap_memory_threshold": 100,
        "plugins.ml_commons.native_memory_threshold": 100,
        # Their native library is left out of this node: a clear refusal instead of a crash.
        "plugins.ml_commons.local_model.enabled": False,
    }
    # JSON scalars are YAML scalars, and quoting survives blanks and colons in paths.
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items())


def log4j2_properties() -> str:
    """Write the node's logging: one rolling file, four times 16 MB at most."""
    folder = "${sys:opensearch.logs.base_path}${sys:file.separator}"
    entries = {
        "status": "error",
        "appender.rolling.type": "RollingFile",
        "appender.rolling.name": "rolling",
        "appender.rolling.fileName": f"{folder}{CLUSTER_NAME}.log",
        "appender.rolling.filePattern": f"{folder}{CLUSTER_NAME}-%i.log.gz",
        "appender.rolling.layout.type": "PatternLayout",
        "appender.rolling.layout.pattern": "[%d{ISO8601}][%-5p][%-25c{1.}] %m%n",
        "appender.rolling.policies.type": "Policies",
        "appender.rolling.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.rolling.policies.size.size": "16MB",
        "appender.rolling.strategy.type": "DefaultRolloverStrategy",
        "appender.rolling.strategy.max": "3",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.rolling.ref": "rolling",
    }
    return "".join(f"{key} = {value}\n" for key, value in entries.items())


def java_command(
    java: JavaRuntime, *, distribution: Path, folders: NodeFolders, heap: str
) -> list[str]:
    """Return the command that runs the node in the foreground.

    Args:
        java: 21 or later.
        distribution: the assembled node.
        folders: of this node.
        heap: fixed size of the Java heap, for example ``1g``.
    """
    vectors = [f"--add-modules={VECTOR_MODULE}"] if java.has_vectors else []
    return [
        str(java.executable),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={folders.logs}/java-crash.log",
        "-Dfile.encoding=UTF-8",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={folders.temporary}",
        f"-Djna.tmpdir={folders.temporary}",
        "-Djna.nosys=true",
        "-Dio.netty.noUnsafe=true",
        "-Dlog4j2.disable.jmx=true",
        "-Dlog4j.shutdownHookEnabled=false",
        # A trimmed runtime has no word breaks for Thai, without which no index opens; the two
        # ICU4J jars in lib/ bring them as a locale provider.
        "-Djava.locale.providers=CLDR,SPI",
        "-Djava.security.manager=disallow",
        *vectors,
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        f"-Dopensearch.path.home={distribution}",
        f"-Dopensearch.path.conf={folders.config}",
        "-Dopensearch.distribution.type=tar",
        "-cp",
        f"{distribution}/lib/*",
        "org.opensearch.bootstrap.OpenSearch",
    ]
