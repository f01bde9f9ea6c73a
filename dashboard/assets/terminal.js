// The live log over the stream of server-sent events. Everything from outside becomes a text node. The stream is closed
// while nobody sees the page (a browser has six connections per host) and goes on after the last line it had.
const KEPT = 200;
const SILENT_MS = 35000; // three heartbeats and a bit: a connection this quiet is dead, whatever the browser believes
const PAUSES_MS = [1000, 2000, 4000, 8000, 15000];
const LEVELS = { debug: "debug", info: "info", warn: "WARN", error: "ERROR" };
const STATES = {
  connecting: ["idle", "○ connecting…"],
  live: ["ok", "● live"],
  reconnecting: ["warn", "○ reconnecting…"],
  database_away: ["bad", "▲ database away"],
  signed_out: ["bad", "✕ signed out"],
  refused: ["bad", "✕ refused"],
};
const instances = new WeakMap();

class Terminal {
  constructor(root, data) {
    this.root = root;
    this.url = data.url;
    this.part = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((node) => [node.dataset.part, node]));
    const hidden = Object.keys(data.marks).map((code) => `\\u{${Number(code).toString(16)}}`).join("");
    this.hiding = new RegExp(`[${hidden}]`, "gu");
    this.marks = data.marks;
    this.waiting = []; // arrived, not drawn yet
    this.unseen = 0; // drawn or waiting below what is seen
    this.isPaused = false;
    this.lastId = null;
    this.failures = 0;
    this.listen();
    this.update(data);
    this.begin();
  }

  listen() {
    const { level, entity, run, text, pause, copy, view } = this.part;
    for (const filter of [level, entity, run]) filter.addEventListener("change", () => this.begin());
    text.addEventListener("input", () => this.find());
    pause.addEventListener("click", () => this.pause(!this.isPaused));
    copy.addEventListener("click", () => this.copy());
    view.addEventListener("scroll", () => this.atEnd() && this.seen());
    this.part.new.addEventListener("click", () => this.toEnd());
    this.onVisibility = () => (document.hidden ? this.disconnect() : this.connect());
    document.addEventListener("visibilitychange", this.onVisibility);
    this.watch = setInterval(() => this.stream && Date.now() - this.heardAt > SILENT_MS && this.again(), 5000);
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearInterval(this.watch);
    this.disconnect();
  }

  // What Python knows: entities and runs to choose from. What is chosen stays chosen.
  update(data) {
    options(this.part.entity, data.entities.map((name) => [name, name]));
    options(this.part.run, data.runs);
  }

  // From the beginning: a filter was set.
  begin() {
    this.lastId = null;
    this.clear();
    this.disconnect();
    this.connect();
  }

  connect() {
    if (document.hidden || this.stream) return;
    clearTimeout(this.timer);
    if (!this.failures) this.say("connecting");
    const asked = { level: this.part.level.value, entity: this.part.entity.value, runId: this.part.run.value, tail: KEPT };
    if (this.lastId !== null) asked.lastEventId = this.lastId;
    this.address = `${this.url}?${new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ""))}`;
    const stream = (this.stream = new EventSource(this.address));
    this.heardAt = Date.now();
    const on = (name, what) =>
      stream.addEventListener(name, (event) => {
        if (stream !== this.stream) return;
        this.heardAt = Date.now();
        if (event.lastEventId) this.lastId = event.lastEventId;
        what(JSON.parse(event.data));
      });
    on("message", (line) => this.arrive(line));
    on("heartbeat", () => {});
    on("state", (said) => {
      this.failures = 0;
      this.note("");
      this.say(said.state);
    });
    on("resync", (said) => {
      this.clear();
      this.arrive({ mark: `— lines are missing here. ${said.msg} —` });
    });
    stream.onerror = () => {
      if (stream !== this.stream) return;
      if (stream.readyState === EventSource.CLOSED) this.again();
      else this.say("reconnecting");
    };
  }

  disconnect() {
    clearTimeout(this.timer);
    this.stream?.close();
    this.stream = null;
  }

  // The browser has given up: see what the server says, and try again a little later.
  async again() {
    this.disconnect();
    this.say("reconnecting");
    const pause = PAUSES_MS[Math.min(this.failures, PAUSES_MS.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.connect(), pause);
    const look = new AbortController();
    try {
      const answer = await fetch(this.address, { cache: "no-store", signal: look.signal });
      if (answer.status === 401) this.say("signed_out");
      else if (answer.headers.get("content-type")?.startsWith("application/problem+json")) {
        const problem = await answer.json();
        this.say("refused");
        this.note(`${problem.detail} ${problem.remedy}`);
      }
    } catch {
      // Nobody answers: that is what "reconnecting" says.
    }
    look.abort();
  }

  say(state) {
    this.state = state;
    const { state: chip, pause } = this.part;
    const [tone, words] = this.isPaused && state === "live" ? ["idle", "‖ paused"] : STATES[state] ?? ["idle", state];
    if (chip.textContent !== words) chip.textContent = words;
    chip.className = `chip ${tone}`;
    const waiting = this.isPaused ? this.unseen : 0;
    pause.textContent = this.isPaused ? `Resume${waiting ? ` (${waiting} new)` : ""}` : "Pause";
    pause.setAttribute("aria-pressed", String(this.isPaused));
  }

  note(text) {
    this.part.note.textContent = text;
    this.part.note.hidden = !text;
  }

  arrive(line) {
    this.waiting.push(line);
    if (this.waiting.length > KEPT) this.waiting.shift();
    if (this.isPaused) {
      this.unseen += 1;
      this.say(this.state);
    } else this.drawn ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.drawn = null;
    const { lines } = this.part;
    const follow = this.atEnd();
    const fresh = this.waiting.splice(0).map((line) => this.row(line));
    lines.append(...fresh);
    while (lines.childElementCount > KEPT) lines.firstChild.remove();
    if (follow) this.toEnd();
    else this.seen(this.unseen + fresh.filter((row) => !row.hidden).length);
    this.count();
  }

  row(line) {
    const row = document.createElement("li");
    if (line.mark) row.append(span("mark", this.visible(line.mark)));
    else {
      const level = LEVELS[line.level] ?? this.visible(line.level);
      const tone = line.level in LEVELS ? line.level : "info";
      row.append(
        span("t", line.ts.slice(11, 19)), span(`l ${tone}`, level), span("e", this.visible(line.entity ?? "")),
        span(`m ${tone}`, this.visible(line.msg)),
      );
      row.title = line.ts;
    }
    row.hidden = !this.matches(row);
    return row;
  }

  // Characters that would hide something, as marks that show it.
  visible(text) {
    return String(text).replace(this.hiding, (letter) => this.marks[letter.codePointAt(0)]);
  }

  matches(row) {
    return row.textContent.toLowerCase().includes(this.part.text.value.trim().toLowerCase());
  }

  find() {
    for (const row of this.part.lines.children) row.hidden = !this.matches(row);
    this.toEnd();
    this.count();
  }

  count() {
    const all = this.part.lines.childElementCount;
    const shown = [...this.part.lines.children].filter((row) => !row.hidden).length;
    const last = all >= KEPT ? `the last ${all} lines` : `${all} ${all === 1 ? "line" : "lines"}`;
    this.part.count.textContent = all === 0 ? "No line yet." : shown < all ? `${shown} of ${last}` : last;
  }

  clear() {
    this.waiting = [];
    this.part.lines.replaceChildren();
    this.seen();
    this.count();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    if (!isPaused) {
      this.unseen = 0;
      this.draw();
    }
    this.say(this.state);
  }

  atEnd() {
    const { view } = this.part;
    return view.scrollHeight - view.scrollTop - view.clientHeight < 24;
  }

  toEnd() {
    this.part.view.scrollTop = this.part.view.scrollHeight;
    this.seen();
  }

  seen(unseen = 0) {
    if (this.isPaused) return;
    this.unseen = unseen;
    const button = this.part.new;
    button.hidden = !unseen;
    button.textContent = unseen ? `${unseen} new ↓` : "";
  }

  async copy() {
    const rows = [...this.part.lines.children].filter((row) => !row.hidden);
    const text = rows.map((row) => [row.title, ...[...row.children].slice(1).map((cell) => cell.textContent)].join(" "));
    const { copy } = this.part;
    try {
      await navigator.clipboard.writeText(text.join("\n"));
      copy.textContent = "Copied";
    } catch {
      // No clipboard without https: mark the lines, so that the keys can copy them.
      getSelection().selectAllChildren(this.part.lines);
      copy.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  }
}

function span(name, text) {
  const node = document.createElement("span");
  node.className = name;
  node.textContent = text;
  return node;
}

// Keeps the first option and what is chosen; the rest is as given.
function options(select, wanted) {
  const known = JSON.stringify(wanted);
  if (select.dataset.known === known) return;
  select.dataset.known = known;
  const chosen = select.value;
  const kept = chosen && !wanted.some(([value]) => value === chosen) ? [select.selectedOptions[0]] : [];
  const made = wanted.map(([value, label]) => {
    const option = document.createElement("option");
    option.value = value;
    option.textContent = label;
    return option;
  });
  select.replaceChildren(select.firstElementChild, ...made, ...kept);
  select.value = chosen;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".hc");
  const known = instances.get(root);
  if (known) known.update(data);
  else instances.set(root, new Terminal(root, data));
  return () => {
    instances.get(root)?.close();
    instances.delete(root);
  };
}
