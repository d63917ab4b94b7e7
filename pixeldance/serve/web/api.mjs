// The server: JSON in and out, a refusal as an Error with the server's own words, and the key where one is asked for.

import {$} from "./dom.mjs";

const KEY = "pixeldance-key";
let asking = null;

export async function call(path, {method = "GET", json, again = true} = {}) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {method, headers, body: json === undefined ? undefined : JSON.stringify(json)});
  if (answer.status === 401 && again) {
    await askKey();
    return call(path, {method, json, again: true});
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    const error = new Error(body?.error?.message ?? `the server answered ${answer.status}`);
    error.status = answer.status;
    error.param = body?.error?.param;
    throw error;
  }
  return body;
}

// Several calls may be refused at once; a person is asked once.
function askKey() {
  asking ??= new Promise((resolve) => {
    const dialog = $("ask-key");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEY, $("key").value.trim());
      asking = null;
      resolve();
    }, {once: true});
    $("key").value = "";
    dialog.showModal();
  });
  return asking;
}

export const model = async () => (await call("/v1/models")).data[0];
export const videos = (after) => call(`/v1/videos?limit=60${after ? `&after=${after}` : ""}`);
export const create = (fields) => call("/v1/videos", {method: "POST", json: fields});
export const cancel = (id) => call(`/v1/videos/${id}/cancel`, {method: "POST"});
export const remove = (id) => call(`/v1/videos/${id}`, {method: "DELETE"});
export const asked = (id) => call(`/v1/videos/${id}/request`);
export const meter = (id) => call(`/v1/videos/${id}/meter`);
export const films = () => call("/v1/films?limit=20");
export const filmPlan = (fields) => call("/v1/films/plan", {method: "POST", json: fields});
export const filmCreate = (fields) => call("/v1/films", {method: "POST", json: fields});
export const filmStory = (id) => call(`/v1/films/${id}/story`);
export const filmCancel = (id) => call(`/v1/films/${id}/cancel`, {method: "POST"});
