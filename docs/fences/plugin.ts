/** @file Makes each page a test file, with a test for each of its `ts` fences, that runs it as a module. */

import { join, relative } from 'node:path';
import { type Plugin, transformWithOxc } from 'vite';
import { type Fence, fencesOf, root } from './fences.ts';

/** Vite's plugin. `page.md` is a test file; `page.md?fence=17` is the fence whose code begins in line 17. */
export function pagesAsTests(): Plugin {
  return {
    name: 'pages-as-tests',
    load(id) {
      const [file, line] = id.split('?fence=') as [string, string?];
      if (!file.endsWith('.md')) return null;
      const fences = fencesOf(relative(root, file));
      const fence = fences.find((each) => each.line === Number(line));
      if (!fence) return testsOf(file, fences);
      // Shifted to its place, so that errors name lines of the page.
      const code = '\n'.repeat(fence.line - 1) + fence.code;
      return transformWithOxc(code, file, { lang: 'ts', sourcemap: true });
    },
  };
}

function testsOf(file: string, fences: readonly Fence[]): string {
  const surroundings = JSON.stringify(join(root, 'docs/fences/surroundings.ts'));
  const openvino = JSON.stringify(join(root, 'test/support/openvino.ts'));
  return [
    `import { afterAll, beforeAll, test } from 'vitest';`,
    `import { enter, leave, use } from ${surroundings};`,
    `import { hasOpenvino } from ${openvino};`,
    `beforeAll(() => enter(${JSON.stringify(fences)}), 120_000);`,
    `afterAll(leave);`,
    ...fences.map(({ line, code }) => {
      const here = code.includes("provider: 'openvino'") ? 'hasOpenvino' : 'true';
      const module = JSON.stringify(`${file}?fence=${line}`);
      return `test.runIf(${here})('line ${line}', async () => { await use(await import(${module})) });`;
    }),
  ].join('\n');
}
