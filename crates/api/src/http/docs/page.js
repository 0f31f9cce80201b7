// Draws the reference from the OpenAPI document. Everything is made of nodes and text, never of markup from the document.
const METHODS = ["get", "post", "put", "patch", "delete"];
const MAX_DEPTH = 6; // of schemas shown inside each other
const $ = (id) => document.getElementById(id);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value == null) continue;
    if (name === "class") node.className = value; else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

// Descriptions: paragraphs, bullet lists, `code`, **bold**, [links](https://…). Enough for ours, harmless for any.
function prose(text) {
  if (!text) return [];
  const inline = (line) => line.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)\s]+\))/).map((part) => {
    if (/^`.+`$/.test(part)) return el("code", {}, part.slice(1, -1));
    if (/^\*\*.+\*\*$/.test(part)) return el("strong", {}, part.slice(2, -2));
    const link = part.match(/^\[([^\]]+)\]\(((?:https?:\/\/|\/|#)[^)\s]*)\)$/);
    return link ? el("a", { href: link[2] }, link[1]) : part;
  });
  return text.trim().split(/\n\s*\n/).map((block) => {
    const lines = block.split("\n");
    return lines.every((line) => /^\s*[-*] /.test(line))
      ? el("ul", {}, lines.map((line) => el("li", {}, inline(line.replace(/^\s*[-*] /, "")))))
      : el("p", {}, inline(lines.join(" ")));
  });
}

let doc;
function resolve(schema) {
  for (let hops = 0; schema && schema.$ref && hops < 20; hops++) {
    const { $ref, ...beside } = schema;
    const target = $ref.replace(/^#\//, "").split("/").reduce((at, key) => at && at[key.replace(/~1/g, "/").replace(/~0/g, "~")], doc);
    schema = { title: $ref.split("/").pop(), ...target, ...beside };
  }
  return schema || {};
}
// allOf as one object; oneOf with null as "or null".
function flat(schema) {
  let s = resolve(schema);
  if (s.allOf) {
    const { allOf, ...rest } = s;
    s = allOf.map(flat).concat(rest).reduce((all, part) => ({ ...all, ...part, properties: { ...all.properties, ...part.properties },
      required: [...(all.required || []), ...(part.required || [])] }), {});
  }
  const choices = s.oneOf || s.anyOf;
  if (choices) {
    const real = choices.filter((choice) => resolve(choice).type !== "null");
    if (real.length === 1 && real.length < choices.length) {
      const { oneOf, anyOf, ...rest } = s;
      return { ...flat(real[0]), ...rest, nullable: true };
    }
  }
  return s;
}
const typesOf = (s) => [].concat(s.type || (s.properties ? "object" : s.items ? "array" : [])).filter((type) => type !== "null");
const nullable = (s) => s.nullable || [].concat(s.type || []).includes("null");

function typeName(schema) {
  const s = flat(schema);
  let name = typesOf(s).join(" | ") || (s.oneOf || s.anyOf ? W.anyOf : s.enum || "const" in s ? typeof [s.const, ...(s.enum || [])].find((v) => v != null) : W.any);
  if (name === "array") name = `${W.array} ${s.items ? typeName(s.items) : W.any}`;
  else if (name === "object" && !s.properties && s.additionalProperties && s.additionalProperties !== true) name = `${W.map} ${typeName(s.additionalProperties)}`;
  else if (s.format) name += ` (${s.format})`;
  return nullable(s) ? `${name} ${W.nullable}` : name;
}

function rules(s) {
  const list = [];
  const span = (low, high) => low != null && high != null ? `${low}–${high}` : low != null ? `≥ ${low}` : `≤ ${high}`;
  if (s.enum) list.push(`${W.values}: ${s.enum.map((v) => JSON.stringify(v)).join(", ")}`);
  if ("const" in s) list.push(JSON.stringify(s.const));
  if ("default" in s) list.push(`${W.default}: ${JSON.stringify(s.default)}`);
  if (s.minLength != null || s.maxLength != null) list.push(`${W.length}: ${span(s.minLength, s.maxLength)}`);
  if (s.minimum != null || s.maximum != null) list.push(`${W.range}: ${span(s.minimum, s.maximum)}`);
  if (s.minItems != null || s.maxItems != null) list.push(`${W.itemCount}: ${span(s.minItems, s.maxItems)}`);
  if (s.pattern) list.push(`${W.pattern}: ${s.pattern}`);
  if (s.readOnly) list.push(W.readOnly);
  if (s.writeOnly) list.push(W.writeOnly);
  return list.length ? el("p", { class: "rules" }, list.join(" · ")) : null;
}

function field(name, schema, { required, where, description, depth }) {
  const s = flat(schema);
  const row = el("li", {}, el("span", { class: "fname" }, name), " ", el("span", { class: "ftype" }, typeName(s), where ? `, ${where}` : ""), " ",
    required && el("span", { class: "req" }, W.required), s.deprecated && el("span", { class: "badge warn" }, W.deprecated));
  row.append(...prose(description || s.description), ...[rules(s)].filter(Boolean));
  const inner = typesOf(s)[0] === "array" && s.items ? flat(s.items) : s;
  const has = inner.properties || inner.oneOf || inner.anyOf || (inner.additionalProperties && flat(inner.additionalProperties).properties);
  if (has && depth < MAX_DEPTH) {
    const more = el("details", { class: "nested" }, el("summary", {}, inner === s ? W.members : W.items));
    // Drawn when opened: schemas refer to each other in circles.
    more.addEventListener("toggle", () => more.childElementCount === 1 && more.append(...fields(inner, depth + 1)), { once: true });
    row.append(more);
  }
  return row;
}

function fields(schema, depth = 0) {
  const s = flat(schema);
  if (typesOf(s)[0] === "array" && s.items) return [el("p", { class: "rules" }, typeName(s)), ...fields(s.items, depth)];
  const choices = s.oneOf || s.anyOf;
  if (choices) return choices.map((choice, i) => {
    const c = flat(choice);
    return el("details", { class: "more", open: i === 0 }, el("summary", {}, c.title || typeName(c)), el("div", {}, ...fields(c, depth + 1)));
  });
  const rows = Object.entries(s.properties || {}).map(([name, property]) =>
    field(name, property, { required: (s.required || []).includes(name), depth }));
  if (s.additionalProperties && s.additionalProperties !== true && flat(s.additionalProperties).properties)
    rows.push(field("*", s.additionalProperties, { depth }));
  return rows.length ? [el("ul", { class: "fields" }, rows)] : [el("p", { class: "ftype" }, typeName(s))];
}

function example(schema, depth = 0) {
  const s = flat(schema);
  if ("example" in s) return s.example;
  if (s.examples && s.examples.length) return s.examples[0];
  if ("const" in s) return s.const;
  if ("default" in s && s.default !== null) return s.default;
  if (s.enum) return s.enum[0];
  if (depth > MAX_DEPTH) return null;
  const choices = s.oneOf || s.anyOf;
  if (choices) return example(choices.find((choice) => resolve(choice).type !== "null") || {}, depth + 1);
  switch (typesOf(s)[0]) {
    case "object": return Object.fromEntries(Object.entries(s.properties || {}).filter(([, p]) => !resolve(p).deprecated).map(([name, p]) => [name, example(p, depth + 1)]));
    case "array": return s.items ? [example(s.items, depth + 1)] : [];
    case "integer": case "number": return s.minimum ?? 1;
    case "boolean": return true;
    case "string": return { "date-time": "2026-01-31T12:00:00.000Z", date: "2026-01-31", email: "ana@example.com", uri: "https://example.com/hook", uuid: "01920000-0000-7000-8000-000000000001" }[s.format] || "…";
    default: return null;
  }
}
const media = (content) => { const type = Object.keys(content || {})[0]; return type && { type, ...content[type] }; };
function bodyExample(content) {
  if ("example" in content) return content.example;
  const named = Object.values(content.examples || {})[0];
  return named && "value" in named ? named.value : example(content.schema || {});
}

const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;
function curl(path, method, operation, parameters) {
  const server = ((operation.servers || doc.servers || [])[0] || {}).url || "";
  const base = /^https?:/.test(server) ? server : location.origin + server;
  let url = path;
  const query = [];
  for (const p of parameters) {
    const value = "example" in p ? p.example : example(p.schema || {});
    const text = value === "…" || value == null ? `{${p.name}}` : String(value);
    if (p.in === "path") url = url.replace(`{${p.name}}`, text); else if (p.in === "query" && p.required) query.push(`${p.name}=${encodeURIComponent(text)}`);
  }
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${quote(base.replace(/\/$/, "") + url + (query.length ? `?${query.join("&")}` : ""))}`];
  const security = operation.security || doc.security || [];
  for (const name of new Set(security.slice(0, 1).flatMap(Object.keys))) {
    const scheme = resolve(((doc.components || {}).securitySchemes || {})[name]);
    if (scheme.type === "http") lines.push(`-H ${scheme.scheme === "bearer" ? '"Authorization: Bearer $TIELINE_KEY"' : '"Authorization: Basic …"'}`);
    else if (scheme.in === "header") lines.push(`-H "${scheme.name}: $TIELINE_KEY"`);
  }
  for (const p of parameters) if (p.in === "header" && p.required) lines.push(`-H ${quote(`${p.name}: …`)}`);
  const content = media(resolve(operation.requestBody).content);
  if (content) {
    lines.push(`-H ${quote(`Content-Type: ${content.type}`)}`);
    if (/json/.test(content.type)) lines.push(`-d ${quote(JSON.stringify(bodyExample(content), null, 2))}`);
  }
  return lines.join(" \\\n  ");
}

function sample(label, text) {
  const button = el("button", { type: "button" }, W.copy);
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); } catch {
      const range = document.createRange(); range.selectNodeContents(pre);
      const selection = getSelection(); selection.removeAllRanges(); selection.addRange(range);
      document.execCommand("copy");
    }
    button.textContent = W.copied;
    setTimeout(() => { button.textContent = W.copy; }, 1500);
  });
  const pre = el("pre", { tabindex: "0", role: "region", "aria-label": label }, el("code", {}, text));
  return el("div", { class: "sample" }, el("div", { class: "top" }, el("span", {}, label), button), pre);
}

function operationNode({ path, method, operation, shared, id }) {
  const parameters = [...shared, ...(operation.parameters || [])].map(resolve);
  const left = el("div", {});
  left.append(...prose(operation.description));
  const security = operation.security || doc.security || [];
  const scopes = [...new Set(security.flatMap((one) => Object.values(one).flat()))];
  if (scopes.length) left.append(el("p", {}, `${W.scope}: `, scopes.flatMap((scope, i) => [i ? ` ${W.or} ` : "", el("span", { class: "badge" }, scope)])));
  else if (operation.security && security.every((one) => !Object.keys(one).length)) left.append(el("p", {}, el("span", { class: "badge" }, W.public)));
  if (parameters.length) left.append(el("h4", {}, W.parameters), el("ul", { class: "fields" }, parameters.map((p) =>
    field(p.name, p.schema || {}, { required: p.required, where: W[`in_${p.in}`], description: p.description, depth: 0 }))));
  const request = resolve(operation.requestBody);
  const content = media(request.content);
  if (content) left.append(el("h4", {}, W.body, " ", el("span", { class: "ftype" }, Object.keys(request.content).join(", "))), ...prose(request.description), ...fields(content.schema || {}));
  left.append(el("h4", {}, W.responses));
  const right = el("div", {}, sample("cURL", curl(path, method, operation, parameters)));
  for (const [status, reference] of Object.entries(operation.responses || {})) {
    const response = resolve(reference);
    const answer = media(response.content);
    const inner = el("div", {});
    const more = el("details", { class: "more" }, el("summary", {}, el("span", { class: `status s${status[0]}` }, status), el("span", {}, ...prose(response.description).flatMap((p) => [...p.childNodes]))), inner);
    more.addEventListener("toggle", () => {
      if (inner.childElementCount) return;
      const headers = Object.entries(response.headers || {});
      if (headers.length) inner.append(el("ul", { class: "fields" }, headers.map(([name, header]) => { const h = resolve(header); return field(name, h.schema || {}, { where: W.in_header, description: h.description, depth: 0 }); })));
      inner.append(...(answer ? fields(answer.schema || {}) : [el("p", { class: "ftype" }, W.noBody)]));
    }, { once: true });
    left.append(more);
    if (answer && status[0] === "2" && /json/.test(answer.type)) right.append(sample(`${W.answer} ${status}`, JSON.stringify(bodyExample(answer), null, 2)));
  }
  return el("article", { class: "op", id, "aria-labelledby": `${id}-h` },
    el("header", {}, el("h3", { id: `${id}-h` }, el("a", { href: `#${id}`, title: W.anchor }, operation.summary || `${method.toUpperCase()} ${path}`), " ",
      operation.deprecated && el("span", { class: "badge warn" }, W.deprecated)),
      el("div", { class: "route" }, el("span", { class: `method ${method.toUpperCase()}` }, method.toUpperCase()), el("code", {}, path))),
    left, el("div", { class: "side-b" }, right));
}

