// Elements and texts. Everything that comes from outside becomes text, never markup.

/** Make an element: `element("td", { className: "x" }, "text", otherElement)`. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Return a duration for people: `45 s`, `12 min`, `1 h 5 min`. */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""}`;
}

/** Return a moment for people: the time, and the day when it is not today. */
export function moment(date) {
  if (Number.isNaN(date.getTime())) return "–";
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

export const counted = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

/** Show what went wrong, instead of nothing. */
export function complain(error) {
  const place = byId("trouble");
  place.textContent = error ? `${error.message} Reload the page to try again.` : "";
  place.hidden = !error;
}
