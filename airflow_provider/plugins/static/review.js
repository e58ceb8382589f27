// The page of a review or of reports: what one Dag run has found, worst first.

import { parameters, print, save, settleIn } from "./airflow.js";
import { csv } from "./csv.js";
import { byId, complain, counted, element } from "./elements.js";
import { SEVERITIES, countOf, rank, reviewOf } from "./findings.js";

const REFRESH = 10_000;
const { dag_id: dagId = "", run_id: runId = "" } = parameters();

let review = null;
let only = { severity: "", file: "" };

const badge = (severity) =>
  element("span", { className: `badge ${rank(severity) < 0 ? "CRITICAL" : severity}` }, severity || "NO SEVERITY");

function show() {
  byId("loading").hidden = true;
  showVerdict();
  showFiles();
  showFindings();
  showTopics();
  showReports();
  byId("tools").hidden = !review.findings.length;
  document.documentElement.dataset.loaded = String(review.findings.length);
}

function showVerdict() {
  const { kind, headline, lines } = verdict();
  const colour = { blocked: "CRITICAL", passed: "success", none: "none" }[kind];
  byId("verdict").replaceChildren(
    element("div", { className: `verdict ${colour}` }, element("b", {}, headline), lines.map((line) => element("p", {}, line))),
  );
}

/** Say in one line how it stands, and in the next what the worst finding is. */
function verdict() {
  const { findings, files, verdicts, reports, failed, going, tasks, documents } = review;
  const blocking = findings.filter((each) => each.blocks);
  const worst = (blocking.length ? blocking : findings)[0];
  const lines = worst ? [`Worst: ${worst.text} — ${where(worst)}`] : [];
  lines.push(...verdicts.filter((each) => !each.passed).map((each) => `The policy: ${each.reasons.join("; ")}.`));
  const hidden = verdicts.reduce((sum, each) => sum + each.blockingCount - each.blocking.length, 0);
  if (hidden > 0) lines.push(`${counted(hidden, "further finding blocks", "further findings block")}: see the task's log.`);
  lines.push(...documents.map((path) => `As a document: ${path}`));
  if (failed.length) lines.push(`Failed: ${failed.map((ti) => ti.task_display_name).join(", ")}.`);
  if (going) lines.push(`${counted(going, "task is", "tasks are")} not finished; this page follows them.`);
  if (verdicts.some((each) => !each.passed)) {
    return { kind: "blocked", headline: `Blocked: ${sums(blocking)} in ${filesOf(blocking)}`, lines };
  }
  if (!tasks) return { kind: "none", headline: "No review and no report in this run", lines };
  if (findings.length) {
    const passed = verdicts.length && !failed.length && !going;
    return { kind: passed ? "passed" : "none", headline: `${passed ? "Passed: " : ""}${sums(findings)} in ${filesOf(findings)}`, lines };
  }
  if (files.length) return { kind: going || failed.length ? "none" : "passed", headline: `No findings in ${counted(files.length, "file")}`, lines };
  const headline = reports.length ? counted(reports.length, "report") : going ? "Under way" : "Nothing was found";
  return { kind: "none", headline, lines };
}

function where(finding) {
  return [finding.filename ?? finding.assetId, finding.rule && `rule ${finding.rule}`, place(finding)].filter(Boolean).join(", ");
}

// No field of the vendor's says where in the media a finding is; the number is the order that it lists them in.
const place = (finding) => (finding.number === null ? "" : `no. ${finding.number}`);

function sums(findings) {
  const severities = [...new Set(findings.map((each) => each.severity))].sort((one, other) => rank(one) - rank(other));
  const parts = severities.map((severity) => {
    const number = findings.filter((each) => each.severity === severity).length;
    return `${number} ${severity.toLowerCase() || "unrated"}`;
  });
  return `${parts.join(", ")} ${findings.length === 1 ? "finding" : "findings"}`;
}

function filesOf(findings) {
  const names = [...new Set(findings.map((each) => each.filename ?? each.assetId ?? "an unknown file"))];
  return names.length > 2 ? `${names.length} files` : names.join(" and ");
}

function showFiles() {
  const { files } = review;
  byId("files").hidden = !files.length;
  const unknown = files.some((file) => countOf(file, undefined));
  const severities = [...(unknown ? [undefined] : []), ...SEVERITIES];
  const heads = ["File", ...severities.map((severity) => severity ?? "UNKNOWN"), "Blocked"];
  byId("files-head").replaceChildren(...heads.map((head) => element("th", { scope: "col" }, head)));
  byId("files-rows").replaceChildren(...files.map((file) => fileRow(file, severities)));
}

function fileRow(file, severities) {
  const choose = element("button", { type: "button", "aria-pressed": String(only.file === file.name) }, file.name);
  choose.addEventListener("click", () => {
    only = { ...only, file: only.file === file.name ? "" : file.name };
    showFiles();
    showFindings();
    choose.isConnected || byId("findings").scrollIntoView();
  });
  const counts = severities.map((severity) => {
    const number = countOf(file, severity);
    return element("td", { className: `count ${number ? severity ?? "CRITICAL" : "zero"}` }, String(number));
  });
  const blocked = file.findings.some((each) => each.blocks);
  const landed = file.landed && element("span", { className: "quiet" }, ` ${counted(file.landed.rows ?? 0, "finding")} in ${file.landed.path}`);
  return element("tr", {}, element("th", { scope: "row" }, choose, landed), counts,
    element("td", { className: blocked ? "blocks" : "quiet" }, blocked ? "blocked" : "no"));
}

