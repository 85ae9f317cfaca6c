const $ = (id) => document.getElementById(id);
const data = JSON.parse($("document").textContent);
const images = data.images;
const thumbnails = $("thumbnails").textContent.split("\n");
const embedded = $("embedded").textContent ? $("embedded").textContent.split("\n") : [];
const STORAGE_KEY = `cxrbuild review ${data.id}`;
const nameOf = (source, path) => `${source}\n${path}`;
const indexByName = new Map(images.map((image, i) => [nameOf(image.source, image.path), i]));
const markByKey = new Map(Object.entries(data.marks).map(([mark, { key }]) => [key, mark]));
const READER_KEY = "cxrbuild reader";
const MARKS_AT_A_FINDING = ["arrow", "shape"];

// The reader's reviews: name -> [mark, marks_finding, note]. Imported ones of images that this page lacks are kept.
let myReviews = new Map();
// The indices of the images that pass the filters, and the position of the current one among them.
let shown = images.map((_, i) => i);
let position = 0;
let undoStack = [];

function showMessage(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

const countOf = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

function load() {
  try {
    myReviews = new Map(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]"));
    $("reader").value = localStorage.getItem(READER_KEY) ?? "";
  } catch (error) {
    showMessage(`Your earlier marks cannot be read from this browser: ${error.message}`);
  }
}

function save() {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify([...myReviews]));
  } catch (error) {
    showMessage(`This browser does not keep your marks (${error.message}). Export them before you close the page.`);
  }
}

const current = () => shown[position];
const currentName = () => nameOf(images[current()].source, images[current()].path);
const myReview = (i) => myReviews.get(nameOf(images[i].source, images[i].path));
const isBlind = () => $("blind").checked;

// ---- marking

function setReview(review) {
  if (!shown.length) return;
  const name = currentName();
  undoStack.push([name, myReviews.get(name)]);
  if (review) myReviews.set(name, review);
  else myReviews.delete(name);
  save();
}

function advance() {
  if ($("advance").checked && position < shown.length - 1) goTo(position + 1);
  else draw();
}

function setMark(mark) {
  if (!shown.length) return;
  const note = myReview(current())?.[2] ?? "";
  setReview([mark, mark === "unseen" ? "" : MARKS_AT_A_FINDING.includes(mark) ? "yes" : "no", note]);
  advance();
}

function toggleFinding() {
  const review = shown.length && myReview(current());
  if (!review?.[0]) return showMessage("Mark the image first, then say whether the mark is drawn at a finding.");
  showMessage("");
  setReview([review[0], review[1] === "yes" ? "no" : "yes", review[2]]);
  draw();
}

function saveNote() {
  const review = shown.length ? myReview(current()) : undefined;
  const note = $("note").value.replace(/\s+/g, " ").trim();
  setReview(review?.[0] || note ? [review?.[0] ?? "", review?.[1] ?? "", note] : null);
  drawSheet();
  drawCount();
}

function acceptReview() {
  const review = shown.length && !isBlind() && images[current()].review;
  if (!review) return showMessage("This image has no review yet.");
  showMessage("");
  setReview([...review]);
  advance();
}

function removeMark() {
  setReview(null);
  draw();
}

function undo() {
  const last = undoStack.pop();
  if (!last) return;
  const [name, review] = last;
  if (review) myReviews.set(name, review);
  else myReviews.delete(name);
  save();
  const found = shown.indexOf(indexByName.get(name));
  goTo(found < 0 ? position : found);
}

// ---- files

function exportCsv() {
  const marked = [...myReviews].filter(([, review]) => review[0]);
  const order = ([name]) => indexByName.get(name) ?? Infinity;
  marked.sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)));
  const reader = $("reader").value.replace(/\s+/g, " ").trim();
  // An imported review keeps the name of its reader.
  const rows = marked.map(([name, [mark, finding, note, by]]) => [...name.split("\n"), mark, finding, note, by ?? reader]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv(rows)], { type: "text/csv" }));
  link.download = exportName(reader, new Date());
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  const unmarked = myReviews.size - marked.length;
  showMessage(
    `Exported ${countOf(rows.length, "review")} as ${link.download}.` +
      (unmarked ? ` Not exported: ${countOf(unmarked, "image")} with a note but no mark.` : ""),
  );
}

