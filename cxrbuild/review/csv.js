"use strict";
// The format of a review file, as `cxrbuild.catalog.review.read_reviews` reads it.
const HEADER = ["source", "path", "mark", "marks_finding", "note"];
const WITH_READER = [...HEADER, "reader"];

// The last cell of a row is its reader; the column is omitted where no row has one.
function toCsv(rows) {
  const header = rows.some((row) => row[5]) ? WITH_READER : HEADER;
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [header, ...rows].map((row) => row.slice(0, header.length).map(cell).join(",") + "\n").join("");
}

// Parse CSV into rows, each with the number of its last line.
function parseCsv(text, delimiter) {
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
    else if (c === delimiter) {
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

// Read the reviews of a file, and list every problem in it.
function readReviews(text, marks) {
  text = text.replace(/^\uFEFF/, "");
  // Excel separates cells by semicolons where the comma is the decimal sign: the header decides.
  const [header, ...rows] = parseCsv(text, text.startsWith(HEADER.join(";")) ? ";" : ",");
  const columns = header?.cells.length;
  if (![HEADER, WITH_READER].some((known) => known.join(",") === header?.cells.join(","))) {
    return { reviews: [], problems: [`not a review file: its first line must be ${HEADER.join(",")}`] };
  }
  const problems = [], lines = new Map();
  for (const { line, cells } of rows) {
    const [source, path, mark, finding] = cells;
    if (cells.length !== columns) problems.push(`line ${line}: ${cells.length} cells, not ${columns}`);
    else {
      if (!(mark in marks)) problems.push(`line ${line}: unknown mark '${mark}'`);
      if (!["yes", "no", ""].includes(finding)) problems.push(`line ${line}: marks_finding is '${finding}'`);
      const name = `${source}\n${path}`;
      if (lines.has(name)) problems.push(`line ${line}: ${source} ${path} is in line ${lines.get(name)} already`);
      else lines.set(name, line);
    }
  }
  return { reviews: rows.map((row) => row.cells), problems };
}

// Each export has a name of its own, by the reader and the local time, so that a later one replaces none.
function exportName(reader, now) {
  const local = new Date(now.getTime() - 60_000 * now.getTimezoneOffset());
  const time = local.toISOString().slice(0, 19).replace(/[T:]/g, "-");
  return ["reviews", ...reader.split(/[^\p{L}\p{N}]+/u), time].filter(Boolean).join("-") + ".csv";
}
