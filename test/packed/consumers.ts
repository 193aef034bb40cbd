/** @file A user's first steps with the published packages: imports every entry, and runs the README's lines. */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { npmInstall, requireText, run } from './command.ts';
import { emptyProject, type Published } from './release.ts';

/** Installs all packages in an empty project, and imports every entry in JavaScript and in strict TypeScript. */
export function checkConsumers(folder: string, published: readonly Published[]): void {
  mkdirSync(folder);
  const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);
  emptyProject(folder);
  npmInstall(folder, ...published.map(({ name }) => name), 'inversify@8', 'typescript@6.0', '@types/node@20');

  const entries = published.flatMap((each) => each.entries);
  const imports = entries.map((entry, i) => `import * as entry${i} from '${entry}';`);
  const check = entries.map(
    (entry, i) => `if (Object.keys(entry${i}).length === 0) throw new Error('${entry} exports nothing');`,
  );
  const program = `${[...imports, ...check].join('\n')}\n`;
  write('main.js', program);
  run(folder, 'node', 'main.js');

  write('main.ts', program);
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2023',
      lib: ['es2023'],
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
    };
    const name = `tsconfig.${moduleResolution}.json`;
    write(name, JSON.stringify({ compilerOptions, files: ['main.ts'] }));
    run(folder, 'npx', '--no-install', 'tsc', '-p', name);
  }
  console.log(`${entries.length} entries: ${entries.join(', ')}`);
}

/**
 * Runs the README's quickstart in the clone, and in an empty folder the command by `npx` and then the README's program.
 *
 * @param clone the released tree: the program names its model, and images that the quickstart leaves
 */
export function checkReadme(folder: string, clone: string): void {
  const model = 'docs/examples/models/vit-mnist';
  run(clone, 'npm', 'run', 'quickstart');
  for (const given of [model, 'quickstart/images'])
    cpSync(path.join(clone, given), path.join(folder, given), { recursive: true });

  // npx looks into the folder's own packages first, so there are none yet.
  const npx = ['--yes', '--ignore-scripts', '@onnx-lora/cli'];
  requireText(run(folder, 'npx', ...npx, 'inspect', model), 'attention.query');

  emptyProject(folder);
  npmInstall(folder, '@onnx-lora/sdk', '@onnx-lora/vision');
  const [, program] = /## In a program\n\n[^`]*```ts\n([^]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? [];
  if (program === undefined) throw new Error('README.md has no program under "In a program".');
  writeFileSync(path.join(folder, 'main.mjs'), program);
  console.log(run(folder, 'node', 'main.mjs').trim().split('\n').slice(-2).join('\n'));
}
