const $ = (id) => document.getElementById(id);
const data = JSON.parse($("document").textContent);
const films = data.films;
const thumbs = $("thumbs").textContent.split("\n");
const views = $("views").textContent ? $("views").textContent.split("\n") : [];
const STORE = `cxrbuild review ${data.id}`;
const nameOf = (source, path) => `${source}\n${path}`;
const place = new Map(films.map((film, i) => [nameOf(film.source, film.path), i]));
const keys = new Map(Object.entries(data.marks).map(([mark, { key }]) => [key, mark]));
const AT_FINDING = ["arrow", "shape"];

// What I judged: name -> [mark, marks_finding, note]. Imported films that are not on this page stay in it.
let mine = new Map();
let shown = films.map((_, i) => i);
let at = 0;
let undone = [];

function tell(words) {
  $("message").textContent = words;
  $("message").hidden = !words;
}

const many = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

function load() {
  try {
    mine = new Map(JSON.parse(localStorage.getItem(STORE) ?? "[]"));
  } catch (error) {
    tell(`What was judged before cannot be read from this browser: ${error.message}`);
  }
}

function save() {
  try {
    localStorage.setItem(STORE, JSON.stringify([...mine]));
  } catch (error) {
    tell(`This browser does not keep what you judge (${error.message}). Export before you close the page.`);
  }
}

const current = () => shown[at];
const myNameAt = () => nameOf(films[current()].source, films[current()].path);
const myReview = (i) => mine.get(nameOf(films[i].source, films[i].path));
const isBlind = () => $("blind").checked;

// ---- judging

function put(review) {
  if (!shown.length) return;
  const name = myNameAt();
  undone.push([name, mine.get(name)]);
  if (review) mine.set(name, review);
  else mine.delete(name);
  save();
}

function judge(mark) {
  if (!shown.length) return;
  const note = myReview(current())?.[2] ?? "";
  put([mark, mark === "unseen" ? "" : AT_FINDING.includes(mark) ? "yes" : "no", note]);
  if ($("onward").checked && at < shown.length - 1) go(at + 1);
  else draw();
}

function flipFinding() {
  const review = shown.length && myReview(current());
  if (!review?.[0]) return tell("Mark the film first, then say whether the mark is drawn at a finding.");
  tell("");
  put([review[0], review[1] === "yes" ? "no" : "yes", review[2]]);
  draw();
}

function writeNote() {
  const review = shown.length ? myReview(current()) : undefined;
  const note = $("note").value.replace(/\s+/g, " ").trim();
  put(review?.[0] || note ? [review?.[0] ?? "", review?.[1] ?? "", note] : null);
  drawSheet();
  drawCount();
}

function agree() {
  const said = shown.length && !isBlind() && films[current()].review;
  if (!said) return tell("Nobody has reviewed this film yet.");
  tell("");
  put([...said]);
  if ($("onward").checked && at < shown.length - 1) go(at + 1);
  else draw();
}

function withdraw() {
  put(null);
  draw();
}

function undo() {
  const last = undone.pop();
  if (!last) return;
  if (last[1]) mine.set(last[0], last[1]);
  else mine.delete(last[0]);
  save();
  const where = shown.indexOf(place.get(last[0]));
  go(where < 0 ? at : where);
}

// ---- files

function exportCsv() {
  const whole = [...mine].filter(([, review]) => review[0]);
  const order = ([name]) => place.get(name) ?? Infinity;
  whole.sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)));
  const rows = whole.map(([name, review]) => [...name.split("\n"), ...review]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv(rows)], { type: "text/csv" }));
  link.download = "reviews.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  const bare = mine.size - whole.length;
  tell(
    `Exported ${many(rows.length, "review")}.` +
      (bare ? ` Left out: ${many(bare, "film")} with a note but no mark.` : ""),
  );
}

