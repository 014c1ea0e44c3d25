// Makes one module of the page in the folder: node build.mjs FOLDER
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { compile } from "svelte/compiler";
import { compileScript, parse } from "vue/compiler-sfc";

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2]);

const components = {
  name: "components",
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { js, warnings } = compile(await readFile(path, "utf8"), { filename: basename(path) });
      return { contents: js.code, warnings: warnings.map(({ message: text }) => ({ text })) };
    });
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { descriptor, errors } = parse(await readFile(path, "utf8"), { filename: path });
      if (errors.length) throw errors[0];
      const { content } = compileScript(descriptor, { id: basename(path), inlineTemplate: true });
      return { contents: content, resolveDir: dirname(path) };
    });
  },
};

const { warnings } = await build({
  entryPoints: [join(folder, "main.jsx")],
  outfile: join(folder, "main.js"),
  bundle: true,
  format: "esm",
  jsx: "automatic",
  conditions: ["browser", "production"],
  define: {
    "process.env.NODE_ENV": '"production"',
    __VUE_OPTIONS_API__: "true",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
  },
  nodePaths: [join(here, "node_modules")],
  external: ["./pb/pbweb.js"],
  plugins: [components],
  logLevel: "error",
});
for (const { text } of warnings) console.error(text);
process.exitCode = warnings.length ? 1 : 0;
