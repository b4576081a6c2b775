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

// What is seen on a problem, at the largest budget; the rules are those of the query browser_problems.
const KINDS = {
  majority_beats_prm: "majority right, best-of-N wrong",
  prm_beats_majority: "majority wrong, best-of-N right",
  pruned: "right path pruned",
  prms_disagree: "PRMs disagree",
  fooled: "every PRM fooled: a right answer is there, none picks it",
};

// Sums of weights that differ by no more than this, of the largest weight and for each vote, tie: as in the study's votes.
const ROUNDING = 2 ** -45;

const choice = { task: null, policy: null, problem: null, method: "beam_search", prm: null, second: null, budget: null, scoring: "prm_last", kind: "", find: "", node: null };

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
const shown = (value, digits) => (value === null || value === undefined ? "\u2013" : fixed(value, digits));

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
  const methods = problem.samples.length ? ["best_of_n"] : [];
  for (const search of problem.searches) if (!methods.includes(search.method)) methods.push(search.method);
  return methods;
}

function prmsOf(problem) {
  const has = (prm) =>
    choice.method === "best_of_n"
      ? problem.samples.some((sample) => sample.scores[prm])
      : problem.searches.some((search) => search.method === choice.method && search.prm === prm);
  return data.prms.map((_, index) => index).filter(has);
}

const numberOf = (prm) => data.prms.findIndex((p) => p.name === prm);
const scoring = () => data.scorings.indexOf(choice.scoring);

function searchesOf(problem, prm) {
  return problem.searches.filter((s) => s.method === choice.method && s.prm === prm);
}

function budgetsOf(problem) {
  const searches = searchesOf(problem, numberOf(choice.prm));
  if (choice.method === "beam_search") return searches.map((search) => search.budget);
  const size =
    choice.method === "dvts"
      ? data.beamWidth * Math.max(0, ...searches.flatMap((s) => s.paths.map((p) => p.subtree + 1)))
      : problem.samples.length;
  // All of a pool too: kinds are judged on it, and adopted ones end where they do.
  return [...new Set([...data.budgets.filter((n) => n <= size), ...(size ? [size] : [])])];
}

// What was changed last has the focus again once the page is drawn anew; the browser goes back to what was.
function changed(label, change) {
  change();
  choice.node = null;
  show();
  toAddress(label === "Find");
  document.querySelector(`#choices [name="${label}"]`)?.focus();
}

function select(label, value, options, change) {
  const box = element("select", { name: label });
  for (const [key, name] of options) {
    const option = element("option", { value: key, text: name });
    option.selected = String(key) === String(value);
    box.append(option);
  }
  box.addEventListener("change", () => changed(label, () => change(box.value)));
  return element("label", {}, document.createTextNode(label), box);
}

function finder() {
  const box = element("input", { name: "Find", type: "search", value: choice.find, placeholder: "number, words, answer" });
  box.addEventListener("input", () => {
    changed("Find", () => (choice.find = box.value));
    const again = document.querySelector('#choices [name="Find"]');
    again.setSelectionRange(again.value.length, again.value.length);
  });
  return element("label", {}, document.createTextNode("Find"), box);
}

function mover(label, key, step) {
  const button = element("button", { type: "button", name: label, text: `${label} (${key})`, "aria-keyshortcuts": key });
  button.addEventListener("click", () => changed(label, () => move(step)));
  return button;
}

function valid(value, options) {
  return options.includes(value) ? value : options[options.length - 1] ?? null;
}

// --- address: by names, each choice a step back ----------------------------------------------------

const scaleOf = (cell) => (cell.adopted ? "public" : "study");
function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  // A link may name the scale of evidence alone.
  const first = data.cells.find((cell) => scaleOf(cell) === asked.get("scale"));
  if (first && !asked.has("task")) Object.assign(choice, { task: first.task, policy: first.policy });
  for (const key of Object.keys(choice)) {
    if (asked.has(key)) choice[key] = key === "budget" ? Number(asked.get(key)) : asked.get(key);
    else if (["kind", "find"].includes(key)) choice[key] = "";
    else if (["second", "node"].includes(key)) choice[key] = null;
  }
}

function address() {
  return "#" + new URLSearchParams(Object.entries(choice).filter(([, value]) => value !== null && value !== ""));
}

