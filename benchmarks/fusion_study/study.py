"""The whole study: collections searched, constants fitted, every case measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fusion_study.ablating import tried
from benchmarks.fusion_study.cases import Case
from benchmarks.fusion_study.collections_of_study import Part, collections, left_out
from benchmarks.fusion_study.constants import apart, in_the_product, named
from benchmarks.fusion_study.fitting import Recipe, fit, trust_in
from benchmarks.fusion_study.folds import References
from benchmarks.fusion_study.folds import left_out as families_left_out
from benchmarks.fusion_study.found import LEGS, Asked
from benchmarks.fusion_study.fusing import alone, fused
from benchmarks.fusion_study.loading import Material, cases_of
from benchmarks.fusion_study.probing import KINDS, LEAST, ProbeKind, probed
from benchmarks.fusion_study.recording import Searched, recorded
from benchmarks.fusion_study.rows import row_of
from benchmarks.fusion_study.teacher import taught
from benchmarks.fusion_study.telling import (
    correlations,
    dense_shares,
    order_by_probes,
    same_order,
)
from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.evaluating.trust.deciding import RULE
from opensearch_funnel.evaluating.trust.measuring import measured_plan

_DIGITS = 4
_TEXT_FIELDS = FunnelPlan(alias="any").text_fields


@dataclass(slots=True)
class Study:
    """Where the study finds and keeps things.

    Attributes:
        bench: the cluster.
        folder: what was made, found and read is kept here for the next run.
        datasets: the folder with the sets that are not made.
    """

    bench: Bench
    folder: Path
    datasets: Path
    _models: PlanModels | None = None
    _opened: dict[str, Searched] = field(default_factory=dict)

    def run(self, *, quick: bool = False) -> dict[str, Any]:
        """Run it.

        Args:
            quick: leave out ablations, correlations, probes and the teacher.

        Returns:
            All figures, ready to be written as JSON.

        Raises:
            InputError: a data set is missing.
            EngineError: the cluster does not answer.
        """
        parts = list(collections(self.datasets, made_in=self.folder / "sets"))
        material = [
            Material(part=part, asked=self._asked(part), words=self._probed(part, "words"))
            for part in parts
        ]
        progress = self.bench.progress
        trusts = self._trusts(parts)
        cases = cases_of(material, kept_in=self.folder / "signals", progress=progress)
        references = [References.of(case) for case in cases]
        weightings = families_left_out(cases, Recipe())
        found = fit([case for case in cases if case.fitted], Recipe())
        product = named(in_the_product())
        result: dict[str, Any] = {
            "left_out": left_out(parts),
            "trusts": trusts,
            "constants": {
                "found": named(found),
                "product": product,
                "apart": apart(named(found), product),
                "without": {family: named(one) for family, one in weightings.items()},
            },
            "rows": [
                asdict(row_of(case, own, weightings, trusts=trusts))
                | {"product": self._by_product(case)}
                for case, own in zip(cases, references, strict=True)
            ],
        }
        if not quick:
            natural = [case for case in cases if case.variant.kind == "natural"]
            result["ablations"] = [
                asdict(one) for one in tried(cases, references, progress=progress)
            ]
            result["correlations"] = {case.part: correlations(case) for case in natural}
            result["shares"] = {
                case.part: dense_shares(weightings[case.family].weights(case), case)
                for case in natural
            }
            result["probes"] = self._probe_orders(material, natural)
        return result

    def _by_product(self, case: Case) -> float:
        """Return what the product's own constants give: fitted on some of these collections."""
        values = fused(case, in_the_product().weights(case, trust=trust_in(case)))
        return round(float(values.mean()), _DIGITS)

    def _trusts(self, parts: Sequence[Part]) -> dict[str, dict[str, float]]:
        """Return how far the product trusts each leg of a collection, by its probes."""
        found: dict[str, dict[str, float]] = {}
        for part in parts:
            path = self.folder / "trusts" / f"{part.collection}-{RULE}.json"
            if not path.is_file():
                searched = self._open(part)
                client, progress = self.bench.client, self.bench.progress
                plan = measured_plan(
                    client, searched.plan, models=searched.models, progress=progress
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(asdict(plan.trust)), encoding="utf-8")
            told = json.loads(path.read_text(encoding="utf-8"))
            found[part.collection] = {leg: float(told[leg]) for leg in LEGS}
        return found

    def _asked(self, part: Part) -> list[Asked]:
        return recorded(part, folder=self.folder / "found", opened=self._open)

    def _probed(self, part: Part, kind: ProbeKind) -> list[Asked]:
        return probed(part, kind=kind, folder=self.folder / "found", opened=self._open)

    def _open(self, part: Part) -> Searched:
        if self._models is None:
            self._models = self.bench.open_encoders(FunnelPlan(alias="any"))
        if part.collection not in self._opened:
            self._opened[part.collection] = Searched.opened(self.bench, part, models=self._models)
        return self._opened[part.collection]

    def _probe_orders(
        self, material: Sequence[Material], natural: Sequence[Case]
    ) -> dict[str, dict[str, Any]]:
        """Return what probes and the teacher say of the legs, beside what judgments say."""
        orders: dict[str, dict[str, Any]] = {}
        for one, case in zip(material, natural, strict=True):
            name = one.part.collection
            if name in orders:
                continue
            real = {leg: round(float(alone(case, leg).mean()), _DIGITS) for leg in LEGS}
            orders[name] = {"part": one.part.name, "real": real}
            texts: dict[str, str] = {}
            for kind in KINDS:
                asked = self._probed(one.part, kind)
                if len(asked) < LEAST:
                    continue
                told = asdict(order_by_probes(asked))
                told["whole_alike"] = round(same_order(told["whole"], real), _DIGITS)
                if told["rest"]:
                    told["rest_alike"] = round(same_order(told["rest"], real), _DIGITS)
                    told["teacher"] = self._taught(f"{name}-{kind}", asked, one.part, texts, real)
                orders[name][kind] = told
            orders[name]["teacher"] = self._taught(
                f"{name}-queries", one.asked, one.part, texts, real
            )
        return orders

    def _taught(
        self,
        name: str,
        asked: Sequence[Asked],
        part: Part,
        texts: dict[str, str],
        real: dict[str, float],
    ) -> dict[str, Any]:
        from opensearch_funnel.encoders.opening import open_cross_encoder

        model = FunnelPlan(alias="any").rerank.first_model
        if not texts:
            for document in part.dataset.documents():
                texts[document.doc_id] = encoded_text(document.source, fields=_TEXT_FIELDS)
        told = taught(
            asked,
            teacher=open_cross_encoder(model, threads=self.bench.settings.threads),
            texts=texts,
            own_left_out=not name.endswith("-queries"),
            kept_at=self.folder / "taught" / f"{name}.json",
        )
        return asdict(told) | {"alike": round(same_order(told.values, real), _DIGITS)}
