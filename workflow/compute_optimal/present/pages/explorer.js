"use strict";
// Draws what is chosen of data.columns, and keeps the choice in the address.
const data = JSON.parse(document.getElementById("data").textContent);
const { columns, methods, scales, settings } = data;
const names = Object.keys(columns);
const size = names.length ? columns.budget.length : 0;
const cell = (name, i) => (columns[name].texts ? columns[name].texts[columns[name].index[i]] : columns[name][i]);
const rows = Array.from({ length: size }, (_, i) => Object.fromEntries(names.map((name) => [name, cell(name, i)])));

const AXES = {
  budget: "budget N (samples)", tokens: "generated tokens per problem", flops: "FLOPs per problem (2ND, policy and PRM)",
  seconds: "engine seconds per problem (s)",
};
const SCORINGS = { prm_min: "lowest step", prm_last: "last step", prm_avg: "mean of steps" };
const VOTINGS = { prm_max: "best-scored answer", prm_vote: "answers voted by score", majority: "majority of answers" };
const BUCKETS = { all: "all problems", easy: "easy", medium: "medium", hard: "hard" };
const LAYOUTS = { panels: "a panel for each policy and PRM", one: "all in one panel" };
const NO_PRM = new Set(["cot", "majority"]);
const FEW = 3;
// Share of the problems of a panel from which on its points are compared: what a pool carries goes by it too (adopted_pools.LACKING).
const NEARLY_ALL = 0.95;

const seriesOf = (row) => JSON.stringify([row.policy, row.prm, row.method]);
const distinct = (list, name) => [...new Set(list.map((row) => row[name]))].filter((value) => value !== "");
const choice = {};
function fromAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  for (const key of ["scale", "task", "difficulty", "scoring", "voting", "x", "layout", "front"]) choice[key] = address.get(key);
  Object.assign(choice, { policies: address.getAll("policy"), prms: address.getAll("prm"), methods: address.getAll("method") });
}
const one = (value, options, usual) => (options.includes(value) ? value : options.includes(usual) ? usual : options[0] ?? null);
const some = (values, options, usual) => {
  const kept = values.filter((value) => options.includes(value));
  return kept.length ? kept : usual;
};

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Those with the most points first and, of as many, those whose best accuracy is highest.
function best(list, name) {
  const found = new Map();
  for (const row of list) {
    if (row[name] === "") continue;
    const { count, top } = found.get(row[name]) ?? { count: 0, top: 0 };
    found.set(row[name], { count: count + 1, top: Math.max(top, row.accuracy) });
  }
  return [...found].sort(([, a], [, b]) => b.count - a.count || b.top - a.top).map(([value]) => value);
}

function settle() {
  choice.scale = one(choice.scale, distinct(rows, "scale"), settings.opens_on);
  const ofScale = rows.filter((row) => row.scale === choice.scale);
  choice.task = one(choice.task, distinct(ofScale, "task"));
  const ofTask = ofScale.filter((row) => row.task === choice.task);
  choice.difficulty = one(choice.difficulty, distinct(ofTask, "bucket"), "all");
  choice.scoring = one(choice.scoring, distinct(ofTask, "scoring"), settings.scoring);
  choice.voting = one(choice.voting, distinct(ofTask, "voting"), settings.voting);
  choice.x = one(choice.x, Object.keys(AXES), "budget");
  choice.layout = one(choice.layout, Object.keys(LAYOUTS), "panels");
  choice.front = choice.front === "no" ? "no" : "yes";
  const shown = ofTask.filter((row) => row.bucket === choice.difficulty && (row.scoring === "" || row.scoring === choice.scoring)
    && (row.voting === "" || row.voting === choice.voting || NO_PRM.has(row.method)));
  const options = { policies: distinct(shown, "policy"), prms: distinct(shown, "prm"), methods: distinct(shown, "method") };
  const withPrm = best(shown.filter((row) => row.prm !== ""), "policy");
  choice.policies = some(choice.policies, options.policies, (withPrm.length ? withPrm : options.policies).slice(0, 2));
  const withPolicies = shown.filter((row) => choice.policies.includes(row.policy));
  choice.prms = some(choice.prms, options.prms, best(withPolicies.some((row) => row.prm !== "") ? withPolicies : shown, "prm").slice(0, FEW));
  choice.methods = some(choice.methods, options.methods, options.methods);
  return { ofScale, ofTask, shown, options };
}

