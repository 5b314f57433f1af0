"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const make = (name, text) => {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  };

  // ---- light and dark

  const root = document.documentElement, theme = byId("theme");
  const store = (value) => {
    try {
      if (value) localStorage.setItem("gpu-pack-theme", value);
      return localStorage.getItem("gpu-pack-theme");
    } catch {  // a page from a file may have no storage
      return null;
    }
  };
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  const kept = store();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    store(root.dataset.theme);
    showTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  showTheme();

  // ---- classes

  const classes = JSON.parse(byId("class-data").textContent);
  const splits = JSON.parse(byId("split-data").textContent);
  const body = byId("class-table").tBodies[0], all = byId("all"), search = byId("search"), order = byId("order");
  const largest = classes.reduce((most, row) => Math.max(most, row[2]), 1);
  const STEP = 50;
  let limit = STEP;
  const orders = {
    label: () => 0,
    most: (one, other) => other[2] - one[2],
    least: (one, other) => one[2] - other[2],
    name: (one, other) => one[1].localeCompare(other[1]),
  };

  const drawBar = (counts) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const set = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
    set(svg, {class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true"});
    let place = 0;
    counts.forEach((count, number) => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const width = 100 * count / largest;
      set(rect, {class: "c" + Math.min(number, 7), x: place, width, height: 10});
      place += width;
      svg.append(rect);
    });
    return svg;
  };
  const drawRow = ([label, name, count, counts]) => {
    const row = document.createElement("tr"), title = make("th", ""), drawn = document.createElement("td");
    const strip = byId("class-" + label);
    if (strip) {
      const link = make("a", name || label);
      link.href = "#class-" + label;
      title.append(link);
    } else {
      title.textContent = name;
    }
    title.scope = "row";
    const number = make("td", count.toLocaleString("en"));
    number.className = "number";
    if (splits.length > 1) number.title = splits.map((split, place) => `${split} ${counts[place]}`).join(", ");
    drawn.className = "drawn";
    drawn.append(drawBar(counts));
    row.append(make("td", label), title, number, drawn);
    return row;
  };
  const showClasses = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = classes.filter(([label, name]) => !wanted || label === wanted || name.toLowerCase().includes(wanted));
    found.sort(orders[order.value]);
    body.replaceChildren(...found.slice(0, limit).map(drawRow));
    all.hidden = found.length <= limit;
    byId("found").textContent = `${found.length.toLocaleString("en")} of ${classes.length.toLocaleString("en")}`;
  };
  byId("class-tools").hidden = false;
  search.addEventListener("input", () => { limit = STEP; showClasses(); });
  order.addEventListener("change", showClasses);
  all.addEventListener("click", () => { limit += 20 * STEP; showClasses(); });
  showClasses();

  // ---- pictures: one stop of the Tab key for each group, the arrow keys within it

  const dialog = byId("record"), facts = byId("record-facts"), picture = byId("record-picture");
  let opened = null;
  const NAMES = ["key", "class", "label", "path", "split", "file", "size"];
  const beside = (shot, step) => {
    const shots = [...shot.parentElement.children];
    return shots[shots.indexOf(shot) + step] || null;
  };
  const focusOn = (shot) => {
    for (const each of shot.parentElement.children) each.tabIndex = each === shot ? 0 : -1;
    shot.focus();
  };
  const openRecord = (shot) => {
    opened = shot;
    picture.src = shot.firstElementChild.src;
    picture.alt = shot.getAttribute("aria-label");
    facts.replaceChildren(...NAMES.filter((name) => shot.dataset[name]).flatMap(
      (name) => [make("dt", name), make("dd", shot.dataset[name])]));
    if (!dialog.open) dialog.showModal();
  };
  for (const group of document.querySelectorAll(".shots")) {
    [...group.children].forEach((shot, number) => { shot.tabIndex = number ? -1 : 0; });
  }
  document.addEventListener("click", (event) => {
    const shot = event.target.closest(".shot");
    if (shot) openRecord(shot);
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => opened && focusOn(opened));
  document.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const shot = dialog.open ? opened : event.target.closest && event.target.closest(".shot");
    const next = step && shot && beside(shot, step);
    if (!next) return;
    event.preventDefault();
    if (dialog.open) openRecord(next);
    else focusOn(next);
  });
})();
