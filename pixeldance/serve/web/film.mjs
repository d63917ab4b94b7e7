// The film: shots on a line, one of them open to be changed. What a change does not touch is not made again: the server
// plans every state of the story and says which clips it has.

import * as api from "./api.mjs";
import {$, clock, h, many, say, still} from "./dom.mjs";
import {draw} from "./draw.mjs";
import {well} from "./picture.mjs";

const DRAFT = "pixeldance-film";
const PAUSE = 500; // milliseconds without a change, before the server is asked what it would take
const CAMERAS = ["pan left", "pan right", "pan up", "pan down", "zoom in", "zoom out", "close-up", "rotate", "circle", "follow", "static"];
const JOINS = {cut: "Cut", continue: "In one take", transition: "Changing over"};

const fresh = () => ({text: "", join: "cut", seconds: "", camera: "", tau: "", seed: "", first: null, last: null, thumb: null, of: null});
// thumb: its picture when it was last made; of: the film and the number there that it was last asked for as

export function film(model, onchange) {
  const root = $("film");
  let story = {style: "", seed: "0", shots: [fresh()]};
  let open = 0, plan = null, refused = "", films = [], current = null, timer = null, asking = 0, shownFilm = "";

  // --- what stays: the parts of the page, made once ---
  const screen = h("div", {class: "screen"});
  screen.style.setProperty("--aspect", `${model.sizes[0].width} / ${model.sizes[0].height}`);
  const bar = h("progress", {max: 100, value: 0, hidden: true, "aria-label": "Steps done"});
  const state = h("p", {class: "facts note"});
  const actions = h("div", {class: "row"});
  const summary = h("p", {class: "note"});
  const refusal = h("p", {class: "refusal", role: "alert"});
  const style = h("input", {id: "film-style", maxlength: "1000", placeholder: "on a plain beige background", oninput: () => { story.style = style.value; touched(); }});
  const seed = h("input", {id: "film-seed", inputmode: "numeric", oninput: () => { story.seed = seed.value; touched(); }});
  const render = h("button", {type: "button", class: "primary", onclick: make}, "Render the film");
  const line = h("ol", {class: "line", "aria-label": "Shots"});
  const editor = h("section", {class: "panel editor", "aria-label": "The open shot"});
  const earlier = h("ul", {class: "cards"});
  const none = h("p", {class: "note"}, "No films yet. Every version stays here, also after a restart.");
  root.replaceChildren(
    h("div", {class: "panel reel"},
      h("div", {}, screen, h("div", {class: "under"}, bar, state)),
      h("div", {class: "whole"},
        h("h2", {}, "The whole film"),
        h("label", {class: "field", for: "film-style"}, h("span", {}, "Every shot ends with these words"), style),
        h("label", {class: "field", for: "film-seed"}, h("span", {}, "Seed"), seed),
        summary, refusal, h("div", {class: "go"}, render), actions)),
    h("section", {"aria-label": "Timeline"}, line), editor,
    h("section", {class: "history", "aria-labelledby": "films-title"}, h("h2", {id: "films-title"}, "Films"), none, earlier));

  // --- the story, as the server takes it ---
  function told() {
    const pictures = {};
    const shots = story.shots.map((shot, index) => {
      const said = {text: shot.text.trim(), join: index ? shot.join : "cut"};
      if (shot.seconds !== "") said.seconds = Number(shot.seconds);
      if (shot.tau !== "") said.tau = Number(shot.tau);
      if (shot.seed !== "") said.seed = Number(shot.seed);
      if (shot.camera) said.camera = shot.camera;
      for (const end of ["first", "last"]) {
        if (!shot[end] || (end === "first" && said.join === "continue")) continue;
        said[end] = `shot-${index + 1}-${end}.png`;
        pictures[said[end]] = shot[end];
      }
      return said;
    });
    return {story: {style: story.style.trim(), seed: Number(story.seed) || 0, shots}, pictures};
  }

  function touched() {
    try { localStorage.setItem(DRAFT, JSON.stringify({story, current})); } catch { /* no more room for drafts */ }
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
    showLine();
  }

  async function ask() {
    const mine = ++asking;
    if (story.shots.some((shot) => !shot.text.trim())) {
      plan = null;
      refused = "";
      summary.textContent = "Every shot needs a text.";
    } else {
      try {
        const found = await api.filmPlan(told());
        if (mine !== asking) return;
        plan = found;
        refused = "";
        const length = `${many(plan.shots.length, "shot")}, ${+(plan.frames / plan.fps).toFixed(2)} s`;
        const time = plan.seconds ? `, ${clock(plan.seconds).replace(" left", "")}` : "";
        summary.textContent = plan.to_make ? `${length}; ${plan.to_make} of ${many(plan.clips, "clip")} to make${time}.` : `${length}; all ${many(plan.clips, "clip")} are there.`;
      } catch (error) {
        if (mine !== asking) return;
        plan = null;
        refused = error.message;
        summary.textContent = "";
      }
    }
    refusal.textContent = refused;
    showLine();
  }

  async function make() {
    render.disabled = true;
    try {
      const made = await api.filmCreate(told());
      current = made.id;
      films = [made, ...films];
      story.shots.forEach((shot, index) => { shot.of = {film: made.id, number: index + 1}; });
      refusal.textContent = "";
      say("The film waits for its turn");
      touched();
      onchange();
    } catch (error) {
      refusal.textContent = error.message;
    }
    render.disabled = false;
  }

  // --- the line ---
  const chosen = () => films.find((each) => each.id === current) ?? null;
  const underWay = (each) => each && (each.status === "queued" || each.status === "in_progress");

  function showLine() {
    const made = chosen();
    story.shots.forEach((shot) => {
      const {film: from, number} = shot.of ?? {};
      if (made && made.id === from && made.ready.includes(number)) shot.thumb = `${made.files}shot-${number}.webp`;
    });
    const items = story.shots.map((shot, index) => {
      const planned = plan?.shots[index];
      const there = planned?.to_make === 0;
      const picture = shot.thumb ?? shot.first;
      const stateOf = !planned ? "" : there ? "kept" : underWay(made) ? "to come" : "to make";
      const begin = planned ? `${+(planned.start / plan.fps).toFixed(1)} s` : "";
      return h("li", {}, h("button", {type: "button", class: "shot", "aria-current": String(index === open), "aria-label": `Shot ${index + 1}: ${shot.text || "no text yet"}`, onclick: () => openShot(index)},
        h("div", {class: "small"}, picture ? h("img", {src: picture, alt: "", class: there || !planned ? "pixels" : "pixels old"}) : String(index + 1),
          index && shot.join !== "cut" ? h("span", {class: "tag"}, shot.join === "continue" ? "one take" : "changes over") : null),
        h("span", {class: "words"}, shot.text || "No text yet"),
        h("span", {class: "chips"}, h("span", {}, begin), stateOf && h("span", {class: there ? "chip good" : "chip"}, stateOf))));
    });
    const focused = line.contains(document.activeElement) ? [...line.children].indexOf(document.activeElement.closest("li")) : -1;
    line.replaceChildren(...items, h("li", {}, h("button", {type: "button", class: "add", onclick: add}, "+ Shot")));
    line.children[focused]?.querySelector("button")?.focus();
  }

  function add() {
    story.shots.push({...fresh(), join: "continue"});
    openShot(story.shots.length - 1);
    touched();
    editor.querySelector("textarea").focus();
  }

  function openShot(index) {
    open = index;
    const film = screen.querySelector("video"), made = chosen();
    if (film && made?.shots[index]) film.currentTime = (made.shots[index].start + 0.5) / made.fps;
    showLine();
    showEditor();
  }

  // --- the open shot ---
  function showEditor() {
    const shot = story.shots[open], number = open + 1;
    const set = (name) => (event) => { shot[name] = event.target.value; touched(); };
    const text = h("textarea", {rows: "3", maxlength: "2000", placeholder: "a red star moves right", oninput: set("text")});
    text.value = shot.text;
    const select = (name, pairs, changed) => {
      const box = h("select", {onchange: (event) => { set(name)(event); changed?.(); }}, pairs.map(([value, words]) => h("option", {value}, words)));
      box.value = shot[name];
      return box;
    };
    const field = (words, control) => h("label", {class: "field"}, h("span", {}, words), control);
    const input = (name, placeholder, mode = "decimal") => { const box = h("input", {inputmode: mode, placeholder, oninput: set(name)}); box.value = shot[name]; return box; };
    const end = (name, label, hint) => {
      const place = well({label, hint, actions: [["Draw", async () => {
        const url = await draw({title: `${label} of shot ${number}`, over: place.get() ?? (name === "last" ? shot.first ?? shot.thumb : shot.thumb), size: model.sizes[0]});
        if (url) place.set(url);
      }, `Draw the ${label.toLowerCase()} of shot ${number}`]], onchange: () => { shot[name] = place.get(); touched(); }, onerror: (words) => { refusal.textContent = words; }});
      place.set(shot[name], true);
      return place.root;
    };
    const move = (way) => {
      const [taken] = story.shots.splice(open, 1);
      story.shots.splice(open + way, 0, taken);
      openShot(open + way);
      touched();
    };
    editor.replaceChildren(
      h("h2", {}, `Shot ${number}`, h("span", {class: "row"},
        h("button", {type: "button", disabled: open === 0, onclick: () => move(-1), "aria-label": "Move the shot to the left"}, "←"),
        h("button", {type: "button", disabled: open === story.shots.length - 1, onclick: () => move(1), "aria-label": "Move the shot to the right"}, "→"),
        h("button", {type: "button", class: "quiet", disabled: story.shots.length === 1, onclick: () => { story.shots.splice(open, 1); openShot(Math.min(open, story.shots.length - 1)); touched(); }}, "Remove"))),
      h("div", {class: "left"},
        field("What happens; THEN parts its beats", text),
        h("div", {class: "grid2"},
          open ? field("How it follows", select("join", Object.entries(JOINS), showEditor)) : null,
          field("Seconds", input("seconds", `one clip, ${+(model.frames[0] / model.fps).toFixed(2)}`)),
          field("Camera", select("camera", [["", "not said"], ...CAMERAS.map((each) => [each, each])])),
          field("tau", input("tau", "1")),
          field("Seed", input("seed", "from its text", "numeric")))),
      h("div", {class: "ends"},
        open && shot.join === "continue" ? h("div", {class: "end"}, h("h3", {}, "First frame"), h("div", {class: "well"}, h("p", {class: "note"}, "The frame before"))) : end("first", "First frame", "By itself: the text makes it"),
        h("span", {class: "arrow", "aria-hidden": "true"}, "→"),
        end("last", "Last frame", "By itself: open")));
  }

  // --- the film on the screen, and the earlier ones ---
  function showFilm() {
    const made = chosen();
    bar.hidden = !underWay(made);
    if (made) bar.value = made.progress;
    const now = made ? `${made.id} ${made.status}` : "none";
    if (underWay(made) && made.progress > 0) glimpse(made);
    if (made) {
      state.textContent = made.status === "queued" ? "Waiting for its turn"
        : made.status === "in_progress" ? [`${made.progress} %`, `${made.ready.length} of ${many(made.shots.length, "shot")}`, clock(made.seconds_left)].filter(Boolean).join(" · ")
        : made.status === "failed" ? "" : `${many(made.shots.length, "shot")} · ${made.width} × ${made.height} · ${+(made.frames / made.fps).toFixed(2)} s`;
    }
    if (now === shownFilm) return;
    const before = shownFilm;
    shownFilm = now;
    actions.replaceChildren();
    if (!made) {
      screen.replaceChildren(h("div", {class: "waiting"}, h("p", {}, "The film appears here")));
    } else if (made.status === "completed") {
      screen.replaceChildren(h("video", {src: `${made.files}video.mp4`, loop: true, muted: true, autoplay: !still(), controls: true, playsInline: true, class: "pixels", "aria-label": "The film"}));
      actions.replaceChildren(
        h("a", {class: "button", href: `${made.files}video.mp4`, download: "film.mp4"}, "Download"),
        h("a", {class: "button", href: `${made.files}receipt.json`, download: "film.json"}, "Receipt"));
      if (before.startsWith(made.id)) { say("The film is finished"); ask(); }
    } else if (made.status === "failed") {
      screen.replaceChildren(h("div", {class: "wrong"}, h("h2", {}, made.cancelled ? "Stopped" : "This could not be made"),
        h("p", {}, made.cancelled ? "The clips that were finished stay: rendering again goes on from there." : made.error.message)));
      ask();
    } else {
      if (made.status === "queued") screen.replaceChildren(h("div", {class: "waiting"}, h("span", {class: "pulse"}), h("p", {}, "Waiting for its turn")));
      actions.replaceChildren(h("button", {type: "button", onclick: async () => { await api.filmCancel(made.id).catch((error) => say(error.message)); onchange(); }}, "Stop"));
    }
  }

  let looking = false;
  async function glimpse(made) {
    if (looking) return;
    looking = true;
    const image = new Image();
    image.src = `${made.files}preview.webp?${made.progress}`;
    image.alt = "The clip being made, so far";
    image.className = "pixels";
    try {
      await image.decode();
      if (underWay(chosen())) screen.replaceChildren(image, h("span", {class: "tag"}, "so far"));
    } catch { /* there is none yet */ }
    looking = false;
  }

  let cardState = "";
  function showEarlier() {
    none.hidden = films.length > 0;
    const now = films.map((each) => `${each.id}${each.status}${each.id === current}`).join();
    if (now === cardState) return;
    cardState = now;
    earlier.replaceChildren(...films.map((each) => {
      const small = h("div", {class: "small"}, each.status === "completed" ? h("img", {src: `${each.files}thumbnail.webp`, alt: "", class: "pixels"}) : underWay(each) ? h("span", {class: "pulse"}) : "—");
      small.style.setProperty("--aspect", `${each.width} / ${each.height}`);
      const when = new Date(each.created_at * 1000).toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
      return h("li", {class: "card"}, h("button", {type: "button", "aria-current": String(each.id === current), onclick: () => take(each)}, small,
        h("span", {class: "words"}, many(each.shots.length, "shot"), ", ", when),
        h("span", {class: "chips"}, each.status === "failed" ? h("span", {class: each.cancelled ? "chip" : "chip bad"}, each.cancelled ? "stopped" : "failed") : underWay(each) ? h("span", {class: "chip busy"}, "rendering") : null)));
    }));
  }

  // An earlier film's story on the line, to be changed from there.
  async function take(made) {
    try {
      const {story: said, pictures} = await api.filmStory(made.id);
      current = made.id;
      open = 0;
      story = {
        style: said.style ?? "", seed: String(said.seed ?? 0),
        shots: said.shots.map((shot, index) => ({
          ...fresh(), text: shot.text, join: shot.join ?? "cut", camera: shot.camera ?? "", of: {film: made.id, number: index + 1},
          seconds: shot.seconds === undefined ? "" : String(shot.seconds), tau: shot.tau === undefined ? "" : String(shot.tau),
          seed: shot.seed === undefined ? "" : String(shot.seed), first: pictures[shot.first] ?? null, last: pictures[shot.last] ?? null,
        })),
      };
      showAll();
      touched();
      say("Its story is on the line");
    } catch (error) {
      refusal.textContent = error.message;
    }
  }

  function showAll() {
    [style.value, seed.value] = [story.style, story.seed];
    showLine();
    showEditor();
    showFilm();
    showEarlier();
  }

  async function look() {
    const before = chosen()?.ready.length;
    films = (await api.films()).data;
    const made = chosen();
    if (made && made.ready.length !== before) ask();
    showFilm();
    showEarlier();
  }

  try {
    const draft = JSON.parse(localStorage.getItem(DRAFT));
    if (draft?.story?.shots?.length) ({story, current} = draft);
  } catch { /* a draft that cannot be read is none */ }
  showAll();
  ask();
  return {look, busy: () => films.some(underWay)};
}
