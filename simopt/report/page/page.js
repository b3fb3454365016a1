"use strict";
(() => {
  const look = document.getElementById("look").textContent;
  const { dark } = JSON.parse(look);
  const root = document.documentElement;
  const narrow = matchMedia("(max-width: 40rem)");
  const coarse = matchMedia("(pointer: coarse)");
  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches);
  const drawn = new Map();

  const recolored = (text) => JSON.parse(text, (key, value) => (
    isDark() && key.endsWith("color") ? dark[value] ?? value : value));
  const content = (place) => recolored(place.closest("figure").querySelector("script").textContent);

  const wrap = (text, width) => {
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines.length - 1;
      if (lines[last] && lines[last].length + word.length >= width) lines.push(word);
      else lines[last] += (lines[last] ? " " : "") + word;
    }
    return lines.join("<br>");
  };

  // Title and legend take lines of their own, so that the plot between them keeps its height.
  const fit = ({ data, layout }, width) => {
    const title = wrap(layout.title.text, Math.floor(width / 8));
    const titleLines = title.split("<br>").length;
    const below = narrow.matches;
    const longest = Math.max(1, ...data.map((trace) => trace.name.length));
    const entries = data.filter((trace) => trace.showlegend).length;
    const rows = Math.ceil(entries / Math.max(1, Math.floor(width / (longest * 7 + 60))));
    const inner = below ? 270 : 330;
    const top = 26 + 20 * titleLines;
    const bottom = below ? 62 + 22 * rows : 56;
    layout.title.text = title;
    layout.legend = below ? { orientation: "h", x: 0, y: -56 / inner, yanchor: "top" } : { x: 1.02, y: 1 };
    Object.assign(layout, { template: recolored(look).template, width, height: inner + top + bottom, margin: { l: 54, r: 16, t: top, b: bottom },
      dragmode: coarse.matches ? false : "zoom" });
    return layout;
  };

  const draw = (place) => {
    const { figure } = content(place);
    const width = place.clientWidth;
    drawn.set(place, width);
    Plotly.react(place, figure.data, fit(figure, width), {
      displaylogo: false, displayModeBar: narrow.matches ? false : "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        draw(target);
      }
    }
  }, { rootMargin: "400px" });
  document.querySelectorAll(".plot").forEach((place) => seen.observe(place));
  const stale = (places) => places.forEach((place) => {
    drawn.delete(place);
    seen.observe(place);
  });
  const redraw = () => stale([...drawn.keys()]);
  addEventListener("resize", () => stale([...drawn].filter(([place, width]) => place.clientWidth !== width)
    .map(([place]) => place)));

  const element = (name, text, parent) => {
    const made = parent.appendChild(document.createElement(name));
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const tabulate = (holder) => {
    const box = element("div", undefined, holder);
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", holder.querySelector("summary").textContent);
    for (const [caption, names, columns] of content(holder).tables) {
      const table = element("table", undefined, box);
      element("caption", caption, table);
      const head = element("tr", undefined, element("thead", undefined, table));
      names.forEach((name) => element("th", name, head).setAttribute("scope", "col"));
      const body = element("tbody", undefined, table);
      columns[0].forEach((_, row) => {
        const line = element("tr", undefined, body);
        columns.forEach((values) => { element("td", values[row] ?? "", line).className = "n"; });
      });
    }
  };
  document.querySelectorAll(".data").forEach((holder) => holder.addEventListener("toggle", () => {
    if (holder.open && !holder.querySelector("table")) tabulate(holder);
  }));

  const compare = (left, right) => {
    const numbers = [left, right].map((cell) => cell.dataset.value);
    if (!left.classList.contains("n")) return left.textContent.localeCompare(right.textContent, "en", { numeric: true });
    if (numbers.includes(undefined)) return null;
    return Number(numbers[0]) - Number(numbers[1]);
  };
  const sort = (table, head) => {
    const at = head.cellIndex;
    const rising = head.getAttribute("aria-sort") !== "ascending";
    const rows = [...table.tBodies[0].rows];
    rows.sort((one, other) => {
      const [left, right] = [one.cells[at], other.cells[at]];
      const by = compare(left, right);
      if (by === null) return Number(!("value" in left.dataset)) - Number(!("value" in right.dataset));
      return rising ? by : -by;
    });
    table.tBodies[0].append(...rows);
    table.querySelectorAll("th").forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const status = document.getElementById(`${table.id}-sorted`);
    status.textContent = `Sorted by ${head.textContent}, ${rising ? "ascending" : "descending"}`;
  };
  document.querySelectorAll(".sortable th").forEach((head) => {
    head.querySelector("button").addEventListener("click", () => sort(head.closest("table"), head));
  });

  const button = document.getElementById("theme");
  const name = () => {
    button.setAttribute("aria-pressed", String(isDark()));
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
    redraw();
  });
  darkSystem.addEventListener("change", () => { name(); redraw(); });
  narrow.addEventListener("change", redraw);
  name();

  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();
})();
