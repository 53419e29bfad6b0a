// The documentation of a project: PROJECT (data.js) on pages that the address names.
//   #/            all models, with the search        #/m/marts.orders      one model
//   #/graph       what reads what                    #/c/marts.orders/id   the lineage of a column
"use strict";

const NODES = PROJECT.nodes;
const BY_KEY = new Map(NODES.map((node, index) => [node.key, index]));
const READERS = NODES.map(() => []);
NODES.forEach((node, index) => node.reads.forEach((read) => READERS[read].push(index)));
const TEXTS = NODES.map((node) =>
  [node.key, node.description, node.kind, ...node.tags, ...node.owner, ...node.columns.map((it) => `${it.name} ${it.description}`)]
    .join(" ").toLowerCase());
const MOST_FOUND = 300;

const main = document.querySelector("main");
const field = document.querySelector("input[type=search]");
const list = document.querySelector("#found");

function html(text) {
  return String(text).replace(/[&<>"']/g, (it) => `&#${it.charCodeAt(0)};`);
}
function link(index, text) {
  return `<a href="#/m/${encodeURIComponent(NODES[index].key)}">${html(text ?? NODES[index].key)}</a>`;
}
function columnLink(index, name, text) {
  const at = `#/c/${encodeURIComponent(NODES[index].key)}/${encodeURIComponent(name)}`;
  return `<a href="${at}">${html(text ?? name)}</a>`;
}
function table(head, rows, numbers = []) {
  const cell = (tag) => (it, at) => `<${tag}${numbers.includes(at) ? ' class="number"' : ""}>${it}</${tag}>`;
  const body = rows.map((row) => `<tr>${row.map(cell("td")).join("")}</tr>`).join("");
  const top = head.some(Boolean) ? `<thead><tr>${head.map(cell("th")).join("")}</tr></thead>` : "";
  return `<div class="scroll"><table>${top}<tbody>${body}</tbody></table></div>`;
}
function state(word) {
  return word ? `<span class="state ${html(word)}">${html(word)}</span>` : "";
}

// --- search ------------------------------------------------------------------------------

function rank(node, words) {
  const name = node.key.split(".").pop().toLowerCase();
  return words.some((word) => name === word) ? 0 : words.some((word) => name.includes(word)) ? 1 : 2;
}
function find() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = NODES.map((_, index) => index)
    .filter((index) => words.every((word) => TEXTS[index].includes(word)));
  if (words.length) found.sort((a, b) => rank(NODES[a], words) - rank(NODES[b], words));
  const shown = found.slice(0, MOST_FOUND).map((index) => {
    const node = NODES[index];
    return `<li>${link(index)} <span class="soft">${html(node.kind)}</span></li>`;
  });
  const rest = found.length - shown.length;
  const more = rest > 0 ? `<li class="soft">and ${rest.toLocaleString("en")} more</li>` : "";
  list.innerHTML = shown.join("") + more || '<li class="soft">nothing</li>';
}

// --- pictures ----------------------------------------------------------------------------

// Columns from left to right, each node behind all that it reads; rows by what is beside a node.
function places(ids, reads) {
  const column = new Map();
  const depth = (id) => {
    const waiting = [id];
    while (waiting.length) {
      const top = waiting[waiting.length - 1];
      const open = column.has(top) ? [] : reads(top).filter((it) => ids.has(it) && !column.has(it));
      if (open.length) { waiting.push(...open); continue; }
      if (!column.has(top)) {
        const those = reads(top).filter((it) => ids.has(it)).map((it) => column.get(it) + 1);
        column.set(top, Math.max(0, ...those));
      }
      waiting.pop();
    }
  };
  ids.forEach(depth);
  const columns = [];
  column.forEach((at, id) => (columns[at] ??= []).push(id));
  const readers = new Map([...ids].map((id) => [id, []]));
  ids.forEach((id) => reads(id).forEach((it) => readers.get(it)?.push(id)));
  const row = new Map();
  const number = (names) => names.forEach((id, at) => row.set(id, at));
  columns.forEach(number);
  const middle = (id, beside) => {
    const rows = beside.filter((it) => row.has(it)).map((it) => row.get(it));
    return rows.length ? rows.reduce((a, b) => a + b, 0) / rows.length : row.get(id);
  };
  for (let sweep = 0; sweep < 4; sweep++) {
    const back = sweep % 2 === 1;
    for (const names of back ? [...columns].reverse() : columns) {
      const keys = new Map(names.map((id) => [id, middle(id, back ? readers.get(id) : reads(id))]));
      names.sort((a, b) => keys.get(a) - keys.get(b));
      number(names);
    }
  }
  return { column, row };
}

function picture(ids, reads, label, href, kind, chosen) {
  const { column, row } = places(ids, reads);
  const wide = 260, high = 34, box = 200, tall = 24, margin = 8;
  const x = (id) => margin + wide * column.get(id), y = (id) => margin + high * row.get(id);
  const parts = [];
  ids.forEach((id) => reads(id).forEach((it) => {
    if (!ids.has(it)) return;
    const x1 = x(it) + box, y1 = y(it) + tall / 2, x2 = x(id), y2 = y(id) + tall / 2;
    const bend = Math.max(30, (x2 - x1) / 2);
    parts.push(`<path class="edge" d="M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}"/>`);
  }));
  ids.forEach((id) => {
    const text = label(id);
    const short = text.length > 30 ? `...${text.slice(-27)}` : text;
    const border = id === chosen ? " critical" : "";
    parts.push(`<a href="${href(id)}"><title>${html(text)}</title><g class="box"><rect class="${kind(id)}${border}"`
      + ` x="${x(id)}" y="${y(id)}" width="${box}" height="${tall}" rx="4"/>`
      + `<text x="${x(id) + 8}" y="${y(id) + 16}">${html(short)}</text></g></a>`);
  });
  const width = Math.max(0, ...[...ids].map(x)) + box + margin;
  const height = Math.max(0, ...[...ids].map(y)) + tall + margin;
  return `<div class="scroll"><svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join("")}</svg></div>`;
}

function reach(start, next, steps) {
  const found = new Set([start]);
  let edge = [start];
  for (let step = 0; step < steps && edge.length; step++) {
    const beyond = new Set(edge.flatMap(next).filter((it) => !found.has(it)));
    beyond.forEach((it) => found.add(it));
    edge = [...beyond];
  }
  return found;
}

function tables(ids, chosen) {
  return picture(ids, (id) => NODES[id].reads, (id) => NODES[id].key,
    (id) => `#/m/${encodeURIComponent(NODES[id].key)}`, (id) => NODES[id].family, chosen);
}

// --- pages -------------------------------------------------------------------------------

function overview() {
  const count = (word) => NODES.filter((node) => node.family === word).length;
  const cards = [["models", count("model")], ["sources", count("source")], ["seeds", count("seed")], ["scripts", count("script")],
    ["checks", NODES.reduce((sum, node) => sum + node.checks.length, 0)]]
    .filter(([, number]) => number).map(([word, number]) => `<div class="card"><b>${number.toLocaleString("en")}</b>${word}</div>`);
  const run = PROJECT.run;
  const said = run ? `<p>Last run: ${html(run.status)}, ${html(run.began)}, on the target ${html(run.target)}.</p>` : "";
  const rows = NODES.map((node, index) => [link(index), html(node.kind), html(node.description.split("\n")[0]),
    String(node.columns.length), String(node.checks.length), state(node.last?.state)]);
  return `<h1>${html(PROJECT.name)}</h1><p class="soft">Written ${html(PROJECT.written)}. <a href="#/graph">What reads what</a></p>`
    + `<div class="cards">${cards.join("")}</div>${said}`
    + table(["name", "kind", "description", "columns", "checks", "last run"], rows.slice(0, MOST_FOUND), [3, 4])
    + (rows.length > MOST_FOUND ? '<p class="soft">The search finds the others.</p>' : "");
}

function model(index, steps) {
  const node = NODES[index];
  const facts = [["relation", node.relation], ["file", node.file], ["owner", node.owner.join(", ")], ["tags", node.tags.join(", ")], ["group", node.group]]
    .filter(([, value]) => value).map(([word, value]) => [word, `<code>${html(value)}</code>`]);
  const columns = node.columns.map((it) => [columnLink(index, it.name), `<code>${html(it.type)}</code>`, html(it.description),
    it.sources.map(([from, name]) => from < 0 ? html(name) : columnLink(from, name, `${NODES[from].key}.${name}`)).join(", ") || html(it.reason)]);
  const checks = node.checks.map((it) => [html(it.name), html(it.kind), html(it.columns.join(", ")), html(it.severity), html(it.description), state(it.state), html(it.found)]);
  const near = new Set([...reach(index, (it) => NODES[it].reads, steps), ...reach(index, (it) => READERS[it], steps)]);
  const choice = [1, 2, 1000].map((number) => number === steps ? `<b>${number > 2 ? "all" : number}</b>`
    : `<a href="#/m/${encodeURIComponent(node.key)}/${number}">${number > 2 ? "all" : number}</a>`).join(" ");
  const last = node.last ? `<p>Last run: ${state(node.last.state)} ${html(node.last.said)}</p>` : "";
  return `<h1>${html(node.key)} <span class="soft">${html(node.kind)}</span></h1>`
    + node.problems.map((it) => `<pre>${html(it)}</pre>`).join("")
    + `<p>${html(node.description).replace(/\n\n/g, "</p><p>")}</p>${last}`
    + (facts.length ? table(["", ""], facts) : "")
    + (columns.length ? `<h2>Columns</h2>${table(["name", "type", "description", "made of"], columns)}` : "")
    + (checks.length ? `<h2>Checks</h2>${table(["name", "kind", "columns", "severity", "description", "last run", ""], checks)}` : "")
    + `<h2>What it reads, and what reads it</h2><p class="soft">steps away: ${choice}</p>${tables(near, index)}`
    + (node.sql ? `<h2>Text</h2><pre>${html(node.sql)}</pre>` : "");
}

// A column is known by "index name", its name in lower case.
const COLUMNS = new Map();
NODES.forEach((node, index) => node.columns.forEach((it) =>
  COLUMNS.set(`${index} ${it.name.toLowerCase()}`, { index, name: it.name, sources: it.sources })));
const COLUMN_READERS = new Map();
COLUMNS.forEach((column, id) => column.sources.forEach(([from, name]) => {
  const key = `${from} ${name.toLowerCase()}`;
  if (!COLUMN_READERS.has(key)) COLUMN_READERS.set(key, []);
  COLUMN_READERS.get(key).push(id);
}));
function madeOf(id) {
  return (COLUMNS.get(id)?.sources ?? []).map(([from, name]) => `${from} ${name.toLowerCase()}`).filter((it) => COLUMNS.has(it));
}

function column(index, name) {
  const id = `${index} ${name.toLowerCase()}`;
  const found = COLUMNS.get(id);
  if (!found) return missing(`${NODES[index].key}.${name}`);
  const ids = new Set([...reach(id, madeOf, 1000), ...reach(id, (it) => COLUMN_READERS.get(it) ?? [], 1000)]);
  const text = (it) => `${NODES[COLUMNS.get(it).index].key}.${COLUMNS.get(it).name}`;
  const href = (it) => `#/c/${encodeURIComponent(NODES[COLUMNS.get(it).index].key)}/${encodeURIComponent(COLUMNS.get(it).name)}`;
  const drawn = picture(ids, madeOf, text, href, (it) => NODES[COLUMNS.get(it).index].family, id);
  return `<h1>${link(index)}.${html(found.name)}</h1><p class="soft">what it is made of, and what is made of it</p>${drawn}`;
}

function graph() {
  return `<h1>What reads what</h1>${tables(new Set(NODES.keys()))}`;
}
function missing(name) {
  return `<h1>${html(name)}</h1><p>The project has nothing of this name.</p>`;
}

function show() {
  const [, what, key, more] = location.hash.split("/").map(decodeURIComponent);
  const index = BY_KEY.get(key);
  if (what === "graph") main.innerHTML = graph();
  else if (what === "m") main.innerHTML = index === undefined ? missing(key) : model(index, Number(more) || 1);
  else if (what === "c") main.innerHTML = index === undefined ? missing(key) : column(index, more);
  else main.innerHTML = overview();
  document.title = key ? `${key} - ${PROJECT.name}` : PROJECT.name;
  window.scrollTo(0, 0);
}

field.addEventListener("input", find);
window.addEventListener("hashchange", show);
find();
show();
document.body.dataset.seconds = (performance.now() / 1000).toFixed(3);
