// Elements made by hand. Data only ever becomes text: nothing here parses markup.

/** Make an element. `properties` are attributes; `text` is its text, `on` its listeners. */
export function el(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  if (text != null) made.textContent = text;
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A fragment of the engine's highlighter: its <em> and </em> become <mark>, all else is text. */
export function marked(fragment) {
  const pieces = fragment.split(/(<em>.*?<\/em>)/s).filter(Boolean);
  return pieces.map((piece) => {
    const word = /^<em>(.*)<\/em>$/s.exec(piece);
    return word ? el("mark", { text: word[1] }) : document.createTextNode(piece);
  });
}

/** What a field of a document holds, as one text. */
export function flat(value) {
  if (value == null) return "";
  if (Array.isArray(value)) return value.map(flat).filter(Boolean).join(" ");
  return typeof value === "object" ? "" : String(value).trim();
}

/** A value of a document by its field's name, which may reach into objects. */
export function valueOf(source, field) {
  if (field in source) return source[field];
  return field.split(".").reduce((inner, name) => inner?.[name], source);
}

/** A bar as long as its share of the longest one. */
export function bar(kind, share) {
  const filled = el("span", { class: `fill ${kind}` });
  filled.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, filled);
}

/** A number with as many digits as it takes to compare it with its neighbours. */
export function number(value, digits = 2) {
  return value == null ? "–" : value.toFixed(digits);
}

/** A name of a program or a file, which may break after its punctuation and not inside words. */
export function breakable(text) {
  return text.split(/(?<=[._(),/=-])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));
}
