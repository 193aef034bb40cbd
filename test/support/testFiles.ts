/** @file The test files by how they run: most share a process; those that change shared state have their own. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '../..');

/** Matches files that mock modules, spy on shared ones, or use the whole process: WebGPU's device, its memory. */
const CHANGES_THE_PROCESS =
  /webgpu|memoryUsage|\bvi\.(mock|spyOn|stub\w+|resetModules)\(|process\.chdir\(|process\.env\[?[.'\w\]]+ = /;

/** Test files that run the built programs. */
const programs = [
  'docs/examples.test.ts',
  'docs/tutorials.test.ts',
  'test/cluster.test.ts',
  'test/earlier.test.ts',
  'test/sweep.test.ts',
  'packages/cli/src/plugins/loaded.test.ts',
  'packages/serve/src/operation/memoryMeasured.test.ts',
];

/** Paths of test files from the root, as `include` of vitest takes them. */
export function testFiles(): { shared: string[]; alone: string[]; programs: string[] } {
  const files = ['packages', 'test', 'docs'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts') && !/(^|[/\\])(node_modules|dist|template)[/\\]/.test(file))
      .map((file) => path.posix.join(folder, file.split(path.sep).join('/')))
      .filter((file) => !programs.includes(file)),
  );
  const isAlone = (file: string): boolean => CHANGES_THE_PROCESS.test(readFileSync(path.join(root, file), 'utf8'));
  return { shared: files.filter((file) => !isAlone(file)), alone: files.filter(isAlone), programs };
}
