// The trace of one hit: what each leg contributed, with which terms, and what the reranker changed.

import { bar, el, number } from "./dom.js";

export const LEGS = { bm25: "BM25", sparse: "Sparse", dense: "Dense" };
const SHOWN_TERMS = 8;

/** Everything that is known of a hit's place. */
export function traceOf(hit, answer) {
  const { trace } = hit;
  if (!trace) return el("p", { class: "small", text: answer.trace_failed || "There is no trace." });
  const parts = trace.decided_by === "plain" ? plain(hit) : funnel(hit, answer.trace);
  return el("div", {}, ...parts, ...differences(trace));
}

function plain(hit) {
  const legs = Object.entries(hit.trace.legs);
  if (!legs.length) return [el("p", { class: "small", text: "The plain order stands here." })];
  return [
    el("h3", { text: "The score" }),
    el("p", {}, "The terms that matched add up to ", figure(number(hit.score, 4)), "."),
    ...legs.map(([name, leg]) => terms(name, leg.terms)),
  ];
}

function funnel(hit, about) {
  const { trace } = hit;
  const digits = trace.fused_score < 0.1 ? 6 : 4;
  return [
    el("h3", { text: "What the legs contribute" }),
    stacked(trace),
    legsTable(trace, digits),
    el("p", { class: "small" }, sumLine(trace, about, digits)),
    ...(trace.rerank ? reranker(trace.rerank) : notReranked(about)),
    ...Object.entries(trace.legs)
      .filter(([, leg]) => leg.terms.length)
      .flatMap(([name, leg]) => [
        el("h3", { text: `${LEGS[name]}: the terms behind ${number(leg.score)}` }),
        terms(name, leg.terms),
      ]),
  ];
}

function stacked(trace) {
  const made = el("div", { class: "stack", "aria-hidden": "true" });
  for (const [name, leg] of Object.entries(trace.legs)) {
    if (!leg.contribution) continue;
    const part = el("span", { class: `fill ${name}` });
    part.style.width = `${(leg.contribution / trace.fused_score) * 100}%`;
    made.append(part);
  }
  return made;
}

function legsTable(trace, digits) {
  const row = ([name, leg]) =>
    el(
      "tr",
      { class: leg.rank == null ? "absent" : "" },
      el("th", { scope: "row" }, el("span", { class: `leg ${name}`, text: LEGS[name] })),
      cell(leg.rank == null ? "not found" : `#${leg.rank}`),
      cell(number(leg.score)),
      cell(number(leg.normalized, 3)),
      cell(number(leg.weight, 2)),
      cell(number(leg.contribution, digits), "sum"),
    );
  const heads = ["Leg", "Place", "Raw", "Scaled", "Weight", "Adds"];
  return el(
    "table",
    {},
    el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, ...Object.entries(trace.legs).map(row)),
    el(
      "tfoot",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "row", colspan: 5, text: `Fused score, place #${trace.fused_rank}` }),
        cell(number(trace.fused_score, digits), "sum"),
      ),
    ),
  );
}

function sumLine(trace, about, digits) {
  const how = about?.combination
    ? `${about.technique.replace("_", "-")}, ${about.combination.replace("_", " ")}`
    : "reciprocal rank fusion";
  const engine = number(trace.engine_score, digits);
  return `By ${how}. The engine says ${engine}.`;
}

function reranker(rerank) {
  const moved = rerank.rank_before - rerank.rank_after;
  const change = moved > 0 ? `up ${moved}` : moved < 0 ? `down ${-moved}` : "not moved";
  const facts = [
    ["Place", `#${rerank.rank_before} → #${rerank.rank_after} (${change})`],
    ["First model's score", rerank.first_score == null ? null : number(rerank.first_score, 3)],
    ["Model's score", rerank.score == null ? null : number(rerank.score, 3)],
    ["Between the window's worst (0) and best (1)", rerank.model_share == null ? null : number(rerank.model_share, 4)],
    ["Fused order as a number", rerank.blend ? number(rerank.order_share, 4) : null],
    ["Share of the fused order", rerank.blend ? number(rerank.blend, 2) : null],
    ["Final", number(rerank.final, 4)],
  ].filter(([, value]) => value != null);
  return [
    el("h3", { text: "What the reranker changed" }),
    bar("rerank", rerank.final),
    el("dl", {}, ...facts.map(([name, value]) =>
      el("div", {}, el("dt", { text: name }), el("dd", { text: value })))),
  ];
}

function notReranked(about) {
  if (!about?.reranked) return [];
  return [el("p", { class: "small", text: "Behind the window that the reranker read." })];
}

function terms(leg, all) {
  const longest = all[0]?.contribution || 1;
  const rest = all.slice(SHOWN_TERMS);
  const items = all.slice(0, SHOWN_TERMS).map((term) =>
    el(
      "li",
      {},
      el("span", { class: "term" }, fieldOf(term), term.term),
      bar(leg, term.contribution / longest),
      el("span", { class: "sum" }, product(term), figure(number(term.contribution, 3))),
    ),
  );
  if (rest.length) {
    const sum = rest.reduce((all_, term) => all_ + term.contribution, 0);
    items.push(
      el(
        "li",
        { class: "rest" },
        el("span", { class: "term", text: `${rest.length} more` }),
        bar(leg, sum / longest),
        el("span", { class: "sum" }, figure(number(sum, 3))),
      ),
    );
  }
  return el("ul", { class: "terms" }, ...items);
}

function fieldOf(term) {
  return term.field ? el("span", { class: "field", text: `${term.field}: ` }) : null;
}

function product(term) {
  if (term.query_weight == null) return null;
  const text = `${number(term.query_weight)} × ${number(term.stored_weight)} = `;
  return el("span", { class: "soft", text });
}

function differences(trace) {
  if (trace.consistent) {
    const what = trace.decided_by === "plain" ? "The terms add up" : "Everything adds up";
    return [el("p", { class: "verdict good", text: `✓ ${what}` })];
  }
  return [
    el("p", { class: "verdict bad", text: "✗ Something does not agree" }),
    el("ul", { class: "small" }, ...trace.differences.map((text) => el("li", { text }))),
  ];
}

function cell(text, kind) {
  return el("td", { class: kind, text });
}

function figure(text) {
  return el("strong", { text });
}
