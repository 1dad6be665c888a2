// Passkeys (WebAuthn): the way in by one, and how one is added. This only carries what the appliance asks and judges.

const enter = document.getElementById("passkey-enter");
const form = document.getElementById("passkey-form");
const lacks = document.getElementById("passkey-lacks");
const problem = document.getElementById("passkey-problem");

function lacking() {
  if (!window.PublicKeyCredential || !navigator.credentials) return "This browser knows no passkeys.";
  if (!PublicKeyCredential.parseRequestOptionsFromJSON) return "This browser is too old for passkeys.";
  return "";
}

async function post(path, body, csrf) {
  const headers = { "Content-Type": "application/json" };
  if (csrf) headers["X-CSRF-Token"] = csrf;
  const answer = await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error([said.detail, said.next_action].filter(Boolean).join("; "));
  return said;
}

// A ceremony that the person or the browser has ended: which of the two, browsers do not say.
function reason(error) {
  if (error.name === "NotAllowedError") {
    return "Nothing came of it: it was cancelled, took too long, or this browser does not trust the appliance's certificate.";
  }
  if (error.name === "InvalidStateError") return "This device has a passkey of this account already.";
  if (error.name === "SecurityError") return "This browser takes no passkeys for this address.";
  return error.message;
}

async function trying(button, work) {
  problem.hidden = true;
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    problem.textContent = reason(error);
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
}

async function logIn() {
  const { options } = await post("/v1/login/passkey/challenge");
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options));
  const credential = await navigator.credentials.get({ publicKey });
  await post("/v1/login/passkey", { credential: JSON.stringify(credential) });
  location.assign("/");
}

async function add() {
  const { csrf, label, password, code } = form.elements;
  const path = `/v1/users/${encodeURIComponent(form.dataset.user)}/passkeys`;
  const proof = { password: password.value, code: code?.value ?? "" };
  const { options } = await post(`${path}/challenge`, proof, csrf.value);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(options));
  const credential = await navigator.credentials.create({ publicKey });
  await post(path, { label: label.value.trim(), credential: JSON.stringify(credential) }, csrf.value);
  location.assign("/account");
}

const why = lacking();
if (lacks) {
  lacks.textContent = why;
  lacks.hidden = !why;
}
if (!why && enter) {
  enter.hidden = false;
  enter.addEventListener("click", () => trying(enter, logIn));
}
if (!why && form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    trying(form.querySelector("button"), add);
  });
}
