// Images in buttons of the class `enlarge`: a click, or Enter, shows all images of the group large, with its rows.
const enlarged = document.getElementById("enlarged");
const partOf = (name) => document.getElementById(`enlarged-${name}`);
const groups = [...document.querySelectorAll(".group")].filter((group) => group.querySelector("button.enlarge"));
let currentGroup = 0;

// `row` is what the manifest says about the image.
function createFigure(button, row) {
  const small = button.querySelector("img"), figure = document.createElement("figure");
  const large = new Image(), caption = document.createElement("figcaption");
  large.src = small.src;
  large.alt = small.alt;
  caption.textContent = small.alt;
  figure.append(large, caption);
  if (row) {
    const copy = row.cloneNode(true);
    copy.hidden = false;
    figure.append(copy);
  }
  if (button.dataset.file) {
    // The file in the build has every pixel. The page works without it, as when it was copied elsewhere.
    const file = new Image();
    file.onload = () => (large.src = file.src);
    file.src = button.dataset.file;
  }
  return figure;
}

function showGroup(index) {
  currentGroup = index;
  const group = groups[index];
  const rows = group.querySelectorAll(".row");
  partOf("title").textContent = `${group.dataset.title} (${index + 1} of ${groups.length})`;
  partOf("images").replaceChildren(...[...group.querySelectorAll("button.enlarge")].map((button, i) => createFigure(button, rows[i])));
  partOf("previous").disabled = index === 0;
  partOf("next").disabled = index === groups.length - 1;
  if (!enlarged.open) enlarged.showModal();
  // A disabled button would swallow the keys.
  if (document.activeElement.disabled) partOf("close").focus();
  enlarged.scrollTop = 0;
}

const step = (by) => groups[currentGroup + by] && showGroup(currentGroup + by);
groups.forEach((group, index) => {
  for (const button of group.querySelectorAll("button.enlarge")) {
    button.setAttribute("aria-haspopup", "dialog");
    button.onclick = () => showGroup(index);
  }
});
partOf("previous").onclick = () => step(-1);
partOf("next").onclick = () => step(1);
partOf("close").onclick = () => enlarged.close();
enlarged.onkeydown = (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
};
// A click outside closes it; then the focus is on the image that was shown last.
enlarged.onclick = (event) => event.target === enlarged && enlarged.close();
enlarged.onclose = () => groups[currentGroup]?.querySelector("button.enlarge").focus();
