// Tables as CSV, for spreadsheets.

/** Return rows as CSV; `columns` says by name what is in a column. */
export function csv(rows, columns) {
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((value) => value(row)))];
  return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}

function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  // As the files of the provider: a spreadsheet would run what begins as a formula does.
  const defused = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(defused) ? `"${defused.replaceAll('"', '""')}"` : defused;
}
