/** @file A bundler's plugin: on a page, a module gives way to its namesake in the folder `browser` beside it. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** ml-matrix's modules: its one file for Node holds ten times what is used. */
const matrices = path.join(path.dirname(createRequire(import.meta.url).resolve('ml-matrix')), 'src/index.js');

export const forPages = {
  name: 'for-pages',
  enforce: 'pre',
  resolveId(source, importer) {
    if (source === 'ml-matrix') return matrices;
    if (!importer || !source.startsWith('.')) return null;
    const file = path.resolve(path.dirname(importer), source);
    const own = path.join(path.dirname(file), 'browser', path.basename(file));
    return path.basename(path.dirname(importer)) !== 'browser' && existsSync(own) ? own : null;
  },
};
