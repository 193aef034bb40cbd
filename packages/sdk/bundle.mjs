/**
 * @file Bundles the SDK: its own modules with those parts of its libraries that it uses, as `dist/*.js`. Whoever installs
 * it gets 3 MB in place of 22, and few files to open at each start. TypeScript writes the types beside them. Packages of
 * domains get `dist/browser/*.js`, where a page's modules are in place of Node's; their libraries stay apart.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';
import { minifySync } from 'rolldown/utils';
import license from 'rollup-plugin-license';
import { forPages } from './forPages.mjs';

const here = import.meta.dirname;
const dist = path.join(here, 'dist');
const manifestOf = (root) => JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const { dependencies, exports, peerDependencies } = manifestOf(here);

/** Sources of a package's entries that have a condition, such as `default`; those of pages lie in `dist/browser`. */
const entries = (condition, manifest) =>
  Object.values(manifest.exports).flatMap((entry) =>
    entry[condition]?.includes('/browser/') === (condition === 'browser')
      ? [entry[condition].replace(/dist(?:[/]browser)?/, 'src').replace(/[.]js$/, '.ts')]
      : [],
  );

const written = new Set();
await writeBundle(here, { input: entries('default', { exports }), platform: 'node', external: Object.keys({ ...dependencies, ...peerDependencies }) }, ''); // prettier-ignore
// A page has no modules of Node: an import of one ends the build.
await writeBundle(here, { input: entries('browser', { exports }), platform: 'browser', external: Object.keys(peerDependencies), plugins: [forPages] }, 'browser/'); // prettier-ignore
removeOthers(dist);
for (const name of readdirSync(path.join(here, '..'))) {
  const root = path.join(here, '..', name);
  const manifest = name === 'sdk' ? { exports: {} } : manifestOf(root);
  const input = entries('browser', manifest);
  if (input.length === 0) continue;
  const installed = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const external = (id) => installed.some((each) => id === each || id.startsWith(`${each}/`));
  await writeBundle(root, { input, platform: 'browser', external, plugins: [forPages] }, 'browser/');
  removeOthers(path.join(root, 'dist/browser'));
}

/** Writes a bundle of a package into a folder of its `dist`. */
async function writeBundle(root, { plugins = [], ...options }, folder) {
  const bundle = await rolldown({
    cwd: root,
    ...options,
    tsconfig: false,
    transform: { target: 'es2023' },
    plugins: [
      ...plugins,
      root === here &&
        license({
          cwd: here,
          thirdParty: {
            allow: {
              test: '(MIT OR ISC OR Apache-2.0 OR BSD-3-Clause)',
              failOnUnlicensed: true,
              failOnViolation: true,
            },
            output: path.join(dist, folder, 'THIRD_PARTY_LICENSES.txt'),
          },
        }),
    ],
    onLog(level, log) {
      if (level !== 'debug' && level !== 'info') throw new Error(log.message);
    },
  });
  // Docstrings are in the types. Our code stays as it is, for stack traces; libraries, in chunks of their own, lose what is but
  // for readers, the names of classes and functions excepted, which errors show.
  const { output } = await bundle.generate({
    comments: { jsdoc: false },
    chunkFileNames: 'chunks/[name]-[hash].js',
    codeSplitting: { groups: [{ name: libraryOf, debugName: 'libraries', test: /[\\/]node_modules[\\/]/ }] },
  });
  await bundle.close();

  // Unchanged files are not written: a build must not replace files under running programs.
  for (const { fileName, code: full, moduleIds } of output) {
    const isLibrary = moduleIds.length > 0 && moduleIds.every((id) => libraryOf(id) !== undefined);
    // Pages download it.
    const { code } =
      isLibrary || folder !== ''
        ? minifySync(fileName, full, { mangle: { toplevel: true, keepNames: true }, module: true })
        : { code: full };
    const file = path.join(root, 'dist', folder, fileName);
    written.add(file);
    if (existsSync(file) && readFileSync(file, 'utf8') === code) continue;
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, code);
    renameSync(`${file}.new`, file);
  }
}

/** Removes programs of earlier builds. */
function removeOthers(folder) {
  for (const name of readdirSync(folder, { recursive: true })) {
    const file = path.join(folder, name);
    if (file.endsWith('.js') && !written.has(file)) rmSync(file);
  }
}

// Types that no public type leads to are of use to this workspace alone: npm leaves out what this file names.
const reached = new Set();
const visit = (file) => {
  if (reached.has(file) || !existsSync(file)) return;
  reached.add(file);
  for (const [, to] of readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?["'](\.[^"']+)\.[jt]s["']/g))
    visit(path.resolve(path.dirname(file), `${to}.d.ts`));
};
const types = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.d.ts'));
for (const entry of Object.values(exports)) if (typeof entry !== 'string') visit(path.join(here, entry.types));
const unreached = types.filter((name) => !reached.has(path.join(dist, name)));
writeFileSync(path.join(dist, '.npmignore'), unreached.map((name) => `/${name.replaceAll('\\', '/')}\n`).join(''));

/** The library that a module is of, as part of a file's name. */
function libraryOf(id) {
  return /[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)[\\/](?!.*[\\/]node_modules[\\/])/
    .exec(id)?.[1]
    .replaceAll(/[@\\/]/g, '');
}
