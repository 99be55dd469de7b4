// What the page shows of the document at `status`, and of the plots.

const OUTCOMES = [
  ["created", "good", "complete"],
  ["updated", "good", "got what was new"],
  ["already_done", "good", "in earlier executions"],
  ["duplicate", "good", "the same record again"],
  ["forgotten", "quiet", "given up, not sent"],
  ["partial", "warn", "a part was refused"],
  ["unresolved", "warn", "not known yet"],
  ["rejected", "bad", "invalid, not sent"],
  ["failed", "bad", "refused, no run"],
  ["left", "quiet", "not done yet"],
];
const ALWAYS = new Set(["created", "rejected", "failed", "unresolved", "left"]);
const MOOD_OF = Object.fromEntries(OUTCOMES.map(([name, mood]) => [name, mood]));
const MOOD_OF_EXIT = { 0: "good", 3: "warn", 75: "warn" };

function showState(status) {
  const { end } = status;
  const verb = end && { 4: "halted", 75: "stopped" }[end.exit_code];
  const word = end ? `${verb ?? "finished"}, exit ${end.exit_code}` : status.phase === "draining" ? "finishing" : status.phase;
  const isHeld = status.phase === "running" && !status.is_ready;
  const mood = end ? MOOD_OF_EXIT[end.exit_code] ?? "bad" : isHeld ? "warn" : status.phase === "opening" ? "quiet" : "good";
  write($("state"), isHeld ? "not ready" : word).dataset.mood = mood;
  write($("batch"), `batch ${visible(status.batch)}`);
  showSentence(visible(status.sentence));
  document.title = [percentOf(status), isHeld ? "not ready" : word, visible(status.batch)].filter(Boolean).join(" · ");
  show($("end"), Boolean(end));
  if (end) {
    $("end").dataset.mood = mood;
    write($("end-title"), `Exit code ${end.exit_code}: ${visible(end.meaning)}`);
    write($("end-why"), [end.reason && `${visible(end.reason)}.`, `It took ${duration(end.duration)}.`].filter(Boolean).join(" "));
    keep($("next-steps"), end.next_steps, String, () => make("li", "data"), writeProse);
  }
}

let spokenAt = 0;

/** Show the sentence. It is spoken when its words change, and once a minute when only its numbers do. */
function showSentence(sentence) {
  write($("sentence"), sentence).classList.toggle("long", sentence.length > 140);
  const words = (text) => text.replace(/[\d.,]+/g, "");
  if (words($("spoken").textContent) !== words(sentence) || Date.now() - spokenAt > 60_000) {
    spokenAt = Date.now();
    write($("spoken"), sentence);
  }
}

function percentOf({ progress: { percent } }) {
  return percent === null ? "" : `${Math.floor(percent * 10) / 10} %`;
}

function showProgress(status) {
  const { counts, progress, now, end } = status;
  const done = counts.read - counts.left;
  const about = progress.total_is_exact ? "" : "about ";
  write($("percent"), percentOf(status) || number(done));
  const of = progress.total === null ? "" : ` of ${about}${number(progress.total)}`;
  write($("of-total"), progress.percent === null ? (done === 1 ? "record done" : "records done") : `${number(done)}${of} records`);
  write($("eta"), end || !progress.eta ? "" : etaOf(progress.eta, now));
  const unread = Math.max(0, (progress.total ?? counts.read) - counts.read);
  const parts = OUTCOMES.filter(([name]) => name !== "left" && counts[name] > 0);
  keep($("bar"), [...parts, ["unread"]], ([name]) => name, () => make("i"), (child, [name, mood]) => {
    if (mood) child.dataset.mood = mood;
    child.style.flexGrow = mood ? counts[name] : counts.left + unread;
    child.style.minWidth = mood || counts.left + unread ? "" : "0";
  });
}

function etaOf({ low, high }, now) {
  const left = duration(low) === duration(high) ? duration(low) : `${duration(low)} to ${duration(high)}`;
  const [from, to] = [clock(now + low, now, false), clock(now + high, now, false)];
  return `${left} left: done ${from === to ? `at ${from}` : `from ${from} to ${to}`} UTC`;
}

function showCounts({ counts }) {
  const rows = OUTCOMES.filter(([name]) => counts[name] > 0 || ALWAYS.has(name));
  keep($("counts"), rows, ([name]) => name, ([name, mood, meaning]) => {
    const label = make("th", "", name.replace("_", " "), " ", make("small", "", meaning));
    label.scope = "row";
    const row = make("tr", "", label, make("td"), make("td"));
    row.dataset.mood = mood;
    return row;
  }, (row, [name]) => {
    row.classList.toggle("zero", !counts[name]);
    write(row.cells[1], number(counts[name]));
    write(row.cells[2], counts[name] ? share(counts[name] / counts.read) : "");
  });
  write($("read"), number(counts.read));
}

function share(part) {
  return part < 0.001 ? "< 0.1 %" : part > 0.999 && part < 1 ? "> 99.9 %" : `${(part * 100).toFixed(1)} %`;
}

