// The playground: ask twice, show both answers, and let the keyboard do everything.

import { el } from "./dom.js";
import { showHits, showWaiting, toggle } from "./hits.js";

const SIZE = 10;
const TOKEN = "funnel-token";
const at = (id) => document.getElementById(id);

let indices = [];
let running = null;

/** Ask the service; an answer that is none is an error with its one line. */
async function fetchJson(path, { body, signal } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const request = { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal };
  const response = await fetch(path, request).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer: is funnel serve running?");
  });
  if (response.status === 401) {
    // Another one was given meanwhile: what becomes of that is still to come.
    if (sessionStorage.getItem(TOKEN) !== token) throw new DOMException("outdated", "AbortError");
    sessionStorage.removeItem(TOKEN);
    throw Object.assign(new Error("token"), { wantsToken: true });
  }
  const content = await response.json().catch(() => null);
  if (!response.ok || content === null) {
    throw new Error(content?.error ?? `The service answered with status ${response.status}.`);
  }
  return content;
}

function show(id, text) {
  at(id).hidden = !text;
  at(id).textContent = text ?? "";
}

function failed(error) {
  if (error.name === "AbortError") return;
  at("results").hidden = true;
  at("results").removeAttribute("aria-busy");
  at("ask-token").hidden = !error.wantsToken;
  if (error.wantsToken) at("token").focus();
  else show("error", error.message);
}

async function search({ remember = true } = {}) {
  const query = at("query").value.trim();
  const index = indices.find((one) => one.index === at("index").value);
  running?.abort();
  show("error");
  show("degraded");
  if (!query || !index) return showStart();
  if (remember) {
    const address = new URLSearchParams({ q: query, index: index.index });
    history.pushState(null, "", `?${address}`);
  }
  document.title = `${query} · funnel playground`;
  waiting();
  const mine = new AbortController();
  const { signal } = mine;
  running = mine;
  const ask = (system) =>
    fetchJson("/search?trace=true", {
      body: { index: index.index, query, size: SIZE, system, highlight: true },
      signal,
    });
  try {
    const [bm25, funnel] = await Promise.all([ask("bm25"), ask("funnel")]);
    if (!signal.aborted) showAnswers(bm25, funnel, index);
  } catch (error) {
    mine.abort(); // what the other column asked is not waited for
    failed(error);
  }
}

function waiting() {
  at("start").hidden = true;
  at("ask-token").hidden = true;
  at("results").hidden = false;
  at("results").setAttribute("aria-busy", "true");
  showWaiting(at("hits-bm25"));
  showWaiting(at("hits-funnel"));
  at("told").textContent = "Searching";
}

function showAnswers(bm25, funnel, index) {
  at("results").removeAttribute("aria-busy");
  const { fields } = index;
  const inFunnel = new Map(funnel.hits.map((hit) => [hit.id, hit.rank]));
  const inBm25 = new Map(bm25.hits.map((hit) => [hit.id, hit.rank]));
  showHits(at("hits-bm25"), bm25, { fields, moves: (hit) => left(inFunnel.get(hit.id)) });
  showHits(at("hits-funnel"), funnel, {
    fields,
    moves: (hit) => moved(hit, inBm25.get(hit.id) ?? hit.trace?.legs?.bm25?.rank),
  });
  at("note-bm25").textContent = note(bm25);
  at("note-funnel").textContent = note(funnel);
  at("told").textContent =
    `BM25 shows ${bm25.hits.length} hits, the funnel ${funnel.hits.length}.`;
  if (funnel.degraded) {
    const stands = funnel.hits.some((hit) => hit.trace && hit.trace.decided_by !== "plain")
      ? "the fused order stands, the reranker did not answer"
      : "the plain order stands, the funnel did not answer";
    show("degraded", `Degraded: ${stands}. The log of funnel serve says why.`);
  } else if (funnel.trace && !funnel.trace.consistent) {
    show("degraded", "A trace does not agree with the engine: open the hits to see where.");
  }
}

function note({ took_ms: took, total, plan }) {
  const more = total.relation === "eq" ? "" : "+";
  const found = `${total.value.toLocaleString("en")}${more} found in ${took} ms`;
  return plan ? `${found}, plan ${plan}` : found;
}

