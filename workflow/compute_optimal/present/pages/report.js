"use strict";
// What Snakemake's report page lacks: lists in natural order, a search through titles and captions, pages of any size
// in its frame, and links of the first page to results.

const compared = String.prototype.localeCompare;
String.prototype.localeCompare = function (other) {
  return compared.call(this, other, "en", { numeric: true });
};

const plainText = (markup) => new DOMParser().parseFromString(markup || "", "text/html").body.textContent;
const searched = new Map(
  Object.entries(results).map(([path, result]) => {
    const words = [path, ...Object.values(result.labels || {}), plainText(result.caption)];
    return [path, words.join(" ").toLowerCase().replace(/\s+/g, " ")];
  }),
);
SearchResults.prototype.getResults = function () {
  const term = this.getSearchTerm().toLowerCase().trim();
  const rows = Object.entries(results);
  if (term.startsWith("re:")) return rows.filter(([path]) => new RegExp(term.slice(3)).test(searched.get(path)));
  // "Figure 1" is not Figure 10.
  const matching = rows.filter(([path]) => {
    const text = searched.get(path);
    for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + 1)) {
      if (!/\d$/.test(term) || !/\d/.test(text[at + term.length] || "")) return true;
    }
    return false;
  });
  // Those that are called so come before those that mention it.
  const named = ([, result]) => Object.values(result.labels || {}).some((label) => label.toLowerCase().startsWith(term));
  return [...matching.filter(named), ...matching.filter((row) => !named(row))];
};

// Browsers show no frame whose address is longer than about two million characters.
const shownAs = new Map();
function frameAddress(address) {
  if (!address.startsWith("data:text/html")) return address;
  if (!shownAs.has(address)) {
    const bytes = Uint8Array.from(atob(address.slice(address.indexOf("base64,") + 7)), (c) => c.charCodeAt(0));
    shownAs.set(address, URL.createObjectURL(new Blob([bytes], { type: "text/html;charset=utf-8" })));
  }
  return shownAs.get(address);
}
const setView = App.prototype.setView;
App.prototype.setView = function (view) {
  const fragment = view.fragment || "";
  setView.call(this, view.content === "html" ? { ...view, contentPath: frameAddress(view.contentPath) + fragment } : view);
};
if (app) app.setView = App.prototype.setView.bind(app);

document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest("a[href]");
  if (!link) return;
  const [target, fragment] = link.getAttribute("href").split("#");
  const path = target && Object.keys(results).find((key) => key.endsWith(`/${target}`));
  if (!path) return;
  event.preventDefault();
  const result = results[path];
  const content = { "text/html": "html", "application/pdf": "pdf" }[result.mime_type] || "img";
  app.setView({ content, contentPath: result.data_uri, resultPath: path, fragment: fragment ? `#${fragment}` : "" });
});

// The menu's picture, field and links of symbols alone, by name.
function nameMenu() {
  for (const image of document.querySelectorAll("nav img:not([alt])")) image.alt = "Snakemake";
  for (const field of document.querySelectorAll("nav input:not([aria-label])")) field.setAttribute("aria-label", "Search all results");
  for (const link of document.querySelectorAll("nav a:not([aria-label])")) {
    if (!link.textContent.trim()) link.setAttribute("aria-label", link.type === "button" ? "Hide or show the menu" : "Search");
  }
}
new MutationObserver(nameMenu).observe(document.getElementById("app"), { childList: true, subtree: true });
nameMenu();

document.title = "Compute-optimal test-time scaling: the report";
if (location.hash) {
  // The first page is drawn after the browser has looked for what the address names.
  setTimeout(() => document.getElementById(location.hash.slice(1))?.scrollIntoView(), 300);
}
document.documentElement.dataset.finished = "yes";
