"use strict";
// Shows data.cells[].problems[]. Whatever a model wrote enters the page by textContent only.

const data = JSON.parse(document.getElementById("data").textContent);
const METHODS = { best_of_n: "Best-of-N and majority", beam_search: "Beam search", dvts: "DVTS" };
const SCORINGS = { prm_min: "lowest step", prm_last: "last step", prm_avg: "mean of steps" };
const FATES = {
  kept: "kept", pruned: "pruned", duplicate: "duplicate of a sibling", truncated: "cut at the token limit",
  empty: "empty", over_context: "too long for the PRM",
};
const SVG = "http://www.w3.org/2000/svg";
const NOT_VISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

const choice = { cell: 0, prm: 0, method: "beam_search", budget: null, scoring: 1, problem: 0, node: null };

function visible(text) {
  return text.replace(NOT_VISIBLE, (c) => "\u27e8U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "text") made.textContent = visible(String(value));
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = visible(text);
  return made;
}

const text = (index) => data.texts[index];
const probability = (margin) => 1 / (1 + Math.exp(-margin));
const shown = (value, digits) => (value === null || value === undefined ? "\u2013" : value.toFixed(digits));

function colours(margin) {
  if (margin === null || margin === undefined) return { fill: "#eee", ink: "#222" };
  const p = probability(margin);
  const mix = (from, to) => Math.round(from + (to - from) * p);
  return { fill: `rgb(${mix(247, 0)},${mix(247, 90)},${mix(247, 150)})`, ink: p > 0.55 ? "#fff" : "#222" };
}

function scoreBadge(margin) {
  const { fill, ink } = colours(margin);
  const badge = element("span", { class: "score", text: margin == null ? "\u2013" : shown(probability(margin), 3) });
  badge.style.background = fill;
  badge.style.color = ink;
  if (margin != null) badge.title = "logit " + shown(margin, 3);
  return badge;
}

function verdict(answer) {
  if (answer.status === "no_answer") return ["no answer", "unknown"];
  if (answer.status === "timeout") return ["not graded in time", "unknown"];
  return answer.correct ? ["\u2713 right", "right"] : ["\u2717 wrong", "wrong"];
}

function answerText(answer) {
  return answer.answer === null ? "(no answer)" : text(answer.answer);
}

function methodsOf(problem) {
  const found = problem.samples.length ? ["best_of_n"] : [];
  for (const search of problem.searches) if (!found.includes(search.method)) found.push(search.method);
  return found;
}

function prmsOf(problem) {
  const has = (prm) =>
    choice.method === "best_of_n"
      ? problem.samples.some((sample) => sample.scores[prm])
      : problem.searches.some((search) => search.method === choice.method && search.prm === prm);
  return data.prms.map((_, index) => index).filter(has);
}

function searchesOf(problem) {
  return problem.searches.filter((s) => s.method === choice.method && s.prm === choice.prm);
}

function budgetsOf(problem) {
  if (choice.method === "beam_search") return searchesOf(problem).map((search) => search.budget);
  const size =
    choice.method === "dvts"
      ? data.beamWidth * Math.max(0, ...searchesOf(problem).flatMap((s) => s.paths.map((p) => p.subtree + 1)))
      : problem.samples.length;
  const fitting = data.budgets.filter((n) => n <= size);
  return fitting.length || !size ? fitting : [size];
}

function select(label, value, options, change) {
  const box = element("select", { name: label });
  for (const [key, name] of options) {
    const option = element("option", { value: key, text: name });
    option.selected = String(key) === String(value);
    box.append(option);
  }
  box.addEventListener("change", () => {
    change(box.value);
    choice.node = null;
    show();
    document.querySelector(`#choices select[name="${label}"]`)?.focus();
  });
  return element("label", {}, document.createTextNode(label), box);
}

function valid(value, options) {
  return options.includes(value) ? value : options[options.length - 1] ?? null;
}

// The address holds the choice, so that a view can be linked to.
function fromAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const key of ["cell", "problem", "prm", "scoring", "budget"]) if (found.has(key)) choice[key] = Number(found.get(key));
  for (const key of ["method", "node"]) if (found.has(key)) choice[key] = found.get(key);
  if (!data.cells[choice.cell]) choice.cell = 0;
  if (!data.cells[choice.cell]?.problems[choice.problem]) choice.problem = 0;
  if (!data.scorings[choice.scoring]) choice.scoring = 1;
}

