// Prints what all of the library weighs, minified and gzipped; more than 9 kB is a failure.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST = 9000;

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
console.log(`pbweb: ${bytes.length} bytes minified, ${gzipped} bytes minified and gzipped`);
if (gzipped > MOST) {
  console.error(`That is over the bound of ${MOST} bytes.`);
  process.exitCode = 1;
}