async function importCsv(file) {
  const { reviews, faults } = readReviews(await file.text(), data.marks);
  if (faults.length) return tell(`Nothing was imported from ${file.name}:\n${faults.join("\n")}`);
  const elsewhere = reviews.filter(([source, path]) => !place.has(nameOf(source, path))).length;
  for (const [source, path, ...review] of reviews) mine.set(nameOf(source, path), review);
  undone = [];
  save();
  draw();
  tell(
    `Imported ${many(reviews.length, "review")} from ${file.name}.` +
      (elsewhere ? ` Kept and exported again: ${many(elsewhere, "review")} of films that are not on this page.` : ""),
  );
}

// ---- which films are shown

function options(id, all, values) {
  const counted = values.filter(([, count]) => count);
  $(id).replaceChildren(
    new Option(all, ""),
    ...counted.map(([value, count]) => new Option(`${value} (${count.toLocaleString("en")})`, value)),
  );
}

function counts(values) {
  const found = new Map();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return [...found];
}

const proposalsOf = (film) => {
  const kinds = new Set(film.proposals.map(([kind]) => kind));
  return kinds.size ? [...kinds] : ["nothing"];
};

function fillFilters() {
  options("by-source", "all", counts(films.map((film) => film.source)));
  options("by-label", "all", counts(films.map((film) => film.label)));
  const kinds = new Map(counts(films.flatMap(proposalsOf)));
  options("by-proposal", "all", [...Object.keys(data.kinds), "nothing"].map((kind) => [kind, kinds.get(kind)]));
  options("by-review", "all", counts(films.map((film) => film.review?.[0] ?? "nobody")).sort());
  $("by-mine").replaceChildren(
    ...[["", "all"], ["none", "not yet"], ["any", "marked"], ["unlike", "unlike the review"]].map(
      ([value, words]) => new Option(words, value),
    ),
    ...Object.keys(data.marks).map((mark) => new Option(mark, mark)),
  );
}

function isChosen(film, i) {
  const mark = myReview(i)?.[0];
  const wanted = (id) => $(id).value;
  const unlike = () => mark && film.review && (mark !== film.review[0] || myReview(i)[1] !== film.review[1]);
  return (
    (!wanted("by-source") || film.source === wanted("by-source")) &&
    (!wanted("by-label") || film.label === wanted("by-label")) &&
    (!wanted("by-proposal") || proposalsOf(film).includes(wanted("by-proposal"))) &&
    (!wanted("by-review") || (film.review?.[0] ?? "nobody") === wanted("by-review")) &&
    ({ "": true, none: !mark, any: !!mark, unlike: unlike() }[wanted("by-mine")] ?? mark === wanted("by-mine"))
  );
}

// The choice is made anew only here, so that no film slips away while it is being judged.
function choose() {
  const before = current();
  shown = films.map((_, i) => i).filter((i) => isChosen(films[i], i));
  at = Math.max(0, shown.indexOf(before));
  $("sheet").scrollTop = 0;
  draw();
}

// ---- drawing

const CELL = 124;
let columns = 1;
let cellWidth = CELL;

function go(to) {
  at = Math.max(0, Math.min(shown.length - 1, to));
  $("frame").classList.remove("enlarged");
  draw();
}

function draw() {
  const top = Math.floor(at / columns) * CELL, sheet = $("sheet");
  if (top < sheet.scrollTop) sheet.scrollTop = top;
  if (top + CELL > sheet.scrollTop + sheet.clientHeight) sheet.scrollTop = top + CELL - sheet.clientHeight;
  drawSheet();
  drawView();
  drawCount();
}

function drawCount() {
  const judged = shown.filter((i) => myReview(i)?.[0]).length;
  const all = films.filter((_, i) => myReview(i)?.[0]).length;
  const n = (value) => value.toLocaleString("en");
  $("count").textContent =
    `${n(shown.length)} of ${many(films.length, "film")} shown, ${n(judged)} of them marked; ${n(all)} marked in all`;
}

