// Fails when types/ is not what `npm run types` makes of src/ now.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "pbweb-types-"));
const list = (folder) => readdirSync(folder).sort();

try {
  const tsc = join(project, "node_modules", ".bin", "tsc");
  execFileSync(tsc, ["--project", "tsconfig.types.json", "--outDir", fresh], {
    cwd: project,
    stdio: "inherit",
  });
  const committed = join(project, "types");
  const names = new Set([...list(fresh), ...list(committed)]);
  const read = (folder, name) =>
    list(folder).includes(name) ? readFileSync(join(folder, name), "utf8") : null;
  const stale = [...names].filter((name) => read(fresh, name) !== read(committed, name));
  if (stale.length) {
    console.error(`Stale in types/: ${stale.join(", ")}. Run: npm run types`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}
