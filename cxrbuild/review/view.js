// The large image: fitted to its place or zoomed to every pixel of its file, with window and level.
const LEAST_ENLARGED = 3;
let zoom = 1, shiftX = 0, shiftY = 0, fitted = [1, 1];
let dragged = false;

const isFile = (i) => !embedded.length || $("large").dataset.file === String(i);
// An image below the size to which images are reduced has all its pixels.
const isFullSize = (i) => isFile(i) || Math.max(...images[i].size) < data.max_side;
const addressOf = (image) => {
  const names = image.file.split("/");
  // From another drive of Windows, C:/...
  const drive = /^[A-Za-z]:$/.test(names[0]) ? `file:///${names.shift()}/` : "";
  return drive + names.map(encodeURIComponent).join("/");
};

function drawLarge(i, image) {
  const large = $("large");
  large.onerror = () => {
    large.onerror = null;
    large.src = `data:image/webp;base64,${thumbnails[i]}`;
    showMessage(
      `The browser cannot show the image file ${image.file}; this is its thumbnail. ` +
        "Write the page again with --embed-images.",
    );
  };
  if (large.dataset.shown !== String(i)) {
    large.dataset.shown = i;
    large.src = embedded.length ? `data:image/webp;base64,${embedded[i]}` : addressOf(image);
  }
  large.onload = showScale;
  large.alt = image.path;
}

// The page embeds a reduced image. The file has every pixel, where the page can reach it.
function loadFullSize(i, image) {
  if (isFile(i)) return;
  const file = new Image();
  file.onload = () => {
    if (!shown.length || current() !== i || file.naturalWidth < $("large").naturalWidth) return;
    $("large").dataset.file = i;
    $("large").src = file.src;
    if (zoom === LEAST_ENLARGED) zoomTo(enlargedZoom(file.naturalWidth));
  };
  file.src = addressOf(image);
}

const enlargedZoom = (pixels) => Math.max(LEAST_ENLARGED, pixels / fitted[0]);

function resetView() {
  [zoom, shiftX, shiftY] = [1, 0, 0];
  $("frame").classList.remove("enlarged");
  $("window-width").value = 100;
  $("window-level").value = 50;
  drawWindow();
}

function fitLarge() {
  if (!shown.length || images[current()].problem) return;
  const [width, height] = images[current()].size, place = $("image"), frame = $("frame");
  const scale = Math.min((place.clientWidth - 4) / width, (place.clientHeight - 4) / height);
  fitted = [width * scale, height * scale];
  frame.style.width = `${fitted[0]}px`;
  frame.style.height = `${fitted[1]}px`;
  frame.style.flex = "none";
  placeFrame();
}

// The frame cannot be moved out of sight: its centre stays within the place.
function placeFrame() {
  const limit = (offset, size) => Math.max(size / 2 - size * zoom, Math.min(size / 2, offset));
  [shiftX, shiftY] = zoom === 1 ? [0, 0] : [limit(shiftX, fitted[0]), limit(shiftY, fitted[1])];
  $("frame").style.transform = zoom === 1 ? "" : `translate(${shiftX}px, ${shiftY}px) scale(${zoom})`;
  $("frame").classList.toggle("enlarged", zoom !== 1);
  showScale();
}

// Zoom so that a point of the fitted image, by default its centre, stays in place.
function zoomTo(wanted, x = fitted[0] / 2, y = fitted[1] / 2) {
  if (!shown.length || images[current()].problem) return;
  const next = Math.max(1, Math.min(16, wanted));
  shiftX += x * (zoom - next);
  shiftY += y * (zoom - next);
  zoom = next;
  placeFrame();
  if (zoom > 1) loadFullSize(current(), images[current()]);
}

function enlarge(event) {
  if (dragged) return;
  zoomTo(zoom > 1 ? 1 : enlargedZoom($("large").naturalWidth), event?.offsetX, event?.offsetY);
}

function pan(x, y) {
  shiftX += x;
  shiftY += y;
  placeFrame();
}

function showScale() {
  const large = $("large"), pixels = large.naturalWidth;
  if (!shown.length || !pixels) return void ($("scale").textContent = "");
  const percent = Math.round((100 * fitted[0] * zoom) / pixels);
  $("scale").textContent =
    `${percent} % of ${pixels.toLocaleString("en")} × ${large.naturalHeight.toLocaleString("en")} pixels` +
    (isFullSize(current()) ? "" : ", reduced");
}

// Window and level as radiology has them: the grey values that are spread from black to white, and their middle.
function drawWindow() {
  const width = $("window-width").value / 100, level = $("window-level").value / 100;
  const isWhole = width === 1 && level === 0.5;
  for (const channel of $("window").querySelectorAll("feFuncR, feFuncG, feFuncB")) {
    channel.setAttribute("slope", 1 / width);
    channel.setAttribute("intercept", 0.5 - level / width);
  }
  $("large").style.filter = isWhole ? "" : "url(#window)";
}

function stepWindow(id, by) {
  $(id).value = Number($(id).value) + by;
  drawWindow();
}

function listenToView() {
  const frame = $("frame");
  let start = null;
  frame.onclick = enlarge;
  frame.onpointerdown = (event) => {
    dragged = false;
    start = zoom > 1 ? [event.clientX - shiftX, event.clientY - shiftY] : null;
    if (start) frame.setPointerCapture(event.pointerId);
  };
  frame.onpointermove = (event) => {
    if (!start) return;
    const [x, y] = [event.clientX - start[0], event.clientY - start[1]];
    if (Math.abs(x - shiftX) + Math.abs(y - shiftY) > 4 || dragged) {
      dragged = true;
      [shiftX, shiftY] = [x, y];
      placeFrame();
    }
  };
  frame.onpointerup = frame.onpointercancel = () => (start = null);
  frame.onwheel = (event) => {
    event.preventDefault();
    zoomTo(zoom * (event.deltaY < 0 ? 1.25 : 0.8), event.offsetX, event.offsetY);
  };
  frame.ondragstart = (event) => event.preventDefault();
  for (const id of ["window-width", "window-level"]) $(id).oninput = drawWindow;
  $("window-reset").onclick = (event) => (resetView(), fitLarge(), event.target.blur());
}
