// The drawing board: a picture below, paint above it. The eraser brings the picture back; what is handed over is both.

import {$, choices, h, say} from "./dom.mjs";
import {loaded} from "./picture.mjs";

const SIDE = 512; // pixels of the board's longer side, or the next multiple of the model's below it
const MOST = 40; // strokes that can be undone
const COLOURS = [
  ["#d63c30", "red"], ["#e98a2b", "orange"], ["#f2cf3b", "yellow"], ["#3d9a50", "green"], ["#2f62c9", "blue"],
  ["#7d4bb8", "purple"], ["#e58fb4", "pink"], ["#8a5a34", "brown"], ["#ffffff", "white"], ["#1d1f23", "black"],
];

const dialog = $("draw"), under = $("under"), paint = $("paint"), pen = $("pen");
let done, past, future, at, down, last, busy;

// Shows the board over a picture, or over white; resolves to a data URL, or null where nothing is to be used.
export async function draw({title, over, size}) {
  const scale = Math.max(1, Math.floor(SIDE / Math.max(size.width, size.height)));
  for (const canvas of [under, paint]) {
    canvas.width = size.width * scale;
    canvas.height = size.height * scale;
  }
  const below = under.getContext("2d");
  below.imageSmoothingEnabled = false;
  below.fillStyle = "#ffffff";
  below.fillRect(0, 0, under.width, under.height);
  if (over) {
    const image = await loaded(over);
    const fit = Math.min(under.width / image.width, under.height / image.height);
    const [width, height] = [image.width * fit, image.height * fit];
    below.drawImage(image, (under.width - width) / 2, (under.height - height) / 2, width, height);
  }
  [past, future, at, down, last, busy] = [[], [], [under.width / 2, under.height / 2], false, null, false];
  $("draw-title").textContent = title;
  pen.hidden = true;
  history();
  dialog.showModal();
  paint.focus();
  return new Promise((resolve) => { done = resolve; });
}

const context = () => paint.getContext("2d", {willReadFrequently: true});
const tool = () => document.querySelector("input[name=tool]:checked").value;
const snapshot = () => context().getImageData(0, 0, paint.width, paint.height);

function history() {
  $("undo").disabled = past.length === 0;
  $("redo").disabled = future.length === 0;
  $("clear").disabled = past.length === 0;
}

function keep() {
  past.push(snapshot());
  if (past.length > MOST) past.shift();
  future = [];
  history();
}

function step(from, to) {
  if (!from.length) return;
  to.push(snapshot());
  context().putImageData(from.pop(), 0, 0);
  history();
}

function stroke(from, to) {
  const pencil = context();
  pencil.globalCompositeOperation = tool() === "eraser" ? "destination-out" : "source-over";
  pencil.strokeStyle = $("colour").value;
  pencil.lineWidth = Number($("width").value);
  pencil.lineCap = pencil.lineJoin = "round";
  pencil.beginPath();
  pencil.moveTo(...from);
  pencil.lineTo(to[0] + 0.01, to[1]);
  pencil.stroke();
}

function both() {
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [paint.width, paint.height];
  whole.getContext("2d").drawImage(under, 0, 0);
  whole.getContext("2d").drawImage(paint, 0, 0);
  return whole;
}

function pick([x, y]) {
  const [red, green, blue] = both().getContext("2d").getImageData(Math.round(x), Math.round(y), 1, 1).data;
  const hex = `#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  colour(hex);
  choose("brush");
  $("pen-said").textContent = `Picked ${hex}`;
}

function colour(hex) {
  $("colour").value = hex;
  for (const input of document.querySelectorAll("input[name=swatch]")) input.checked = input.value === hex;
  if (tool() !== "brush") choose("brush");
}

function choose(name) {
  document.querySelector(`input[name=tool][value=${name}]`).checked = true;
}

function place(event) {
  const box = paint.getBoundingClientRect();
  return [(event.clientX - box.left) * paint.width / box.width, (event.clientY - box.top) * paint.height / box.height];
}

function showPen() {
  const scale = paint.getBoundingClientRect().width / paint.width;
  const size = Math.max(6, Number($("width").value) * scale);
  pen.hidden = false;
  pen.style.left = `${at[0] * scale}px`;
  pen.style.top = `${at[1] * scale}px`;
  pen.style.width = pen.style.height = `${size}px`;
}

paint.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  paint.focus();
  at = place(event);
  if (tool() === "pick" || event.altKey) { pick(at); return; }
  paint.setPointerCapture(event.pointerId);
  keep();
  busy = true;
  last = at;
  stroke(last, last);
});
paint.addEventListener("pointermove", (event) => {
  at = place(event);
  showPen();
  if (!busy) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) {
    const next = place(each);
    stroke(last, next);
    last = next;
  }
});
for (const kind of ["pointerup", "pointercancel"]) paint.addEventListener(kind, () => { busy = false; });
paint.addEventListener("pointerleave", () => { if (document.activeElement !== paint || !down) pen.hidden = true; });

paint.addEventListener("keydown", (event) => {
  const far = event.shiftKey ? 64 : 12;
  const way = {ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far]}[event.key];
  if (way) {
    const next = [Math.min(paint.width, Math.max(0, at[0] + way[0])), Math.min(paint.height, Math.max(0, at[1] + way[1]))];
    if (down) stroke(at, next);
    at = next;
    showPen();
  } else if (event.key === " ") {
    if (tool() === "pick") pick(at);
    else {
      down = !down;
      if (down) { keep(); stroke(at, at); }
      $("pen-said").textContent = down ? "Pen down" : "Pen up";
    }
    showPen();
  } else return;
  event.preventDefault();
});

dialog.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=range], input[type=color]")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key === "z") {
    event.preventDefault();
    if (event.shiftKey) step(future, past); else step(past, future);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "b" || key === "e" || key === "i") choose({b: "brush", e: "eraser", i: "pick"}[key]);
  if (key === "[" || key === "]") width(Number($("width").value) + (key === "]" ? 8 : -8));
});

function width(value) {
  $("width").value = value;
  $("width-shown").textContent = $("width").value;
}

function end(url) {
  dialog.close();
  done?.(url);
  done = null;
}

choices($("swatches"), "swatch", COLOURS.map(([hex]) => [hex, ""]), colour);
for (const [index, input] of [...document.querySelectorAll("input[name=swatch]")].entries()) {
  input.setAttribute("aria-label", COLOURS[index][1]);
  input.nextElementSibling.style.background = input.value;
}
colour(COLOURS[0][0]);
$("colour").addEventListener("input", () => colour($("colour").value));
$("width").addEventListener("input", () => width($("width").value));
$("undo").addEventListener("click", () => step(past, future));
$("redo").addEventListener("click", () => step(future, past));
$("clear").addEventListener("click", () => { keep(); context().clearRect(0, 0, paint.width, paint.height); say("Cleared"); });
$("use").addEventListener("click", () => end(both().toDataURL("image/png")));
$("drop-drawing").addEventListener("click", () => end(null));
dialog.addEventListener("close", () => end(null));