/** Where a hit of the funnel was in the plain order. */
function moved(hit, before) {
  if (before == null) return { kind: "new", text: "new", says: "not found by BM25" };
  const by = before - hit.rank;
  if (!by) return { kind: "same", text: "=", says: "the same place in BM25" };
  const kind = by > 0 ? "up" : "down";
  const text = `${by > 0 ? "↑" : "↓"}${Math.abs(by)}`;
  return { kind, text, says: `place ${before} in BM25` };
}

/** What the funnel does with a hit of the plain order. */
function left(rank) {
  if (rank == null) return { kind: "gone", text: "out", says: "not on the funnel's first page" };
  return { kind: "to", text: `→ ${rank}`, says: `place ${rank} in the funnel` };
}

function showStart(text) {
  at("results").hidden = true;
  at("start").hidden = false;
  if (text) at("start-text").textContent = text;
}

async function start() {
  show("error");
  try {
    ({ indices } = await fetchJson("/search/indices"));
  } catch (error) {
    return failed(error);
  }
  at("ask-token").hidden = true;
  at("index").replaceChildren(
    ...indices.map(({ index }) => el("option", { value: index, text: index })),
  );
  at("index").disabled = !indices.length;
  if (!indices.length) {
    return showStart("No index has a funnel yet: funnel pipeline apply --index NAME makes one.");
  }
  return fromAddress();
}

/** Show what the address says; it can be shared. */
function fromAddress() {
  const address = new URLSearchParams(location.search);
  const wanted = address.get("index");
  at("query").value = address.get("q") ?? "";
  if (indices.some(({ index }) => index === wanted)) at("index").value = wanted;
  else if (wanted) show("error", `No plan is applied to ${wanted}.`);
  if (wanted && at("index").value !== wanted) return showStart();
  return search({ remember: false });
}

// --- keyboard ---------------------------------------------------------------------------------

const column = (name) => [...at(`hits-${name}`).querySelectorAll(".open")];

function place() {
  const button = document.activeElement?.closest?.(".hit")?.querySelector(".open");
  for (const name of ["bm25", "funnel"]) {
    const row = column(name).indexOf(button);
    if (button && row >= 0) return { name, row };
  }
  return null;
}

function move(rows) {
  const here = place();
  const name = here?.name ?? (column("funnel").length ? "funnel" : "bm25");
  const buttons = column(name);
  const row = here ? here.row + rows : rows > 0 ? 0 : buttons.length - 1;
  if (here && row < 0) return at("query").focus();
  return focusOn(buttons[Math.min(row, buttons.length - 1)]);
}

function across(name) {
  const here = place();
  if (here) focusOn(column(name)[Math.min(here.row, column(name).length - 1)]);
}

function focusOn(button) {
  button?.focus();
  button?.closest(".hit").scrollIntoView({ block: "nearest" });
}

function close() {
  const here = place();
  const open = here && column(here.name)[here.row];
  if (open?.getAttribute("aria-expanded") === "true") {
    toggle(open, false);
    return open.focus();
  }
  const others = [...document.querySelectorAll('.open[aria-expanded="true"]')];
  if (others.length) return others.forEach((button) => toggle(button, false));
  return document.activeElement?.blur();
}

const KEYS = {
  "/": () => at("query").select(),
  ArrowDown: () => move(1),
  j: () => move(1),
  ArrowUp: () => move(-1),
  k: () => move(-1),
  ArrowLeft: () => across("bm25"),
  ArrowRight: () => across("funnel"),
  Escape: close,
};
const IN_THE_BOX = ["ArrowDown", "Escape"];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const act = KEYS[event.key];
  const typing = event.target.matches?.("input, select, textarea");
  const inTheBox = event.target === at("query") && IN_THE_BOX.includes(event.key);
  if (!act || (typing && !inTheBox)) return;
  event.preventDefault();
  act();
});

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
at("index").addEventListener("change", () => search());
at("ask-token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value);
  at("token").value = "";
  start();
});
addEventListener("popstate", fromAddress);
start();
