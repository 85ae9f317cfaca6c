"use strict";
// Tables of the class `sortable`: a click, or Enter, on a column's header sorts their rows by it.
const collator = new Intl.Collator("en", { numeric: true });

function keyOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", ""));
  return text !== "" && Number.isFinite(number) ? number : text;
}

// Numbers come before texts, and a cell without either is last in each direction.
function compareKeys(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return direction * (typeof a === "number" ? a - b : collator.compare(a, b));
}

function sortTable(table, header) {
  const direction = header.ariaSort === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [keyOf(row, header.cellIndex), row]);
  keyed.sort(([a], [b]) => compareKeys(a, b, direction));
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    if (!header.textContent.trim()) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.onclick = () => sortTable(table, header);
    header.append(button);
  }
}

// Styles that show a row as a block take away its meaning as a row; roles keep it.
const ROLES = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };
for (const table of document.querySelectorAll("table.stack")) {
  for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, th, td")]) {
    part.setAttribute("role", ROLES[part.tagName] ?? (part.scope === "row" ? "rowheader" : "columnheader"));
  }
}

// What scrolls sideways is reached by the keyboard, under the name of the heading before it.
function reachScrolling() {
  for (const place of document.querySelectorAll(".scroll")) {
    const scrolls = place.scrollWidth > place.clientWidth;
    place.tabIndex = scrolls ? 0 : -1;
    if (scrolls) place.setAttribute("role", "group");
    else place.removeAttribute("tabindex");
  }
}
addEventListener("resize", reachScrolling);
reachScrolling();