function toAddress(replacing) {
  const now = address();
  if (now === location.hash) return;
  history[replacing ? "replaceState" : "pushState"](null, "", now);
}

// --- what is shown ---------------------------------------------------------------------------------

function cellShown() {
  const ofTask = data.cells.filter((c) => c.task === choice.task);
  const cells = ofTask.length ? ofTask : data.cells.filter((c) => c.task === data.cells[0].task);
  const cell = cells.find((c) => c.policy === choice.policy) ?? cells[0];
  choice.task = cell.task;
  choice.policy = cell.policy;
  return cell;
}

function matching(cell) {
  const words = choice.find.toLowerCase().split(/\s+/).filter(Boolean);
  return cell.problems.filter((problem) => {
    const written = [problem.id, problem.bucket, problem.text === null ? "" : text(problem.text), text(problem.gold)].join(" ").toLowerCase();
    return (!choice.kind || problem.kinds.includes(choice.kind)) && words.every((word) => written.includes(word));
  });
}

// Where a page opens: the first problem on which the most is seen.
const mostSeen = (problems) => problems.reduce((most, p) => (p.kinds.length > most.kinds.length ? p : most), problems[0]);

function move(step) {
  const problems = matching(cellShown());
  const at = problems.findIndex((p) => p.id === choice.problem);
  if (problems.length) choice.problem = problems[(at + step + problems.length) % problems.length].id;
}

function show() {
  const form = document.getElementById("choices");
  const main = document.getElementById("main");
  if (!data.cells.length) {
    main.replaceChildren(element("p", { text: "No rollouts are stored for this study." }));
    return;
  }
  const cell = cellShown();
  document.getElementById("evidence").textContent = `Scale of this evidence: ${data.scales[scaleOf(cell)]}.`;
  if (!Object.hasOwn(KINDS, choice.kind)) choice.kind = "";
  if (scoring() < 0) choice.scoring = data.scorings[0];
  const problems = matching(cell);
  const problem = problems.find((p) => p.id === choice.problem) ?? mostSeen(problems);
  const tasks = [...new Map(data.cells.map((c) => [c.task, c.taskTitle]))];
  const count = (kind) => cell.problems.filter((p) => p.kinds.includes(kind)).length;
  const kinds = Object.entries(KINDS).map(([kind, name]) => [kind, `${name} (${count(kind)})`]);
  const first = [
    select("Task", cell.task, tasks, (task) => (choice.task = task)),
    select("Policy", cell.policy, data.cells.filter((c) => c.task === cell.task).map((c) => [c.policy, c.policyTitle]), (policy) => (choice.policy = policy)),
    select("What is seen", choice.kind, [["", `anything (${cell.problems.length})`], ...kinds], (kind) => (choice.kind = kind)),
    finder(),
    select("Problem", problem?.id, problems.map((p) => [p.id, `${p.id} (${p.bucket})`]), (id) => (choice.problem = id)),
    element("span", { class: "movers" }, mover("Previous", "k", -1), mover("Next", "j", 1)),
  ];
  if (!problem) {
    form.replaceChildren(...first);
    main.replaceChildren(element("p", { role: "status", text: "No problem of this policy on this page is so." }));
    return;
  }
  choice.problem = problem.id;
  const methods = methodsOf(problem);
  if (!methods.includes(choice.method)) choice.method = methods[0] ?? null;
  const names = prmsOf(problem).map((index) => data.prms[index].name);
  if (!names.includes(choice.prm)) choice.prm = names[0] ?? null;
  if (!names.includes(choice.second) || choice.second === choice.prm) choice.second = null;
  choice.budget = valid(choice.budget, budgetsOf(problem));
  const titled = (name) => [name, data.prms[numberOf(name)].title];
  form.replaceChildren(
    ...first,
    select("Method", choice.method, methods.map((m) => [m, METHODS[m] ?? m]), (v) => (choice.method = v)),
    select("PRM", choice.prm, names.length ? names.map(titled) : [["", "no scores"]], (v) => (choice.prm = v || null)),
    select("Beside it", choice.second ?? "", [["", "no other"], ...names.filter((n) => n !== choice.prm).map(titled)], (v) => (choice.second = v || null)),
    select("Budget N", choice.budget, budgetsOf(problem).map((n) => [n, n]), (v) => (choice.budget = Number(v))),
    select("Score of a solution", choice.scoring, data.scorings.map((s) => [s, SCORINGS[s] ?? s]), (v) => (choice.scoring = v)),
  );
  main.replaceChildren(...statement(cell, problem), ...notes(cell, problem));
  if (choice.method === null) return;
  const prms = [choice.prm, choice.second].filter((name, i) => i === 0 || name !== null).map(numberOf);
  if (choice.method === "best_of_n") main.append(...pool(problem, prms));
  else {
    const shownOf = (prm) => {
      const title = prms.length > 1 ? [element("h2", { text: data.prms[prm].title })] : [];
      return element("section", { class: "one" }, ...title, ...searched(problem, prm));
    };
    main.append(element("div", { class: prms.length > 1 ? "beside" : "" }, ...prms.map(shownOf)));
  }
}