async function importCsv(file) {
  const { reviews, problems } = readReviews(await file.text(), data.marks);
  if (problems.length) return showMessage(`Nothing was imported from ${file.name}:\n${problems.join("\n")}`);
  const unknown = reviews.filter(([source, path]) => !indexByName.has(nameOf(source, path))).length;
  for (const [source, path, ...review] of reviews) myReviews.set(nameOf(source, path), review);
  undoStack = [];
  save();
  draw();
  showMessage(
    `Imported ${countOf(reviews.length, "review")} from ${file.name}.` +
      (unknown ? ` Kept for the next export: ${countOf(unknown, "review")} of images that this page lacks.` : ""),
  );
}

// ---- drawing

const CELL_SIZE = 124;
let columns = 1;
let cellWidth = CELL_SIZE;

function goTo(target) {
  position = Math.max(0, Math.min(shown.length - 1, target));
  resetView();
  draw();
}

function draw() {
  const top = Math.floor(position / columns) * CELL_SIZE, sheet = $("sheet");
  if (top < sheet.scrollTop) sheet.scrollTop = top;
  if (top + CELL_SIZE > sheet.scrollTop + sheet.clientHeight) sheet.scrollTop = top + CELL_SIZE - sheet.clientHeight;
  drawSheet();
  drawView();
  drawCount();
}

function drawCount() {
  const isMarked = (i) => myReview(i)?.[0];
  const n = (value) => value.toLocaleString("en");
  const marked = n(shown.filter(isMarked).length);
  const done = images.filter((_, i) => isMarked(i)).length, percent = Math.floor((100 * done) / images.length);
  const excluded = images.filter((image) => image.excluded).length;
  $("count").textContent =
    `${n(shown.length)} of ${countOf(images.length, "image")} shown, ${marked} of them marked; ` +
    `${n(done)} marked in all (${percent} %), ${n(images.length - done)} to go` +
    (excluded ? `; ${n(excluded)} not in the dataset` : "");
  $("progress").max = images.length;
  $("progress").value = done;
}

// The page holds only the rows in sight.
function drawSheet() {
  const sheet = $("sheet"), first = Math.max(0, Math.floor(sheet.scrollTop / CELL_SIZE) - 1);
  const last = Math.ceil((sheet.scrollTop + sheet.clientHeight) / CELL_SIZE) + 1;
  $("rows").style.height = `${Math.ceil(shown.length / columns) * CELL_SIZE}px`;
  const cells = [];
  for (let k = first * columns; k < Math.min(shown.length, last * columns); k++) cells.push(drawCell(k));
  if (!shown.length) {
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent = "No image passes the filters.";
    cells.push(empty);
  }
  $("rows").replaceChildren(...cells);
}

function drawCell(k) {
  const i = shown[k], image = images[i], cell = document.createElement("div");
  const mark = myReview(i)?.[0], reviewed = isBlind() ? null : image.review?.[0];
  const proposed = isBlind() ? null : image.proposals[0]?.[0];
  const readings = isBlind() ? "" : image.readings.map(([, mark]) => mark).join(" / ");
  const state = mark ? "mine" : reviewed ? "reviewed" : proposed || image.problem ? "proposed" : "";
  cell.className = `cell ${state} ${k === position ? "current" : ""}`;
  cell.style.cssText = `left:${(k % columns) * cellWidth}px;top:${Math.floor(k / columns) * CELL_SIZE}px;` +
    `width:${cellWidth}px;height:${CELL_SIZE}px`;
  cell.dataset.image = i;
  const caption = document.createElement("span");
  caption.textContent = mark ?? (readings || null) ?? reviewed ?? (proposed ? `${proposed}?` : "");
  cell.append(image.problem ? drawPlaceholder(image) : drawThumbnail(i, image), caption);
  cell.onclick = () => {
    goTo(k);
    // On a phone the large image is above the sheet and may be out of sight.
    $("image").scrollIntoView({ block: "nearest" });
  };
  return cell;
}