function toAddress() {
  const named = Object.entries(choice).filter(([, value]) => value !== null);
  history.replaceState(null, "", "#" + new URLSearchParams(named));
}

function show() {
  const form = document.getElementById("choices");
  const main = document.getElementById("main");
  if (!data.cells.length) {
    main.replaceChildren(element("p", { text: "No rollouts are stored for this study." }));
    return;
  }
  const cell = data.cells[choice.cell];
  choice.problem = Math.min(choice.problem, cell.problems.length - 1);
  const problem = cell.problems[choice.problem];
  const methods = methodsOf(problem);
  if (!methods.includes(choice.method)) choice.method = methods[0] ?? null;
  const prms = prmsOf(problem);
  if (!prms.includes(choice.prm)) choice.prm = prms[0] ?? null;
  const budgets = budgetsOf(problem);
  choice.budget = valid(choice.budget, budgets);

  const tasks = [...new Map(data.cells.map((c) => [c.task, c.taskTitle]))];
  const numbered = data.cells.map((c, index) => [c, index]);
  form.replaceChildren(
    select("Task", cell.task, tasks, (task) => (choice.cell = data.cells.findIndex((c) => c.task === task))),
    select("Policy", choice.cell, numbered.filter(([c]) => c.task === cell.task).map(([c, i]) => [i, c.policyTitle]), (v) => (choice.cell = Number(v))),
    select("Problem", choice.problem, cell.problems.map((p, i) => [i, `${p.id} (${p.bucket})`]), (v) => (choice.problem = Number(v))),
    select("Method", choice.method, methods.map((m) => [m, METHODS[m] ?? m]), (v) => (choice.method = v)),
    select("PRM", choice.prm, prms.length ? prms.map((i) => [i, data.prms[i].title]) : [["", "no scores"]], (v) => (choice.prm = Number(v))),
    select("Budget N", choice.budget, budgets.map((n) => [n, n]), (v) => (choice.budget = Number(v))),
    select("Score of a solution", choice.scoring, data.scorings.map((s, i) => [i, SCORINGS[s] ?? s]), (v) => (choice.scoring = Number(v))),
  );
  main.replaceChildren(...statement(cell, problem), ...notes(cell, problem));
  if (choice.method === null) return;
  if (choice.method === "best_of_n") main.append(...pool(problem));
  else main.append(...searched(problem));
  toAddress();
}

function statement(cell, problem) {
  const rated =
    problem.passAt1 === null
      ? "Pass@1 not measured"
      : `Pass@1 of the policy ${(100 * problem.passAt1).toFixed(1)}% in ${problem.nRated} samples (${problem.bucket})`;
  const facts = element("p", { class: "muted", text: `${rated}; strategies differ by up to ${(100 * problem.spread).toFixed(0)} points here.` });
  const gold = element("p", {}, document.createTextNode("Correct answer: "), element("strong", { class: "text", text: text(problem.gold) }));
  const body =
    problem.text === null
      ? element("p", { class: "muted", text: "The problem's text is not part of this study's files." })
      : element("p", { class: "statement text", text: text(problem.text) });
  return [element("h2", { text: `Problem ${problem.id}` }), body, gold, facts];
}

function notes(cell, problem) {
  const lines = [];
  if (cell.adopted) lines.push("Adopted rollouts: others made them, and only facts were taken over. There are answers, token counts and step scores, but no texts.");
  const found = methodsOf(problem);
  const lacking = data.methods.filter((m) => ["best_of_n", "beam_search", "dvts"].includes(m) && !found.includes(m));
  if (lacking.length) lines.push(`Not run here: ${lacking.map((m) => METHODS[m]).join(", ")}.`);
  return lines.map((line) => element("p", { class: "muted", text: line }));
}

