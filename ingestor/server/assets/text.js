// How numbers, times and hostile texts are written, and how the document tree is kept up to date.
// Texts of records and of the service become text nodes only, with control characters made visible.
"use strict";

const $ = (id) => document.getElementById(id);

// ---- words

const UNPRINTABLE = /[^\S ]|[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** Return hostile text as one line in which control characters and direction marks are visible, as `\u202e`. */
function visible(text) {
  return String(text).replace(UNPRINTABLE, (char) => {
    const code = char.codePointAt(0);
    return code < 0x100 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
  });
}

const number = (value) => value.toLocaleString("en");
const several = (count, thing) => `${number(count)} ${thing}${count === 1 ? "" : "s"}`;

function rate(value) {
  return value === null ? "no limit found" : `${value < 10 ? value.toFixed(1) : number(Math.round(value))}/s`;
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Write seconds in their two largest units: `40 s`, `12 min 05 s`, `2 h 03 min`, `3 d 04 h`. */
function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(seconds / 3600);
  return `${number(Math.floor(hours / 24))} d ${two(hours % 24)} h`;
}

const milliseconds = (value) => (value < 1000 ? `${value.toPrecision(3)} ms` : `${(value / 1000).toPrecision(3)} s`);

/** Write a time of day in UTC; with the day, unless it is the day of `now`. */
function clock(time, now, withSeconds = true) {
  const text = new Date(time * 1000).toISOString();
  const day = text.slice(0, 10) === new Date(now * 1000).toISOString().slice(0, 10) ? "" : `${text.slice(0, 10)} `;
  return day + text.slice(11, withSeconds ? 19 : 16);
}

// ---- the document tree: only what changed is written, so that focus and selections stay

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/** Write a sentence of ours, in which `commands` are marked as code. It may quote hostile text. */
function writeProse(element, text) {
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  element.replaceChildren(...visible(text).split("`").map((part, index) => (index % 2 ? make("span", "code", part) : part)));
}

function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** Keep one child for each item, found again by its key; `create(item)` makes one, `update(child, item)` fills it. */
function keep(parent, items, keyOf, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = create(item);
      child.dataset.key = key;
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
    update(child, item);
  });
  for (const gone of known.values()) gone.remove();
}

/** Fill a list of terms: `[term, text]` or `[term, text, isToCopy]`; without a text, the term is left out. */
function facts(list, rows) {
  const shown = rows.filter(([, text]) => text !== null && text !== undefined && text !== "");
  const parts = shown.flatMap(([term, text, isToCopy]) => [{ tag: "dt", term, text: term }, { tag: "dd", term, text, isToCopy }]);
  keep(list, parts, (it) => `${it.tag} ${it.term}`, (it) => {
    const text = make("span", it.isToCopy ? "data code" : "data");
    return it.tag === "dt" ? make("dt") : make("dd", "", text, ...(it.isToCopy ? [copyButton(it.term, text)] : []));
  }, (child, it) => write(it.tag === "dt" ? child : child.firstChild, visible(it.text)));
}

function copyButton(what, source) {
  const button = make("button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy the ${what.toLowerCase()}`);
  button.addEventListener("click", async () => {
    const done = await copy(source);
    write(button, done ? "Copied" : "Selected");
    setTimeout(() => write(button, "Copy"), 2000);
  });
  return button;
}

/** Copy the text of an element. Beyond loopback a browser may refuse it without https: then the text is selected. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