function select(label, key, options) {
  const box = element("select", { name: key });
  for (const [value, text] of options) {
    const option = element("option", { value }, text);
    option.selected = value === choice[key];
    box.append(option);
  }
  if (!options.length) {
    box.append(element("option", { value: "" }, "none: nothing here has one"));
    box.disabled = true;
  }
  box.addEventListener("change", () => { choice[key] = box.value; show(); });
  return element("label", {}, label, box);
}

function boxes(legend, key, options, swatch) {
  const field = element("fieldset", {}, element("legend", {}, `${legend} (${choice[key].length} of ${options.length})`));
  if (!options.length) field.append("none");
  for (const option of options) {
    const input = element("input", { type: "checkbox", value: option });
    input.checked = choice[key].includes(option);
    input.addEventListener("change", () => {
      const left = input.checked ? [...choice[key], option] : choice[key].filter((value) => value !== option);
      choice[key] = left.length ? left : choice[key];
      show();
    });
    const label = element("label", {}, input);
    if (swatch) {
      const mark = element("span", { class: "swatch" });
      mark.style.background = methods[option].colour;
      label.append(mark);
    }
    label.append(swatch ? methods[option].label : option);
    field.append(label);
  }
  return field;
}

const isChosen = (row) =>
  choice.policies.includes(row.policy) && choice.methods.includes(row.method) && (row.prm === "" || choice.prms.includes(row.prm));

// Of a logarithmic axis there is nothing at 0 and of what is unknown.
const isPlaced = (row) => row[choice.x] !== null && row[choice.x] > 0;

function points(chosen) {
  const kept = chosen.filter(isPlaced);
  const made = [];
  // What takes no PRM stands beside each that ran with its policy, or alone.
  const prmsOf = (policy) => choice.prms.filter((prm) => kept.some((row) => row.policy === policy && row.prm === prm));
  for (const row of kept) {
    const beside = row.prm !== "" || choice.layout === "one" ? [] : prmsOf(row.policy);
    const prms = beside.length ? beside : [row.prm];
    for (const prm of prms) {
      const panel = choice.layout === "one" ? "all" : prm === "" ? row.policy : `${row.policy}\n${prm}`;
      made.push({ ...row, panel, x: row[choice.x], label: methods[row.method].label, shown: fixed(row.accuracy, 1), series: seriesOf(row),
        costs: Object.fromEntries(["tokens", "flops", "seconds"].map((key) => [key, shownAs(key, row[key])])),
        interval: row.low === null ? "no interval" : `${fixed(row.low, 1)} to ${fixed(row.high, 1)}` });
    }
  }
  // A band needs two points; of one the interval is drawn as a bar.
  const place = (row) => `${row.panel} ${row.series}`;
  const counts = new Map();
  for (const row of made) counts.set(place(row), (counts.get(place(row)) ?? 0) + 1);
  for (const row of made) row.alone = counts.get(place(row)) === 1;
  // The Pareto front of each panel: nothing is both cheaper and better. Of few of its problems an accuracy is another.
  for (const panel of distinct(made, "panel")) {
    const ofPanel = made.filter((row) => row.panel === panel);
    const most = Math.max(...ofPanel.map((row) => row.n));
    let top = -Infinity;
    for (const point of ofPanel.sort((a, b) => a.x - b.x || b.accuracy - a.accuracy)) {
      point.isOfFewer = point.n < NEARLY_ALL * most;
      if (point.isOfFewer) continue;
      point.front = point.accuracy > top;
      top = Math.max(top, point.accuracy);
    }
  }
  return made;
}

