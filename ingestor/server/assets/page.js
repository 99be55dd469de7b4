// How the page asks, and what its reader can do. All addresses are relative.

// ---- polling

const POLL = 1000; // milliseconds between two requests
const POLL_HIDDEN = 5000;
const PLOT_POLL = { 1: 2000, 60: 15_000, 3600: 60_000 };
const TIMEOUT = 20_000;
const NO_HISTORY = Number.MAX_SAFE_INTEGER; // the plots have it

let waking = () => {};
let isOver = false;
let lostSince = 0;

const sleep = (time) => new Promise((resolve) => {
  waking = resolve;
  setTimeout(resolve, time);
});

async function get(address, headers = {}) {
  return fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
}

/** Show the status until the end is known. The server answers at once when it is, so that its end is not missed. */
async function poll() {
  for (let failures = 0; !isOver;) {
    const begin = performance.now();
    const pause = document.hidden ? POLL_HIDDEN : POLL;
    const wait = failures ? 0 : pause / 1000;
    const response = await get(`status?wait=${wait}&since=${NO_HISTORY}&plots=${chosenStep()}`).catch(() => null);
    if (response?.status === 401) return show($("sign-in"), true);
    const status = response?.ok ? await response.json().catch(() => null) : null;
    if (status) {
      failures = lostSince = 0;
      isOver = status.end !== null;
      showStatus(status);
      if (status.plots) showPlots(status.plots);
    } else {
      failures += 1;
      lostSince ||= Date.now() / 1000;
    }
    showLost(failures > 1);
    await sleep(Math.max(pause * Math.min(failures, 5), pause - (performance.now() - begin)));
  }
  return undefined;
}

function showLost(isLost) {
  show($("lost"), isLost);
  if (!isLost) return;
  write($("lost"), `Connection lost since ${clock(lostSince, Date.now() / 1000)} UTC. The process may have ended, or the network is `
    + "interrupted. What you see is the last known state. The log and `ingestor status` have the rest. Still trying.");
  write($("state"), "connection lost").dataset.mood = "bad";
}

let plotsDue = 0;

const chosenStep = () => document.querySelector("[name=step]:checked").value;

/** Ask for the plots while somebody can see them. The last status has the last ones: later nobody answers. */
async function pollPlots() {
  if (isOver) return;
  const step = chosenStep();
  if (performance.now() >= plotsDue && !document.hidden && !lostSince && !$("main").hidden) {
    plotsDue = performance.now() + PLOT_POLL[step];
    const response = await get(`plots?step=${step}`).catch(() => null); // the status says if the connection is lost
    if (response?.ok && !isOver && step === chosenStep()) showPlots(await response.text());
  }
  setTimeout(pollPlots, 250);
}

// ---- what the user does

async function signIn(token) {
  const response = await get("status", { Authorization: `Bearer ${token}` }).catch(() => null);
  show($("sign-in"), !response?.ok);
  write($("refused"), response?.ok ? "" : response ? "The token is not right." : "The server does not answer.");
  if (response?.ok) poll();
}

async function lookUp(job) {
  const results = $("found");
  try {
    const response = await get(`runs?job_id=${encodeURIComponent(job)}`);
    if (![200, 404].includes(response.status)) throw new Error(response.statusText);
    const { runs = [] } = await response.json();
    results.replaceChildren(...runs.map(makeRun));
    if (!runs.length) results.replaceChildren("No record with the job id ", make("span", "data code", visible(job)), " is in the journal.");
  } catch {
    results.replaceChildren("The server does not answer. `ingestor results` lists all runs.");
  }
}

function makeRun(run) {
  const list = make("dl", "facts");
  facts(list, [
    ["Outcome", run.outcome],
    ["Run id", run.run_id, true],
    ["Request id", run.opc_request_id, true],
    ["Experiment", run.experiment_id],
    ["Batch", run.batch],
    ["Message", run.error_message],
  ]);
  return list;
}

$("look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUp($("job").value.trim());
});
$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim());
  $("token").value = "";
});
document.querySelector(".ranges").addEventListener("change", () => (plotsDue = 0));
document.addEventListener("visibilitychange", () => document.hidden || waking());

if (location.hash.startsWith("#token=")) {
  const token = decodeURIComponent(location.hash.slice(7));
  history.replaceState(null, "", location.pathname); // the token stays in no history
  signIn(token);
} else {
  poll();
}
pollPlots();