// --- votes -----------------------------------------------------------------------------------------

function scoresOf(answer) {
  return Array.isArray(answer.scores) ? answer.scores[choice.prm] : answer.scores;
}

function votes(answers, pick) {
  const groups = new Map();
  for (const answer of answers) {
    const key = answer.status === "no_answer" ? "none" : answer.group;
    const group = groups.get(key) ?? { first: answer, best: null, count: 0, top: null, sum: null };
    const scores = scoresOf(answer);
    group.count += 1;
    if (scores && scores.ranking[choice.scoring] !== null) {
      group.sum = (group.sum ?? 0) + scores.weight[choice.scoring];
      if (group.top === null || scores.ranking[choice.scoring] > group.top) {
        group.top = scores.ranking[choice.scoring];
        group.best = answer;
      }
    }
    groups.set(key, group);
  }
  // A vote for no answer never wins against an answer; the best trajectory may well have none.
  const listed = [...groups.entries()].sort(([, a], [, b]) => b.count - a.count);
  const voted = listed.filter(([key]) => key !== "none").map(([, group]) => group);
  const most = (groupsOf, key) => Math.max(-Infinity, ...groupsOf.map((g) => g[key] ?? -Infinity));
  const all = listed.map(([, group]) => group);
  const marks = [
    (group) => voted.includes(group) && group.count === most(voted, "count"),
    (group) => group.top !== null && group.top === most(all, "top"),
    (group) => voted.includes(group) && group.sum !== null && group.sum === most(voted, "sum"),
  ];
  const head = ["Answer", "", "Votes", "Best score", "Sum of scores", ...(pick ? [""] : [])];
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head.map((h, i) => element("th", { text: h, class: i > 1 ? "number" : "" })))));
  const body = element("tbody");
  for (const group of all) {
    const [word, look] = verdict(group.first);
    const best = group.top === null ? null : probability(group.top);
    const cells = [String(group.count), shown(best, 3), shown(group.sum, 3)];
    const row = element(
      "tr", {},
      element("td", {}, element("span", { class: "text", text: answerText(group.first) })),
      element("td", { class: look, text: word }),
      ...cells.map((value, i) => element("td", { class: "number", text: marks[i](group) ? `\u25c0 ${value}` : value })),
    );
    if (pick) {
      const button = element("button", { type: "button", text: "show its path" });
      button.addEventListener("click", () => pick(group.best ?? group.first));
      row.append(element("td", {}, button));
    }
    body.append(row);
  }
  table.append(body);
  const note = `\u25c0 wins: by majority, by the best-scored solution (prm_max), by the sum of scores (prm_vote). Scores: ${SCORINGS[data.scorings[choice.scoring]]}.`;
  return [element("h2", { text: "Answers and votes" }), element("div", { class: "wide" }, table), element("p", { class: "muted", text: note })];
}

// --- pools -----------------------------------------------------------------------------------------

function steps(entries) {
  const list = element("ol", { class: "steps" });
  for (const [margin, content] of entries) {
    list.append(element("li", {}, scoreBadge(margin), element("span", { class: "text", text: content })));
  }
  return list;
}

function card(title, answer) {
  const [word, look] = verdict(answer);
  const heading = element("h3", {}, document.createTextNode(`${title}: `), element("span", { class: "text", text: answerText(answer) }), document.createTextNode(" "), element("span", { class: look, text: word }));
  const facts = element("p", { class: "muted", text: `${answer.nTokens ?? "?"} tokens${answer.ended ? `, ended by ${answer.ended}` : ""}` });
  return element("article", { class: "card" }, heading, facts);
}

function pool(problem) {
  const samples = problem.samples.slice(0, choice.budget ?? 0);
  const cards = samples.map((sample) => {
    const made = card(`Sample ${sample.index}`, sample);
    const margins = scoresOf(sample)?.margins ?? [];
    const contents = sample.steps ? sample.steps.map(text) : margins.map((_, i) => `step ${i + 1} (no text)`);
    made.append(steps(contents.map((content, i) => [margins[i] ?? null, content])));
    return made;
  });
  const note = `The first ${samples.length} of ${problem.nPool} samples, each step with its score. The study's curves average over all subsets of the pool; this is one of them.`;
  return [...votes(samples), element("h2", { text: "Samples" }), element("p", { class: "muted", text: note }), element("div", { class: "cards" }, ...cards)];
}

