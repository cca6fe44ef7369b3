
"use strict";
// Moves, filters and opens what is there. It writes no markup and asks nothing: without it the page is all there.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const visible = (element) => element.checkVisibility();
  const cells = all("#cells > .cell");
  const filter = byId("filter");
  const help = byId("help");
  document.documentElement.classList.add("scripted");

  // What has the focus is brought into view below whatever sticks to the top.
  const go = (element) => {
    if (!element) return;
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
  };
  const step = (elements, by) => {
    const now = elements.findIndex((element) => element === document.activeElement);
    if (now >= 0) return go(elements[Math.min(Math.max(now + by, 0), elements.length - 1)]);
    // From elsewhere: the first after where the focus is, or the last before.
    const after = elements.findIndex((element) =>
      document.activeElement.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
    go(elements[by > 0 ? after : (after < 0 ? elements.length : after) - 1] || elements[0]);
  };
  const rows = () => all("#cells > .cell > summary, #cells > .cell[open] .op > summary").filter(visible);
  const findings = () => all("#cells > .cell:is(.bad, .warn) > summary").filter(visible);

  const links = () => all("#matrix td a").filter(visible);
  const toMatrix = () => { byId("matrix").scrollIntoView(); links()[0]?.focus({ preventScroll: true }); };
  const inMatrix = (key) => {
    const at = document.activeElement.closest("#matrix td");
    if (!at) return false;
    const table = at.closest("table");
    let [row, column] = [at.parentElement.rowIndex, at.cellIndex];
    const [down, across] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    for (;;) {
      row += down;
      column += across;
      const next = table.rows[row]?.cells[column];
      if (!next) return true;
      const link = next.querySelector("a");
      if (link && visible(link)) { go(link); return true; }
    }
  };

  // A link to a cell or an op opens what it is in.
  const open = () => {
    const target = /^#c\d+(-\w+)?$/.test(location.hash) && byId(location.hash.slice(1));
    if (!target) return;
    for (let at = target.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    const summary = target.closest("details").querySelector("summary");
    summary.scrollIntoView({ block: "start" });
    summary.focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  // A second click on the same link does not change the address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#c']");
    if (link && link.hash === location.hash) open();
  });

  const toggle = () => {
    const cell = document.activeElement.closest(".cell");
    if (!cell) return;
    const inner = all("details", cell);
    const opening = !cell.open || inner.some((one) => one.matches(".op") && !one.open);
    if (opening) cell.open = true;
    for (const one of inner) one.open = opening;
  };
  const close = () => {
    const at = document.activeElement.closest("details[open]");
    if (!at) return;
    at.open = false;
    go(at.querySelector("summary"));
  };

  // Every word has to stand somewhere in a cell.
  const texts = new Map();
  const textOf = (cell) => {
    if (!texts.has(cell)) texts.set(cell, cell.textContent.toLowerCase());
    return texts.get(cell);
  };
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    const matching = new Set();
    for (const cell of cells) {
      const fits = words.every((word) => textOf(cell).includes(word));
      cell.hidden = !fits;
      found += fits;
      if (fits) matching.add(cell.querySelector(".body").id);
    }
    for (const row of all("#matrix tbody tr")) {
      const links = all("td a", row);
      for (const link of links) link.parentElement.classList.toggle("dim", !matching.has(link.hash.slice(1)));
      row.hidden = words.length > 0 && !links.some((link) => matching.has(link.hash.slice(1)));
    }
    byId("found").textContent = words.length ? `${found} of ${cells.length} cells` : "";
  };
  let waiting;
  filter.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 80); });
  const clear = () => { filter.value = ""; apply(); filter.blur(); };

  byId("keys").addEventListener("click", () => help.showModal());
  const keys = {
    j: () => step(rows(), 1),
    k: () => step(rows(), -1),
    n: () => step(findings(), 1),
    p: () => step(findings(), -1),
    o: toggle,
    m: toMatrix,
    "/": () => { filter.focus(); filter.select(); },
    "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key === "Escape") return document.activeElement === filter || filter.value ? clear() : close();
    if (event.target.matches("input:not([type=checkbox])")) return;
    if (event.key.startsWith("Arrow")) {
      if (inMatrix(event.key)) event.preventDefault();
      return;
    }
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // On paper what needs a look is open, also where the style sheet cannot unfold anything.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = cells.filter((cell) => !cell.open && cell.matches(".bad, .warn"));
    for (const cell of folded) cell.open = true;
  });
  addEventListener("afterprint", () => { for (const cell of folded) cell.open = false; });

  open();
})();