function showFindings() {
  const { findings } = review;
  byId("findings").hidden = !findings.length;
  const shown = findings.filter(
    (each) => (!only.severity || each.severity === only.severity) && (!only.file || nameOf(each) === only.file),
  );
  byId("findings-of").textContent = [
    shown.length === findings.length ? findings.length : `${shown.length} of ${findings.length}`,
    only.file && `in ${only.file}`,
  ].filter(Boolean).join(" ");
  const present = ["", ...new Set(findings.map((each) => each.severity))];
  byId("severities").replaceChildren(...present.map(severityButton));
  byId("findings-rows").replaceChildren(...shown.map(findingRow));
}

const nameOf = (finding) => finding.filename || finding.assetId || "file unknown";

function severityButton(severity) {
  const number = review.findings.filter((each) => !severity || each.severity === severity).length;
  const text = `${severity || "All"} ${number}`;
  const button = element("button", { type: "button", className: severity, "aria-pressed": String(only.severity === severity) }, text);
  button.addEventListener("click", () => {
    only = { ...only, severity };
    showFindings();
    [...byId("severities").children].find((each) => each.textContent === text)?.focus();
  });
  return button;
}

function findingRow(finding) {
  const more = [finding.headline, finding.reasoning, ...finding.precedents.map((one) => `Precedent: ${one}`)].filter(Boolean);
  const details = more.length
    ? element("details", {}, element("summary", {}, "Why"), more.map((text) => element("p", {}, text)))
    : null;
  return element(
    "tr", { className: "finding" },
    element("td", {}, badge(finding.severity), finding.blocks && element("div", { className: "blocks" }, "blocks")),
    element("th", { scope: "row" }, nameOf(finding)),
    element("td", {}, finding.rule || "–", finding.ruleTitle && element("span", { className: "quiet" }, finding.ruleTitle)),
    element("td", {}, finding.text || "–", details),
    element("td", { className: "whole" }, place(finding) || "–"),
    element("td", {}, finding.status || "–"),
  );
}

function showTopics() {
  byId("topics").hidden = !review.topics.length;
  byId("topics-list").replaceChildren(
    ...review.topics.map((topic) =>
      element("li", {}, topic.severity && badge(topic.severity), " ", element("b", {}, topic.title),
        element("p", { className: "quiet" }, `${topic.filename}, ${counted(topic.texts.length, "finding")}`)),
    ),
  );
}

function showReports() {
  byId("reports").hidden = !review.reports.length;
  byId("reports-rows").replaceChildren(...review.reports.map(reportRow));
  const case_ = review.reports.length === 1 && review.cases.get(review.reports[0].caseId);
  byId("title").textContent = review.reports.length && !review.files.length ? case_?.name || "Reports" : "Review";
}

function reportRow(report) {
  const about = review.cases.get(report.caseId) ?? {};
  const parties = [
    ["Plaintiff", about.plaintiff_name], ["Defendant", about.defendant_name], ["Attorney", about.attorney_name],
  ].filter(([, name]) => name);
  const done = report.status === "completed" || report.documents.length;
  return element(
    "tr", {},
    element("td", {}, element("span", { className: `badge ${done ? "success" : "none"}` }, report.status || "–")),
    element("th", { scope: "row" }, about.name || report.caseId || "–"),
    element("td", {}, parties.map(([role, name]) => element("div", {}, `${role}: ${name}`))),
    element("td", { className: "id" }, report.id),
    element("td", {}, report.documents.map((one) =>
      element("div", {}, one.href ? element("a", { href: one.href }, one.path) : one.path, ` (${Math.ceil(one.bytes / 1000)} kB)`))),
  );
}

const COLUMNS = {
  file: nameOf, severity: (one) => one.severity, rule: (one) => one.rule, finding: (one) => one.text,
  place, status: (one) => one.status, blocks: (one) => (one.blocks ? "yes" : "no"), reasoning: (one) => one.reasoning,
  issue_id: (one) => one.id, asset_id: (one) => one.assetId,
};

const filename = (suffix) => `review-${dagId}-${runId}`.replaceAll(/[^\w.-]+/g, "_") + suffix;

async function load() {
  try {
    review = await reviewOf(dagId, runId);
    complain(null);
    show();
    if (review.going) setTimeout(load, REFRESH);
  } catch (error) {
    complain(error);
    byId("loading").hidden = true;
    setTimeout(load, REFRESH);
  }
}

settleIn();
byId("about").textContent = `Dag ${dagId}, run ${runId}`;
document.title = `Review: ${dagId}, ${runId}`;
byId("csv").addEventListener("click", () => save(filename(".csv"), "text/csv", csv(review.findings, COLUMNS)));
byId("json").addEventListener("click", () =>
  save(filename(".json"), "application/json", JSON.stringify({ dagId, runId, findings: review.findings, topics: review.topics }, null, 2)));
byId("print").addEventListener("click", print);
load().then(() => location.hash === "#print" && window.print());
