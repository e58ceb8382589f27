// What the tasks of a Dag run have found, from their XComs.

import { inParallel, taskInstances, xcom } from "./airflow.js";
import { subclassesIn } from "./subclasses.js";

export const SEVERITIES = ["CRITICAL", "MAJOR", "MINOR", "INFO"];

const READ_BY = {
  MediaMagicGetIssuesOperator: takeIssues,
  MediaMagicGetAssetResultOperator: takeResult,
  MediaMagicGetTopicsOperator: takeTopics,
  MediaMagicComplianceGateOperator: takeVerdict,
  MediaMagicReviewDocumentOperator: takeDocument,
  SilentWitnessCreateCaseOperator: takeCase,
  SilentWitnessCreateReportOperator: takeReport,
  SilentWitnessDownloadReportOperator: takeDocuments,
};
const WAITED_FOR = ["MediaMagicCreateSubmissionOperator", "MediaMagicRetryAssetOperator"];
const GOING_ON = ["deferred", "running", "queued", "scheduled", "up_for_retry", "restarting", null];

/** Return findings, files, topics, verdicts and reports of a Dag run; worst first. */
export async function reviewOf(dagId, runId) {
  const ofUsers = (await subclassesIn(dagId)).map((one) => one.name);
  const operator = [...Object.keys(READ_BY), ...WAITED_FOR, ...ofUsers];
  const { rows } = await taskInstances({ dagId, runId, operator, order_by: "map_index", most: 5000 });
  const found = {
    tasks: rows.length, going: rows.filter((ti) => GOING_ON.includes(ti.state)).length,
    failed: rows.filter((ti) => ti.state === "failed" && !ti.operator.endsWith("GateOperator")),
    findings: new Map(), files: new Map(), topics: [], verdicts: [], documents: [], reports: new Map(),
    cases: new Map(),
  };
  await inParallel(rows.filter((ti) => !WAITED_FOR.includes(ti.operator)), async (ti) => {
    const value = await xcom(ti, "return_value");
    if (value !== null) await (READ_BY[ti.operator] ?? readerOf(value))?.(found, value, ti);
  });
  for (const issue of found.verdicts.flatMap((verdict) => verdict.blocking)) {
    const blocks = found.findings.get(issue.id) ?? take(found, issue);
    blocks.blocks = true;
  }
  const findings = [...found.findings.values()].sort(worstFirst);
  for (const finding of findings) fileOf(found, finding.assetId, finding.filename).findings.push(finding);
  const files = [...found.files.values()].sort(byFindings);
  return { ...found, findings, files, reports: [...found.reports.values()] };
}

/** Return what reads a value of a class that a user has made, by what is in it. */
function readerOf(value) {
  const [one] = [value].flat();
  if (one?.reasons) return takeVerdict;
  if (one?.case) return takeCase;
  if (one?.report_id && one.path) return takeDocuments;
  if (one?.case_id && one.status) return takeReport;
  if (one?.topics) return takeTopics;
  if (one?.issues) return takeResult;
  if (one?.findings !== undefined) return takeDocument;
  if (one?.severity || one?.rows !== undefined) return takeIssues;
  return null;
}

/** Return the place of a severity, worst first; one that nobody knows may be worse than all. */
export const rank = (severity) => SEVERITIES.indexOf(severity);

function worstFirst(one, other) {
  return (
    rank(one.severity) - rank(other.severity) ||
    String(one.filename).localeCompare(String(other.filename)) ||
    (one.number ?? Infinity) - (other.number ?? Infinity)
  );
}

function byFindings(one, other) {
  for (const severity of [undefined, ...SEVERITIES]) {
    const [ours, theirs] = [one, other].map((file) => countOf(file, severity));
    if (ours !== theirs) return theirs - ours;
  }
  return one.name.localeCompare(other.name);
}

/** Count the findings of a file; without a severity those of one that nobody knows. */
export function countOf(file, severity) {
  return file.findings.filter((each) => (severity ? each.severity === severity : rank(each.severity) < 0)).length;
}

