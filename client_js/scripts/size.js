// Prints what the library weighs, minified and gzipped: all of it, and the core that a bundler can take
// alone. The goal is 9 kB, which it misses; more than a bound, which only ever goes down, is a failure.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const GOAL = 9000;
const MOST = { pbweb: 21790, core: 18590 };

for (const [name, most] of Object.entries(MOST)) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${name}.js`, import.meta.url))],
    bundle: true,
    format: "esm",
    minify: true,
    write: false,
    target: "es2022",
  });
  const bytes = outputFiles[0].contents;
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  console.log(
    `${name}: ${bytes.length} bytes minified, ${gzipped} bytes minified and gzipped (goal ${GOAL})`,
  );
  if (gzipped > most) {
    console.error(`That is over the bound of ${most} bytes.`);
    process.exitCode = 1;
  }
}
