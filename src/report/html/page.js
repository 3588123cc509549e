"use strict";
// Sorting, filtering and copying, for those who let it run; the page is whole without it. Texts are only ever moved or
// set as text: nothing in the page is read as markup.
(() => {
  const said = document.getElementById("said");
  const make = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };
  const value = (row, at, isNumber) => {
    const cell = row.cells[at];
    const raw = cell.dataset.v;
    return raw !== undefined || isNumber ? Number(raw ?? cell.textContent) : cell.textContent.trim().toLowerCase();
  };
  const order = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
  const isBlank = (value) => value === "" || value === "\u2013";

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const button = make("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rows = [...body.rows].map((row) => [value(row, at, head.classList.contains("n")), row]);
        const startsDown = rows.length > 0 && typeof rows[0][0] === "number";
        const was = head.getAttribute("aria-sort");
        const down = was ? was === "ascending" : startsDown;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        // Cells without a word stand last, whichever way.
        rows.sort(([a], [b]) => isBlank(a) - isBlank(b) || (down ? order(b, a) : order(a, b)));
        body.append(...rows.map(([, row]) => row));
        said.textContent = `sorted by ${button.textContent}, ${down ? "descending" : "ascending"}`;
      });
    });
  }

  for (const list of document.querySelectorAll(".filterable")) {
    const items = list.tBodies ? [...list.tBodies[0].rows] : [...list.children];
    if (items.length < 6) continue;
    const texts = items.map((item) => item.textContent.toLowerCase());
    const box = make("label", "filter", "Filter ");
    const input = make("input");
    input.type = "search";
    input.placeholder = "words, all of which must occur";
    input.setAttribute("aria-label", `Filter: ${list.caption ? list.caption.textContent : list.dataset.what}`);
    const shown = make("span");
    box.append(input, shown);
    (list.closest(".tall") ?? list).before(box);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      items.forEach((item, at) => {
        item.hidden = !words.every((word) => texts[at].includes(word));
        count += item.hidden ? 0 : 1;
      });
      shown.textContent = words.length ? `${count} of ${items.length} ${list.dataset.what} here` : "";
      said.textContent = shown.textContent;
    });
  }

  if (navigator.clipboard) {
    for (const text of document.querySelectorAll("[data-copy]")) {
      const words = (of) => of.textContent.trim().split(/\s+/);
      const lines = [...text.querySelectorAll("[data-line]")].map((line) => words(line).join(" "));
      const copied = (lines.length ? lines : words(text)).join("\n");
      const button = make("button", "copy", "Copy");
      button.type = "button";
      button.setAttribute("aria-label", `Copy the ${text.dataset.copy}`);
      button.addEventListener("click", () =>
        navigator.clipboard.writeText(copied).then(
          () => (said.textContent = button.textContent = "Copied"),
          () => (said.textContent = button.textContent = "Not allowed"),
        ),
      );
      text.prepend(button);
    }
  }

  // What is folded away is printed too, where the style sheet alone cannot do it.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = CSS.supports("selector(::details-content)") ? [] : [...document.querySelectorAll("details:not([open])")];
    opened.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((one) => (one.open = false)));
})();
