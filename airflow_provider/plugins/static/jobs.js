// The page of paid jobs: task instances of the operators that pay, with what their XComs say of the jobs.

import { inParallel, reviewUrl, settleIn, taskInstances, taskUrl, xcom } from "./airflow.js";
import { byId, complain, counted, duration, element, moment } from "./elements.js";
import { payingSubclasses } from "./subclasses.js";

const SERVICES = {
  mediamagic: {
    name: "MediaMagic",
    operators: ["MediaMagicCreateSubmissionOperator", "MediaMagicRetryAssetOperator"],
    id: "submission_id",
  },
  silent_witness: {
    name: "Silent Witness",
    operators: ["SilentWitnessCreateReportOperator"],
    id: "report_id",
  },
};
const GOING_ON = ["deferred", "running", "queued", "scheduled", "up_for_retry", "restarting"];
const ENDED = ["success", "failed", "skipped", "upstream_failed", "removed"];
const PER_LOAD = 1000;
const FIRST = 100; // shown before the others are asked for
const REFRESH = 5000;
const NEWS = 50;
const SUBCLASSES_REFRESH = 60_000;
const SUBCLASSES_DAYS = 30;

const filters = byId("filters");
const jobs = new Map(); // what the XComs of a task instance say, by its try and state
const rows = new Map();
let ended = { rows: [], total: 0 };
let going = { rows: [], total: 0 };
let failed = 0;
let most = PER_LOAD;
let generation = 0;
let subclassesAt = 0;

const serviceOf = (ti) =>
  Object.values(SERVICES).find((service) => service.operators.includes(ti.operator)) ?? SERVICES.mediamagic;
const keyOf = (ti) => `${ti.id}:${ti.try_number}:${ti.state}`;
const isGoingOn = (ti) => GOING_ON.includes(ti.state);
const isWaiting = (ti) => isGoingOn(ti) && Boolean(ti.trigger?.classpath.endsWith(".TurnTrigger"));

function chosen() {
  const { service, state, day, dag } = Object.fromEntries(new FormData(filters));
  const operator = (service ? [SERVICES[service]] : Object.values(SERVICES)).flatMap((one) => one.operators);
  const query = { operator, order_by: "-start_date", dagId: dag.trim() || "~" };
  if (day) {
    const start = new Date(`${day}T00:00`);
    query.start_date_gte = start.toISOString();
    query.start_date_lte = new Date(start.getFullYear(), start.getMonth(), start.getDate() + 1).toISOString();
  }
  return { query, state };
}

/** Load the jobs of the filters, the newest first. */
async function loadAll() {
  if (most > FIRST) await load({ upTo: FIRST });
  const more = await learnSubclasses();
  if (more || ended.total > ended.rows.length || going.total > going.rows.length) await load();
}

async function loadNews() {
  await load({ again: true });
  if (Date.now() - subclassesAt > SUBCLASSES_REFRESH && (await learnSubclasses())) await load();
}

/** Learn which classes users have made of the operators; return whether there are new ones. */
async function learnSubclasses() {
  subclassesAt = Date.now();
  const { query } = chosen();
  const since = query.start_date_gte ?? new Date(Date.now() - SUBCLASSES_DAYS * 86_400_000).toISOString();
  const found = await payingSubclasses({ dagId: query.dagId, since, rows: [...going.rows, ...ended.rows] });
  const fresh = found.filter(({ name, service }) => !SERVICES[service].operators.includes(name));
  for (const { name, service } of fresh) SERVICES[service].operators.push(name);
  return fresh.length > 0;
}

/** Load jobs of the filters; when they were loaded before, only what goes on and what has ended since. */
async function load({ again = false, upTo = most } = {}) {
  const mine = ++generation;
  const { query, state } = chosen();
  const ends = state === "success" || state === "failed" ? [state] : ENDED;
  const wantsGoing = ["", "running", "waiting"].includes(state);
  const wantsEnded = !["running", "waiting"].includes(state);
  const none = { rows: [], total: 0 };
  const newest = again ? { order_by: "-end_date", most: NEWS } : { most: upTo };
  const [nowGoing, nowFailed, nowEnded] = await Promise.all([
    wantsGoing ? taskInstances({ ...query, state: GOING_ON, most: upTo }) : none,
    wantsEnded && ends.includes("failed") ? taskInstances({ ...query, state: "failed", most: 1 }) : none,
    wantsEnded ? taskInstances({ ...query, state: ends, ...newest }) : none,
  ]);
  if (mine !== generation) return;
  going = state === "waiting" ? only(nowGoing, isWaiting) : nowGoing;
  failed = nowFailed.total;
  ended = again ? merged(ended, nowEnded) : nowEnded;
  show();
  await learn(mine);
}