function drawThumbnail(i, image) {
  const thumbnail = new Image();
  thumbnail.src = `data:image/webp;base64,${thumbnails[i]}`;
  thumbnail.alt = image.path;
  return thumbnail;
}

function drawPlaceholder(image) {
  const placeholder = document.createElement("div");
  placeholder.className = "placeholder";
  placeholder.textContent = UNREADABLE;
  placeholder.title = `${image.path}: ${image.problem}`;
  return placeholder;
}

function drawView() {
  $("details").inert = !shown.length;
  $("frame").hidden = !shown.length || !!images[current()].problem;
  $("problem").textContent = (shown.length && images[current()].problem) || "";
  $("problem").hidden = !$("problem").textContent;
  if (!shown.length) return;
  const i = current(), image = images[i], mine = myReview(i);
  if (!image.problem) drawLarge(i, image);
  $("name").textContent = `${image.source} ${image.path} · ${image.label}`;
  drawReadings(isBlind() ? [] : image.readings);
  $("reviewed").textContent = isBlind() ? "" : describeState(image);
  const proposals = isBlind() ? [] : image.proposals;
  const kinds = [...new Set(proposals.map(([kind]) => kind))];
  $("proposed").textContent = kinds.length ? `Proposed: ${kinds.map(describeKind).join(", ")}` : "";
  $("boxes").replaceChildren(...proposals.filter(([kind]) => kind !== "tint").map(drawBox));
  for (const button of $("marks").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mark === mine?.[0]));
  }
  $("finding").checked = mine?.[1] === "yes";
  if (document.activeElement !== $("note")) $("note").value = mine?.[2] ?? "";
  fitLarge();
}

// Most proposals of some kinds are wrong; a reader must know.
function describeKind(kind) {
  const [right, proposed] = data.measured[kind];
  return `${kind} (${right} of ${proposed} such proposals were right)`;
}

const describeReading = ([reader, mark, finding, note]) =>
  `${reader}: ${mark}${finding === "yes" ? ", at a finding" : ""}${note ? ` (${note})` : ""}`;

// What the readers of a conflict saw; a button or its key takes it over.
function drawReadings(readings) {
  const buttons = readings.map((reading, i) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    key.textContent = i + 1;
    button.append(`${describeReading(reading)} `, key);
    button.onclick = () => takeReading(i);
    return button;
  });
  $("readings").replaceChildren(...buttons);
}

function takeReading(i) {
  const reading = shown.length && !isBlind() && images[current()].readings[i];
  if (!reading) return;
  setReview(reading.slice(1));
  advance();
}

function drawBox([kind, score, left, top, right, bottom]) {
  const box = document.createElement("div"), percent = (fraction) => `${100 * fraction}%`;
  box.title = `${kind} ${score}`;
  Object.assign(box.style, {
    left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top),
  });
  return box;
}

function layOut() {
  columns = Math.max(1, Math.floor($("sheet").clientWidth / CELL_SIZE));
  cellWidth = Math.floor($("sheet").clientWidth / columns);
  draw();
}

// ---- keys and clicks

