// A machine's serial console: bytes over a WebSocket into xterm.js, keys back. Without this the transcript is there.
//
// The content policy forbids style elements and style attributes, which xterm.js makes. What it writes into a style
// element becomes a constructed style sheet, and what it writes into a style attribute goes through the CSSOM: both are
// ours to allow, and the policy stays as it is.

const holder = document.getElementById("terminal");
const machine = holder.dataset.machine;
const types = document.body.dataset.role !== "viewer";
const line = document.getElementById("line");
const transcript = document.getElementById("transcript");
const done = document.getElementById("done");
const PAST = 262_144;
const LINES = 2000;
const READ_MS = 500;

const create = Document.prototype.createElement;
function sheetElement() {
  const element = create.call(document, "template");
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, "textContent", { set: (text) => sheet.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
}
document.createElement = (name, options) =>
  name === "style" ? sheetElement() : create.call(document, name, options);
const setAttribute = Element.prototype.setAttribute;
HTMLSpanElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};

const terminal = new globalThis.Terminal({
  cols: 80,
  rows: 24,
  scrollback: LINES,
  disableStdin: !types,
  minimumContrastRatio: 4.5,
  allowProposedApi: false,
  linkHandler: null,
  fontFamily: "ui-monospace, monospace",
  fontSize: 14,
  theme: { background: "#14171a", foreground: "#eef0f2", cursor: "#8cc4ff", selectionBackground: "#3a5f85" },
});

// A machine prints text and moves the cursor; it commands nothing here. No title, clipboard (OSC 52), links (OSC 8),
// colours or answers: what is asked of a terminal would be typed by whoever looks, even while the past is played.
const silent = () => true;
for (const code of [0, 1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 13, 17, 19, 52, 104, 110, 111, 112, 133, 633, 777, 1337]) {
  terminal.parser.registerOscHandler(code, silent);
}
for (const prefix of ["", "?", ">", "="]) {
  for (const final of ["c", "n", "t"]) terminal.parser.registerCsiHandler(prefix ? { prefix, final } : { final }, silent);
  const intermediates = "$";
  terminal.parser.registerCsiHandler(prefix ? { prefix, intermediates, final: "p" } : { intermediates, final: "p" }, silent);
}
terminal.parser.registerDcsHandler({ intermediates: "$", final: "q" }, silent);
terminal.parser.registerDcsHandler({ intermediates: "+", final: "q" }, silent);

document.getElementById("live").hidden = false;
terminal.open(holder);
document.getElementById("keys-help").textContent = types
  ? "Every key goes to the machine. Ctrl+] leaves the terminal; Ctrl+C copies while something is marked."
  : "You may look. Only operators type.";

terminal.attachCustomKeyEventHandler((event) => {
  if (event.ctrlKey && (event.key === "]" || event.code === "BracketRight")) {
    if (event.type === "keydown") document.getElementById("copy").focus();
    event.preventDefault();
    return false;
  }
  if (!types && event.key === "Tab") return false;
  return !(event.ctrlKey && event.key === "c" && terminal.hasSelection());
});

// What is said of the line.
function say(state, text, seen = "", next = "", since = Date.now() / 1000) {
  const part = (name, content, className) => {
    const made = document.createElement(name);
    made.textContent = content;
    if (className) made.className = className;
    return made;
  };
  line.dataset.state = state;
  line.className = `verdict ${state === "connected" ? "active" : state === "connecting" ? "idle" : "trouble"}`;
  const first = document.createElement("p");
  const time = document.createElement("time");
  time.dataset.since = since;
  first.append(part("strong", text), " ", time);
  line.replaceChildren(first);
  if (seen) line.append(part("p", `seen: ${seen}`));
  if (next) line.append(part("p", `next: ${next}`, "next"));
}

// The connection to the appliance.
let socket = null;
let tries = 0;
let timer = 0;
const encoder = new TextEncoder();

function connect() {
  clearTimeout(timer);
  socket?.close();
  const scheme = location.protocol === "http:" ? "ws" : "wss";
  const address = `${scheme}://${location.host}/v1/machines/${encodeURIComponent(machine)}/console`;
  const made = new WebSocket(`${address}?past=${PAST}&states=true`);
  socket = made;
  made.binaryType = "arraybuffer";
  // Until it is open nothing that is typed arrives, whatever the page said when it was drawn.
  if (line.dataset.state === "connected") say("connecting", "connecting");
  made.onopen = () => { tries = 0; terminal.reset(); };
  made.onmessage = ({ data }) => {
    if (made !== socket) return;
    if (typeof data === "string") told(JSON.parse(data));
    else terminal.write(new Uint8Array(data), read);
  };
  made.onclose = () => { if (made === socket) lost(); };
}

function told({ state, text, evidence, next_action: next, since }) {
  say(state, state === "connected" ? "connected" : `not connected: ${text}`, evidence, next, since);
}

async function lost() {
  socket = null;
  const me = await fetch("/v1/me").catch(() => null);
  if (socket !== null) return;
  if (me?.status === 401 || me?.status === 403) {
    say("ended", "your session ended", "", "log in again, then open this page again");
    return;
  }
  const wait = Math.min(10, 2 ** tries++);
  say("away", "the appliance does not answer", "", `nothing: it is asked again in ${wait} s; or press Connect again`);
  timer = setTimeout(connect, wait * 1000);
}

if (types) {
  terminal.onData((text) => { if (socket?.readyState === WebSocket.OPEN) socket.send(encoder.encode(text)); });
  terminal.onBinary((text) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(Uint8Array.from(text, (one) => one.charCodeAt(0)));
  });
}

// The transcript: what the terminal holds, as text, twice a second at most.
let due = 0;
function read() {
  due ||= setTimeout(() => {
    due = 0;
    if (document.getSelection()?.containsNode(transcript, true) && !document.getSelection().isCollapsed) return;
    const lowest = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 4;
    transcript.textContent = text();
    if (lowest) transcript.scrollTop = transcript.scrollHeight;
  }, READ_MS);
}

function text() {
  const lines = [];
  const buffer = terminal.buffer.active;
  for (let at = 0; at < buffer.length; at++) lines.push(buffer.getLine(at).translateToString(true));
  while (lines.length && !lines.at(-1)) lines.pop();
  return lines.join("\n").replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

document.getElementById("copy").addEventListener("click", async () => {
  const marked = terminal.getSelection();
  try {
    await navigator.clipboard.writeText(marked || text());
    done.textContent = marked ? "What is marked is copied." : "All of it is copied.";
  } catch {
    done.textContent = "The browser does not let this page copy: mark the transcript, and copy it with Ctrl+C.";
  }
});
document.getElementById("reconnect").addEventListener("click", () => { tries = 0; connect(); });
document.getElementById("size").addEventListener("change", ({ target }) => {
  terminal.resize(...target.value.split("x").map(Number));
});

connect();
terminal.focus();