function showNow({ counts, rates, attempts, latency, lag, now, end, last_created: last, oldest_unresolved: oldest }) {
  const sent = counts.read - counts.left - counts.already_done;
  write($("now-title"), end ? "At the end" : "Now");
  const latencies = [["p50", latency.p50], ["p95", latency.p95], ["p99", latency.p99]].filter(([, it]) => it !== null);
  facts($("now"), [
    [end ? "Done on average" : "Done", rate(end ? sent / Math.max(end.duration, 0.001) : rates.done)],
    ["Allowed", !end && rate(rates.allowed)],
    ["Ceiling (--rate)", rates.ceiling && rate(rates.ceiling)],
    ["In flight", !end && `${number(attempts.in_flight)} of at most ${number(attempts.slots)}`],
    ["Backlog", !end && several(attempts.backlog, "record")],
    ["Latency", latencies.map(([name, it]) => `${name} ${milliseconds(it)}`).join(", ")],
    ["Requests", number(attempts.total)],
    ["Refused (429)", number(attempts.throttled)],
    ["Repeated", number(attempts.repeated)],
    ["Not read yet", lag.bytes !== null && bytes(lag.bytes) + (lag.seconds === null ? "" : `, waiting for ${duration(lag.seconds)}`)],
    ["Held open", lag.held_files > 0 && `${several(lag.held_files, "deleted or renamed file")}, ${bytes(lag.held_bytes)}`],
    ["Last run created", last && `${clock(last, now)} UTC`],
    ["Oldest unresolved", oldest && `${clock(oldest, now)} UTC`],
  ].filter(([, text]) => text !== false));
}

function showFailures(status) {
  const { failures, other_failures: others, now } = status;
  show($("no-failures"), !failures.length);
  const keyOf = (it) => JSON.stringify([it.outcome, it.http_status, it.error_code, it.reason]);
  keep($("failures"), failures, keyOf, makeFailure, (child, it) => {
    const [title, reason, advice, example] = child.children;
    const code = [it.http_status, it.error_code].filter(Boolean).join(" ");
    const what = it.outcome === "retried" ? `${several(it.count, "attempt")} repeated` : `${number(it.count)} ${visible(it.outcome)}`;
    write(title, code ? `${what}: ${visible(code)}` : what);
    write(reason, (it.varies ? "For example: " : "") + visible(it.reason));
    const times = it.first === it.last ? `at ${clock(it.last, now)}` : `from ${clock(it.first, now)} to ${clock(it.last, now)}`;
    const place = it.source && `in ${visible(it.source)}${it.line === null ? "" : `, line ${number(it.line)}`}`;
    write(example, [`${times} UTC`, it.job_id && `for example job ${visible(it.job_id)}`, place].filter(Boolean).join(" · "));
    writeProse(advice, it.advice ?? "");
  });
  show($("other-failures"), others > 0);
  write($("other-failures"), `And ${number(others)} others: see the log.`);
}

function makeFailure(failure) {
  const row = make("p", "example");
  if (failure.request_id) {
    const id = make("span", "data code", visible(failure.request_id));
    row.append("Request id ", id, copyButton("request id", id));
  }
  const item = make("li", "", make("h3", "data"), make("p", "data"), make("p", "advice data"), make("p", "example data"), row);
  item.dataset.mood = failure.outcome === "retried" ? "quiet" : MOOD_OF[failure.outcome] ?? "bad";
  return item;
}

function showFiles({ files, other_files: others }) {
  show($("no-files"), !files.length);
  show($("files-table"), files.length > 0);
  keep($("files"), files, (it) => it.name, () => {
    const label = make("th", "", make("span", "data"), make("small"));
    label.scope = "row";
    return make("tr", "", label, make("td", "", make("span"), make("small")), make("td", "", make("span"), make("small")));
  }, (row, it) => {
    const [name, records, lag] = [...row.cells].map((cell) => [...cell.children]);
    write(name[0], visible(it.name));
    const known = it.size === null ? "" : `, ${bytes(it.size)}`;
    write(name[1], (it.state === "done" ? "read to its end" : visible(it.state)) + known);
    write(records[0], it.records === null ? "" : number(it.records));
    write(records[1], it.rejected ? `${number(it.rejected)} rejected` : "");
    const unread = it.state === "done" ? 0 : it.lag_bytes;
    write(lag[0], unread === null ? "" : bytes(unread));
    write(lag[1], it.lag_seconds === null ? "" : `for ${duration(it.lag_seconds)}`);
  });
  show($("other-files"), others > 0);
  write($("other-files"), `And ${number(others)} more.`);
}

function showAbout(status) {
  const { program, now } = status;
  const commit = program.commit ? `, commit ${program.commit.slice(0, 12)}` : "";
  facts($("about"), [
    ["Batch", status.batch],
    ["Target", status.target],
    ["Input", status.follows ? "followed: it does not end by itself" : "read once, to its end"],
    ["Started", `${clock(status.started, now)} UTC`],
    [status.end ? "Duration" : "Uptime", duration(status.uptime)],
    ["Last end with exit code 0", status.last_success && `${clock(status.last_success, now)} UTC`],
    ["Version", `ingestor ${program.ingestor}${commit}, Python ${program.python}`],
  ]);
  keep($("settings"), status.settings, (it) => it.name, () => {
    const label = make("th");
    label.scope = "row";
    return make("tr", "", label, make("td", "data"));
  }, (row, it) => {
    write(row.cells[0], visible(it.name));
    write(row.cells[1], it.value === "" ? "not set" : visible(it.value));
  });
}

function showStatus(status) {
  for (const part of [showState, showProgress, showCounts, showNow, showFailures, showFiles, showAbout]) part(status);
  show(document.querySelector(".ranges"), !status.end);
  show($("look-up"), !status.end);
  show($("no-look-up"), Boolean(status.end));
  write($("as-of"), `State of ${new Date(status.now * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC.`
    + (status.end ? " The process has ended; this page stays as it is." : ""));
  show($("main"), true);
}

/** Show the plots. The server draws them from numbers; what the user has opened, and the focus, stay. */
function showPlots(text) {
  for (const figure of new DOMParser().parseFromString(text, "text/html").querySelectorAll("figure")) {
    const shown = $(figure.id);
    if (!shown) {
      $("plots").append(document.importNode(figure, true));
      continue;
    }
    for (const part of ["figcaption", "svg", "table"]) {
      shown.querySelector(part).replaceWith(document.importNode(figure.querySelector(part), true));
    }
  }
}
