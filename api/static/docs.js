// Draws the API's own description, without any help from outside.
"use strict";

const element = (name, text) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
};

const draw = (path, verb, operation) => {
  const section = element("section");
  section.append(element("h2", `${verb.toUpperCase()} ${path}`));
  section.append(element("p", [operation.summary, operation.description].filter(Boolean).join(". ")));
  const list = element("ul");
  for (const parameter of operation.parameters || [])
    list.append(element("li", `${parameter.name} (${parameter.in}): ${JSON.stringify(parameter.schema)}`));
  section.append(list);
  return section;
};

fetch("/openapi.json").then((answer) => answer.json()).then((spec) => {
  const main = document.getElementById("paths");
  for (const [path, verbs] of Object.entries(spec.paths))
    for (const [verb, operation] of Object.entries(verbs)) main.append(draw(path, verb, operation));
});