function only(found, fits) {
  const rows = found.rows.filter(fits);
  return { rows, total: rows.length };
}

function merged(before, news) {
  const runs = new Set(going.rows.map((ti) => ti.id));
  const rows = new Map([...before.rows, ...news.rows].filter((ti) => !runs.has(ti.id)).map((ti) => [ti.id, ti]));
  const newestFirst = (one, other) => (other.start_date ?? "").localeCompare(one.start_date ?? "");
  return { rows: [...rows.values()].sort(newestFirst), total: news.total };
}

/** Fetch what is worth knowing of each job: of those that have ended once, of the others now and then. */
async function learn(mine) {
  const stale = [...going.rows].sort((one, other) => askedAt(one) - askedAt(other)).slice(0, NEWS);
  let shownAt = Date.now();
  await inParallel([...stale, ...ended.rows.filter((ti) => !jobs.has(keyOf(ti)))], async (ti) => {
    if (mine !== generation) return;
    const key = keyOf(ti);
    const job = remembered(key) ?? (await ask(ti, jobs.get(key)));
    jobs.set(key, { ...job, askedAt: Date.now() });
    if (!isGoingOn(ti)) remember(key, job);
    if (Date.now() - shownAt > 500) {
      shownAt = Date.now();
      show();
    }
  });
  if (mine === generation) show();
}

const askedAt = (ti) => jobs.get(keyOf(ti))?.askedAt ?? 0;

async function ask(ti, known) {
  const summary = isGoingOn(ti) ? null : await xcom(ti, "job_summary");
  if (summary) return { summary };
  const expected = known?.expected ?? (await xcom(ti, "job_expected"));
  const progress = isGoingOn(ti) ? await xcom(ti, "job_progress") : null;
  const id = expected || known?.id ? known?.id : await xcom(ti, serviceOf(ti).id);
  return { expected, progress, id };
}

function remembered(key) {
  return JSON.parse(sessionStorage.getItem(`paid-jobs:${key}`));
}

function remember(key, job) {
  try {
    sessionStorage.setItem(`paid-jobs:${key}`, JSON.stringify(job));
  } catch {
    sessionStorage.clear(); // it is full, and all of it can be asked for again
  }
}

/** Return what the table shows of a job. */
function described(ti) {
  const { summary, expected, progress, id } = jobs.get(keyOf(ti)) ?? {};
  const started = expected ? expected.submitted_at * 1000 : Date.parse(ti.start_date);
  const waited = summary?.waited_seconds ?? (isGoingOn(ti) ? (Date.now() - started) / 1000 : ti.duration);
  const number = String(ti.map_index);
  const called = ti.rendered_map_index === number ? "" : ti.rendered_map_index;
  return {
    name: summary?.name || expected?.name || called || nameOf(ti.rendered_fields),
    id: summary?.job_id || expected?.job_id || id || "",
    waited,
    paid: summary?.paid_requests ?? expected?.paid_requests,
    polls: summary?.status_requests ?? progress?.status_requests,
    expected,
    progress,
    status: summary?.status || progress?.status || "",
  };
}

function nameOf(fields) {
  const files = fields?.files ?? fields?.blob_paths;
  if (Array.isArray(files) && files.length) {
    const first = String(files[0]).split("/").pop();
    return files.length > 1 ? `${first} + ${files.length - 1} more` : first;
  }
  return String(fields?.case_name || fields?.case_id || fields?.asset_id || "");
}

const LABELS = {
  deferred: "running", running: "running", success: "succeeded", upstream_failed: "not started",
  up_for_retry: "retry follows",
};

function badge(ti, job) {
  const waits = isWaiting(ti);
  const kind = waits ? "waiting" : ti.state;
  const ended = ti.state === "failed" && job.status === "cancelled" ? "cancelled" : LABELS[ti.state] ?? ti.state;
  return element("span", { className: `badge ${kind}` }, waits ? "waiting for a turn" : ended);
}

function progressOf(ti, job) {
  if (!isGoingOn(ti)) return job.status || "";
  if (isWaiting(ti)) return "no request to spare yet";
  const fraction = job.progress?.fraction;
  const usual = job.expected?.usual_seconds?.[1];
  const known = Number.isFinite(fraction);
  const share = known ? fraction : usual ? Math.min(job.waited / usual, 0.95) : null;
  const late = usual && job.waited > usual;
  const said = job.progress?.progress || job.progress?.status || "";
  const text = known ? said : [said, late ? "longer than usual" : ""].filter(Boolean).join(", ");
  const bar = element("progress", { max: 1, "aria-label": "Progress", className: known ? "" : "guess" });
  if (share !== null) bar.value = share;
  return [bar, element("span", { className: "quiet" }, text || (usual ? `usually ${duration(usual)} at most` : ""))];
}