function draw() {
  const info = doc.info || {};
  document.title = `${info.title || "API"}: ${W.apiReference}`;
  $("name").textContent = info.title || "API";
  $("version").textContent = info.version || "";
  const groups = new Map((doc.tags || []).map((tag) => [tag.name, { ...tag, entries: [] }]));
  for (const [path, item] of Object.entries(doc.paths || {})) for (const method of METHODS) {
    const operation = item[method];
    if (!operation) continue;
    const name = (operation.tags || [W.other])[0];
    if (!groups.has(name)) groups.set(name, { name, entries: [] });
    const id = operation.operationId || `${method}${path}`.replace(/[^a-zA-Z0-9]+/g, "-");
    groups.get(name).entries.push({ path, method, operation, shared: item.parameters || [], id,
      text: [method, path, operation.summary, operation.operationId, name, operation.description].join(" ").toLowerCase() });
  }
  const main = el("div", {}, el("h1", {}, info.title || "API"), el("div", { class: "lead" }, ...prose(info.description)));
  const schemes = Object.entries((doc.components || {}).securitySchemes || {});
  if (schemes.length) main.append(el("section", { class: "lead" }, el("h2", {}, W.auth), schemes.map(([name, scheme]) => {
    const s = resolve(scheme);
    const how = s.type === "http" ? `Authorization: ${s.scheme === "bearer" ? "Bearer" : "Basic"} …` : s.in ? `${s.name}: …` : s.type;
    return el("div", {}, el("p", {}, el("strong", {}, name), " ", el("code", {}, how)), ...prose(s.description));
  })));
  const side = [];
  const shown = [];
  for (const group of groups.values()) {
    if (!group.entries.length) continue;
    const section = el("section", { class: "tag" }, el("h2", {}, group.name), ...prose(group.description));
    const list = el("ul", {});
    const heading = el("h2", {}, group.name);
    for (const entry of group.entries) {
      const node = operationNode(entry);
      const link = el("li", {}, el("a", { href: `#${entry.id}` }, el("span", { class: `method ${entry.method.toUpperCase()}` }, entry.method.toUpperCase().replace("DELETE", "DEL")), el("span", {}, entry.operation.summary || entry.path)));
      section.append(node);
      list.append(link);
      shown.push({ ...entry, node, link, section, heading, list });
    }
    main.append(section);
    side.push(heading, list);
  }
  $("content").replaceChildren(main);
  $("side").replaceChildren(...side);
  search(shown);
  follow(shown);
  if (location.hash) { const target = document.getElementById(decodeURIComponent(location.hash.slice(1))); if (target) arrive(target); }
}

