/** @file Every entry of every package can be imported, in JavaScript and in strict TypeScript. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { npmInstall, run } from './command.ts';
import type { Tarball } from './tarballs.ts';

/** Installs all packages in an empty project, and imports them. */
export function checkConsumers(folder: string, tarballs: readonly Tarball[]): void {
  mkdirSync(folder);
  const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);
  write('package.json', '{ "private": true, "type": "module" }');
  npmInstall(folder, ...tarballs.map(({ file }) => file), 'inversify@8', 'typescript@6.0', '@types/node@20');

  const entries = tarballs.flatMap((tarball) => tarball.entries);
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