function chart(made) {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  const room = Math.max(240, document.getElementById("chart").clientWidth - 40);
  const panels = distinct(made, "panel");
  const across = choice.layout === "one" ? 1 : Math.max(1, Math.min(panels.length, Math.floor(room / 330)));
  const width = choice.layout === "one" ? Math.min(room - 60, 900) : Math.min(420, Math.floor(room / across) - 60);
  const used = Object.keys(methods).filter((name) => made.some((row) => row.method === name));
  const x = { field: "x", type: "quantitative", scale: { type: "log", base: choice.x === "budget" ? 2 : 10, nice: false }, title: AXES[choice.x],
    axis: { format: choice.x === "budget" ? "d" : choice.x === "seconds" ? "~g" : "~s", tickCount: 6, labelOverlap: true } };
  const y = { field: "accuracy", type: "quantitative", scale: { zero: false }, title: "accuracy (%)" };
  const hue = { field: "label", type: "nominal", title: "method", scale: { domain: used.map((name) => methods[name].label), range: used.map((name) => methods[name].colour) },
    legend: { orient: "top", columns: width < 300 ? 2 : 5, symbolOpacity: 1, labelLimit: 300 } };
  const tooltip = [
    ["policy", "policy"], ["prm", "PRM"], ["label", "method"], ["budget", "N"], ["shown", "accuracy (%)"], ["interval", `${Math.round(100 * settings.confidence)}% interval`],
    ["n", "problems"], ["costs.tokens", "tokens"], ["costs.flops", "FLOPs"], ["costs.seconds", "seconds"],
  ].map(([field, title]) => ({ field, title, type: "nominal" }));
  const layer = [
    { transform: [{ filter: "isValid(datum.low)" }], mark: { type: choice.layout === "one" ? "rule" : "area", opacity: choice.layout === "one" ? 0.3 : 0.13 }, encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } } },
    { transform: [{ filter: "isValid(datum.low) && datum.alone" }], mark: { type: "rule", opacity: choice.layout === "one" ? 0 : 0.5 }, encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } } },
    { mark: { type: "line", opacity: choice.layout === "one" ? 0.6 : 1 }, encoding: { y } },
    { mark: { type: "point", filled: true, size: 45 }, encoding: { y, tooltip, ...(choice.layout === "one" && choice.policies.length > 1 ? { shape: { field: "policy", type: "nominal", title: "policy", legend: { orient: "bottom", columns: 2, labelLimit: 400 } } } : {}) } },
  ];
  if (choice.front === "yes") {
    layer.push({ transform: [{ filter: "datum.front" }], mark: { type: "line", interpolate: "step-after", strokeDash: [4, 3], color: colour("ink"), strokeWidth: 1.2 },
      encoding: { y, color: { value: colour("ink") }, detail: { value: "front" } } });
  }
  const unit = { width, height: choice.layout === "one" ? 420 : 220, layer, encoding: { x, color: hue, detail: [{ field: "series" }] } };
  const body = choice.layout === "one" ? unit : { facet: { field: "panel", type: "nominal", title: null, sort: panels, header: { labelLimit: width + 40, labelExpr: "split(datum.label, '\\n')" } }, columns: across, spec: unit };
  return { background: null, data: { values: made }, ...body, config: {
    font: "system-ui, sans-serif", axis: { labelColor: colour("ink"), titleColor: colour("ink"), gridColor: colour("line"), domainColor: colour("edge"), tickColor: colour("edge") },
    legend: { labelColor: colour("ink"), titleColor: colour("ink") }, header: { labelColor: colour("ink"), labelFontWeight: "bold" }, view: { stroke: colour("line") } } };
}

const BOARD = [
  ["policy", "Policy"], ["method", "Method"], ["prm", "PRM"], ["budget", "N"], ["accuracy", "Accuracy (%)"], ["low", "Low (%)"], ["high", "High (%)"],
  ["n", "Problems"], ["tokens", "Tokens"], ["flops", "FLOPs"], ["seconds", "Seconds (s)"],
];
const SHORT = 26; // letters of a name that is not broken on a screen
const DIGITS = { accuracy: 1, low: 1, high: 1, tokens: 0 };
function shownAs(key, value) {
  if (value === null || value === undefined) return "unknown";
  if (key === "method") return methods[value].label;
  if (key === "flops") return scientific(value, 2);
  if (key === "seconds") return significant(value, 3);
  if (key in DIGITS) return fixed(value, DIGITS[key]).replace(/\B(?=(\d{3})+$)/g, ",");
  return value === "" ? "none" : String(value);
}

