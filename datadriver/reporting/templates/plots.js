/* Draws the plots of a page with uPlot from the JSON in #plots: one shared time axis, one cursor, keyboard, print.
   Texts come from JSON as text nodes only; nothing here makes HTML out of data. */
"use strict";
(() => {
  const holder = document.getElementById("plots");
  if (!holder || typeof uPlot === "undefined") return;
  const doc = JSON.parse(holder.textContent);
  const isTime = doc.index === "time";
  const GAP = 65535, BRIDGE = 65534, LEFT = 58, RIGHT = 22, PRINT_WIDTH = 660;

  // ---- data: 16 bits a value; null is a gap, undefined a step that the series usually has no value for
  const unpack = (packed) => {
    const bytes = Uint8Array.from(atob(packed.d), (one) => one.charCodeAt(0));
    const codes = new Uint16Array(bytes.length / 2);
    for (let i = 0; i < codes.length; i++) codes[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    return Array.from(codes, (code) => (code === GAP ? null : code === BRIDGE ? undefined : packed.o + code * packed.s));
  };
  const instants = (x) => (x.at ? x.at : Array.from({ length: x.size }, (_, i) => x.start + i * x.step));

  // ---- words
  const times = new Intl.DateTimeFormat("sv-SE", {
    timeZone: doc.zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  });
  const when = (at) => (isTime ? `${times.format(new Date(at * 1000))} ${doc.zone}` : `step ${at.toLocaleString("en")}`);
  const figure = (value) => {
    if (value === null || value === undefined) return "no value";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
    return String(Number(value.toPrecision(size >= 1000 ? Math.ceil(Math.log10(size + 1)) : 4)));
  };
  const said = (plot, index) => {
    const value = (column) => plot.columns[column][index];
    const parts = plot.lines.map((line) => `${line.label} ${figure(value(line.column))}`.trim());
    const band = plot.lines.find((line) => line.low !== undefined);
    if (band && value(band.low) != null) parts.push(`${figure(value(band.low))} to ${figure(value(band.high))}`);
    const known = plot.lines.some((line) => value(line.column) != null);
    return parts.join(", ") + (known && plot.unit ? (plot.unit.startsWith("%") ? plot.unit : ` ${plot.unit}`) : "");
  };

  // ---- colours: from the style sheet, anew when the scheme changes
  let colours = {};
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const get = (name, other) => style.getPropertyValue(name).trim() || other;
    colours = {
      tones: [1, 2, 3, 4, 5, 6].map((one) => get(`--plot-${one}`, "#2563a8")), band: get("--plot-band", "#2563a833"),
      grid: get("--plot-grid", "#8883"), text: get("--muted", "#555"), limit: get("--plot-limit", "#b3261e"),
      beyond: get("--plot-beyond", "#b3261e14"), alarm: get("--plot-alarm", "#b3261e40"), silent: get("--plot-silent", "#57458a1f"),
      event: get("--plot-event", "#6b3fa0"), work: get("--plot-work", "#00796b"), range: get("--plot-range", "#888"),
    };
  };
  const tone = (line) => line.limit ? colours.limit : colours.tones[line.tone % colours.tones.length];
  const DASHES = [undefined, [6, 3], [2, 2], [8, 3, 2, 3]];
  readColours();

  // ---- what uPlot does not draw by itself: limits, alarms, events
  const clipped = (u, draw) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx, bbox, devicePixelRatio);
    ctx.restore();
  };
  const across = (u, at) => u.valToPos(at, "x", true);
  const behind = (plot) => (u) => clipped(u, (ctx, box, scale) => {
    ctx.fillStyle = colours.silent;
    for (const [from, to] of doc.silent) ctx.fillRect(across(u, from), box.top, across(u, to) - across(u, from), box.height);
    for (const [from, to] of plot.alarms || []) {
      const left = across(u, from), width = Math.max(across(u, to) - left, 2 * scale);
      ctx.fillStyle = colours.alarm;
      ctx.fillRect(left, box.top, width, box.height);
      ctx.fillStyle = colours.limit;
      ctx.fillRect(left, box.top, width, 4 * scale);
    }
    for (const limit of plot.limits || []) {
      const y = u.valToPos(limit.at, "y", true);
      if (!limit.soft) {
        ctx.fillStyle = colours.beyond;
        if (limit.side === "above") ctx.fillRect(box.left, box.top, box.width, y - box.top);
        else ctx.fillRect(box.left, y, box.width, box.top + box.height - y);
      }
      ctx.strokeStyle = limit.soft ? colours.range : colours.limit;
      ctx.lineWidth = 1.2 * scale;
      ctx.setLineDash(limit.soft ? [2 * scale, 3 * scale] : [6 * scale, 4 * scale]);
      ctx.beginPath();
      ctx.moveTo(box.left, y);
      ctx.lineTo(box.left + box.width, y);
      ctx.stroke();
    }
  });
  const inFront = (u) => clipped(u, (ctx, box, scale) => {
    for (const event of doc.events) {
      const x = Math.round(across(u, event.at)) + 0.5;
      if (x < box.left - 6 * scale || x > box.left + box.width + 6 * scale) continue;
      const size = 4.5 * scale, top = box.top + size + 1;
      ctx.strokeStyle = ctx.fillStyle = event.grave ? colours.event : colours.work;
      ctx.lineWidth = 1.4 * scale;
      ctx.setLineDash(event.grave ? [] : [3 * scale, 3 * scale]);
      ctx.beginPath();
      ctx.moveTo(x, box.top);
      ctx.lineTo(x, box.top + box.height);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.beginPath();
      if (event.grave) { // a triangle for what failed, a diamond for what was done
        ctx.moveTo(x - size, top - size); ctx.lineTo(x + size, top - size); ctx.lineTo(x, top + size);
      } else {
        ctx.moveTo(x, top - size); ctx.lineTo(x + size, top); ctx.lineTo(x, top + size); ctx.lineTo(x - size, top);
      }
      ctx.closePath();
      ctx.fill();
    }
  });
  const alone = (u, series) => { // values without a neighbour make no line: draw them as points
    const values = u.data[series], found = [];
    const near = (i, step) => {
      for (let k = i + step; k >= 0 && k < values.length; k += step) if (values[k] !== undefined) return values[k];
      return null;
    };
    for (let i = 0; i < values.length; i++)
      if (values[i] != null && near(i, -1) === null && near(i, 1) === null) found.push(i);
    return found;
  };

  // ---- one plot
  const plots = [];
  const span = (plot) => (u, low, high) => {
    const shown = (plot.limits || []).filter((limit) => limit.near).map((limit) => limit.at);
    if (plot.zero) shown.push(0);
    const least = Math.min(...shown, low ?? Infinity), most = Math.max(...shown, high ?? -Infinity);
    if (!isFinite(least) || !isFinite(most)) return [0, 1];
    const room = (most - least) * 0.08 || Math.abs(most) * 0.05 || 1;
    return [plot.zero && least === 0 ? 0 : least - room, most + room];
  };
  const seriesOf = (plot) => {
    const series = [{}];
    plot.columns.slice(1).forEach((_, i) => {
      const column = i + 1, line = plot.lines.find((one) => one.column === column);
      const edge = plot.lines.some((one) => one.low === column || one.high === column);
      const stroke = () => (edge ? "transparent" : tone(line));
      const dash = edge ? undefined : line.limit ? [6, 4] : DASHES[line.tone % 4];
      const points = edge || line.limit ? { show: false } : { show: true, size: 4, stroke, fill: stroke, filter: alone };
      if (plot.stepped && !edge)
        series.push({ stroke, width: line.limit ? 1.2 : 1.6, dash, points: { ...points, size: 5, filter: null }, paths: uPlot.paths.linear() });
      else series.push({ stroke, width: edge ? 0 : 1.4, dash, points });
    });
    return series;
  };
  const dot = (plot, column) => { // the cursor's point on a line; the edges of a band have none
    if (!plot.lines.some((line) => line.column === column)) return false;
    const made = document.createElement("div");
    Object.assign(made.style, { width: "7px", height: "7px", marginLeft: "-3.5px", marginTop: "-3.5px" });
    return made;
  };
  const options = (plot, width) => ({
    width, height: plot.height || 124, legend: { show: false },
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), doc.zone === "UTC" ? "Etc/UTC" : doc.zone),
    cursor: {
      y: false, drag: { x: true, y: false, setScale: false }, sync: { key: "page", setSeries: false, scales: ["x", null] },
      points: { show: (u, i) => dot(plot, i), size: 7, width: 0,
                fill: (u, i) => tone(plot.lines.find((line) => line.column === i) || plot.lines[0]) },
      bind: { dblclick: () => () => zoom(null) },
    },
    padding: [8, RIGHT, 0, 0],
    scales: { x: { time: isTime, range: (u, low, high) => [low, high] }, y: { range: span(plot) } },
    series: seriesOf(plot),
    bands: plot.lines.filter((line) => line.low !== undefined)
      .map((line) => ({ series: [line.high, line.low], fill: () => colours.band })),
    axes: [
      { stroke: () => colours.text, grid: { stroke: () => colours.grid, width: 1 }, ticks: { stroke: () => colours.grid, width: 1, size: 4 },
        font: "11px system-ui, sans-serif", size: 26, gap: 3, space: 70,
        ...(isTime ? { values: clockFaces } : { values: (u, ticks) => ticks.map((at) => at.toLocaleString("en")) }) },
      { stroke: () => colours.text, grid: { stroke: () => colours.grid, width: 1 }, ticks: { show: false },
        font: "11px system-ui, sans-serif", size: LEFT, gap: 6, space: 26,
        values: (u, ticks) => ticks.map((value) => figure(value)) },
    ],
    hooks: {
      drawClear: [behind(plot)], draw: [inFront],
      setCursor: [(u) => tell(plot, u)],
      setSelect: [(u) => {
        if (u.select.width < 5) return;
        const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        zoom([from, to]);
      }],
    },
  });
  const parts = isTime && new Intl.DateTimeFormat("en-GB", {
    timeZone: doc.zone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  const clockFaces = (u, ticks) => { // days as "4 Apr", hours between them; the year where it begins
    let day = "", year = "";
    return ticks.map((at) => {
      const now = Object.fromEntries(parts.formatToParts(new Date(at * 1000)).map((one) => [one.type, one.value]));
      const date = `${now.day} ${now.month}`, first = date !== day;
      const text = first ? (year && now.year !== year ? `${date} ${now.year}` : date) : `${now.hour}:${now.minute}`;
      [day, year] = [date, now.year];
      return text;
    });
  };

  // ---- the shared axis
  let shown = null; // [from, to], or null for all
  const zoom = (range) => {
    if (range && range[1] - range[0] < 1e-9) return;
    shown = range && [Math.max(range[0], doc.range[0]), Math.min(range[1], doc.range[1])];
    for (const plot of plots) if (plot.u) plot.u.setScale("x", { min: (shown || doc.range)[0], max: (shown || doc.range)[1] });
    const reset = document.querySelector("[data-plot-reset]");
    if (reset) reset.disabled = !shown;
    const state = document.querySelector("[data-plot-range]");
    if (state) state.textContent = `${when((shown || doc.range)[0])} to ${when((shown || doc.range)[1])}`;
  };
  const eventsNear = (at, width) => doc.events.filter((event) => Math.abs(event.at - at) < width).map((event) => event.text);
  const tell = (plot, u) => {
    const index = u.cursor.idx, quiet = index === null || index === undefined || u.cursor.left < 0;
    if (quiet) { plot.read.textContent = ""; return; }
    const at = plot.columns[0][index], axis = u.scales.x;
    const near = eventsNear(at, (axis.max - axis.min) / 150);
    const step = doc.grids[plot.grid].step;
    const instant = plot.stepped ? `window to ${when(at + step / 2)}` : when(at);
    plot.read.textContent = `${instant}: ${said(plot, index)}${near.length ? " · " + near.join(" · ") : ""}`;
    plot.box.setAttribute("aria-valuenow", String(index));
    plot.box.setAttribute("aria-valuetext", plot.read.textContent);
  };
  const keys = (plot) => (event) => {
    const u = plot.u, count = plot.columns[0].length;
    const jump = { ArrowLeft: -1, ArrowRight: 1, PageDown: -Math.ceil(count / 20), PageUp: Math.ceil(count / 20) }[event.key];
    let index = u.cursor.idx ?? count - 1;
    if (jump) index += u.cursor.left < 0 ? 0 : jump;
    else if (event.key === "Home") index = 0;
    else if (event.key === "End") index = count - 1;
    else if (event.key === "+" || event.key === "-") {
      const [from, to] = shown || doc.range, at = plot.columns[0][index], half = (to - from) * (event.key === "+" ? 0.25 : 1);
      zoom(event.key === "-" && half * 2 >= doc.range[1] - doc.range[0] ? null : [at - half, at + half]);
    } else if (event.key === "Escape") { zoom(null); u.setCursor({ left: -10, top: -10 }); return; }
    else return;
    event.preventDefault();
    index = Math.min(Math.max(index, 0), count - 1);
    const at = plot.columns[0][index];
    if (at < u.scales.x.min || at > u.scales.x.max) {
      const half = (u.scales.x.max - u.scales.x.min) / 2;
      zoom([at - half, at + half]);
    }
    u.setCursor({ left: u.valToPos(at, "x"), top: u.over.clientHeight / 2 });
  };
  const add = (parent, tag, text, attributes = {}) => {
    const made = parent.appendChild(document.createElement(tag));
    if (text) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const offerTable = (plot, figureBox) => {
    const details = add(figureBox, "details", "", { class: "screen" });
    add(add(details, "summary", "Table"), "span", ` of ${plot.label}`, { class: "hidden" });
    const place = add(details, "div", "", { class: "scroll sheet", tabindex: 0, role: "region", "aria-label": `Values of ${plot.label}` });
    details.addEventListener("toggle", () => { if (details.open && !place.firstChild) fillTable(plot, place); });
  };
  const fillTable = (plot, place) => {
    const sheet = add(place, "table"), head = add(add(sheet, "thead"), "tr"), body = add(sheet, "tbody");
    const unit = plot.unit ? ` (${plot.unit})` : "";
    add(sheet, "caption", plot.label);
    const columns = plot.lines.flatMap((line) => [[line.label || "value", line.column],
      ...(line.low === undefined ? [] : [["smallest", line.low], ["largest", line.high]])]);
    for (const name of [plot.stepped ? "window to" : isTime ? "time" : "step", ...columns.map(([name]) => name + unit)]) add(head, "th", name).scope = "col";
    plot.columns[0].forEach((at, i) => {
      if (columns.every(([, column]) => plot.columns[column][i] == null)) return;
      const row = add(body, "tr");
      add(row, "th", when(plot.stepped ? at + doc.grids[plot.grid].step / 2 : at)).scope = "row";
      for (const [, column] of columns) add(row, "td", plot.columns[column][i] == null ? "" : figure(plot.columns[column][i]));
    });
  };

  const make = (plot) => {
    const figureBox = document.getElementById(plot.id);
    plot.box = figureBox.querySelector("[data-plot-box]");
    plot.read = figureBox.querySelector("[data-plot-read]");
    plot.columns = [instants(doc.grids[plot.grid]), ...plot.data.map(unpack)];
    plot.box.tabIndex = 0;
    for (const [name, value] of Object.entries({
      role: "slider", "aria-label": `${plot.label}: values over ${isTime ? "time" : "steps"}`, "aria-describedby": `${plot.id}-text`,
      "aria-valuemin": 0, "aria-valuemax": plot.columns[0].length - 1, "aria-valuenow": plot.columns[0].length - 1,
      "aria-valuetext": "use the arrow keys to read values", "aria-orientation": "horizontal",
    })) plot.box.setAttribute(name, value);
    plot.u = new uPlot(options(plot, widthOf(plot)), plot.columns, plot.box);
    plot.u.root.setAttribute("aria-hidden", "true");
    plot.box.addEventListener("keydown", keys(plot));
    plot.box.addEventListener("blur", () => plot.u.setCursor({ left: -10, top: -10 }));
    offerTable(plot, figureBox);
    plots.push(plot);
  };
  let printing = false;
  const widthOf = (plot) => (printing ? Math.min(PRINT_WIDTH, plot.wide || PRINT_WIDTH) : Math.max(220, Math.floor(plot.box.clientWidth)));
  const fit = () => { for (const plot of plots) { const width = widthOf(plot); if (width !== plot.u.width) plot.u.setSize({ width, height: plot.u.height }); } };
  const repaint = () => { readColours(); for (const plot of plots) plot.u.redraw(false, true); };

  doc.plots.forEach(make);
  zoom(null);
  document.querySelector("[data-plot-reset]")?.addEventListener("click", () => zoom(null));
  for (const button of document.querySelectorAll("[data-plot-last]"))
    button.addEventListener("click", () => zoom([doc.range[1] - Number(button.dataset.plotLast), doc.range[1]]));
  let waiting = 0;
  new ResizeObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(fit); }).observe(document.body);
  const soon = () => requestAnimationFrame(repaint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  new MutationObserver(soon).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
  const print = (on) => { printing = on; fit(); repaint(); };
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  document.documentElement.dataset.plots = String(plots.length); // for whoever waits until all is drawn
})();