// What lies above gets its height only as it is drawn, so the place is looked for again once the page has stood for a frame.
function arrive(target) {
  target.scrollIntoView();
  requestAnimationFrame(() => requestAnimationFrame(() => target.scrollIntoView()));
}

function search(shown) {
  const input = $("search");
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const live = new Set();
    let count = 0;
    for (const entry of shown) {
      const hit = words.every((word) => entry.text.includes(word));
      entry.node.hidden = entry.link.hidden = !hit;
      if (hit) { live.add(entry.section); count++; }
    }
    for (const entry of shown) entry.section.hidden = entry.heading.hidden = entry.list.hidden = !live.has(entry.section);
    $("found").textContent = words.length ? W.found(count) : "";
  };
  input.addEventListener("input", apply);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { input.value = ""; apply(); }
    if (event.key === "Enter") { const first = shown.find((entry) => !entry.node.hidden); if (first) first.link.firstChild.focus(); }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); input.focus(); input.select(); }
  });
  apply();
}

// The operation being read is marked in the list beside it.
function follow(shown) {
  const links = new Map(shown.map((entry) => [entry.node, entry.link.firstChild]));
  const observer = new IntersectionObserver((changes) => {
    for (const change of changes) if (change.isIntersecting) {
      for (const link of links.values()) { link.classList.remove("here"); link.removeAttribute("aria-current"); }
      const link = links.get(change.target);
      link.classList.add("here");
      link.setAttribute("aria-current", "true");
      // By hand: scrollIntoView would also move the page, and stop it on its way to where a link leads.
      const side = $("side"), at = link.getBoundingClientRect(), seen = side.getBoundingClientRect();
      if (at.top < seen.top) side.scrollTop -= seen.top - at.top;
      else if (at.bottom > seen.bottom) side.scrollTop += at.bottom - seen.bottom;
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const node of links.keys()) observer.observe(node);
}

const known = document.body.dataset.documents.split(",");
const wanted = new URLSearchParams(location.search).get("document");
const chosen = known.includes(wanted) ? wanted : known[0];
$("source").href = `openapi/${chosen}.json`;
if (known.length > 1) {
  $("document").hidden = false;
  $("document").append(...known.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  $("document").addEventListener("change", (event) => { location.href = `docs?document=${event.target.value}`; });
}
fetch(`openapi/${chosen}.json`).then((answer) => { if (!answer.ok) throw new Error(answer.status); return answer.json(); })
  .then((json) => { doc = json; draw(); })
  .catch((error) => { console.error(error); $("content").replaceChildren(el("p", { class: "notice", role: "alert" }, W.failed)); });
