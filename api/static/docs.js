// Draws the API's own description, and lets every read be tried.
"use strict";

const element = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

const words = ({ schema = {}, required }) => {
  const kind = schema.type || (schema.anyOf || []).map((one) => one.type).join(" or ") || "";
  const parts = [kind, schema.enum && `one of ${schema.enum.join(", ")}`];
  if (schema.minimum !== undefined) parts.push(`${schema.minimum} to ${schema.maximum}`);
  if (schema.default !== undefined && schema.default !== null) parts.push(`default ${schema.default}`);
  if (required) parts.push("required");
  return parts.filter(Boolean).join(", ");
};

const fields = (schema, all) => {
  const name = schema?.$ref?.split("/").pop();
  return Object.entries(all[name]?.properties || {});
};

const tried = (path, section) => {
  const button = element("button", "Try it");
  const answer = element("pre");
  answer.hidden = true;
  button.onclick = async () => {
    const said = await fetch(path);
    answer.textContent = `${said.status}\n${JSON.stringify(await said.json(), null, 2)}`;
    answer.hidden = false;
  };
  section.append(button, answer);
};

const draw = (path, verb, operation, all) => {
  const section = element("section", undefined, "operation");
  const title = `${verb.toUpperCase()} ${path}`;
  section.append(element("h3", title), element("p", `${operation.summary} ${operation.description || ""}`));
  const list = element("dl");
  for (const parameter of operation.parameters || [])
    list.append(element("dt", parameter.name), element("dd", words(parameter)));
  for (const [name, schema] of fields(operation.requestBody?.content?.["application/json"]?.schema, all))
    list.append(element("dt", name), element("dd", [words({ schema }), schema.description].filter(Boolean).join("; ")));
  if (operation.security) list.append(element("dt", "needs"), element("dd", "an API key"));
  const shape = operation.responses?.["200"]?.content?.["application/json"]?.schema;
  const answers = fields(shape, all).map(([name]) => name).join(", ");
  if (answers) list.append(element("dt", "answers"), element("dd", answers));
  section.append(list);
  if (verb === "get" && !path.includes("{")) tried(path, section);
  return section;
};

const begin = async () => {
  const spec = await (await fetch("/openapi.json")).json();
  const groups = new Map();
  for (const [path, verbs] of Object.entries(spec.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      const tag = operation.tags?.[0] || "other";
      groups.set(tag, [...(groups.get(tag) || []), draw(path, verb, operation, spec.components.schemas)]);
    }
  }
  for (const [tag, sections] of groups) byId("paths").append(element("h2", tag), ...sections);
  byId("feed").textContent = (await (await fetch("/api/line")).json()).feed_url;
};

const byId = (id) => document.getElementById(id);
begin();