function expectedEnd(ti, job) {
  if (!isGoingOn(ti)) return ti.end_date ? `ended ${moment(new Date(ti.end_date))}` : "";
  const { usual_seconds: usual, submitted_at: at, deadline } = job.expected ?? {};
  if (!usual) return "";
  const by = (at + usual[1]) * 1000;
  const ends = Date.now() < by ? `by ${moment(new Date(by))}` : "any moment";
  return [ends, element("span", { className: "quiet" }, `gives up ${moment(new Date(deadline * 1000))}`)];
}

function row(ti) {
  const job = described(ti);
  const link = (href, text) => element("a", { href }, text);
  return element(
    "tr", { className: isGoingOn(ti) ? "going" : "" },
    element("td", {}, badge(ti, job)),
    element("td", { className: "whole" }, serviceOf(ti).name),
    element("th", { scope: "row" }, job.name || "–"),
    element("td", { className: "progress" }, progressOf(ti, job)),
    element("td", {}, link(taskUrl(ti), `${ti.dag_display_name} / ${ti.task_display_name}`)),
    element("td", { className: "id" }, job.id ? link(reviewUrl(ti), job.id) : "–"),
    element("td", { className: "number" }, duration(job.waited)),
    element("td", { className: "whole" }, expectedEnd(ti, job)),
    element("td", { className: "number" }, job.paid === undefined ? "–" : String(job.paid)),
    element("td", { className: "number" }, job.polls === undefined ? "–" : String(job.polls)),
  );
}

/** Put the rows in place, and make only those anew that have changed: who reads or tabs through them stays there. */
function show() {
  const shown = [...going.rows, ...ended.rows];
  const body = byId("rows");
  shown.forEach((ti, index) => {
    const content = JSON.stringify([ti.state, described(ti), isGoingOn(ti) && Math.round(Date.now() / 10_000)]);
    let made = rows.get(ti.id);
    if (made?.content !== content) {
      const before = made?.row;
      made = { content, row: row(ti) };
      rows.set(ti.id, made);
      if (before?.isConnected) replace(before, made.row);
    }
    if (body.children[index] !== made.row) body.insertBefore(made.row, body.children[index] ?? null);
  });
  while (body.children.length > shown.length) body.lastChild.remove();
  const total = going.total + ended.total;
  const paid = shown.map((ti) => described(ti).paid).filter((each) => each !== undefined);
  byId("sum-jobs").textContent = total.toLocaleString();
  byId("sum-jobs-of").textContent = total > shown.length ? `jobs, ${shown.length.toLocaleString()} newest shown` : "jobs";
  byId("sum-running").textContent = (going.total - going.rows.filter(isWaiting).length).toLocaleString();
  byId("sum-waiting").textContent = going.rows.filter(isWaiting).length.toLocaleString();
  byId("sum-failed").textContent = failed.toLocaleString();
  byId("sum-paid").textContent = paid.reduce((sum, each) => sum + each, 0).toLocaleString();
  byId("sum-paid-of").textContent =
    paid.length < shown.length ? `paid requests, ${paid.length.toLocaleString()} jobs counted` : "paid requests";
  byId("empty").hidden = shown.length > 0;
  byId("more").hidden = ended.rows.length >= ended.total;
  byId("fresh").textContent = `As of ${new Date().toLocaleTimeString()}.`;
  const dags = [...new Set(shown.map((ti) => ti.dag_id))].sort();
  byId("dags").replaceChildren(...dags.map((dag) => element("option", { value: dag })));
  document.documentElement.dataset.loaded = String(shown.length);
}

function replace(before, after) {
  const links = [...before.querySelectorAll("a")];
  const focused = links.indexOf(document.activeElement);
  before.replaceWith(after);
  if (focused >= 0) after.querySelectorAll("a")[focused]?.focus();
}

async function refresh(again) {
  const began = Date.now();
  try {
    if (!document.hidden) await (again ? loadNews() : loadAll());
    complain(null);
  } catch (error) {
    complain(error);
  }
  // What takes Airflow long is asked for seldom.
  setTimeout(() => refresh(true), Math.max(REFRESH, 5 * (Date.now() - began)));
}

function reload() {
  most = PER_LOAD;
  loadAll().then(() => {
    byId("status").textContent = `${counted(going.total + ended.total, "job")} found.`;
  }, complain);
}

settleIn();
filters.addEventListener("change", reload);
filters.addEventListener("reset", () => setTimeout(reload));
filters.addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", () => {
  most += PER_LOAD;
  load().catch(complain);
});
refresh(false);