function statement(cell, problem) {
  const rated =
    problem.passAt1 === null
      ? "Pass@1 not measured"
      : `Pass@1 of the policy ${fixed(100 * problem.passAt1, 1)}% in ${counted(problem.nRated, "sample")} (${problem.bucket})`;
  const kinds = problem.kinds.map((kind) => KINDS[kind]).join("; ");
  const facts = element("p", { class: "muted", text: `${rated}. Seen here: ${kinds || "none of the kinds above"}.` });
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
  const methods = methodsOf(problem);
  const lacking = data.methods.filter((m) => ["best_of_n", "beam_search", "dvts"].includes(m) && !methods.includes(m));
  if (lacking.length) lines.push(`Not run here: ${lacking.map((m) => METHODS[m]).join(", ")}.`);
  return [...lines.map((line) => element("p", { class: "muted", text: line })), origin(cell)];
}

// How the rollouts on show were made: prompt, seed, specification, engine; of adopted ones, where they come from.
function origin(cell) {
  const prm = choice.prm;
  const shown = cell.made.filter((row) => (row.method == null || row.method === choice.method) && (row.prm == null || [prm, choice.second].includes(row.prm)) && (row.budget == null || row.budget === choice.budget));
  const box = element("details", { class: "origin" }, element("summary", { text: "How this was made" }));
  if (cell.prompt) {
    box.append(element("p", { class: "text", text: `System prompt: ${cell.prompt.system ?? "none"}` }));
    box.append(element("p", { class: "text", text: `After the problem: ${cell.prompt.suffix?.trim() || "nothing"}` }));
  }
  const list = element("ul");
  const names = { kind: cell.adopted ? "collection" : "what", prm: "PRM", method: cell.adopted ? "variant" : "method", budget: "N", digest: "specification", package: "version of this package" };
  for (const row of shown.length ? shown : cell.made) {
    const words = Object.entries(row).map(([key, value]) => `${names[key] ?? key}: ${String(value).trim()}`);
    list.append(element("li", { class: "text", text: words.join(" \u00b7 ") }));
  }
  box.append(cell.made.length ? list : element("p", { text: "Nothing is recorded of it." }));
  return box;
}

// --- votes -----------------------------------------------------------------------------------------

function scoresOf(answer, prm) {
  return Array.isArray(answer.scores) ? answer.scores[prm] : answer.scores;
}

function votes(answers, prm, pick) {
  const groups = new Map();
  let largest = 0;
  for (const answer of answers) {
    const key = answer.status === "no_answer" ? "none" : answer.group;
    const group = groups.get(key) ?? { first: answer, best: null, count: 0, top: null, sum: null };
    const scores = scoresOf(answer, prm);
    group.count += 1;
    if (scores && scores.ranking[scoring()] !== null) {
      const weight = probability(scores.ranking[scoring()]);
      largest = Math.max(largest, weight);
      group.sum = (group.sum ?? 0) + weight;
      if (group.top === null || scores.ranking[scoring()] > group.top) {
        group.top = scores.ranking[scoring()];
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
    (group) => voted.includes(group) && group.sum !== null && group.sum >= most(voted, "sum") - answers.length * ROUNDING * largest,
  ];
  const head = ["Answer", "", "Votes", "Best score", "Sum of scores", ...(pick ? [""] : [])];
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head.map((h, i) => element("th", { text: h || "\u00a0", scope: "col", class: i > 1 ? "number" : "" })))));
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
  const note = `\u25c0 wins: by majority, by the best-scored solution (prm_max), by the sum of scores (prm_vote). Scores: ${SCORINGS[choice.scoring]}.`;
  return [element("h2", { text: "Answers and votes" }), element("div", { class: "wide" }, table), element("p", { class: "muted", text: note })];
}

