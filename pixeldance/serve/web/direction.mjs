// The direction: the text, the two frames, the dial and the settings; what is asked for, kept as a draft in the browser.

import * as api from "./api.mjs";
import {$, choices, h, say} from "./dom.mjs";
import {draw} from "./draw.mjs";
import {dropped, fetched, well} from "./picture.mjs";

const DRAFT = "pixeldance-draft";
const TAUS = [0, 0.25, 0.5, 0.75, 1];
const SAYS = {exact: "Exact", guide: "Guide", hint: "Hint"};
const FIELDS = ["prompt", "tau", "seed", "steps", "guidance", "frames", "size", "lora"];

export function direction(model, onasked) {
  const told = (words) => { $("refusal").textContent = words; };
  const first = well({label: "First frame", hint: "Drop or choose a picture, or let the text make it", actions: [["Draw", () => drawFirst()]], onchange: changed, onerror: told});
  const last = well({label: "Last frame", hint: "Draw where it ends, or drop a picture", actions: [["Draw", () => drawLast(), "Draw the last frame over the first"]], onchange: changed, onerror: told});
  $("ends").replaceChildren(first.root, h("span", {class: "arrow", "aria-hidden": "true"}, "→"), last.root);

  const size = () => {
    const [width, height] = $("size").value.split("x").map(Number);
    return {width, height};
  };
  async function drawFirst() {
    const url = await draw({title: "Draw the first frame", over: first.get(), size: size()});
    if (url) first.set(url);
  }
  async function drawLast() {
    const url = await draw({title: "Draw the last frame", over: last.get() ?? first.get(), size: size()});
    if (url) { last.set(url); say("The drawing is the last frame"); }
  }

  $("steps").placeholder = model.steps;
  $("guidance").placeholder = model.guidance_scale;
  $("frames").replaceChildren(...model.frames.map((count) => h("option", {value: String(count)}, count === 1 ? "1 (a picture)" : `${count} (${+(count / model.fps).toFixed(2)} s)`)));
  $("size").replaceChildren(...model.sizes.map(({width, height}) => h("option", {}, `${width}x${height}`)));
  $("lora").replaceChildren(h("option", {value: ""}, "none"), ...model.loras.map((name) => h("option", {}, name)));
  $("lora-field").hidden = model.loras.length === 0;
  const words = Object.entries(model.end).sort((one, other) => one[1] - other[1]);
  choices($("words"), "word", words.map(([word]) => [word, SAYS[word] ?? word]), (word) => { $("tau").value = model.end[word]; changed(); });
  $("words").hidden = words.length < 2;
  $("tau").addEventListener("input", changed);
  for (const name of FIELDS) $(name).addEventListener("change", changed);
  $("prompt").addEventListener("input", changed);

  // One look at the state after every change, so that nothing can be out of step.
  function changed() {
    const tau = Number($("tau").value), ends = Boolean(last.get()), picture = $("frames").value === "1";
    $("tau-shown").textContent = tau;
    $("dial").disabled = !ends;
    const named = words.find(([, value]) => Math.abs(value - tau) < 1e-6)?.[0];
    for (const input of document.querySelectorAll("input[name=word]")) input.checked = input.value === named;
    $("dial-note").textContent = !ends ? "Give a last frame to use this."
      : tau === 0 ? "The last frame is not looked at."
      : tau === 1 ? "It is followed to the very end of the way."
      : `It is followed for the first ${Math.round(tau * 100)} % of the way, then let go: a direction, not a copy.`;
    $("strip").disabled = !ends || picture;
    last.buttons[0].textContent = last.get() ? "Draw on it" : first.get() ? "Draw over the first" : "Draw";
    last.buttons[0].setAttribute("aria-label", last.get() ? "Draw on the last frame" : first.get() ? "Draw the last frame over the first" : "Draw the last frame");
    first.buttons[0].textContent = first.get() ? "Draw on it" : "Draw";
    first.buttons[0].setAttribute("aria-label", first.get() ? "Draw on the first frame" : "Draw the first frame");
    save();
  }

  function save() {
    try {
      const fields = Object.fromEntries(FIELDS.map((name) => [name, $(name).value]));
      localStorage.setItem(DRAFT, JSON.stringify({...fields, first: first.get(), last: last.get()}));
    } catch { /* the browser's room for it is used up; a draft is a convenience */ }
  }

  // Sets what a video was asked for with, or a draft; the seed too.
  function fill(fields) {
    for (const name of FIELDS) if (fields[name] !== undefined && fields[name] !== null) $(name).value = fields[name];
    if (fields.first !== undefined) first.set(fields.first, true);
    if (fields.last !== undefined) last.set(fields.last, true);
    changed();
  }

  const number = (name) => ($(name).value.trim() === "" ? undefined : Number($(name).value));
  function fields() {
    return {
      prompt: $("prompt").value.trim(),
      input_reference: first.get() ?? undefined,
      last_frame: last.get() ?? undefined,
      tau: last.get() ? Number($("tau").value) : undefined,
      seed: number("seed"),
      num_inference_steps: number("steps"),
      guidance_scale: number("guidance"),
      num_frames: Number($("frames").value),
      size: $("size").value,
      lora: $("lora").value || undefined,
    };
  }

  async function ask(all) {
    told("");
    if (!fields().prompt) {
      told("Say what happens: a text is what leads the clip.");
      $("prompt").focus();
      return;
    }
    for (const button of [$("render"), $("strip")]) button.disabled = true;
    try {
      const made = [];
      for (const each of all) made.push(await api.create({...fields(), ...each}));
      onasked(made);
    } catch (error) {
      told(error.message);
    } finally {
      $("render").disabled = false;
      changed();
    }
  }

  $("direction").addEventListener("submit", (event) => { event.preventDefault(); ask([{}]); });
  $("direction").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask([{}]); }
  });
  $("strip").addEventListener("click", () => {
    const seed = number("seed") ?? crypto.getRandomValues(new Uint32Array(1))[0];
    const group = `ends-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    ask(TAUS.map((tau) => ({tau, seed, group})));
  });
  document.addEventListener("paste", (event) => {
    const file = dropped(event.clipboardData);
    if (!file || $("clip").hidden || $("draw").open) return;
    event.preventDefault();
    (first.get() ? last : first).take(file);
  });

  async function useAgain(video) {
    try {
      const asked = await api.asked(video.id);
      fill({
        prompt: asked.prompt, first: asked.input_reference, last: asked.last_frame, tau: asked.last_frame ? asked.tau : 1, seed: String(asked.seed),
        steps: String(asked.num_inference_steps), guidance: String(asked.guidance_scale), frames: String(asked.num_frames),
        size: `${asked.width}x${asked.height}`, lora: asked.lora?.split(":")[0] ?? "",
      });
      $("prompt").focus();
      say("Its text, pictures and settings are in the form, with the same seed");
    } catch (error) {
      told(error.message);
    }
  }

  async function goOn(video) {
    try {
      fill({first: await fetched(`${video.files}last_frame.png`), last: null, seed: ""});
      $("prompt").focus();
      say("Its last frame is the first frame of the next clip");
    } catch (error) {
      told(error.message);
    }
  }

  async function example() {
    const [one, other] = await Promise.all([fetched("example-first.png"), fetched("example-last.png")]);
    fill({prompt: $("prompt").placeholder, first: one, last: other, tau: model.end.guide ?? 1});
    $("render").focus();
  }

  try {
    fill(JSON.parse(localStorage.getItem(DRAFT)) ?? {});
  } catch {
    fill({});
  }
  return {useAgain, goOn, example};
}
