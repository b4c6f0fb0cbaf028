"""What the service counts, in the text format of Prometheus.

No label ever holds anything of a request: routes are templates, reasons and states fixed words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from opensearch_funnel.service.pools import StagePool

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.7, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_STATES = ("ready", "loading", "failed")


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stages = Histogram(
            "funnel_stage_duration_seconds",
            "How long a stage took for a request that it answered, its waiting included.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = PrometheusCounter(
            "funnel_requests",
            "Requests by the template of their route and the status of the answer.",
            ["route", "status"],
            registry=self.registry,
        )
        self._degraded = PrometheusCounter(
            "funnel_degraded",
            "Stages that the search went on without, by reason.",
            ["stage", "reason"],
            registry=self.registry,
        )
        self._unsampled = PrometheusCounter(
            "funnel_unsampled",
            "Searches that passed as they came, because they are not in their plan's sample.",
            registry=self.registry,
        )
        self._batches = Histogram(
            "funnel_batch_size",
            "Texts that went through a model together.",
            buckets=_ROWS,
            registry=self.registry,
        )
        self._hits = PrometheusCounter(
            "funnel_score_cache_hits",
            "Scores of a cross-encoder that were known.",
            registry=self.registry,
        )
        self._misses = PrometheusCounter(
            "funnel_score_cache_misses",
            "Scores of a cross-encoder that had to be made.",
            registry=self.registry,
        )

    def request(self, *, route: str, status: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(status)).inc()

    def degraded(self, *, stage: str, reason: str) -> None:
        """Count a stage that was left out of an answer."""
        self._degraded.labels(stage, reason).inc()

    def unsampled(self) -> None:
        """Count a search that is not in its plan's sample."""
        self._unsampled.inc()

    def stage(self, stage: str) -> Callable[[float], None]:
        """Return what hears how long a stage took, in seconds."""
        observe: Callable[[float], None] = self._stages.labels(stage).observe
        return observe

    def batch(self, rows: int) -> None:
        """Count a batch of this many texts."""
        self._batches.observe(rows)

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Count the scores that a request found in the cache, and those that it did not."""
        self._hits.inc(hits)
        self._misses.inc(misses)

    def watch_queues(self, pools: Sequence[StagePool]) -> None:
        """Report how many requests each stage has, asked for when the metrics are read."""
        self.registry.register(_Watched(partial(_queue_depth, pools)))

    def watch_plans(self, states: Callable[[], Mapping[str, str]]) -> None:
        """Report how many plans are in each state, asked for when the metrics are read."""
        self.registry.register(_Watched(partial(_plan_states, states)))

    def text(self) -> bytes:
        """Return everything, as ``/metrics`` answers it."""
        return generate_latest(self.registry)


class _Watched(Collector):
    """Numbers that are asked for when they are read."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _queue_depth(pools: Sequence[StagePool]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "funnel_queue_depth",
        "Requests that wait for a stage or are worked on, given up ones included.",
        labels=["stage"],
    )
    for pool in pools:
        family.add_metric([pool.stage], pool.taken)
    yield family


def _plan_states(states: Callable[[], Mapping[str, str]]) -> Iterator[Metric]:
    family = GaugeMetricFamily("funnel_plans", "Plans by state.", labels=["state"])
    # A failed plan's state goes on with its reason.
    counts = Counter(state.partition(":")[0] for state in states().values())
    for state in _STATES:
        family.add_metric([state], counts[state])
    yield family
