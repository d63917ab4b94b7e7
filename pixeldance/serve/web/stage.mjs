// The stage: one clip in whatever state it is, from waiting to looping beside what the meter says of it.

import * as api from "./api.mjs";
import {$, clock, h, many, say, still} from "./dom.mjs";

export function stage({onagain, ongoon, onexample, onremoved, onchoose}) {
  const root = $("stage");
  let shown = null; // what the elements were made for: id, status
  let live = {}; // the elements that change while it is made

  function show(video, group) {
    const state = video ? `${video.id} ${video.status}` : "nothing";
    if (shown !== state) {
      shown = state;
      live = {};
      root.replaceChildren(video ? scene(video) : empty());
    }
    if (video) follow(video, group);
  }

  function empty() {
    return h("div", {class: "empty"},
      h("div", {class: "pair", "aria-hidden": "true"}, h("img", {src: "example-first.png", alt: ""}), "→", h("img", {src: "example-last.png", alt: ""})),
      h("h2", {}, "A text, a first frame, and where it ends"),
      h("p", {class: "note"}, "The clip starts on the first frame and moves as the text says. The last frame may be a rough drawing: it says where things end, not what every pixel is."),
      h("button", {type: "button", onclick: onexample}, "Fill in the example"));
  }

  function scene(video) {
    const screen = h("div", {class: "screen"});
    const [width, height] = video.size.split("x").map(Number);
    screen.style.setProperty("--aspect", `${width} / ${height}`);
    const about = h("div", {class: "about"},
      h("p", {class: "text"}, video.prompt),
      h("p", {class: "facts"}, facts(video)));
    const below = h("div", {class: "under"});
    if (video.status === "completed") finished(video, screen, about, below);
    else if (video.status === "failed") stopped(video, screen, about);
    else underWay(video, screen, about, below);
    live.strip = h("div", {class: "strip", role: "group", "aria-label": "The same with other ends", hidden: true});
    return h("div", {class: "whole"}, h("div", {class: "scene"}, h("div", {}, screen, below), about), live.strip);
  }

  function underWay(video, screen, about, below) {
    const waiting = video.status === "queued";
    live.screen = screen;
    live.words = h("p", {}, waiting ? "Waiting for its turn" : "Starting");
    screen.append(h("div", {class: "waiting"}, h("span", {class: "pulse"}), live.words));
    live.bar = h("progress", {max: 100, value: 0, "aria-label": "Steps done"});
    live.step = h("span", {}, waiting ? "Waiting" : "0 %");
    live.left = h("span", {});
    below.append(live.bar, h("div", {class: "facts"}, live.step, live.left));
    const stop = h("button", {type: "button", onclick: async () => { stop.disabled = true; await attempt(() => api.cancel(video.id)); onremoved(); }}, "Stop");
    about.append(h("div", {class: "row"}, stop));
  }

  function follow(video, group) {
    if (live.bar) {
      live.bar.value = video.progress;
      if (video.status === "in_progress") {
        live.step.textContent = `${video.progress} %`;
        live.left.textContent = clock(video.seconds_left);
        if (video.progress > 0) glimpse(video);
      }
    }
    strip(video, group);
  }

  // The newest estimate of the clip, once there is one; the old one stays until the new one is there.
  async function glimpse(video) {
    if (live.looking) return;
    live.looking = true;
    const mine = live;
    const image = new Image();
    image.src = `${video.files}preview.webp?${video.progress}`;
    image.alt = "What the clip looks like so far";
    image.className = "pixels";
    try {
      await image.decode();
      if (mine === live) live.screen.replaceChildren(image, h("span", {class: "tag"}, "so far"));
    } catch { /* there is none yet */ }
    mine.looking = false;
  }

  function finished(video, screen, about, below) {
    const film = h("video", {src: `${video.files}video.mp4`, loop: true, muted: true, autoplay: !still(), controls: true, playsInline: true, class: "pixels", "aria-label": video.prompt});
    const picture = h("img", {src: `${video.files}last_frame.png`, alt: video.prompt, class: "pixels"});
    screen.append(video.frames === 1 ? picture : film);
    live.readings = h("div", {class: "verdict-place"}, h("p", {class: "note"}, "Reading the meter"));
    about.append(live.readings);
    readings(video, live.readings);
    below.append(h("div", {class: "row"},
      h("a", {class: "button primary", href: `${video.files}video.mp4`, download: `${name(video)}.mp4`}, "Download"),
      h("a", {class: "button", href: `${video.files}receipt.json`, download: `${name(video)}.json`}, "Receipt"),
      h("button", {type: "button", onclick: () => onagain(video)}, "Use again"),
      h("button", {type: "button", onclick: () => ongoon(video)}, "Continue"),
      removal(video)));
  }

  function stopped(video, screen, about) {
    screen.append(h("div", {class: "wrong"}, h("h2", {}, video.cancelled ? "Stopped" : "This could not be made"),
      h("p", {}, video.cancelled ? "What was asked for is kept." : video.error.message)));
    about.append(h("div", {class: "row"}, h("button", {type: "button", class: "primary", onclick: () => onagain(video)}, "Use again"), removal(video)));
  }

  function removal(video) {
    const button = h("button", {type: "button", class: "quiet"}, "Delete");
    button.addEventListener("click", async () => {
      if (button.textContent === "Delete") { // asked for twice, not by a box that stops everything
        button.textContent = "Really delete?";
        setTimeout(() => { button.textContent = "Delete"; }, 4000);
        return;
      }
      await attempt(() => api.remove(video.id));
      say("Deleted");
      onremoved(video.id);
    });
    return button;
  }

  async function attempt(act) {
    try { await act(); } catch (error) { say(error.message); }
  }

  async function readings(video, place) {
    let read;
    try {
      read = await api.meter(video.id);
    } catch (error) {
      place.replaceChildren(h("p", {class: "note"}, error.message));
      return;
    }
    if (read.readings.length === 0) { place.replaceChildren(); return; }
    const faults = read.readings.filter((each) => each.fault);
    const rest = read.readings.filter((each) => !each.fault);
    const item = (each) => h("li", {class: each.fault ? "fault" : "", title: each.unit},
      h("span", {class: "says"}, each.says), h("span", {class: "value"}, each.value.toFixed(2), h("span", {class: "unseen"}, ` ${each.unit}`)),
      h("span", {class: "limit"}, each.limit.replace("at least", "≥").replace("at most", "≤")));
    place.replaceChildren(
      h("div", {class: "verdict"}, h("h2", {}, "Director's meter"),
        h("span", {class: `chip ${faults.length ? "bad" : "good"}`}, faults.length ? many(faults.length, "fault") : "no faults")),
      h("ul", {class: "readings"}, faults.map(item)),
      h("details", {open: faults.length === 0 && innerWidth > 800}, h("summary", {}, many(rest.length, "reading"), " in order"), h("ul", {class: "readings"}, rest.map(item))),
      read.unknown_words.length ? h("p", {class: "note"}, `The model does not know: ${read.unknown_words.join(", ")}`) : "");
  }

  // The five ends of one request, side by side.
  function strip(video, group) {
    live.strip.hidden = group.length < 2;
    if (group.length < 2) return;
    const state = group.map((each) => `${each.id}${each.status}`).join();
    if (live.stripState === state) {
      for (const each of group) live.bars?.[each.id]?.setAttribute("value", each.progress);
      return;
    }
    live.stripState = state;
    live.bars = {};
    live.strip.replaceChildren(...group.map((each) => {
      const small = h("div", {class: "small"});
      small.style.setProperty("--aspect", each.size.replace("x", " / "));
      if (each.status === "completed") small.append(h("video", {src: `${each.files}video.mp4`, loop: true, muted: true, autoplay: !still(), playsInline: true, class: "pixels"}));
      else if (each.status === "failed") small.append(each.cancelled ? "stopped" : "failed");
      else small.append(live.bars[each.id] = h("progress", {max: 100, value: each.progress, "aria-label": "Steps done"}));
      return h("button", {type: "button", "aria-pressed": String(each.id === video.id), onclick: () => onchoose(each.id)}, small, h("span", {}, `tau ${each.tau ?? 0}`));
    }));
  }

  return {show};
}

const facts = (video) => [
  `${video.size.replace("x", " × ")}`, `${video.seconds} s`, video.tau === null ? "" : `tau ${video.tau}`, `seed ${video.seed}`,
].filter(Boolean).join(" · ");

const name = (video) => `${video.prompt.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 40).replace(/^-|-$/g, "") || "clip"}-${video.seed}`;
