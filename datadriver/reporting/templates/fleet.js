"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const text = data.texts;
  const byId = (id) => document.getElementById(id);
  const form = byId("filters"), body = byId("rows"), hits = byId("hits"), more = byId("more");
  const tiles = [...document.querySelectorAll(".tile")];
  const SHAPES = { alarm: "▲", pending: "◔", unknown: "?", silenced: "◌", ok: "✓", failed: "✕", rejected: "⊘", baseline: "▭", champion: "★", challenger: "☆", new: "·", retired: "–" };
  const WINDOWS = { o: "ok", n: "ok, near the limit", b: "breach", u: "unknown", s: "silenced" };
  const TROUBLES = ["failed", "rejected", "baseline"];

  // Rows as fleet_page.py makes them, in the order of its keys; texts stay numbers until they are shown.
  const finding = ([state, severity, check, model, page, reason, recent, since, age, fresh, owner, runbook, href]) =>
    ({ state, severity, check, model, page, reason, recent, since, age, fresh, owner, runbook, href });
  const assets = data.rows.map(([id, page, state, severity, reason, attributes, findings, models]) => ({
    id: text[id], page, state: text[state], severity, reason, attributes, findings: findings.map(finding),
    models: models.map(([name, page, unit, state, reason]) => ({ name, page, unit, state: text[state], reason })),
  }));

  // What a row looks like: the same as in fleet.html.
  const el = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) if (value !== "") node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== "" && child !== null && child !== undefined));
    return node;
  };
  const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  const badge = (state, severity) => {
    const grave = state === "alarm" ? severity || "" : "";
    return el("span", { class: ["badge", state, grave].filter(Boolean).join(" ") },
      el("span", { "aria-hidden": "true" }, SHAPES[state] || "·"), ` ${grave || state}`);
  };
  const recent = (letters) => {
    if (!letters) return "";
    const said = [...letters].map((one) => WINDOWS[one] || one).join(", ");
    return el("span", { class: "recent", role: "img", "aria-label": `last ${letters.length} windows, oldest first: ${said}` },
      ...[...letters].map((one) => el("i", { class: one in WINDOWS ? one : "u" })));
  };
  const modelLink = (page, name) => el("a", { href: `models/${text[page]}` }, text[name]);
  const named = (one) => [el("b", {}, text[one.check]), ...(text[one.model] ? [" ", modelLink(one.page, one.model)] : [])];
  const since = (one) => (!text[one.since] ? [] : [el("span", { class: "when" }, text[one.since]),
    text[one.fresh] ? el("span", { class: "fresh" }, "new") : text[one.age] ? el("span", { class: "age" }, text[one.age]) : ""]);
  const dash = () => el("span", { class: "dash" }, " — ");
  const instance = (one) => [badge(one.state), " ", modelLink(one.page, one.name), text[one.unit] ? ` of ${text[one.unit]}` : ""];
  const runbook = (one) => (text[one.href] ? el("a", { class: "runbook", href: text[one.href], rel: "noreferrer" }, "runbook")
    : text[one.runbook] ? el("span", { class: "runbook" }, text[one.runbook]) : "");

  function rowOf(asset) {
    const worst = asset.findings[0];
    const first = worst && text[worst.state] === asset.state ? worst : null;
    const others = first ? asset.findings.slice(1) : asset.findings;
    const why = el("td", { class: "why", role: "cell" }, first ? el("p", {}, ...named(first), dash(), text[first.reason]) : el("p", { class: "muted" }, text[asset.reason]));
    for (const one of asset.models) if (TROUBLES.includes(one.state)) {
      why.append(el("p", { class: "trouble" }, ...instance(one), one.state === "baseline" ? "" : `: ${text[one.reason]}`));
    }
    if (others.length || asset.models.length) {
      const summary = (others.length ? `${counted(others.length, "more finding")}, ` : "") + counted(asset.models.length, "model");
      why.append(el("details", {}, el("summary", {}, summary), el("ul", {},
        ...others.map((one) => el("li", {}, badge(text[one.state], text[one.severity]), " ", ...named(one), dash(), text[one.reason], " ", ...since(one))),
        ...asset.models.map((one) => el("li", {}, ...instance(one))))));
    }
    return el("tr", { class: asset.state, role: "row" },
      el("td", { class: "state", role: "cell" }, badge(asset.state, text[asset.severity])),
      el("th", { scope: "row", role: "rowheader" }, el("a", { href: `assets/${text[asset.page]}` }, asset.id),
        el("span", { class: "attributes" }, asset.attributes.map((one) => text[one]).filter(Boolean).join(" · "))),
      why,
      el("td", { class: "windows", role: "cell" }, first ? recent(text[first.recent]) : ""),
      el("td", { class: "since", role: "cell" }, ...(first ? since(first) : [])),
      el("td", { class: "owner", role: "cell" }, ...(first ? [text[first.owner], runbook(first) && " ", runbook(first)] : [])));
  }

  // Filters: of each kind any of its values, all kinds together.
  const number = (value) => (value.trim() === "" ? NaN : Number(value));
  function range(said) {
    const part = /^\s*(<=|>=|<|>|=)?\s*(-?[\d.]+)\s*(?:\.\.\s*(-?[\d.]+))?\s*$/.exec(said.replace(/(\d)\.\.(-?\d)/, "$1 .. $2"));
    if (!part || Number.isNaN(Number(part[2]))) return null;
    const from = Number(part[2]), to = part[3] === undefined ? NaN : Number(part[3]);
    if (!Number.isNaN(to)) return (value) => value >= from && value <= to;
    return { "<": (v) => v < from, "<=": (v) => v <= from, ">": (v) => v > from, ">=": (v) => v >= from }[part[1]] || ((v) => v === from);
  }
  const wanted = () => {
    const pressed = (kind) => tiles.filter((tile) => tile.dataset.kind === kind && tile.getAttribute("aria-pressed") === "true").map((tile) => tile.dataset.value);
    return {
      state: pressed("state"), fresh: pressed("new").length > 0, training: pressed("training"),
      q: form.elements.q.value.trim().toLowerCase().split(/\s+/).filter(Boolean),
      named: ["check", "owner", "model"].flatMap((name) => (form.elements[name]?.value ? [[name, form.elements[name].value]] : [])),
      attributes: [...form.querySelectorAll("[data-attribute]")].filter((field) => field.value.trim())
        .map((field) => ({ place: Number(field.dataset.attribute), kind: field.dataset.kind || "choice", value: field.value.trim() })),
    };
  };
  function holds(attribute, value) {
    if (attribute.kind === "choice") return value === attribute.value;
    if (attribute.kind === "number") {
      const inside = range(attribute.value);
      if (inside) return inside(number(value));
    }
    return value.toLowerCase().includes(attribute.value.toLowerCase());
  }
  const words = (asset) => (asset.words ??= [asset.id, ...asset.attributes.map((one) => text[one]),
    ...asset.findings.flatMap((one) => [text[one.check], text[one.model], text[one.reason], text[one.owner]]),
    ...asset.models.flatMap((one) => [text[one.name], text[one.unit]])].join("\n").toLowerCase());
  const matches = (asset, filter) =>
    (!filter.state.length || filter.state.includes(asset.state)) &&
    (!filter.fresh || asset.findings.some((one) => text[one.fresh])) &&
    (!filter.training.length || asset.models.some((one) => filter.training.includes(one.state))) &&
    filter.named.every(([name, value]) => (name === "model" ? asset.models.some((one) => text[one.name] === value)
      : asset.findings.some((one) => text[one[name]] === value))) &&
    filter.attributes.every((one) => holds(one, text[asset.attributes[one.place]])) &&
    filter.q.every((word) => words(asset).includes(word));

  let found = assets, limit = data.shown;
  function show() {
    body.replaceChildren(...found.slice(0, limit).map(rowOf));
    more.hidden = found.length <= limit;
    more.textContent = `Show ${Math.min(found.length - limit, 4 * data.shown).toLocaleString("en")} more of ${(found.length - limit).toLocaleString("en")}`;
  }
  function describe(filter) {
    const said = [...filter.state, ...(filter.fresh ? ["new alarms"] : []), ...filter.training,
      ...filter.named.map(([name, value]) => `${name} ${value}`), ...filter.attributes.map((one) => `${data.attributes[one.place]} ${one.value}`),
      ...(filter.q.length ? [`“${filter.q.join(" ")}”`] : [])];
    const all = assets.length.toLocaleString("en");
    hits.textContent = said.length ? `${found.length.toLocaleString("en")} of ${all} assets: ${said.join(", ")}` : `${all} assets, those that need attention first`;
    for (const field of form.querySelectorAll("input, select")) field.classList.toggle("set", field.value.trim() !== "");
    byId("reset").disabled = !said.length;
  }
  function apply() {
    const filter = wanted();
    found = assets.filter((asset) => matches(asset, filter));
    limit = data.shown;
    show();
    describe(filter);
  }

  // The address keeps the filters, so that a view can be bookmarked and sent.
  function remember() {
    const said = new URLSearchParams(), filter = wanted();
    if (filter.state.length) said.set("state", filter.state.join(","));
    if (filter.fresh) said.set("new", "1");
    if (filter.training.length) said.set("training", filter.training.join(","));
    for (const [name, value] of filter.named) said.set(name, value);
    for (const one of filter.attributes) said.set(`.${data.attributes[one.place]}`, one.value);
    if (form.elements.q.value.trim()) said.set("q", form.elements.q.value.trim());
    history.replaceState(null, "", `${location.pathname}${location.search}#${said}`);
  }
  function recall() {
    const said = new URLSearchParams(location.hash.slice(1));
    const of = { state: (said.get("state") || "").split(","), training: (said.get("training") || "").split(","), new: said.has("new") ? ["new"] : [] };
    for (const tile of tiles) tile.setAttribute("aria-pressed", String(of[tile.dataset.kind].includes(tile.dataset.value)));
    for (const name of ["q", "check", "owner", "model"]) if (form.elements[name]) form.elements[name].value = said.get(name) || "";
    for (const field of form.querySelectorAll("[data-attribute]")) field.value = said.get(`.${data.attributes[field.dataset.attribute]}`) || "";
    apply();
  }
  const changed = () => { apply(); remember(); };

  for (const tile of tiles) tile.addEventListener("click", () => {
    tile.setAttribute("aria-pressed", String(tile.getAttribute("aria-pressed") !== "true"));
    changed();
  });
  let waiting;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(changed, 120); });
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  form.addEventListener("reset", () => {
    for (const tile of tiles) tile.setAttribute("aria-pressed", "false");
    setTimeout(() => { changed(); form.elements.q.focus(); });
  });
  more.addEventListener("click", () => {
    const next = limit;
    limit += 4 * data.shown;
    show();
    body.children[next]?.querySelector("a").focus();
  });
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
  window.addEventListener("hashchange", recall);
  // On paper there is no button for more: all that the filters let through is printed.
  window.addEventListener("beforeprint", () => { if (found.length > limit) body.append(...found.slice(limit).map(rowOf)); });
  window.addEventListener("afterprint", show);

  form.hidden = false;
  byId("plain").hidden = true;
  byId("fields").open = matchMedia("(min-width: 52rem)").matches || /[#&](check|model|owner|%2E|\.)/i.test(location.hash);
  if (location.hash.length > 1) recall();
  else { more.hidden = found.length <= limit; if (!more.hidden) more.textContent = `Show ${Math.min(found.length - limit, 4 * data.shown).toLocaleString("en")} more of ${(found.length - limit).toLocaleString("en")}`; describe(wanted()); }
})();
