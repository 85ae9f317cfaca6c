"use strict";
// The review file, exactly as `cxrbuild.catalog.review.read_reviews` reads it.
const HEADER = ["source", "path", "mark", "marks_finding", "note"];

function toCsv(rows) {
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [HEADER, ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
}

// The lines of a CSV file, each with the number at which it ends.
function csvRows(text) {
  const rows = [];
  let row = [], cell = "", quoted = false, line = 1;
  const endRow = () => {
    if (row.length || cell) rows.push({ line, cells: [...row, cell] });
    row = [];
    cell = "";
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') cell += text[++i];
      else if (c === '"') quoted = false;
      else cell += c;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === ",") {
      row.push(cell);
      cell = "";
    } else if (c === "\n" || c === "\r") {
      if (c === "\r" && text[i + 1] === "\n") i++;
      endRow();
      line++;
      continue;
    } else cell += c;
    if (c === "\n") line++;
  }
  endRow();
  return rows;
}

// The reviews of a file, and all its faults.
function readReviews(text, marks) {
  const [header, ...rows] = csvRows(text.replace(/^\uFEFF/, ""));
  if (!header || header.cells.join(",") !== HEADER.join(",")) {
    const why = header?.cells.join(",") === HEADER.join(";")
      ? "its cells are parted by semicolons; save it with commas"
      : `its first line must be ${HEADER.join(",")}`;
    return { reviews: [], faults: [`not a review file: ${why}`] };
  }
  const faults = [], seen = new Set();
  for (const { line, cells } of rows) {
    const [source, path, mark, finding] = cells;
    if (cells.length !== HEADER.length) faults.push(`line ${line}: ${cells.length} cells, not ${HEADER.length}`);
    else {
      if (!(mark in marks)) faults.push(`line ${line}: unknown mark '${mark}'`);
      if (!["yes", "no", ""].includes(finding)) faults.push(`line ${line}: marks_finding is '${finding}'`);
      const name = `${source}\n${path}`;
      if (seen.has(name)) faults.push(`line ${line}: ${source} ${path} stands here a second time`);
      seen.add(name);
    }
  }
  return { reviews: rows.map((row) => row.cells), faults };
}
