// Elements from values: h("p", {class: "note"}, "words"). Text is always text, so that no prompt can become markup.

export const $ = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// For people who listen: one polite line.
export function say(words) {
  $("said").textContent = words;
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1.5) return "about a second left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

// A radio group out of [value, label] pairs.
export function choices(place, name, pairs, onchange) {
  place.replaceChildren(
    ...pairs.map(([value, label]) =>
      h("label", {}, h("input", {type: "radio", name, value, onchange: () => onchange(value)}), h("span", {}, label))),
  );
}

// The tabs: arrow keys move between them, as the pattern for tabs has it.
export function tabs(list, onchange) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const show = (tab) => {
    for (const each of all) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", chosen);
      each.tabIndex = chosen ? 0 : -1;
      $(each.getAttribute("aria-controls")).hidden = !chosen;
    }
    onchange(tab.id);
  };
  for (const [index, tab] of all.entries()) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const way = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!way) return;
      const next = all[(index + way + all.length) % all.length];
      next.focus();
      show(next);
    });
  }
  return (id) => show($(id));
}