const sheetRows = () => Math.max(1, Math.floor($("sheet").clientHeight / CELL_SIZE));
const ACTIONS = {
  ArrowRight: () => goTo(position + 1), j: () => goTo(position + 1), " ": () => goTo(position + 1),
  ArrowLeft: () => goTo(position - 1), k: () => goTo(position - 1),
  ArrowDown: () => goTo(position + columns), ArrowUp: () => goTo(position - columns),
  PageDown: () => goTo(position + columns * sheetRows()), PageUp: () => goTo(position - columns * sheetRows()),
  Home: () => goTo(0), End: () => goTo(shown.length - 1),
  f: toggleFinding, n: () => $("note").focus(), Enter: acceptReview, Delete: removeMark, Backspace: removeMark,
  z: undo, v: () => enlarge(), q: () => $("advance").click(),
  "+": () => zoomTo(zoom * 1.25), "=": () => zoomTo(zoom * 1.25), "-": () => zoomTo(zoom * 0.8),
  "[": () => stepWindow("window-width", -5), "]": () => stepWindow("window-width", 5),
  ",": () => stepWindow("window-level", -5), ".": () => stepWindow("window-level", 5),
  0: () => (resetView(), fitLarge()), 1: () => takeReading(0), 2: () => takeReading(1),
};
const PANS = { ArrowRight: [-80, 0], ArrowLeft: [80, 0], ArrowDown: [0, -80], ArrowUp: [0, 80] };

function onKey(event) {
  const target = event.target;
  if (event.altKey || event.ctrlKey || event.metaKey || target.tagName === "SELECT") return;
  if (target.type === "text") {
    if (event.key === "Enter" || event.key === "Escape") target.blur();
    return;
  }
  // A slider keeps the keys that move it.
  if (target.type === "range" && /^(Arrow|Page|Home|End)/.test(event.key)) return;
  // A focused button or checkbox keeps its own keys.
  if (["BUTTON", "INPUT"].includes(target.tagName) && ["Enter", " "].includes(event.key)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const moves = event.shiftKey && zoom > 1 && PANS[key];
  const action = moves ? () => pan(...moves) : markByKey.has(key) ? () => setMark(markByKey.get(key)) : ACTIONS[key];
  if (!action) return;
  event.preventDefault();
  action();
}

function createMarkButton(mark) {
  const button = document.createElement("button"), key = document.createElement("kbd");
  key.textContent = data.marks[mark].key;
  button.append(`${mark} `, key);
  button.title = data.marks[mark].description;
  button.dataset.mark = mark;
  button.onclick = () => setMark(mark);
  return button;
}

$("marks").append(...Object.keys(data.marks).map(createMarkButton));
for (const id of ["by-source", "by-label", "by-proposal", "by-review", "by-mine"]) {
  $(id).onchange = (event) => (applyFilters(), event.target.blur());
}
const BUTTONS = {
  next: () => goTo(position + 1), previous: () => goTo(position - 1), accept: acceptReview, remove: removeMark, undo,
  enlarge: () => enlarge(), export: exportCsv,
};
for (const [id, action] of Object.entries(BUTTONS)) $(id).onclick = (event) => (action(), event.target.blur());
$("finding").onclick = (event) => (toggleFinding(), drawView(), event.target.blur());
$("blind").onchange = (event) => {
  for (const id of ["by-proposal", "by-review"]) {
    $(id).disabled = isBlind();
    $(id).value = "";
  }
  if (isBlind() && $("by-mine").value === "differs") $("by-mine").value = "";
  applyFilters();
  event.target.blur();
};
$("advance").onchange = (event) => event.target.blur();
$("note").onchange = saveNote;
$("reader").onchange = () => {
  try {
    localStorage.setItem(READER_KEY, $("reader").value);
  } catch {
    // The name is kept until the page is closed.
  }
};
$("import").onchange = async (event) => {
  if (event.target.files.length) await importCsv(event.target.files[0]);
  event.target.value = "";
};
listenToView();
$("sheet").onscroll = () => requestAnimationFrame(drawSheet);
document.onkeydown = onKey;
window.onresize = layOut;
// The filters are folded on small screens, by the widths in page.css.
const small = matchMedia("(max-width: 640px), (max-width: 1000px) and (max-height: 700px)");
small.onchange = () => ($("filters").open = !small.matches);
small.onchange();
// The same page may be open in another tab.
window.onstorage = (event) => event.key === STORAGE_KEY && (load(), draw());
load();
fillFilters();
layOut();
