// Airflow's public API as the logged-in user, and the ways out of the frame that Airflow shows a page in.

/** Where Airflow is served, with the path of `[api] base_url`. */
export const HOME = new URL("..", import.meta.url);

const MOST_PER_PAGE = 100;
const LISTS_AT_ONCE = 3; // each of them takes Airflow long
const framed = window.parent !== window;

/** The document around the frame. Airflow's frame allows neither downloads nor navigation; its own page does. */
const outside = () => (framed ? window.parent.document : document);

export class RefusedError extends Error {
  constructor(status, path) {
    super(status === 401 ? "You are not logged in to Airflow." : `Airflow answered ${status} to ${path}.`);
    this.status = status;
  }
}

/** Return one answer of the API; `null` for what does not exist. */
export async function get(path, query = {}) {
  const url = new URL(`api/v2/${path}`, HOME);
  for (const [name, value] of Object.entries(query)) {
    for (const each of [value].flat()) {
      if (each !== "" && each !== undefined) url.searchParams.append(name, each);
    }
  }
  const token = localStorage.getItem("token"); // Airflow 3.1.0 keeps it here; later ones in a cookie
  const headers = token ? { Authorization: `Bearer ${JSON.parse(quoted(token))}` } : {};
  const answer = await fetch(url, { headers, credentials: "same-origin" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new RefusedError(answer.status, url.pathname);
  return answer.json();
}

const quoted = (token) => (token.startsWith('"') ? token : JSON.stringify(token));

/** Return the newest task instances, at most `most` of them, and how many there are in all. */
export async function taskInstances({ dagId = "~", runId = "~", most, ...query }) {
  const path = `dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}/taskInstances`;
  const page = async (offset) =>
    (await get(path, { ...query, limit: Math.min(MOST_PER_PAGE, most - offset), offset })) ??
    { task_instances: [], total_entries: 0 };
  const first = await page(0);
  const pages = [first];
  const offsets = [];
  for (let at = MOST_PER_PAGE; at < Math.min(most, first.total_entries); at += MOST_PER_PAGE) offsets.push(at);
  await inParallel(offsets, async (at) => {
    pages[at / MOST_PER_PAGE] = await page(at);
  }, LISTS_AT_ONCE);
  // A task that starts meanwhile moves the others on: one may be on two pages.
  const rows = new Map(pages.flatMap((each) => each.task_instances).map((ti) => [ti.id, ti]));
  return { rows: [...rows.values()], total: first.total_entries };
}

/** Return the value of an XCom; `null` when there is none, or when the user may not read it. */
export async function xcom(ti, key) {
  const place = [ti.dag_id, "dagRuns", ti.dag_run_id, "taskInstances", ti.task_id, "xcomEntries", key];
  try {
    const entry = await get(`dags/${place.map(encodeURIComponent).join("/")}`, {
      map_index: ti.map_index,
      deserialize: "true",
    });
    return entry === null ? null : parsed(entry.value);
  } catch (error) {
    if (error instanceof RefusedError && error.status === 403) return null;
    throw error;
  }
}

// Which Airflow shows a value as JSON and which as the text of it differs.
function parsed(value) {
  if (typeof value !== "string" || !/^[[{"]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Call `work` for every item, some at a time. */
export async function inParallel(items, work, workers = 6) {
  const waiting = [...items];
  const worker = async () => {
    while (waiting.length) await work(waiting.shift());
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

/** Return the parameters of this page. A plus is a plus: Airflow 3.1 puts run ids in as they are. */
export function parameters() {
  const found = {};
  for (const pair of location.search.slice(1).split("&")) {
    const [name, value = ""] = pair.split(/=(.*)/s);
    try {
      found[name] = decodeURIComponent(value);
    } catch {
      found[name] = value;
    }
  }
  return found;
}

export function taskUrl(ti) {
  const mapped = ti.map_index >= 0 ? `/mapped/${ti.map_index}` : "";
  const [dag, run, task] = [ti.dag_id, ti.dag_run_id, ti.task_id].map(encodeURIComponent);
  return new URL(`dags/${dag}/runs/${run}/tasks/${task}${mapped}`, HOME).href;
}

export function reviewUrl(ti) {
  const [dag, run] = [ti.dag_id, ti.dag_run_id].map(encodeURIComponent);
  return new URL(`paid-jobs/review.html?dag_id=${dag}&run_id=${run}`, HOME).href;
}

/** Follow a link outside of the frame. */
export function follow(href, { inNewTab = false } = {}) {
  const link = outside().createElement("a");
  link.href = href;
  if (inNewTab) Object.assign(link, { target: "_blank", rel: "noopener" });
  outside().body.append(link);
  link.click();
  link.remove();
}

/** Offer a text as a file. */
export function save(name, type, text) {
  const link = outside().createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  outside().body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function print() {
  if (framed) follow(`${location.href.split("#")[0]}#print`, { inNewTab: true });
  else window.print();
}

/** Look as Airflow does, light or dark, and let links lead out of the frame. */
export function settleIn() {
  const around = framed ? window.parent.document.documentElement : null;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const adapt = () => {
    const said = around && ["dark", "light"].find((mode) => around.classList.contains(mode));
    document.documentElement.dataset.mode = said || (system.matches ? "dark" : "light");
  };
  adapt();
  system.addEventListener("change", adapt);
  if (around) new MutationObserver(adapt).observe(around, { attributeFilter: ["class"] });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!framed || !link || link.getAttribute("href").startsWith("#")) return;
    event.preventDefault();
    follow(link.href, { inNewTab: event.ctrlKey || event.metaKey });
  });
}
