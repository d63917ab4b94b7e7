// Pictures from files, the clipboard and addresses of our own, as data URLs that a request can carry; and the wells that
// hold them.

import {h, say} from "./dom.mjs";

const LARGEST = 1024; // pixels of the longer side: more than any model here takes

// Upright and at most LARGEST, as PNG. Throws for what the browser cannot read.
export async function toUrl(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Error("this is no picture that can be read; wanted a PNG, JPEG or WebP file");
  }
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

export async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error("this picture is not there any more");
  return toUrl(await answer.blob());
}

export async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// The picture in a drop or a paste, if there is one.
export const dropped = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));

// A place that holds one picture: click or keyboard chooses a file, and a file may be dropped or pasted on it.
export function well({label, hint, actions = [], onchange, onerror}) {
  let url = null;
  const input = h("input", {type: "file", accept: "image/png,image/jpeg,image/webp", "aria-label": `${label}: choose a file`});
  const place = h("div", {class: "well"}, input);
  const clear = h("button", {type: "button", class: "quiet", "aria-label": `Remove the ${label.toLowerCase()}`, onclick: () => set(null)}, "✕");
  const buttons = actions.map(([words, act, about]) => h("button", {type: "button", onclick: act, "aria-label": about}, words));
  const row = h("div", {class: "row"}, buttons, clear);
  const root = h("div", {class: "end"}, h("h3", {}, label), place, row);

  async function take(blob) {
    try {
      set(await toUrl(blob));
      say(`${label} is set`);
    } catch (error) {
      onerror(error.message);
    }
  }

  function set(next, quietly = false) {
    url = next;
    place.classList.toggle("full", Boolean(url));
    place.replaceChildren(url ? h("img", {src: url, alt: label, class: "pixels"}) : h("p", {class: "note"}, hint), input);
    clear.hidden = !url;
    row.hidden = buttons.length === 0 && !url;
    input.value = "";
    if (!quietly) onchange();
  }

  input.addEventListener("change", () => input.files[0] && take(input.files[0]));
  for (const kind of ["dragenter", "dragover"]) {
    place.addEventListener(kind, (event) => { event.preventDefault(); place.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) place.addEventListener(kind, () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = dropped(event.dataTransfer);
    if (file) take(file);
  });
  set(null, true);
  return {root, set, take, get: () => url, buttons};
}
