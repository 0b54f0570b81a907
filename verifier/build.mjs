// Builds the verification page: sources, style and markup as one file, the same bytes on every machine.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const target = process.argv[2] ?? here("../api/static/verify.html");

// Not minified: who wants to read what checks for him can.
const { outputFiles } = await build({
  absWorkingDir: here(".."),
  entryPoints: ["verifier/src/page/page.ts"],
  bundle: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
  logLevel: "warning",
  write: false,
});

const script = `\n${outputFiles[0].text}`;
const style = `\n${readFileSync(here("page.css"), "utf8")}`;
if (/<\/script|<!--/i.test(script)) throw new Error("the script would end its own element");

const source = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
// A node may be anywhere, so a connection may go anywhere; nothing else may go or come.
const policy = [
  "default-src 'none'",
  `script-src ${source(script)}`,
  `style-src ${source(style)}`,
  "img-src data:",
  "connect-src http: https:",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const parts = { policy, style, script };
const page = readFileSync(here("page.html"), "utf8");
writeFileSync(target, page.replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]));
