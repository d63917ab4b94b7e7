// The studio: what the server has is looked at again and again, and every part shows what is so now.

import * as api from "./api.mjs";
import {direction} from "./direction.mjs";
import {$, many, say, tabs} from "./dom.mjs";
import {film} from "./film.mjs";
import {history} from "./history.mjs";
import {stage} from "./stage.mjs";

const BUSY = 700, QUIET = 8000; // milliseconds between two looks

let videos = [], older = [], more = false, chosen = null, timer = null, looks = 0;
let theStage, theHistory, theFilm;

async function look() {
  clearTimeout(timer);
  const mine = ++looks;
  let waiting = QUIET;
  try {
    const page = await api.videos();
    if (mine !== looks) return; // a newer look is under way
    const known = new Map(videos.map((video) => [video.id, video.status]));
    videos = page.data;
    if (older.length === 0) more = page.has_more;
    for (const video of videos) tell(video, known.get(video.id));
    $("offline").hidden = true;
    await theFilm.look();
  } catch (error) {
    $("offline").hidden = error.status !== undefined;
    if (error.status !== undefined) say(error.message);
    waiting = 2000;
  }
  show();
  const busy = all().some(underWay) || theFilm.busy();
  timer = setTimeout(look, busy ? BUSY : waiting);
}

const underWay = (video) => video.status === "queued" || video.status === "in_progress";
const all = () => [...videos, ...older.filter((old) => !videos.some((video) => video.id === old.id))];

// Who listens hears how a clip ends; the one being watched is enough.
function tell(video, before) {
  if (before === undefined || before === video.status || video.id !== chosen) return;
  if (video.status === "completed") say("The clip is finished");
  if (video.status === "failed") say(video.cancelled ? "Stopped" : `This could not be made: ${video.error.message}`);
}

function show() {
  const list = all();
  const video = list.find((each) => each.id === chosen) ?? null;
  const group = video?.group ? list.filter((each) => each.group === video.group).sort((one, other) => (one.tau ?? 0) - (other.tau ?? 0)) : [];
  theStage.show(video, group);
  theHistory.show(list, chosen);
  $("older").hidden = !more;
  const running = list.filter((each) => each.status === "in_progress").length;
  const waiting = list.filter((each) => each.status === "queued").length;
  $("queue").textContent = running + waiting ? [running && `${running} rendering`, waiting && `${waiting} waiting`].filter(Boolean).join(", ") : list.length ? many(list.length, "clip") : "";
  document.title = running ? `${list.find((each) => each.status === "in_progress").progress} % – PixelDance studio` : "PixelDance studio";
}

function choose(id, move = true) {
  chosen = id;
  window.history.replaceState(null, "", id ? `#${id}` : "#");
  show();
  if (move && id) {
    $("stage").scrollIntoView({block: "nearest"});
    $("stage").focus({preventScroll: true});
  }
}

async function start() {
  let model;
  try {
    model = await api.model();
  } catch (error) {
    $("offline").hidden = false;
    if (error.status) $("offline").textContent = error.message;
    setTimeout(start, 2000);
    return;
  }
  $("offline").hidden = true;
  const form = direction(model, (made) => {
    videos = [...made.slice().reverse(), ...videos];
    choose(made[made.length - 1].id, innerWidth <= 800);
    say(made.length > 1 ? "Five clips wait for their turn" : "The clip waits for its turn");
    look();
  });
  theStage = stage({
    onagain: form.useAgain,
    ongoon: form.goOn,
    onexample: form.example,
    onchoose: (id) => choose(id, false),
    onremoved: (id) => {
      if (id) { videos = videos.filter((video) => video.id !== id); older = older.filter((video) => video.id !== id); choose(null, false); }
      look();
    },
  });
  theHistory = history(choose);
  theFilm = film(model, look);
  const show = tabs(document.querySelector("[role=tablist]"), (id) => { sessionStorage.setItem("pixeldance-tab", id); });
  show(sessionStorage.getItem("pixeldance-tab") ?? "tab-clip");
  $("older").addEventListener("click", async () => {
    const page = await api.videos(all().at(-1).id);
    older = [...older, ...page.data];
    more = page.has_more;
    look();
  });
  chosen = location.hash.startsWith("#video_") ? location.hash.slice(1) : null;
  await look();
  if (!all().some((video) => video.id === chosen)) choose(all()[0]?.id ?? null, false);
}

start();
