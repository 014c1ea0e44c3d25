// Every branch of src/ must have been taken by the tests: reads what `npm test` wrote as lcov, which
// Node's own runner makes, and fails where something was not.
import { readFileSync } from "node:fs";

let branches = 0;
const missed = [];
let file = "";
for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  const [kind, rest = ""] = line.split(/:(.*)/);
  const numbers = rest.split(",");
  if (kind === "SF") file = rest;
  if (!/(^|\/)src\//.test(file)) continue;
  if (kind === "BRDA") branches++;
  if (kind === "BRDA" && !Number(numbers[3])) missed.push(`${file}:${numbers[0]}: a branch`);
  if (kind === "DA" && !Number(numbers[1])) missed.push(`${file}:${numbers[0]}: the line`);
  if (kind === "FNDA" && !Number(numbers[0])) missed.push(`${file}: the function ${numbers[1]}`);
}
console.log(`coverage of src: ${branches} branches, ${missed.length} places were not reached`);
for (const place of missed) console.error(`  ${place}`);
if (!branches || missed.length) process.exitCode = 1;