// --- pools -----------------------------------------------------------------------------------------

// Entries: [margins, text, whether it is right (null: cannot be checked), whether it is the first wrong one].
function steps(entries) {
  const list = element("ol", { class: "steps" });
  for (const [margins, content, right, isFirst] of entries) {
    const mark = right === null ? [] : [element("span", { class: right ? "right" : "wrong", text: isFirst ? "\u2717 first error " : right ? "\u2713 " : "\u2717 ", title: right ? "right step" : "wrong step, or after one" })];
    list.append(element("li", { class: isFirst ? "first-error" : "" }, element("span", { class: "scores" }, ...margins.map(scoreBadge)), element("span", { class: "text" }, ...mark, document.createTextNode(visible(content)))));
  }
  return list;
}

function card(title, answer) {
  const [word, look] = verdict(answer);
  const heading = element("h3", {}, document.createTextNode(`${title}: `), element("span", { class: "text", text: answerText(answer) }), document.createTextNode(" "), element("span", { class: look, text: word }));
  const facts = element("p", { class: "muted", text: `${answer.nTokens === null ? "? tokens" : counted(answer.nTokens, "token")}${answer.ended ? `, ended by ${answer.ended}` : ""}${answer.seed ? `, seed ${answer.seed}` : ""}` });
  return element("article", { class: "card" }, heading, facts);
}

function pool(problem, prms) {
  const samples = problem.samples.slice(0, choice.budget ?? 0);
  const cards = samples.map((sample) => {
    const made = card(`Sample ${sample.index}`, sample);
    const margins = prms.map((prm) => scoresOf(sample, prm)?.margins ?? []);
    const longest = Math.max(0, ...margins.map((of) => of.length));
    const contents = sample.steps ? sample.steps.map(text) : Array.from({ length: longest }, (_, i) => `step ${i + 1} (no text)`);
    const first = sample.firstError;
    made.append(steps(contents.map((content, i) => [margins.map((of) => of[i] ?? null), content, sample.checked ? first === null || i < first : null, i === first])));
    return made;
  });
  const of = prms.length > 1 ? ` Scores from left to right: ${prms.map((prm) => data.prms[prm].title).join(", ")}.` : "";
  const note = `The first ${samples.length} of ${counted(problem.nPool, "sample")}, each step with its score. The study's curves average over all subsets of the pool; this is one of them.${of}`;
  const votesOf = (prm) => element("section", { class: "one" }, ...(prms.length > 1 ? [element("h2", { text: data.prms[prm].title })] : []), ...votes(samples, prm));
  return [element("div", { class: prms.length > 1 ? "beside" : "" }, ...prms.map(votesOf)), element("h2", { text: "Samples" }), element("p", { class: "muted", text: note }), element("div", { class: "cards" }, ...cards)];
}

// --- searches --------------------------------------------------------------------------------------