// Only the rows in sight are in the page.
function drawSheet() {
  const sheet = $("sheet"), first = Math.max(0, Math.floor(sheet.scrollTop / CELL) - 1);
  const last = Math.ceil((sheet.scrollTop + sheet.clientHeight) / CELL) + 1;
  $("rows").style.height = `${Math.ceil(shown.length / columns) * CELL}px`;
  const cells = [];
  for (let k = first * columns; k < Math.min(shown.length, last * columns); k++) cells.push(cell(k));
  if (!shown.length) {
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent = "No film is like that.";
    cells.push(empty);
  }
  $("rows").replaceChildren(...cells);
}

function cell(k) {
  const i = shown[k], film = films[i], div = document.createElement("div");
  const mark = myReview(i)?.[0], said = isBlind() ? null : film.review?.[0];
  const found = isBlind() ? null : film.proposals[0]?.[0];
  div.className = `cell ${mark ? "mine" : said ? "said" : found ? "found" : ""} ${k === at ? "at" : ""}`;
  div.style.cssText = `left:${(k % columns) * cellWidth}px;top:${Math.floor(k / columns) * CELL}px;` +
    `width:${cellWidth}px;height:${CELL}px`;
  div.dataset.film = i;
  const image = new Image(), words = document.createElement("span");
  image.src = `data:image/webp;base64,${thumbs[i]}`;
  image.alt = film.path;
  words.textContent = mark ?? said ?? (found ? `${found}?` : "");
  div.append(image, words);
  div.onclick = () => {
    go(k);
    // On a phone the film stands above the sheet, perhaps out of sight.
    $("film").scrollIntoView({ block: "nearest" });
  };
  return div;
}

function drawView() {
  $("facts").inert = !shown.length;
  $("frame").hidden = !shown.length;
  if (!shown.length) return;
  const i = current(), film = films[i], review = myReview(i);
  const image = $("large");
  const thumb = `data:image/webp;base64,${thumbs[i]}`;
  image.onerror = () => {
    image.onerror = null;
    image.src = thumb;
    tell(`The film's own file cannot be shown (${film.file}); this is its thumbnail. A page with --views holds it.`);
  };
  image.src = views.length ? `data:image/webp;base64,${views[i]}` : film.file.split("/").map(encodeURIComponent).join("/");
  image.alt = film.path;
  $("name").textContent = `${film.source} ${film.path} · ${film.label}`;
  const said = film.review && !isBlind();
  $("said").textContent = said
    ? `Reviewed: ${film.review[0]}${film.review[1] === "yes" ? ", at a finding" : ""}` +
      (film.review[2] ? ` (${film.review[2]})` : "")
    : "";
  const found = isBlind() ? [] : film.proposals;
  const kinds = [...new Set(found.map(([kind]) => kind))];
  $("found").textContent = kinds.length ? `Proposed: ${kinds.join(", ")}` : "";
  $("boxes").replaceChildren(...found.filter(([kind]) => kind !== "tint").map(box));
  for (const button of $("marks").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mark === review?.[0]));
  }
  $("finding").checked = review?.[1] === "yes";
  if (document.activeElement !== $("note")) $("note").value = review?.[2] ?? "";
  fit();
}

function box([kind, score, left, top, right, bottom]) {
  const div = document.createElement("div"), percent = (share) => `${100 * share}%`;
  div.title = `${kind} ${score}`;
  Object.assign(div.style, {
    left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top),
  });
  return div;
}

// The film as large as its place allows, or three times that around the point that was clicked.
function fit() {
  if (!shown.length) return;
  const [width, height] = films[current()].size, room = $("film");
  const scale = Math.min((room.clientWidth - 4) / width, (room.clientHeight - 4) / height);
  $("frame").style.width = `${width * scale}px`;
  $("frame").style.height = `${height * scale}px`;
  $("frame").style.flex = "none";
  $("frame").style.transform = $("frame").classList.contains("enlarged") ? "scale(3)" : "";
}