// What is saved, for machines: names and units as in the files of tables; what is unknown is empty.
const FIELDS = {
  scale: "scale", task: "task", policy: "policy", prm: "prm", method: "method", scoring: "scoring", voting: "voting", difficulty: "bucket",
  budget_samples: "budget", accuracy_percent: "accuracy", accuracy_percent_low: "low", accuracy_percent_high: "high", problems: "n",
  tokens_per_problem: "tokens", flops_per_problem: "flops", seconds_per_problem: "seconds",
};
const recordOf = (row) => Object.values(FIELDS).map((key) => {
  const text = String(row[key] ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",");

function tableOf(list) {
  const table = element("table", { class: "sortable", "data-csv": Object.keys(FIELDS).join(",") });
  const head = element("tr");
  const looks = Object.fromEntries(BOARD.map(([key]) => [key, "number"]));
  for (const key of ["policy", "method", "prm"]) looks[key] = list.every((row) => shownAs(key, row[key]).length <= SHORT) ? "short" : "name";
  for (const [key, text] of BOARD) head.append(element("th", { scope: "col", class: looks[key] }, text));
  const body = element("tbody");
  for (const row of list) {
    const line = element("tr", { "data-csv": recordOf(row) });
    for (const [key] of BOARD) {
      const number = typeof row[key] === "number";
      line.append(element("td", { class: looks[key], ...(number ? { "data-value": row[key] } : {}) }, shownAs(key, row[key])));
    }
    body.append(line);
  }
  table.append(element("thead", {}, head), body);
  return table;
}

function put(table, id) {
  const place = document.getElementById(id);
  const tools = `${id}-tools`;
  place.parentElement.querySelector(`.${tools}`)?.remove();
  place.replaceChildren(table);
  makeSortable(table).classList.add(tools);
}

// The largest budget of each policy, method and PRM, the most accurate first.
function leaderboard(shown) {
  const largest = new Map();
  for (const row of shown) {
    const key = seriesOf(row);
    if (!largest.has(key) || largest.get(key).budget < row.budget) largest.set(key, row);
  }
  put(tableOf([...largest.values()].sort((a, b) => b.accuracy - a.accuracy)), "board");
  document.getElementById("board-says").textContent =
    `Each policy, method and PRM at its largest N: ${scales[choice.scale]}, ${choice.task}, ${BUCKETS[choice.difficulty] ?? choice.difficulty}.`
    + (distinct(shown, "n").length > 1 ? " Rows with other numbers of problems are of other problems, and no ranking of each other." : "")
    + (largest.size > 1 ? " The first of many is partly luck: the intervals say how far rows may be apart." : "");
}

// What the marks of the chart say to a mouse, for all: every point once, curve by curve.
const pointsOnce = () => [...new Map(drawn.map((row) => [`${row.series} ${row.budget}`, row])).values()];
const pointTable = () => put(tableOf(pointsOnce()), "points");

let view = null;
let drawn = [];
async function show() {
  tell(null);
  if (!size) {
    canSave(false);
    document.getElementById("chart").textContent = "This study has no results to explore.";
    return;
  }
  const { ofTask, shown, options, ofScale } = settle();
  const form = document.getElementById("choices");
  // A checkbox has a value and no name, and a menu may have the value of one.
  const place = (field) => field && JSON.stringify([field.name, field.type === "checkbox" ? field.value : ""]);
  const focus = form.contains(document.activeElement) ? place(document.activeElement) : null;
  const pairs = (list, words) => list.map((value) => [value, words?.[value] ?? value]);
  form.replaceChildren(
    select("Scale of evidence", "scale", pairs(distinct(rows, "scale"), scales)),
    select("Task", "task", pairs(distinct(ofScale, "task"))),
    select("Difficulty", "difficulty", pairs(distinct(ofTask, "bucket"), BUCKETS)),
    select("Score of a solution", "scoring", pairs(distinct(ofTask, "scoring"), SCORINGS)),
    select("Vote", "voting", pairs(distinct(ofTask, "voting"), VOTINGS)),
    select("x axis", "x", Object.entries(AXES)),
    select("Layout", "layout", Object.entries(LAYOUTS)),
    select("Pareto front (dashed)", "front", [["yes", "shown"], ["no", "hidden"]]),
    element("div", { class: "tools" },
      boxes("Policies", "policies", options.policies), boxes("PRMs", "prms", options.prms), boxes("Methods", "methods", options.methods, true)),
  );
  if (focus) [...form.elements].find((field) => place(field) === focus)?.focus();
  const parts = new URLSearchParams();
  for (const key of ["scale", "task", "difficulty", "scoring", "voting", "x", "layout", "front"]) if (choice[key]) parts.set(key, choice[key]);
  for (const [key, values] of [["policy", choice.policies], ["prm", choice.prms], ["method", choice.methods]]) for (const value of values) parts.append(key, value);
  try { history.replaceState(null, "", `#${parts}`); } catch { /* a frame of a report has no address of its own */ }
  document.getElementById("evidence").textContent = `Scale of this evidence: ${scales[choice.scale]}.`;
  const chosen = shown.filter(isChosen);
  drawn = points(chosen);
  const lost = chosen.filter((row) => !isPlaced(row)).length;
  document.getElementById("said").textContent = `${counted(drawn.length, "point")}; bands and bars: ${Math.round(100 * settings.confidence)}% intervals over problems`
    + (lost ? `; ${counted(lost, "point")} without a known ${AXES[choice.x]} ${lost === 1 ? "is" : "are"} left out.` : ".")
    + (choice.front === "yes" && drawn.length > 1 ? " What is on a front is picked by these accuracies, so expect a little less of it." : "")
    + (choice.front === "yes" && drawn.some((row) => row.isOfFewer) ? " A front is of points of nearly all problems of its panel: those of fewer problems are not in it." : "");
  pointTable();
  leaderboard(shown);
  canSave(drawn.length > 0);
  if (!drawn.length) {
    view?.finalize();
    view = null;
    document.getElementById("chart").textContent = `Nothing to draw: nothing that is chosen has a known ${AXES[choice.x]}. Take another x axis, or choose more.`;
    document.documentElement.dataset.drawn = "0";
    return;
  }
  const embedded = await vegaEmbed("#chart", chart(drawn), { ast: true, actions: false, renderer: "svg", defaultStyle: false, mode: "vega-lite",
    tooltip: (_, event, item, value) => tell(value, event?.clientX, event?.clientY, "mouse") });
  view = embedded.view;
  makeWalkable();
  document.documentElement.dataset.drawn = String(drawn.length);
}

// --- what a mark says: beside the mouse, or beside the mark that has the focus -----------------------

// By Vega's own way it would stand below the page: the page's policy lets no style be written as text.
// A mouse that goes takes along what it has been told, and not what keys have.
function tell(value, x, y, by = "keys") {
  const box = document.getElementById("told");
  if (!value && by === "mouse" && box.dataset.by !== "mouse") return;
  box.dataset.by = by;
  box.hidden = !value;
  if (!value) return;
  const lines = Object.entries(value).map(([name, said]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, String(said))));
  box.replaceChildren(element("table", {}, element("tbody", {}, ...lines)));
  // Beside an edge it would be measured narrower than it is elsewhere.
  box.style.left = box.style.top = "0";
  const { width, height } = box.getBoundingClientRect();
  const beside = (at, length, room) => Math.max(4, at + 12 + length <= room ? at + 12 : at - 12 - length);
  box.style.left = `${beside(x, width, document.documentElement.clientWidth)}px`;
  box.style.top = `${beside(y, height, innerHeight)}px`;
}

const MARKS = "#chart .mark-symbol.role-mark path";
const datumOf = (mark) => mark.__data__.datum;

// One of the marks is reached by Tab, the others from there by arrow keys.
function makeWalkable() {
  document.querySelectorAll(MARKS).forEach((mark, i) => {
    const { policy, PRM, ...numbers } = mark.__data__.tooltip;
    const said = Object.entries({ ...numbers, policy, PRM }).map(([name, value]) => `${name}: ${value}`).join("; ");
    for (const [name, value] of [["role", "img"], ["tabindex", i ? -1 : 0], ["aria-label", said]]) mark.setAttribute(name, value);
  });
}

// Curves of a panel from the highest end to the lowest, each from the cheapest point on.
function curvesOf(marks) {
  const curves = new Map();
  for (const mark of marks) {
    const { series } = datumOf(mark);
    curves.set(series, [...(curves.get(series) ?? []), mark]);
  }
  for (const curve of curves.values()) curve.sort((a, b) => datumOf(a).x - datumOf(b).x);
  return [...curves.values()].sort((a, b) => datumOf(b.at(-1)).accuracy - datumOf(a.at(-1)).accuracy);
}

const nearest = (curve, x) => curve?.reduce((best, mark) => (Math.abs(Math.log(datumOf(mark).x / x)) < Math.abs(Math.log(datumOf(best).x / x)) ? mark : best));

// Null where there is none that way; undefined for a key that leads nowhere.
function markTowards(key, at) {
  const marks = [...document.querySelectorAll(MARKS)];
  const panels = distinct(marks.map(datumOf), "panel");
  const { panel, method, x } = datumOf(at);
  const curves = curvesOf(marks.filter((mark) => datumOf(mark).panel === panel));
  const place = curves.findIndex((curve) => curve.includes(at));
  const curve = curves[place];
  const other = panels[panels.indexOf(panel) + { PageUp: -1, PageDown: 1 }[key]];
  const there = curvesOf(marks.filter((mark) => datumOf(mark).panel === other));
  const across = () => nearest(there.find((one) => datumOf(one[0]).method === method) ?? there[0], x);
  const ways = {
    ArrowLeft: () => curve[curve.indexOf(at) - 1], ArrowRight: () => curve[curve.indexOf(at) + 1],
    ArrowUp: () => nearest(curves[place - 1], x), ArrowDown: () => nearest(curves[place + 1], x),
    Home: () => curve[0], End: () => curve.at(-1),
    PageUp: across, PageDown: across,
  };
  return key in ways ? ways[key]() ?? null : undefined;
}

const chartBox = document.getElementById("chart");
chartBox.addEventListener("keydown", (event) => {
  if (!event.target.matches(MARKS) || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = markTowards(event.key, event.target);
  if (to === undefined) return;
  // Also at an end: the page would be scrolled away from the point.
  event.preventDefault();
  if (to === null) return;
  event.target.setAttribute("tabindex", -1);
  to.setAttribute("tabindex", 0);
  to.focus();
});
function tellOf(mark) {
  const { right, bottom } = mark.getBoundingClientRect();
  tell(mark.__data__.tooltip, right, bottom);
}
chartBox.addEventListener("focusin", (event) => {
  if (event.target.matches(MARKS)) tellOf(event.target);
});
// A browser scrolls to what has the focus after it has said that it has.
addEventListener("scroll", () => {
  if (document.activeElement.matches(MARKS) && !document.getElementById("told").hidden) tellOf(document.activeElement);
}, true);
chartBox.addEventListener("focusout", () => tell(null));

function canSave(something) {
  for (const id of ["csv", "svg"]) document.getElementById(id).disabled = !something;
}

function save(content, type, name) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
document.getElementById("csv").addEventListener("click", () => {
  save([Object.keys(FIELDS).join(","), ...pointsOnce().map(recordOf)].join("\n") + "\n", "text/csv", "explorer.csv");
});
document.getElementById("svg").addEventListener("click", async () => save(await view.toSVG(), "image/svg+xml", "explorer.svg"));
// What is shown beside a mark goes by a key as well.
addEventListener("keydown", (event) => {
  if (event.key === "Escape") tell(null);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
addEventListener("hashchange", () => { fromAddress(); show(); });
fromAddress();
show();