function searched(problem, prm) {
  const search = searchesOf(problem, prm).find((s) => s.budget === null || s.budget === choice.budget);
  if (!search) return [element("p", { text: "This search is not stored for this problem." })];
  const limit = choice.method === "dvts" ? choice.budget / data.beamWidth : Infinity;
  const paths = search.paths.filter((path) => path.subtree < limit);
  const nodes = (search.nodes ?? []).filter((node) => node[0] < limit);
  const truths = new Map((search.truths ? search.nodes : []).map((node, i) => [`${node[0]}/${node[2]}`, search.truths[i]]));
  if (!nodes.length) {
    const cards = paths.map((path) => {
      const made = card(`Path ${path.index}`, path);
      made.append(steps((path.scores?.margins ?? []).map((margin, i) => [[margin], `step ${i + 1} (no text)`, null, false])));
      return made;
    });
    const note = "The nodes of this search are not stored, so its tree cannot be drawn.";
    return [...votes(paths, prm), element("p", { class: "muted", text: note }), element("div", { class: "cards" }, ...cards)];
  }
  const keyed = new Map(nodes.map((node) => [`${node[0]}/${node[2]}`, node]));
  // The same node of two trees is another step: the choice names the PRM as well.
  const own = (key) => `${data.prms[prm].name}:${key}`;
  const choose = (key) => {
    choice.node = own(key);
    show();
    toAddress();
  };
  const pick = (path) => choose(`${path.subtree}/${path.leaf}`);
  let chosen = nodes.map((node) => `${node[0]}/${node[2]}`).find((key) => own(key) === choice.node);
  if (chosen === undefined) {
    const ranked = paths.filter((p) => p.leaf !== null).sort((a, b) => (scoresOf(b, prm)?.ranking[scoring()] ?? -Infinity) - (scoresOf(a, prm)?.ranking[scoring()] ?? -Infinity));
    chosen = ranked.length ? `${ranked[0].subtree}/${ranked[0].leaf}` : `${nodes[0][0]}/${nodes[0][2]}`;
  }
  const chain = [];
  for (let node = keyed.get(chosen); node; node = node[3] === null ? null : keyed.get(`${node[0]}/${node[3]}`)) chain.unshift(node);
  const ends = paths.find((path) => `${path.subtree}/${path.leaf}` === chosen);
  const last = chain[chain.length - 1];
  const detail = element("div", {}, element("h2", { text: "Selected path" }));
  if (ends) detail.append(...card("Its answer", ends).childNodes);
  else detail.append(element("p", { class: "muted", text: `Ends in a step that is no answer's last: ${FATES[data.fates[last[6]]]}.` }));
  const right = chain.map((node) => truths.get(`${node[0]}/${node[2]}`) ?? null);
  detail.append(steps(chain.map((node, i) => [[node[5]], text(node[4]).trim(), right[i], i === right.indexOf(false)])));
  const panes = element("div", { class: "panes" }, element("div", {}, element("h2", { text: "Search tree" }), legend(), tree(nodes, chain, paths, truths, choose, data.prms[prm])), detail);
  return [...votes(paths, prm, pick), panes];
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
    ["has an error: \u2717", { fill: "none", stroke: "none" }], ["pruned", { fill: "#fff", stroke: "#777", "stroke-dasharray": "2 2" }], ["duplicate, cut, empty or too long", { fill: "#777", r: 2.5 }],
    ["right answer", { fill: "#fff", stroke: "#0072b2", "stroke-width": 3.5 }], ["wrong answer", { fill: "#fff", stroke: "#d55e00", "stroke-width": 3.5 }],
  ];
  for (const [name, attributes] of entries) box.append(element("span", {}, sign(attributes), document.createTextNode(name)));
  return box;
}