function enlarge(event) {
  const frame = $("frame");
  const x = event?.offsetX ?? frame.clientWidth / 2, y = event?.offsetY ?? frame.clientHeight / 2;
  if (frame.classList.toggle("enlarged")) frame.style.transformOrigin = `${x}px ${y}px`;
  fit();
}

function lay() {
  columns = Math.max(1, Math.floor($("sheet").clientWidth / CELL));
  cellWidth = Math.floor($("sheet").clientWidth / columns);
  draw();
}

// ---- keys and clicks

const DEEDS = {
  ArrowRight: () => go(at + 1), j: () => go(at + 1), " ": () => go(at + 1),
  ArrowLeft: () => go(at - 1), k: () => go(at - 1),
  ArrowDown: () => go(at + columns), ArrowUp: () => go(at - columns),
  PageDown: () => go(at + columns * Math.max(1, Math.floor($("sheet").clientHeight / CELL))),
  PageUp: () => go(at - columns * Math.max(1, Math.floor($("sheet").clientHeight / CELL))),
  Home: () => go(0), End: () => go(shown.length - 1),
  f: flipFinding, n: () => $("note").focus(), Enter: agree, Delete: withdraw, Backspace: withdraw,
  z: undo, v: () => enlarge(), q: () => $("onward").click(),
};

function press(event) {
  const on = event.target;
  if (event.altKey || event.ctrlKey || event.metaKey || on.tagName === "SELECT") return;
  if (on === $("note")) {
    if (event.key === "Enter" || event.key === "Escape") on.blur();
    return;
  }
  // A button or tick that has the focus keeps its own keys.
  if (["BUTTON", "INPUT"].includes(on.tagName) && ["Enter", " "].includes(event.key)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const deed = keys.has(key) ? () => judge(keys.get(key)) : DEEDS[key];
  if (!deed) return;
  event.preventDefault();
  deed();
}

function markButton(mark) {
  const button = document.createElement("button"), key = document.createElement("kbd");
  key.textContent = data.marks[mark].key;
  button.append(`${mark} `, key);
  button.title = data.marks[mark].words;
  button.dataset.mark = mark;
  button.onclick = () => judge(mark);
  return button;
}

$("marks").append(...Object.keys(data.marks).map(markButton));
for (const id of ["by-source", "by-label", "by-proposal", "by-review", "by-mine"]) {
  $(id).onchange = (event) => (choose(), event.target.blur());
}
for (const [id, deed] of Object.entries({
  next: () => go(at + 1), previous: () => go(at - 1), agree, withdraw, undo, enlarge: () => enlarge(), export: exportCsv,
})) $(id).onclick = (event) => (deed(), event.target.blur());
$("finding").onclick = (event) => (flipFinding(), drawView(), event.target.blur());
$("blind").onchange = (event) => {
  for (const id of ["by-proposal", "by-review"]) {
    $(id).disabled = isBlind();
    $(id).value = "";
  }
  if (isBlind() && $("by-mine").value === "unlike") $("by-mine").value = "";
  choose();
  event.target.blur();
};
$("onward").onchange = (event) => event.target.blur();
$("note").onchange = writeNote;
$("import").onchange = async (event) => {
  if (event.target.files.length) await importCsv(event.target.files[0]);
  event.target.value = "";
};
$("frame").onclick = enlarge;
$("sheet").onscroll = () => requestAnimationFrame(drawSheet);
document.onkeydown = press;
window.onresize = lay;
// Where there is room for the filters (page.css has the same widths), they are not folded away.
const small = matchMedia("(max-width: 640px), (max-width: 1000px) and (max-height: 700px)");
small.onchange = () => ($("filters").open = !small.matches);
small.onchange();
// The same page in another tab.
window.onstorage = (event) => event.key === STORE && (load(), draw());
load();
fillFilters();
lay();