// --- searches --------------------------------------------------------------------------------------

function searched(problem) {
  const search = searchesOf(problem).find((s) => s.budget === null || s.budget === choice.budget);
  if (!search) return [element("p", { text: "This search is not stored for this problem." })];
  const limit = choice.method === "dvts" ? choice.budget / data.beamWidth : Infinity;
  const paths = search.paths.filter((path) => path.subtree < limit);
  const nodes = (search.nodes ?? []).filter((node) => node[0] < limit);
  if (!nodes.length) {
    const cards = paths.map((path) => {
      const made = card(`Path ${path.index}`, path);
      made.append(steps((path.scores?.margins ?? []).map((margin, i) => [margin, `step ${i + 1} (no text)`])));
      return made;
    });
    const note = "The nodes of this search are not stored, so its tree cannot be drawn.";
    return [...votes(paths), element("p", { class: "muted", text: note }), element("div", { class: "cards" }, ...cards)];
  }
  const keyed = new Map(nodes.map((node) => [`${node[0]}/${node[2]}`, node]));
  const pick = (path) => {
    choice.node = `${path.subtree}/${path.leaf}`;
    show();
  };
  if (!keyed.has(choice.node)) {
    const ranked = paths.filter((p) => p.leaf !== null).sort((a, b) => (scoresOf(b)?.ranking[choice.scoring] ?? -Infinity) - (scoresOf(a)?.ranking[choice.scoring] ?? -Infinity));
    choice.node = ranked.length ? `${ranked[0].subtree}/${ranked[0].leaf}` : `${nodes[0][0]}/${nodes[0][2]}`;
  }
  const chain = [];
  for (let node = keyed.get(choice.node); node; node = node[3] === null ? null : keyed.get(`${node[0]}/${node[3]}`)) chain.unshift(node);
  const ends = paths.find((path) => `${path.subtree}/${path.leaf}` === choice.node);
  const last = chain[chain.length - 1];
  const detail = element("div", {}, element("h2", { text: "Selected path" }));
  if (ends) detail.append(...card("Its answer", ends).childNodes);
  else detail.append(element("p", { class: "muted", text: `Ends in a step that is no answer's last: ${FATES[data.fates[last[6]]]}.` }));
  detail.append(steps(chain.map((node) => [node[5], text(node[4]).trim()])));
  const panes = element("div", { class: "panes" }, element("div", {}, element("h2", { text: "Search tree" }), legend(), tree(nodes, keyed, chain, paths)), detail);
  return [...votes(paths, pick), panes];
}

function legend() {
  const sign = (attributes) => {
    const svg = drawn("svg", { width: 16, height: 16, "aria-hidden": "true" });
    svg.append(drawn("circle", { cx: 8, cy: 8, r: 5.5, ...attributes }));
    return svg;
  };
  const box = element("div", { class: "legend" });
  const entries = [
    ["score 0", { fill: colours(-50).fill, stroke: "#222" }], ["score 1", { fill: colours(50).fill, stroke: "#222" }],
    ["pruned", { fill: "#fff", stroke: "#777", "stroke-dasharray": "2 2" }], ["not usable", { fill: "#222", r: 2.5 }],
    ["right answer", { fill: "#fff", stroke: "#0072b2", "stroke-width": 3.5 }], ["wrong answer", { fill: "#fff", stroke: "#d55e00", "stroke-width": 3.5 }],
  ];
  for (const [name, attributes] of entries) box.append(element("span", {}, sign(attributes), document.createTextNode(name)));
  return box;
}

