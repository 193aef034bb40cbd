/** @file A bundler's plugin: on a page, a module gives way to its namesake in the folder `browser` beside it. */

import { existsSync } from 'node:fs';
import path from 'node:path';

export const forPages = {
  name: 'for-pages',
  enforce: 'pre',
  resolveId(source, importer) {
    if (!importer || !source.startsWith('.')) return null;
    const file = path.resolve(path.dirname(importer), source);
    const own = path.join(path.dirname(file), 'browser', path.basename(file));
    return path.basename(path.dirname(importer)) !== 'browser' && existsSync(own) ? own : null;
  },
};
