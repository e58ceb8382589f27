// Operators that users have made of this package's: Airflow's API names the class of a task, and not what it is made of.

import { get, inParallel } from "./airflow.js";

const PER_PAGE = 100;
const MOST = 1000;
const classes = new Map(); // of tasks that were asked for, by Dag and task

/** Return `{ name, service }` of the class of every task that has waited for a job since, but for those of `rows`. */
export async function payingSubclasses({ dagId, since, rows }) {
  const known = new Set(rows.map((ti) => `${ti.dag_id}/${ti.task_id}`));
  // The first instance stands for all of a mapped task.
  const found = (await Promise.all([-1, 0].map((number) => waits(dagId, since, number)))).flat();
  const tasks = new Map(found.map((one) => [`${one.dag_id}/${one.task_id}`, one]));
  const unknown = [...tasks].filter(([key]) => !known.has(key));
  await inParallel(unknown.filter(([key]) => !classes.has(key)), async ([key, one]) => {
    const path = ["dags", one.dag_id, "tasks", one.task_id].map(encodeURIComponent).join("/");
    classes.set(key, subclass(await get(path)));
  });
  return unknown.map(([key]) => classes.get(key)).filter(Boolean);
}

/** Return `{ name, service }` of the classes of a Dag's tasks that users have made. */
export async function subclassesIn(dagId) {
  const answer = await get(`dags/${encodeURIComponent(dagId)}/tasks`);
  return (answer?.tasks ?? []).map(subclass).filter(Boolean);
}

async function waits(dagId, since, number) {
  const path = `dags/${encodeURIComponent(dagId)}/dagRuns/~/taskInstances/~/xcomEntries`;
  const query = { xcom_key: "job_expected", map_index: number, run_after_gte: since, limit: PER_PAGE };
  const found = [];
  let total = 1;
  while (found.length < Math.min(total, MOST)) {
    const page = (await get(path, { ...query, offset: found.length })) ?? { xcom_entries: [], total_entries: 0 };
    if (!page.xcom_entries.length) break;
    found.push(...page.xcom_entries);
    total = page.total_entries;
  }
  return found;
}

function subclass(task) {
  const { module_path: module = "", class_name: name } = task?.class_ref ?? {};
  if (module.startsWith("airflow_provider.")) return null;
  const service = ["mediamagic", "silent_witness"].find((one) => task?.template_fields?.includes(`${one}_conn_id`));
  return service ? { name, service } : null;
}
