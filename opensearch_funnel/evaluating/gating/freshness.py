"""Whether a document is found by every leg soon after it was written, and again when it changed.

A probe is written into the index, read back, asked for by each leg alone, given another text, asked
for again, and deleted. Each leg is asked about the probe alone, so that the answer does not depend
on what else is in the index.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.core.funnel_object import FUNNEL, READY, still_holds
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import LEGS, FunnelPlan, LegName
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.stage import SparseTextEncoder
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine.flat_settings import index_setting
from opensearch_funnel.engine.queries import Body, dense_query, multi_match, sparse_query
from opensearch_funnel.engine.searching import search
from opensearch_funnel.evaluating.gating.checks import Check, Gate
from opensearch_funnel.evaluating.gating.probe import (
    Probe,
    ProbeText,
    delete_left_probes,
    probe_in,
    probe_source,
    probe_texts,
)

COLUMNS = ("seconds", "allowed")
_POLL_S = 0.1
_NOT_ENCODED = (
    "see that funnel serve runs and that the cluster reaches it (funnel doctor), then funnel "
    "migrate repair"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The test of one index.

    Attributes:
        client: the cluster.
        plan: the applied plan, bound to the index.
        index: the concrete index.
        models: the encoders of the plan's legs.
        within: seconds from the write to the answer that every leg has.
        progress: hears of each step.
    """

    client: OpenSearch
    plan: FunnelPlan
    index: str
    models: PlanModels
    within: float
    progress: Progress = SILENT

    def run(self) -> Gate:
        """Write, ask, change, ask again and delete.

        Raises:
            EngineError: the index refuses the probe, or an answer is an error.
            StageUnavailableError: a leg's model cannot encode.
        """
        left = delete_left_probes(self.client, index=self.index)
        first, second = probe_texts()
        with probe_in(self.client, index=self.index, progress=self.progress) as probe:
            made, checks = self._step(probe, first, other=second, word="new")
            if made is not None and all(check.outcome == "passed" for check in checks):
                _, again = self._step(probe, second, other=first, word="changed", before=made)
                checks += again
        missing = [leg for leg in LEGS if leg not in self.plan.active_legs]
        return Gate(
            title=f"{self.plan.alias}: a probe in {self.index}, found within {self.within:g} s",
            columns=COLUMNS,
            checks=checks,
            warnings=[f"the plan has no {leg} leg, which was not asked" for leg in missing],
            notes=[
                *_notes("deleted what killed runs had left", left.deleted),
                *_notes("probes of other runs are there, too", left.kept),
            ],
            figures={"alias": self.plan.alias, "index": self.index, "within": self.within},
        )

    def _step(
        self,
        probe: Probe,
        text: ProbeText,
        *,
        other: ProbeText,
        word: str,
        before: Mapping[str, Any] | None = None,
    ) -> tuple[Mapping[str, Any] | None, list[Check]]:
        """Give the probe a text, and wait until each leg finds it by that text alone.

        Args:
            probe: the document.
            text: what it says from now on.
            other: what it said before, or will say.
            word: how checks call it.
            before: its funnel object of the text before.

        Returns:
            The probe's funnel object, ``None`` where it is not that of the text, and the checks.
        """
        # Made before the write: the seconds are those of the index.
        asks = {
            leg: self._ask(leg, text, other=other, doc_id=probe.doc_id)
            for leg in self.plan.active_legs
        }
        source = probe_source(text.text, fields=self.plan.text_fields)
        self.progress.say(f"writing the {word} text of {probe.doc_id}")
        began = time.monotonic()
        probe.write(source)
        written = time.monotonic()
        made: Any = probe.read().get(FUNNEL)
        encoded = self._holds(made, source)
        checks = [self._encoded_check(made, encoded=encoded, took=written - began, word=word)]
        stayed: list[str] = []
        if encoded and before is not None:
            fields = self._fields(before, made)
            stayed = fields.figures["stayed"]
            checks.append(fields)
        # What was not made anew would be waited for in vain.
        made_anew = [leg for leg in asks if encoded and f"{leg}_{self.plan.slot}" not in stayed]
        looked_for = [leg for leg in asks if leg == "bm25" or leg in made_anew]
        waiting = dict.fromkeys(looked_for, "")
        took: dict[LegName, float] = {}
        while waiting:
            for leg in list(waiting):
                why = asks[leg].missing(self.client, self.index)
                seconds = time.monotonic() - written
                if why or seconds > self.within:
                    waiting[leg] = why or "was not found"
                else:
                    took[leg] = seconds
                    del waiting[leg]
            if time.monotonic() - written > self.within:
                break
            time.sleep(_POLL_S if waiting else 0)
        for leg in asks:
            name = f"{word} document by {leg}"
            checks.append(self._leg_check(name, took=took.get(leg), why=waiting.get(leg)))
        return (made if encoded else None), checks

    def _holds(self, made: Any, source: Mapping[str, Any]) -> bool:
        legs = [leg for leg in self.plan.active_legs if leg != "bm25"]
        return still_holds(
            made,
            text_hash=text_hash(encoded_text(source, fields=self.plan.text_fields)),
            models=[getattr(self.plan, leg).fingerprint for leg in legs],
            fields=[f"{leg}_{self.plan.slot}" for leg in legs],
        )

    def _encoded_check(self, made: Any, *, encoded: bool, took: float, word: str) -> Check:
        state = made.get("state", "missing") if isinstance(made, Mapping) else "missing"
        if state == READY:
            state = "made of another text, or by other models"
        return Check(
            name=f"{word} document encoded",
            outcome="passed" if encoded else "failed",
            finding=(
                f"while it was written, which took {took:.2f} s"
                if encoded
                else f"is not so after its write: its fields are {state}"
            ),
            advice="" if encoded else _NOT_ENCODED,
            cells=(f"{took:.2f}",),
            figures={"seconds": round(took, 3)},
        )

    def _leg_check(self, name: str, *, took: float | None, why: str | None) -> Check:
        allowed = f"{self.within:g}"
        if took is not None:
            return Check(
                name=name,
                outcome="passed",
                finding=f"is found {took:.2f} s after its write",
                cells=(f"{took:.2f}", allowed),
                figures={"seconds": round(took, 3)},
            )
        if why is None:
            finding = "was not looked for: it was not encoded anew"
            return Check(name=name, outcome="not judged", finding=finding, cells=("-", allowed))
        refresh = index_setting(self.client, index=self.index, name="index.refresh_interval")
        return Check(
            name=name,
            outcome="failed",
            finding=f"{why} {self.within:g} s after its write",
            advice=(
                f"the index.refresh_interval of {self.index} is {refresh or '1s'}: allow more "
                "(--within), or see what the cluster is busy with"
            ),
            cells=("-", allowed),
            figures={"seconds": None},
        )

    def _ask(self, leg: LegName, text: ProbeText, *, other: ProbeText, doc_id: str) -> _Ask:
        only: Body = {"ids": {"values": [doc_id]}}
        if leg == "bm25":
            found, gone = (
                _within(only, multi_match(one.word, fields=self.plan.text_fields))
                for one in (text, other)
            )
            return _Ask(found=found, gone=gone)
        if leg == "sparse":
            found, gone = (
                _within(only, sparse_query(self.plan.sparse_field, weights))
                for weights in self._terms(text, other=other)
            )
            return _Ask(found=found, gone=gone)
        if self.models.dense is None:
            raise StageUnavailableError(f"the dense leg has no model: plan {self.plan.plan_id}")
        nearest = []
        for one in (text, other):
            vector = self.models.dense.encode_query(self._encoded(one)).tolist()
            query = dense_query(self.plan.dense_field, vector, k=1)
            query["knn"][self.plan.dense_field]["filter"] = only
            nearest.append(query)
        # The nearest of one document is that document: how near it is tells which text it has.
        return _Ask(found=nearest[0], gone=nearest[1], nearer=True)

    def _terms(
        self, text: ProbeText, *, other: ProbeText
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the terms that find one text and not the other, and the other way round."""
        model = self.models.sparse
        if not isinstance(model, SparseTextEncoder):
            raise StageUnavailableError(f"the sparse leg has no model: plan {self.plan.plan_id}")
        texts = [self._encoded(one) for one in (text, other)]
        own, others = model.encode_documents(texts)
        asked, asked_other = map(model.encode_query, texts)
        found = {term: w for term, w in asked.items() if term in own and term not in others}
        gone = {term: w for term, w in asked_other.items() if term in others and term not in own}
        if not found or not gone:
            raise StageUnavailableError(
                f"the sparse model of plan {self.plan.plan_id} tells the two texts of the probe "
                "not apart: it cannot be tested in this way"
            )
        return found, gone

    def _encoded(self, text: ProbeText) -> str:
        source = probe_source(text.text, fields=self.plan.text_fields)
        return encoded_text(source, fields=self.plan.text_fields)

    def _fields(self, made: Mapping[str, Any], changed: Mapping[str, Any]) -> Check:
        """See that nothing of the old text's fields stayed."""
        legs = [leg for leg in self.plan.active_legs if leg != "bm25"]
        names = ["hash", *(f"{leg}_{self.plan.slot}" for leg in legs)]
        stayed = [name for name in names if made[name] == changed[name]]
        return Check(
            name="changed document's fields",
            outcome="failed" if stayed else "passed",
            finding=(
                f"are those of the old text: {', '.join(stayed)}"
                if stayed
                else f"are others than before: {', '.join(names)}"
            ),
            advice="funnel migrate repair finds and encodes such documents" if stayed else "",
            figures={"changed": [name for name in names if name not in stayed], "stayed": stayed},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """The two searches of a leg: one that has to find the probe, one that must not.

    Attributes:
        found: by the text that the probe has.
        gone: by the text that it does not have.
        nearer: both find it, and it has to be nearer to the first.
    """

    found: Body
    gone: Body
    nearer: bool = False

    def missing(self, client: OpenSearch, index: str) -> str:
        """Say what is not yet as it should be; empty where all is."""
        found = _score(client, index, self.found)
        if found is None:
            return "was not found"
        gone = _score(client, index, self.gone)
        if gone is None or (self.nearer and gone < found):
            return ""
        return "was found by words that its text does not have"


def _score(client: OpenSearch, index: str, query: Body) -> float | None:
    hits = search(client, index, query=query, size=1)["hits"]["hits"]
    return float(hits[0]["_score"]) if hits else None


def _within(only: Body, query: Body) -> Body:
    return {"bool": {"must": [query], "filter": [only]}}


def _notes(what: str, doc_ids: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(doc_ids)}"] if doc_ids else []


def planned(plan: FunnelPlan, *, index: str, within: float) -> dict[str, Any]:
    """Return what the test would write, change and delete."""
    first, second = probe_texts()
    return {
        "index": index,
        "alias": plan.alias,
        "id": "funnel-gate-<seconds>-<random>",
        "writes": probe_source(first.text, fields=plan.text_fields),
        "changes_to": probe_source(second.text, fields=plan.text_fields),
        "legs": list(plan.active_legs),
        "within": within,
    }
