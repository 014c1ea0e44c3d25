// Prints, as JSON, what pbweb.js exports: names, signatures, comments. It ends with 1 when one of
// them says nothing of itself, or has a type that is neither exported nor in INNER.
import { fileURLToPath } from "node:url";
import { Application, OptionDefaults, ReflectionKind } from "typedoc";

/** Machinery, and types that only compute others: TypeScript needs them, readers do not. */
const INNER = [
  "ApiOf",
  "Arguments",
  "Broker",
  "pbweb/src/promises.js:CallOptions",
  "Methods",
  "RemoteMethods",
  "Result",
];

/** Classes above public ones that are not public, and the public one above them. */
const ABOVE = { AttributeError: ["PBError"], Callable: [], Held: [] };

const client = fileURLToPath(new URL("../../client_js/", import.meta.url));
const app = await Application.bootstrap({
  entryPoints: [`${client}src/pbweb.js`],
  tsconfig: `${client}tsconfig.json`,
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  blockTags: [...OptionDefaults.blockTags, "@implements"],
  validation: { notExported: true, notDocumented: true, invalidLink: true },
  requiredToBeDocumented: ["Class", "Function", "Method", "Accessor", "Interface", "TypeAlias"],
  intentionallyNotExported: INNER,
  treatValidationWarningsAsErrors: true,
  logLevel: "Warn",
});
const project = await app.convert();
if (!project) process.exit(1);
app.validate(project);
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exit(1);

const plain = (parts) =>
  (parts ?? [])
    .map((part) => part.text)
    .join("")
    .trim();
const line = ({ sources }) => sources?.[0]?.line ?? 0;
const isConstructor = ({ kind }) => kind === ReflectionKind.Constructor;
const place = ({ sources: [source] = [] }) => `${source?.fullFileName}:${source?.line}`;

/** What a reader can use of a type: its name, without what only computes the types of calls. */
function typeText(type) {
  const text = type?.toString() ?? "";
  if (type?.refersToTypeParameter || text.startsWith("T[")) return "";
  const inner = INNER.find((name) => text.includes(`${name}<`));
  return inner ? text.slice(0, text.indexOf("<")).replace(inner, "") : text;
}

function parameter({ name, flags, defaultValue, type, comment }) {
  return {
    name: (flags.isRest ? "..." : "") + name,
    optional: flags.isOptional || defaultValue !== undefined,
    type: typeText(type),
    text: plain(comment?.summary),
  };
}

function describe(reflection) {
  const signature = reflection.signatures?.[0] ?? reflection.getSignature;
  const comment = signature?.comment ?? reflection.comment;
  const returned = comment?.blockTags.find(({ tag }) => tag === "@returns");
  return {
    name: reflection.name,
    kind: ReflectionKind.singularString(reflection.kind).toLowerCase(),
    static: reflection.flags.isStatic,
    optional: reflection.flags.isOptional,
    text: plain(comment?.summary),
    type: typeText(signature?.type ?? reflection.type),
    returns: plain(returned?.content),
    parameters: reflection.signatures && (signature.parameters ?? []).map(parameter),
  };
}

/** Where the members of public classes are declared, but for those of classes that are not. */
const declared = new Set(
  project.children
    .flatMap(({ children }) => children ?? [])
    .filter(({ inheritedFrom }) => !inheritedFrom)
    .map(place),
);

/** A class or type with what it has itself; what comes from a class that is public stands there. */
function whole(reflection) {
  const own = (reflection.children ?? [])
    .filter((child) => !child.overwrites && !(child.inheritedFrom && declared.has(place(child))))
    .sort((one, other) => line(one) - line(other));
  return {
    ...describe(reflection),
    extends: (reflection.extendedTypes ?? []).flatMap(({ name }) => ABOVE[name] ?? [name]),
    constructor: own.filter(isConstructor).map(describe)[0] ?? null,
    members: own.filter((child) => !isConstructor(child)).map(describe),
  };
}

console.log(JSON.stringify(project.children.map(whole), null, 1));
