// Builds src/ into one script and one style sheet in src/edgewise/workbench/static, each marked with the digest of its
// sources, which a Python test compares: a stale bundle fails without npm. `node build.mjs --watch` builds again.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "src", "edgewise", "workbench", "static");

/** SHA-256 of the names and contents of all sources and of the lock file, in the order of their names. */
function digest() {
  const hash = createHash("sha256");
  const names = readdirSync(join(here, "src")).sort().map((name) => `src/${name}`);
  for (const name of ["build.mjs", "package-lock.json", "tsconfig.json", ...names]) {
    hash.update(`${name}\n`);
    hash.update(readFileSync(join(here, name)));
    hash.update("\n");
  }
  return hash.digest("hex");
}

mkdirSync(out, { recursive: true });
const result = await esbuild.build({
  entryPoints: [join(here, "src", "main.tsx"), join(here, "src", "studio.css")],
  bundle: true,
  minify: true,
  write: false,
  outdir: out,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "inline",
  charset: "utf8",
});
const mark = digest();
for (const file of result.outputFiles) {
  const name = file.path.endsWith(".css") ? "studio.css" : "studio.js";
  const text = `/* edgewise studio, sources ${mark} */\n${file.text}`;
  writeFileSync(join(out, name), text);
  console.log(`${name}: ${text.length} bytes, ${gzipSync(text).length} with gzip`);
}
