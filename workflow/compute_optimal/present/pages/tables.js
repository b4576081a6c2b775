"use strict";
// Every table of class "sortable": sorted by a click on a heading, filtered by words, saved as CSV: what data-csv of the table (the header)
// and of each row says, for machines.
function makeSortable(table) {
  const body = table.tBodies[0];
  // A row that says what is printed for the row above stays with it.
  const groups = [];
  for (const row of body.rows) (row.classList.contains("printed") && groups.length ? groups.at(-1) : groups[groups.push([]) - 1]).push(row);
  const headings = [...table.tHead.rows[0].cells];
  const value = (group, column) => {
    const cell = group[0].cells[column];
    const number = cell.dataset.value === undefined ? Number.NaN : Number(cell.dataset.value);
    return Number.isNaN(number) ? cell.textContent : number;
  };
  const compare = (one, other, falling) => {
    const sign = falling ? -1 : 1;
    if (typeof one === "number" && typeof other === "number") return one === other ? 0 : sign * (one < other ? -1 : 1);
    if (typeof one === typeof other) return sign * one.localeCompare(other, "en", { numeric: true });
    return typeof one === "number" ? -1 : 1; // what is not a number stands below, whichever way
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      groups.sort((a, b) => compare(value(a, column), value(b, column), falling));
      body.append(...groups.flat());
    });
  });
  const tools = document.createElement("div");
  tools.className = "tools";
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("span");
  const save = document.createElement("button");
  input.type = "search";
  label.append("Rows with all of these words (one|other: with one of them)", input);
  count.setAttribute("role", "status");
  save.type = "button";
  save.textContent = "Save rows as CSV";
  tools.append(label, count, save);
  table.closest(".wide").before(tools);
  // A minus may be typed as a hyphen; a word does not reach from a cell into the next.
  const plain = (text) => text.toLowerCase().replaceAll("−", "-");
  const filter = () => {
    const words = plain(input.value).split(/\s+/).map((word) => word.split("|").filter(Boolean)).filter((either) => either.length);
    let shown = 0;
    for (const group of groups) {
      const text = plain(group.flatMap((row) => [...row.cells].map((cell) => cell.textContent)).join("\n"));
      const hidden = !words.every((either) => either.some((one) => text.includes(one)));
      for (const row of group) row.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${groups.length} row${groups.length === 1 ? "" : "s"}`;
  };
  input.addEventListener("input", filter);
  const wanted = new URLSearchParams(location.hash.slice(1)).get("rows");
  if (wanted) input.value = wanted;
  filter();
  save.addEventListener("click", () => {
    const text = [table, ...groups.map(([row]) => row).filter((row) => !row.hidden)].map((part) => part.dataset.csv).join("\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" }));
    link.download = `${document.title.replace(/[^A-Za-z0-9]+/g, "_")}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  return tools;
}
for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
