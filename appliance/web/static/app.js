// What pages do by themselves: they follow the appliance, count seconds, and can be used without a mouse.
// Every page also works without this.

const SVG = "http://www.w3.org/2000/svg";
const body = document.body;
const log = document.getElementById("log");
const LOG_LINES = 1000;
let paused = false;
let heard = Date.now();
const SILENCE = 45_000; // three beats

// Live parts: the server sends pieces by element id, drawn and escaped there.
function parsed(html, like) {
  const holder = document.createElement("template");
  if (like.namespaceURI === SVG) {
    holder.innerHTML = `<svg>${html}</svg>`;
    return holder.content.firstElementChild.firstElementChild;
  }
  holder.innerHTML = html;
  return holder.content.firstElementChild;
}

function put(id, html) {
  const old = document.getElementById(id);
  if (old === null) return;
  const focused = document.activeElement;
  const inside = old.contains(focused) ? focused.id || focused.closest("[id]")?.id : null;
  const kept = new Map([...old.querySelectorAll("input")].filter((i) => i.id).map((i) => [i.id, [i.checked, i.value]]));
  const unfolded = [...old.querySelectorAll("details[open][id]")].map((one) => one.id);
  const made = parsed(html, old);
  if (made?.id === id) old.replaceWith(made);
  else old.innerHTML = html;
  for (const name of unfolded) document.getElementById(name)?.setAttribute("open", "");
  for (const [name, [checked, value]] of kept) {
    const input = document.getElementById(name);
    if (input) Object.assign(input, { checked, value });
  }
  if (inside) {
    const now = document.getElementById(inside);
    (now?.matches("a, button, input") ? now : now?.querySelector("a, button, input, summary"))?.focus();
  }
}

function typesIn(id) {
  const part = document.getElementById(id);
  const focused = document.activeElement;
  return Boolean(part?.contains(focused) && focused.matches("input:not([type=checkbox]), select"));
}

function append(lines) {
  if (log === null || paused) return;
  for (const line of lines) {
    const made = parsed(line, log);
    if (document.getElementById(made.id)) continue; // the page was drawn with it
    log.prepend(made);
    show(made);
  }
  while (log.children.length > LOG_LINES) log.lastElementChild.remove();
}

function follow() {
  const address = `/live?page=${encodeURIComponent(body.dataset.live)}&since=${encodeURIComponent(body.dataset.mark)}`;
  const source = new EventSource(address);
  const broken = document.getElementById("connection");
  source.onopen = () => { heard = Date.now(); broken.hidden = true; };
  source.addEventListener("beat", () => { heard = Date.now(); });
  source.onerror = () => { broken.hidden = false; };
  source.onmessage = (message) => {
    heard = Date.now();
    const { parts, log: lines, said } = JSON.parse(message.data);
    for (const [id, html] of Object.entries(parts)) if (!typesIn(id)) put(id, html);
    append(lines);
    if (said.length) document.getElementById("said").textContent = said.slice(-3).join(". ");
    body.dataset.mark = message.lastEventId;
    tick();
    goOn();
  };
  return source;
}

// A pulled cable closes no connection: silence does.
function listen() {
  let source = follow();
  setInterval(() => {
    if (Date.now() - heard < SILENCE) return;
    document.getElementById("connection").hidden = false;
    source.close();
    heard = Date.now();
    source = follow();
  }, 5000);
}

// A plan is only shown, so the second half of provisioning may ask for it by itself, once.
function goOn() {
  const next = document.querySelector("form[data-auto]");
  if (next && !sessionStorage.getItem(location.pathname)) {
    sessionStorage.setItem(location.pathname, "went on");
    next.requestSubmit();
  }
}

// An examination goes on while its page is read.
async function examine() {
  const from = document.getElementById("findings")?.dataset.poll;
  if (!from) return;
  const answer = await fetch(from).catch(() => null);
  if (answer?.ok) put("findings", await answer.text());
  setTimeout(examine, answer?.ok ? 100 : 2000);
}

// Seconds since.
function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d${two(Math.floor((whole % 86400) / 3600))}h`;
}

function tick() {
  const now = Date.now() / 1000;
  for (const time of document.querySelectorAll("time[data-since]")) {
    time.textContent = duration(now - Number(time.dataset.since));
  }
}

// The log's own filter.
const only = document.getElementById("only");
function show(line) {
  line.hidden = Boolean(only?.value) && !line.textContent.toLowerCase().includes(only.value.toLowerCase());
}
only?.addEventListener("input", () => [...log.children].forEach(show));
document.getElementById("pause")?.addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
});

// Forms.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});
document.getElementById("all")?.addEventListener("change", (event) => {
  for (const box of document.querySelectorAll("input[name=machine]")) box.checked = event.target.checked;
});

// Keys.
function machines() {
  return [...document.querySelectorAll(".elevation a, .tiles a, .fleet tbody th a, table tbody th a")];
}
function move(to) {
  const all = machines();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  all[Math.max(0, Math.min(all.length - 1, to(at, all.length)))].focus();
}
const KEYS = {
  j: () => move((at) => at + 1),
  k: () => move((at) => at - 1),
  g: () => move(() => 0),
  G: () => move((_, count) => count - 1),
  "/": () => (document.getElementById("filter") ?? only)?.focus(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  const act = KEYS[event.key] ?? (link && (() => link.click()));
  if (act) {
    event.preventDefault();
    act();
  }
});

tick();
setInterval(tick, 1000);
examine();
if (body.dataset.live) listen();
goOn();
