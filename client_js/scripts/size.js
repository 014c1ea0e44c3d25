// Prints what all of the library weighs, minified and gzipped. The goal is 9 kB, which it misses;
// more than the bound, which only ever goes down, is a failure.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const GOAL = 9000;
const MOST = 20200;

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("../src/pbweb.js", import.meta.url))],
  bundle: true,
  format: "esm",
  minify: true,
  write: false,
  target: "es2022",
});
const bytes = outputFiles[0].contents;
const gzipped = gzipSync(bytes, { level: 9 }).length;
console.log(
  `pbweb: ${bytes.length} bytes minified, ${gzipped} bytes minified and gzipped (goal ${GOAL})`,
);
if (gzipped > MOST) {
  console.error(`That is over the bound of ${MOST} bytes.`);
  process.exitCode = 1;
}
