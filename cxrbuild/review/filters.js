// The filters of the page: which images are shown.
const UNREADABLE = "cannot be read";

function fillSelect(id, counted) {
  $(id).replaceChildren(
    new Option("all", ""),
    ...counted
      .filter(([, count]) => count)
      .map(([value, count]) => new Option(`${value} (${count.toLocaleString("en")})`, value)),
  );
}

function countValues(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts];
}

const proposedKinds = (image) => {
  if (image.problem) return [UNREADABLE];
  const kinds = new Set(image.proposals.map(([kind]) => kind));
  return kinds.size ? [...kinds] : ["none"];
};

const reviewedMark = (image) => image.review?.[0] ?? "not reviewed";

function fillFilters() {
  fillSelect("by-source", countValues(images.map((image) => image.source)));
  fillSelect("by-label", countValues(images.map((image) => image.label)));
  const kinds = new Map(countValues(images.flatMap(proposedKinds)));
  fillSelect("by-proposal", [...Object.keys(data.kinds), "none", UNREADABLE].map((kind) => [kind, kinds.get(kind)]));
  fillSelect("by-review", countValues(images.map(reviewedMark)).sort());
  const states = { "": "all", none: "not marked", any: "marked", differs: "differs from the review" };
  $("by-mine").replaceChildren(
    ...Object.entries(states).map(([value, text]) => new Option(text, value)),
    ...Object.keys(data.marks).map((mark) => new Option(mark, mark)),
  );
}

function passesFilters(image, i) {
  const wanted = (id) => $(id).value;
  const [mark, finding] = myReview(i) ?? [];
  const differs = () => mark && image.review && (mark !== image.review[0] || finding !== image.review[1]);
  return (
    (!wanted("by-source") || image.source === wanted("by-source")) &&
    (!wanted("by-label") || image.label === wanted("by-label")) &&
    (!wanted("by-proposal") || proposedKinds(image).includes(wanted("by-proposal"))) &&
    (!wanted("by-review") || reviewedMark(image) === wanted("by-review")) &&
    ({ "": true, none: !mark, any: !!mark, differs: differs() }[wanted("by-mine")] ?? mark === wanted("by-mine"))
  );
}

// Filters apply only when one is changed, so that an image stays in place while it is being marked.
function applyFilters() {
  const before = current();
  shown = images.map((_, i) => i).filter((i) => passesFilters(images[i], i));
  position = Math.max(0, shown.indexOf(before));
  $("sheet").scrollTop = 0;
  draw();
}

function describeReview(review) {
  if (!review) return "";
  const [mark, finding, note] = review;
  const text = mark === "unseen"
    ? "Marked unseen: nobody has judged this image, so --unreviewed shows it until it has another mark"
    : `Reviewed: ${mark}${finding === "yes" ? ", at a finding" : ""}`;
  return text + (note ? ` (${note})` : "");
}

// Why the dataset does not have an image that the page shows.
function describeExclusion(image) {
  if (!image.excluded) return "";
  const why = image.review && image.review[0] !== "unseen" ? "" : ", as nobody has judged it";
  return `Excluded by the rule ${image.excluded}${why}; without rules on reviews the dataset would have it`;
}

const describeState = (image) => [describeReview(image.review), describeExclusion(image)].filter(Boolean).join(". ");
