/* The plot of models beside their baselines, an instance each, and the search in the table of instances. */
"use strict";
(() => {
  const field = document.querySelector("[data-find]");
  if (field) {
    const rows = [...document.getElementById(field.dataset.find).tBodies[0].rows];
    const found = document.querySelector("[data-found]");
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        count += row.hidden ? 0 : 1;
      }
      found.textContent = words.length ? `${count} of ${rows.length}` : "";
    });
  }

  const rank = (JSON.parse(document.getElementById("plots").textContent).ranks || [])[0];
  if (!rank) return;
  const home = document.getElementById(rank.id), box = home.querySelector("[data-plot-box]"), read = home.querySelector("[data-plot-read]");
  const count = rank.names.length;
  let colours = {}, printing = false;
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["--plot-1", "--plot-2", "--ok", "--critical", "--muted", "--plot-grid"]) colours[name] = style.getPropertyValue(name).trim();
  };
  readColours();
  const figure = (value) => (value === null ? "no figure" : String(Number(value.toPrecision(4))));
  const said = (i) => {
    const gain = rank.gain[i] === null ? "" : ` (${rank.gain[i] >= 0 ? "+" : ""}${Math.round(100 * rank.gain[i])}%)`;
    return `${rank.names[i]}: model ${figure(rank.model[i])}, baseline ${figure(rank.baseline[i])}${gain}`;
  };
  const draw = (u) => {
    const { ctx } = u, scale = devicePixelRatio, size = Math.max(2, Math.min(5, u.bbox.width / scale / count / 2.5)) * scale;
    ctx.save();
    for (let i = 0; i < count; i++) {
      const x = u.valToPos(i, "x", true), [a, b] = [rank.model[i], rank.baseline[i]];
      const model = a === null ? null : u.valToPos(a, "y", true), base = b === null ? null : u.valToPos(b, "y", true);
      if (model !== null && base !== null) {
        const better = rank.gain[i] === null || rank.gain[i] >= 0;
        ctx.strokeStyle = colours[better ? "--ok" : "--critical"];
        ctx.lineWidth = 1.3 * scale;
        ctx.setLineDash(better ? [] : [3 * scale, 2 * scale]);
        ctx.beginPath(); ctx.moveTo(x, base); ctx.lineTo(x, model); ctx.stroke();
        ctx.setLineDash([]);
      }
      if (base !== null) {
        ctx.strokeStyle = colours["--plot-2"];
        ctx.lineWidth = 1.4 * scale;
        ctx.strokeRect(x - size * 0.85, base - size * 0.85, size * 1.7, size * 1.7);
      }
      if (model !== null) {
        ctx.fillStyle = colours["--plot-1"];
        ctx.beginPath(); ctx.arc(x, model, size, 0, 2 * Math.PI); ctx.fill();
      }
    }
    ctx.restore();
  };
  const tell = (u) => {
    const i = u.cursor.idx;
    if (i === null || i === undefined || u.cursor.left < 0) { read.textContent = ""; return; }
    read.textContent = said(i);
    box.setAttribute("aria-valuenow", String(i));
    box.setAttribute("aria-valuetext", said(i));
  };
  const width = () => (printing ? 660 : Math.max(220, Math.floor(box.clientWidth)));
  const axis = { stroke: () => colours["--muted"], grid: { stroke: () => colours["--plot-grid"], width: 1 }, font: "11px system-ui, sans-serif" };
  const none = { paths: () => null, points: { show: false } };
  const u = new uPlot({
    width: width(), height: 240, legend: { show: false }, padding: [10, 22, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: () => [-0.7, count - 0.3] },
      y: rank.log ? { distr: 3 } : { range: (u, low, high) => { const room = (high - low) * 0.07 || Math.abs(high) * 0.1 || 1; return [low >= 0 && low < (high - low) * 0.6 ? 0 : low - room, high + room]; } },
    },
    series: [{}, none, none],
    axes: [{ ...axis, size: 24, grid: { show: false }, ticks: { show: false }, values: (u, ticks) => ticks.map((at) => (Number.isInteger(at) && at >= 0 && at < count ? `#${at + 1}` : "")) },
           { ...axis, size: 58, gap: 6, space: 30, ticks: { show: false }, values: (u, ticks) => ticks.map((one) => (one === null ? "" : figure(one))) }],
    hooks: { draw: [draw], setCursor: [tell] },
  }, [rank.names.map((_, i) => i), rank.model, rank.baseline], box);
  u.root.setAttribute("aria-hidden", "true");
  const open = () => { const i = u.cursor.idx; if (i !== null && i !== undefined && rank.pages[i]) location.href = rank.pages[i]; };
  u.over.addEventListener("click", open);
  box.tabIndex = 0;
  for (const [name, value] of Object.entries({
    role: "slider", "aria-label": rank.label, "aria-describedby": `${rank.id}-text`, "aria-valuemin": 0, "aria-valuemax": count - 1,
    "aria-valuenow": 0, "aria-valuetext": "use the arrow keys to read instances, Enter opens the page of one", "aria-orientation": "horizontal",
  })) box.setAttribute(name, value);
  box.addEventListener("keydown", (event) => {
    const jump = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -count, End: count }[event.key];
    if (event.key === "Enter") open();
    if (!jump) return;
    event.preventDefault();
    const from = u.cursor.idx === null || u.cursor.idx === undefined || u.cursor.left < 0 ? (jump > 0 ? -1 : count) : u.cursor.idx;
    const i = Math.min(Math.max(from + jump, 0), count - 1);
    u.setCursor({ left: u.valToPos(i, "x"), top: 20 });
  });
  box.addEventListener("blur", () => u.setCursor({ left: -10, top: -10 }));
  const fit = () => { if (width() !== u.width) u.setSize({ width: width(), height: 240 }); };
  const repaint = () => { readColours(); u.redraw(false, true); };
  let waiting = 0;
  new ResizeObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(fit); }).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(repaint));
  const print = (on) => { printing = on; fit(); repaint(); };
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  document.documentElement.dataset.ranks = String(count);
})();
