// The history: a card for each clip, the newest first. Cards are changed in place, so that the focus stays where it is.

import {$, h, still} from "./dom.mjs";

export function history(onchoose) {
  const list = $("cards");
  const cards = new Map();

  function show(videos, chosen) {
    $("history-empty").hidden = videos.length > 0;
    const ids = new Set(videos.map((video) => video.id));
    for (const [id, card] of cards) if (!ids.has(id)) { card.root.remove(); cards.delete(id); }
    for (const [index, video] of videos.entries()) {
      let card = cards.get(video.id);
      if (!card) { card = fresh(video); cards.set(video.id, card); }
      if (list.children[index] !== card.root) list.insertBefore(card.root, list.children[index] ?? null);
      update(card, video, video.id === chosen);
    }
  }

  function fresh(video) {
    const small = h("div", {class: "small"});
    small.style.setProperty("--aspect", video.size.replace("x", " / "));
    const chips = h("span", {class: "chips"});
    const button = h("button", {type: "button", onclick: () => onchoose(video.id)}, small, h("span", {class: "words"}, video.prompt), chips);
    return {root: h("li", {class: "card"}, button), button, small, chips, state: ""};
  }

  function update(card, video, chosen) {
    card.button.setAttribute("aria-current", String(chosen));
    if (card.bar) card.bar.value = video.progress;
    if (card.state === video.status) return;
    card.state = video.status;
    card.bar = null;
    const chips = [];
    if (video.status === "completed") {
      card.small.replaceChildren(h("img", {src: `${video.files}thumbnail.webp`, alt: "", class: "pixels", loading: "lazy"}));
      if (!still()) moving(card, video);
    } else if (video.status === "failed") {
      card.small.replaceChildren("—");
      chips.push(h("span", {class: video.cancelled ? "chip" : "chip bad"}, video.cancelled ? "stopped" : "failed"));
    } else {
      card.small.replaceChildren(h("span", {class: "pulse"}));
      chips.push(h("span", {class: "chip busy"}, video.status === "queued" ? "waiting" : "rendering"));
      card.bar = h("progress", {max: 100, value: video.progress, "aria-label": "Steps done"});
    }
    if (video.tau !== null) chips.push(h("span", {class: "chip"}, `tau ${video.tau}`));
    card.chips.replaceChildren(...chips);
    card.button.querySelector("progress")?.remove();
    if (card.bar) card.button.append(card.bar);
  }

  // It plays while somebody points at it or has the focus on it.
  function moving(card, video) {
    const start = () => {
      if (card.small.querySelector("video")) return;
      card.small.replaceChildren(h("video", {src: `${video.files}video.mp4`, loop: true, muted: true, autoplay: true, playsInline: true, class: "pixels"}));
    };
    const end = () => card.small.replaceChildren(h("img", {src: `${video.files}thumbnail.webp`, alt: "", class: "pixels"}));
    for (const kind of ["pointerenter", "focus"]) card.button.addEventListener(kind, start);
    for (const kind of ["pointerleave", "blur"]) card.button.addEventListener(kind, end);
  }

  return {show};
}