function tree(nodes, chain, paths, truths, choose, prm) {
  const COLUMN = 74, ROW = 20, TOP = 34, LEFT = 28;
  const place = new Map();
  const columns = new Map();
  const byDepth = [...nodes].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  const first = byDepth[0][1];
  const parentRow = (node) => (node[3] === null ? 0 : place.get(`${node[0]}/${node[3]}`)?.row ?? 0);
  for (const depth of new Set(byDepth.map((node) => node[1]))) {
    const ofDepth = byDepth.filter((node) => node[1] === depth);
    ofDepth.sort((a, b) => a[0] - b[0] || parentRow(a) - parentRow(b) || a[2] - b[2]);
    ofDepth.forEach((node, row) => place.set(`${node[0]}/${node[2]}`, { row, x: LEFT + (depth - first) * COLUMN, y: TOP + row * ROW }));
    columns.set(depth, ofDepth.length);
  }
  const width = LEFT * 2 + (columns.size - 1) * COLUMN;
  const height = TOP + Math.max(...columns.values()) * ROW;
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "tree", "aria-label": `Search tree of ${nodes.length} steps with ${prm.title}; arrow keys go through it` });
  const selected = new Set(chain.map((node) => `${node[0]}/${node[2]}`));
  const answers = new Map(paths.map((path) => [`${path.subtree}/${path.leaf}`, path]));
  for (const depth of columns.keys()) {
    svg.append(drawn("text", { x: LEFT + (depth - first) * COLUMN, y: 14, "text-anchor": "middle", "font-size": 11, fill: "currentColor", "aria-hidden": "true" }, `step ${depth - first + 1}`));
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
      class: selected.has(key) ? "edge chosen" : kept ? "edge" : "edge lost", "aria-hidden": "true",
    }));
  }
  const last = chain.length ? `${chain[chain.length - 1][0]}/${chain[chain.length - 1][2]}` : null;
  for (const node of nodes) {
    const key = `${node[0]}/${node[2]}`;
    const { x, y } = place.get(key);
    const fate = data.fates[node[6]];
    const answer = answers.get(key);
    const look = { cx: x, cy: y, r: selected.has(key) ? 8 : 6.5, fill: colours(node[5]).fill, stroke: "#222", "stroke-width": selected.has(key) ? 2 : 1 };
    if (fate === "pruned") Object.assign(look, { r: look.r - 1.5, stroke: "#777", "stroke-dasharray": "2 2" });
    else if (fate !== "kept") Object.assign(look, { r: 3, fill: "#777", stroke: "none" });
    if (answer && answer.status === "graded") Object.assign(look, { stroke: answer.correct ? "#0072b2" : "#d55e00", "stroke-width": 3.5 });
    const circle = drawn("circle", look);
    const score = node[5] === null ? "no score" : `score ${shown(probability(node[5]), 3)}`;
    const truth = truths.get(key);
    const ends = answer && answer.status === "graded" ? `, ends in a ${answer.correct ? "right" : "wrong"} answer` : "";
    const name = `Step ${node[1] - first + 1}, ${FATES[fate]}, ${score}${truth === undefined ? "" : truth ? ", right so far" : ", has an error"}${ends}: ${text(node[4])}`;
    circle.append(drawn("title", {}, name));
    const isChosen = key === last;
    for (const [attribute, value] of Object.entries({
      role: "treeitem", "data-node": key, "aria-level": node[1] - first + 1, "aria-selected": isChosen, tabindex: isChosen ? 0 : -1, "aria-label": visible(name).slice(0, 400),
    })) circle.setAttribute(attribute, value);
    circle.addEventListener("click", () => go(key));
    svg.append(circle);
    if (truth === false) svg.append(drawn("text", { x: x + 8, y: y - 3, "font-size": 10, class: "error-mark", "aria-hidden": "true" }, "\u2717"));
  }
  // Right and left: to a child and back to the parent; up and down: along the steps of one depth.
  svg.addEventListener("keydown", (event) => {
    const at = nodes.find((node) => `${node[0]}/${node[2]}` === event.target.getAttribute("data-node"));
    if (!at) return;
    const beside = nodes.filter((node) => node[1] === at[1]).sort((a, b) => place.get(`${a[0]}/${a[2]}`).y - place.get(`${b[0]}/${b[2]}`).y);
    const children = nodes.filter((node) => node[0] === at[0] && node[3] === at[2]).sort((a, b) => place.get(`${a[0]}/${a[2]}`).y - place.get(`${b[0]}/${b[2]}`).y);
    const to = {
      ArrowLeft: nodes.find((node) => node[0] === at[0] && node[2] === at[3]),
      ArrowRight: children.find((node) => data.fates[node[6]] === "kept") ?? children[0],
      ArrowUp: beside[beside.indexOf(at) - 1],
      ArrowDown: beside[beside.indexOf(at) + 1],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    go(`${to[0]}/${to[2]}`);
  });
  const box = element("div", { class: "tree", "data-prm": prm.name }, svg);
  function go(key) {
    const scroll = [box.scrollLeft, box.scrollTop, window.scrollY];
    choose(key);
    const after = document.querySelector(`.tree[data-prm="${CSS.escape(prm.name)}"]`);
    [after.scrollLeft, after.scrollTop] = scroll;
    window.scrollTo(0, scroll[2]);
    after.querySelector('[aria-selected="true"]').focus({ preventScroll: false });
  }
  return box;
}

const many = data.problemsOfKind;
document.getElementById("rule").textContent =
  `For each task, of each kind of event and difficulty: the ${many === 1 ? "problem" : `${many} problems`} on which it is seen with the most policies. ` +
  (data.largest ? `Pools and searches up to N = ${data.largest}` : "No pools and no searches") +
  (data.leftOut ? `; larger ones (up to N = ${data.leftOut}) are in the study's store, but not on this page.` : ".") +
  " Kinds are judged at the largest N that each pool and search has, on all samples.";
addEventListener("popstate", () => {
  fromAddress();
  show();
});
addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "k") changed(event.key === "j" ? "Next" : "Previous", () => move(event.key === "j" ? 1 : -1));
});
fromAddress();
show();
toAddress(true);
