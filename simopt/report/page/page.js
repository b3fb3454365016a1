"use strict";
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const root = document.documentElement;
  const narrow = matchMedia("(max-width: 40rem)");
  const coarse = matchMedia("(pointer: coarse)");
  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  const probe = root.appendChild(document.createElement("i"));
  probe.hidden = true;
  const color = (name, alpha) => {
    probe.style.color = `var(--${name})`;
    const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
    return `rgba(${r},${g},${b},${alpha ?? 1})`;
  };

  const column = (spec, place) => spec.blocks[place[0]][2][place[1]];

  const trace = (spec, each) => {
    const ink = color(each.color);
    const x = column(spec, each.x);
    const y = column(spec, each.y);
    const made = { type: "scatter", name: each.name, x, y, showlegend: Boolean(each.legend), mode: each.mode ?? "lines" };
    if (each.group !== undefined) made.legendgroup = each.group;
    if (each.band) {
      const high = column(spec, each.band);
      return { ...made, x: [...x, ...x.toReversed()], y: [...y, ...high.toReversed()], fill: "toself",
        fillcolor: color(each.color, 0.22), line: { width: 0 }, hoverinfo: "skip" };
    }
    made.line = { color: ink, width: 1.6, dash: each.dash ?? "solid" };
    made.marker = { color: ink, size: 6, symbol: each.symbol ?? "circle" };
    if (each.fill) Object.assign(made, { fill: each.fill, fillcolor: color(each.color, 0.2) });
    if (each.error) made.error_y = { array: column(spec, each.error), color: ink, thickness: 1, width: 2 };
    if (each.range) {
      const [low, high] = each.range.map((place) => column(spec, place));
      const known = (value, at, way) => (value === null ? 0 : way * (value - y[at]));
      made.error_y = { symmetric: false, array: high.map((value, at) => known(value, at, 1)),
        arrayminus: low.map((value, at) => known(value, at, -1)), color: ink, thickness: 1, width: 2 };
    }
    return made;
  };

  const wrap = (text, width) => {
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines.length - 1;
      if (lines[last] && lines[last].length + word.length >= width) lines.push(word);
      else lines[last] += (lines[last] ? " " : "") + word;
    }
    return lines.join("<br>");
  };

  const wide = (spec) => {
    const known = spec.traces.flatMap((each) => column(spec, each.x)).filter((value) => value > 0);
    const [least, largest] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, 0]);
    return largest >= 100 * least;
  };

  const layout = (spec, width) => {
    const ink = color("ink");
    const grid = color("line");
    const title = wrap(spec.title, Math.floor(width / 8));
    const titleLines = title.split("<br>").length;
    const entries = spec.traces.filter((each) => each.legend).length;
    const below = narrow.matches;
    const longest = Math.max(1, ...spec.traces.map((each) => each.name.length));
    const rows = Math.ceil(entries / Math.max(1, Math.floor(width / (longest * 7 + 60))));
    const inner = below ? 270 : 330;
    const top = 26 + 20 * titleLines;
    const bottom = below ? 62 + 22 * rows : 56;
    const axis = (label, range, log) => ({
      title: { text: label, standoff: 8 }, color: ink, gridcolor: grid, zerolinecolor: grid, automargin: true,
      type: log ? "log" : "linear", exponentformat: "power", ...(log && wide(spec) ? { dtick: 1 } : {}), ...(range ? { range } : {}),
    });
    const line = (axisName, at) => ({ type: "line", [`${axisName}0`]: at, [`${axisName}1`]: at,
      ...(axisName === "x" ? { yref: "paper", y0: 0, y1: 1 } : { xref: "paper", x0: 0, x1: 1 }),
      line: { color: color("quiet"), width: 1, dash: "dot" } });
    return {
      title: { text: title, font: { size: 14 }, x: 0.02, xanchor: "left", y: 1, yanchor: "top", pad: { t: 12 },
        yref: "container" },
      paper_bgcolor: color("paper"), plot_bgcolor: color("paper"), font: { color: ink, size: 12 },
      xaxis: axis(spec.xlabel, spec.ranges.x, spec.xlog), yaxis: axis(spec.ylabel, spec.ranges.y, false),
      margin: { l: 54, r: 16, t: top, b: bottom }, width, height: inner + top + bottom,
      legend: below ? { orientation: "h", x: 0, y: -56 / inner, yanchor: "top" } : { x: 1.02, y: 1 },
      shapes: ["x", "y"].flatMap((name) => (spec.guides[name] ?? []).map((at) => line(name, at))),
      hovermode: "closest", dragmode: coarse.matches ? false : "zoom",
    };
  };

  const draw = (place) => {
    const spec = plots[Number(place.id.slice("plot-".length))];
    const width = place.clientWidth;
    drawn.set(place, width);
    Plotly.react(place, spec.traces.map((each) => trace(spec, each)), layout(spec, width), {
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
    for (const [caption, names, columns] of plots[Number(holder.id.slice("data-".length))].blocks) {
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
    table.querySelectorAll("th").forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const told = document.getElementById(`${table.id}-sorted`);
    told.textContent = `Sorted by ${head.textContent}, ${rising ? "ascending" : "descending"}`;
  };
  document.querySelectorAll(".sortable th").forEach((head) => {
    head.querySelector("button").addEventListener("click", () => sort(head.closest("table"), head));
  });

  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches);
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
