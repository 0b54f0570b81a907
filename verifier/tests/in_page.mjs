// Bundles the tests of the published vectors for the built page: they call its formulas, not the sources'.
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const STANDINS = {
  "node:test": `export const test = (name, run) => (globalThis.tests ??= []).push({ name, run });`,
  "node:fs": `export const readFileSync = () => globalThis.vectors;`,
  "node:assert/strict": `
    const fail = (said) => { throw new Error(said); };
    const equal = (found, wanted) => found === wanted || fail(found + " is not " + wanted);
    const deepEqual = (found, wanted) => equal(JSON.stringify(found), JSON.stringify(wanted));
    const ok = (found, said = "it is not so") => found || fail(said);
    const throws = (run, kind, said) => {
      try { run(); } catch (error) { return ok(error instanceof kind, String(error)); }
      fail("nothing was refused: " + said);
    };
    export default { deepEqual, equal, ok, throws };
  `,
};

const page = {
  name: "page",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: "stand-in" }));
    build.onLoad({ filter: /./, namespace: "stand-in" }, ({ path }) => ({ contents: STANDINS[path] }));
    build.onResolve({ filter: /^\.\.\/src\// }, ({ path }) => ({ path, namespace: "built" }));
    build.onLoad({ filter: /./, namespace: "built" }, ({ path }) => {
      const name = path.replace(/(\/index)?\.ts$/, "").split("/").at(-1);
      return { contents: `module.exports = globalThis.fairhouse.formulas.${name};` };
    });
  },
};

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("published.test.ts", import.meta.url))],
  bundle: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
  write: false,
  plugins: [page],
});
process.stdout.write(outputFiles[0].text);
