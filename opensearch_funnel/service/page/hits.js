// One column of hits: titles, texts, what moved, and a trace behind each.

import { breakable, el, flat, marked, number, valueOf } from "./dom.js";
import { LEGS, traceOf } from "./trace.js";

const TEXT_LENGTH = 260;

/** Fill a column; `moves` says of each hit what the other column does with it. */
export function showHits(list, answer, { fields, moves }) {
  const items = answer.hits.map((hit) => item(hit, answer, { fields, move: moves(hit) }));
  list.replaceChildren(...items);
  if (!items.length) list.append(el("li", { class: "none", text: "No document found." }));
}

/** Placeholders while an answer is on its way. */
export function showWaiting(list) {
  list.replaceChildren(...Array.from({ length: 5 }, () => el("li", { class: "waiting" })));
}

/** Open or close a hit's trace, which is only then made. */
export function toggle(button, open = button.getAttribute("aria-expanded") !== "true") {
  const panel = document.getElementById(button.getAttribute("aria-controls"));
  if (open && !panel.childElementCount) panel.append(panel.make());
  button.setAttribute("aria-expanded", String(open));
  panel.hidden = !open;
}

function item(hit, answer, { fields, move }) {
  const [titleField, ...textFields] = fields;
  const title = flat(valueOf(hit.source, titleField)) || hit.id;
  const panelId = `trace-${answer.system}-${hit.rank}`;
  const panel = el("div", { id: panelId, class: "trace", hidden: true });
  panel.make = () => traceOf(hit, answer);
  const button = el(
    "button",
    {
      type: "button",
      class: "open",
      "aria-expanded": "false",
      "aria-controls": panelId,
      on: { click: () => toggle(button) },
    },
    el("span", { class: "rank", text: hit.rank }),
    el("span", { class: "title" }, ...breakable(title)),
    el(
      "span",
      { class: `move ${move.kind}`, title: move.says },
      el("span", { "aria-hidden": "true", text: move.text }),
      el("span", { class: "sr", text: `, ${move.says}` }),
    ),
    el("span", { class: "sr", text: ", why here" }),
  );
  return el(
    "li",
    { class: "hit", "data-id": hit.id },
    button,
    el("p", { class: "text" }, ...text(hit, textFields)),
    answer.system === "funnel" ? badges(hit) : null,
    panel,
  );
}

function text(hit, fields) {
  for (const field of fields) {
    const fragments = hit.highlight?.[field];
    if (fragments?.length) return fragments.flatMap((one) => [...marked(one), " … "]).slice(0, -1);
  }
  const whole = fields.map((field) => flat(valueOf(hit.source, field))).filter(Boolean).join(" ");
  return [whole.length > TEXT_LENGTH ? `${whole.slice(0, TEXT_LENGTH)}…` : whole];
}

function badges(hit) {
  const { trace } = hit;
  const legs = Object.entries(trace?.legs ?? {}).filter(([, leg]) => leg.rank != null);
  if (!trace || trace.decided_by === "plain") return null;
  const made = legs.map(([name, leg]) =>
    el("span", { class: `leg ${name}`, title: `raw score ${number(leg.score)}` }, `${LEGS[name]} #${leg.rank}`),
  );
  if (trace.rerank) {
    const { rank_before: before, rank_after: after } = trace.rerank;
    made.push(el("span", { class: "leg rerank", text: `Reranked #${before} → #${after}` }));
  }
  return el("p", { class: "legs" }, ...made);
}
