// Draws a tree of plain elements. Everything from outside becomes a text node; tags, attributes and addresses are listed
// here, so no text can turn into markup. Unchanged elements are left alone: focus, selection and scroll survive a tick.
const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "polyline", "line", "title"]);
const TAGS = new Set([
  ...SVG_TAGS, "a", "article", "b", "button", "code", "dd", "details", "div", "dl", "dt", "em", "footer", "form", "h1", "h2",
  "h3", "header", "li", "ol", "p", "progress", "section", "small", "span", "strong", "summary", "table", "tbody", "td", "th",
  "thead", "time", "tr", "ul",
]);
const ATTRIBUTES = new Set([
  "class", "role", "scope", "value", "max", "title", "datetime", "type", "method", "colspan", "viewBox", "points", "x1", "x2",
  "y1", "y2", "preserveAspectRatio", "tabindex", "data-send", "data-value", "key",
]);
const OWN_PATH = /^\/(?![/\\])[^\s\\]*$/;
const KEY = Symbol("key");
const instances = new WeakMap();

function allowed(name, value) {
  if (name === "href" || name === "action") return OWN_PATH.test(value);
  return ATTRIBUTES.has(name) || /^aria-[a-z]+$/.test(name);
}

function setAttributes(node, attributes) {
  for (const { name } of [...node.attributes]) {
    // The reader opened it; a tick does not close it.
    if (!(name in attributes) && name !== "open") node.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (!allowed(name, String(value))) continue;
    if (name === "key") node[KEY] = String(value);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}

const isText = (spec) => typeof spec === "string";
const keyOf = (spec) => (isText(spec) || spec[1].key === undefined ? undefined : String(spec[1].key));

function create(spec) {
  if (isText(spec)) return document.createTextNode(spec);
  const tag = TAGS.has(spec[0]) ? spec[0] : "span";
  const node = SVG_TAGS.has(tag) && tag !== "title" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  patch(node, spec);
  return node;
}

function fits(node, spec) {
  if (isText(spec)) return node.nodeType === Node.TEXT_NODE;
  return node.nodeType === Node.ELEMENT_NODE && node.localName === spec[0].toLowerCase() && node[KEY] === keyOf(spec);
}

function patch(node, spec) {
  if (isText(spec)) {
    if (node.data !== spec) node.data = spec;
    return;
  }
  setAttributes(node, spec[1]);
  patchChildren(node, spec.slice(2));
}

function patchChildren(parent, specs) {
  const wanted = new Set(specs.map(keyOf));
  const keyed = new Map();
  for (const child of [...parent.childNodes]) {
    if (child[KEY] === undefined) continue;
    if (wanted.has(child[KEY])) keyed.set(child[KEY], child);
    else child.remove();
  }
  let at = parent.firstChild;
  for (const spec of specs) {
    const key = keyOf(spec);
    const known = key === undefined ? at : keyed.get(key);
    if (!known || !fits(known, spec)) {
      parent.insertBefore(create(spec), at);
      continue;
    }
    if (known === at) at = at.nextSibling;
    else parent.insertBefore(known, at);
    patch(known, spec);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// An open page asks now and then whether its session still holds: a lost websocket alone would not tell it.
function watchSession(seconds) {
  if (window.hcSessionWatch) return;
  window.hcSessionWatch = setInterval(async () => {
    try {
      const answer = await fetch("/auth/session", { cache: "no-store" });
      if (answer.status === 401) location.assign(`/sign-in?ended=1&next=${encodeURIComponent(location.pathname + location.search)}`);
    } catch {
      // The server is away; Streamlit's own banner says so, and the next look tries again.
    }
  }, seconds * 1000);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".hc");
  let instance = instances.get(root);
  if (!instance) {
    instance = { focusTurn: data.focus?.[1] };
    instances.set(root, instance);
    root.addEventListener("click", (event) => {
      const sender = event.target.closest("[data-send]");
      if (sender) instance.send(sender.dataset.send, sender.dataset.value ?? "");
    });
  }
  instance.send = setTriggerValue;
  if (data.watch) watchSession(data.watch);
  // The number tells one return from another: the script run that is told of one may be cut short by a tick.
  const [focus, turn] = data.focus ?? [];
  if (focus && instance.focusTurn !== turn) {
    const senders = [...root.querySelectorAll("[data-send]")];
    senders.find((sender) => sender.dataset.value === focus)?.focus({ preventScroll: true });
  }
  instance.focusTurn = turn;
  const text = JSON.stringify(data.tree);
  if (instance.drawn === text) return;
  instance.drawn = text;
  patchChildren(root, data.tree);
}
