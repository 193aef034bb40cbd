/** @file Runs generate.ts on the sources of the packages, without a build. */

import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const config = { configFile: false, root: at('..'), logLevel: 'error', oxc: { target: 'es2022' } };
const { sources } = (await runnerImport(at('../test/support/sources.ts'), config)).module;
await runnerImport(at('generate.ts'), { ...config, resolve: { alias: sources } });