function fileOf(found, assetId, filename) {
  const key = assetId || filename || "";
  const file = found.files.get(key) ?? { name: "", assetId, findings: [], landed: null };
  file.name = filename || file.name || assetId || "file unknown";
  found.files.set(key, file);
  return file;
}

function take(found, issue) {
  const text = (value) => (value === null || value === undefined ? "" : String(value));
  const finding = {
    id: text(issue.id), severity: text(issue.severity).toUpperCase(), status: text(issue.status),
    rule: text(issue.ruleCode), ruleTitle: text(issue.rule?.title), text: text(issue.summary),
    headline: text(issue.severityReasoningHeadline), reasoning: text(issue.severityReasoning),
    number: Number.isFinite(issue.referenceNumber) ? issue.referenceNumber : null,
    assetId: issue.assetId ?? null, filename: issue.filename ?? null, blocks: false,
    precedents: (Array.isArray(issue.precedents) ? issue.precedents : []).map((one) =>
      [one?.title, one?.decision, one?.date].filter(Boolean).map(text).join(", "),
    ),
  };
  found.findings.set(finding.id, finding);
  return finding;
}

function takeIssues(found, value, ti) {
  const called = ti.rendered_map_index === String(ti.map_index) ? null : ti.rendered_map_index;
  if (!Array.isArray(value)) {
    const name = value.filename || called || value.path;
    if (value.path) fileOf(found, value.asset_id, name).landed = { path: value.path, rows: value.rows };
  } else if (value.length) {
    value.forEach((issue) => take(found, issue));
  } else {
    const asset = ti.rendered_fields?.asset_id;
    fileOf(found, typeof asset === "string" ? asset : null, called);
  }
}

function takeResult(found, value) {
  for (const asset of [value].flat().filter((each) => Array.isArray(each?.issues))) {
    fileOf(found, asset.assetId, asset.filename);
    for (const issue of asset.issues) {
      if (!found.findings.has(String(issue.id))) take(found, { ...issue, assetId: asset.assetId, filename: asset.filename });
    }
  }
}

function takeTopics(found, value) {
  for (const asset of [value].flat()) {
    for (const topic of Array.isArray(asset?.topics) ? asset.topics : []) {
      const title = topic.title ?? topic.name ?? topic.label ?? "Topic";
      const issues = Array.isArray(topic.issues) ? topic.issues : [];
      const severity = topic.severity ?? issues.map((one) => one.severity).sort((a, b) => rank(a) - rank(b))[0] ?? "";
      found.topics.push({
        title: String(title), severity: String(severity), filename: asset.filename ?? asset.assetId ?? "",
        texts: issues.map((one) => String(one.summary ?? "")),
      });
    }
  }
}

function takeVerdict(found, value) {
  if (value.reasons) found.verdicts.push(value);
  if (value.document) found.documents.push(value.document.path);
}

function takeDocument(found, value) {
  if (value.path) found.documents.push(value.path);
}

function takeCase(found, value) {
  if (value.case?.id) found.cases.set(value.case.id, value.case);
}

function reportOf(found, id) {
  const report = found.reports.get(id) ?? { id, caseId: "", status: "", documents: [] };
  found.reports.set(id, report);
  return report;
}

async function takeReport(found, value, ti) {
  if (value.id) Object.assign(reportOf(found, value.id), { caseId: value.case_id, status: value.status });
  if (value.documents) await takeDocuments(found, value.documents, ti);
}

async function takeDocuments(found, value, ti) {
  const links = await Promise.all(["ReportPdfLink", "ReportDocxLink"].map((name) => xcom(ti, `_link_${name}`)));
  for (const manifest of Array.isArray(value) ? value : []) {
    const report = reportOf(found, manifest.report_id);
    report.caseId ||= manifest.case_id;
    const link = links[manifest.path.endsWith(".pdf") ? 0 : 1];
    const href = typeof link === "string" && /^https?:\/\//.test(link) ? link : null;
    report.documents.push({ path: manifest.path, bytes: manifest.bytes, href });
  }
}