function tree(nodes, keyed, chain, paths) {
  const COLUMN = 74, ROW = 20, TOP = 34, LEFT = 28;
  const place = new Map();
  const columns = new Map();
  const byDepth = [...nodes].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  const first = byDepth[0][1];
  const parentRow = (node) => (node[3] === null ? 0 : place.get(`${node[0]}/${node[3]}`)?.row ?? 0);
  for (const depth of new Set(byDepth.map((node) => node[1]))) {
    const here = byDepth.filter((node) => node[1] === depth);
    here.sort((a, b) => a[0] - b[0] || parentRow(a) - parentRow(b) || a[2] - b[2]);
    here.forEach((node, row) => place.set(`${node[0]}/${node[2]}`, { row, x: LEFT + (depth - first) * COLUMN, y: TOP + row * ROW }));
    columns.set(depth, here.length);
  }
  const width = LEFT * 2 + (columns.size - 1) * COLUMN;
  const height = TOP + Math.max(...columns.values()) * ROW;
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Search tree of ${nodes.length} steps; the table of answers leads to each path` });
  const selected = new Set(chain.map((node) => `${node[0]}/${node[2]}`));
  const answers = new Map(paths.map((path) => [`${path.subtree}/${path.leaf}`, path]));
  for (const depth of columns.keys()) {
    svg.append(drawn("text", { x: LEFT + (depth - first) * COLUMN, y: 14, "text-anchor": "middle", "font-size": 11, fill: "#555" }, `step ${depth - first + 1}`));
  }
  const edges = nodes.filter((node) => node[3] !== null && place.has(`${node[0]}/${node[3]}`));
  edges.sort((a, b) => selected.has(`${a[0]}/${a[2]}`) - selected.has(`${b[0]}/${b[2]}`));
  for (const node of edges) {
    const key = `${node[0]}/${node[2]}`;
    const [from, to] = [place.get(`${node[0]}/${node[3]}`), place.get(key)];
    const middle = (from.x + to.x) / 2;
    const kept = data.fates[node[6]] === "kept";
    svg.append(drawn("path", {
      d: `M${from.x},${from.y} C${middle},${from.y} ${middle},${to.y} ${to.x},${to.y}`, fill: "none",
      stroke: selected.has(key) ? "#222" : kept ? "#999" : "#d5d5d5", "stroke-width": selected.has(key) ? 2.2 : 1,
    }));
  }
  for (const node of nodes) {
    const key = `${node[0]}/${node[2]}`;
    const { x, y } = place.get(key);
    const fate = data.fates[node[6]];
    const answer = answers.get(key);
    const look = { cx: x, cy: y, r: selected.has(key) ? 8 : 6.5, fill: colours(node[5]).fill, stroke: "#222", "stroke-width": selected.has(key) ? 2 : 1 };
    if (fate === "pruned") Object.assign(look, { r: look.r - 1.5, stroke: "#777", "stroke-dasharray": "2 2" });
    else if (fate !== "kept") Object.assign(look, { r: 3, fill: "#222", stroke: "none" });
    if (answer && answer.status === "graded") Object.assign(look, { stroke: answer.correct ? "#0072b2" : "#d55e00", "stroke-width": 3.5 });
    const circle = drawn("circle", look);
    const score = node[5] === null ? "no score" : `score ${shown(probability(node[5]), 3)}`;
    circle.append(drawn("title", {}, `${FATES[fate]}, ${score}: ${text(node[4])}`));
    circle.addEventListener("click", () => {
      choice.node = key;
      const before = document.querySelector(".tree");
      const scroll = [before.scrollLeft, before.scrollTop, window.scrollY];
      show();
      const after = document.querySelector(".tree");
      [after.scrollLeft, after.scrollTop] = scroll;
      window.scrollTo(0, scroll[2]);
    });
    svg.append(circle);
  }
  return element("div", { class: "tree", tabindex: "0" }, svg);
}

const many = data.problemsPerBucket;
const cut = data.allBudgets.filter((n) => !data.budgets.includes(n));
document.getElementById("rule").textContent =
  `For each task, policy and difficulty: the ${many === 1 ? "problem" : `${many} problems`} on which the strategies disagree the most. ` +
  `Pools and searches up to N = ${Math.max(...data.budgets)}` +
  (cut.length ? `; larger ones (${cut.join(", ")}) are in the study's store, but not on this page.` : ".");
fromAddress();
show();
