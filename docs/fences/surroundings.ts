/** @file Surroundings of a page's code: a folder with the files that it names, and what it declares. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { type Fence, root } from './fences.ts';
import { decoderFolders } from './decoders.ts';
import { diffusionFiles } from './diffusion.ts';
import { given } from './given.ts';
import { wave } from './recordings.ts';
import { scienceFiles } from './science.ts';
import { seriesFiles } from './series.ts';
import { speechFiles } from './speech.ts';
import type { Fixtures } from './fixtures.ts';
import { uses } from './uses.ts';
import { textFiles } from './text.ts';
import { visionFiles } from './vision.ts';

const files: Fixtures = {
  ...visionFiles,
  ...diffusionFiles,
  ...speechFiles,
  ...scienceFiles,
  ...seriesFiles,
  ...textFiles,
  ...decoderFolders,
};

/** Goes to a new folder, and puts there each file that the fences name and do not save, and this folder knows. */
export async function enter(fences: readonly Fence[]): Promise<void> {
  process.chdir(await mkdtemp(path.join(tmpdir(), 'onnx-lora-page-')));
  const code = fences.map((fence) => fence.code).join('\n');
  for (const [file, make] of Object.entries(files)) {
    if (code.includes(`'${file}'`) && !code.includes(`.save('${file}')`)) await make(file);
  }
  if (code.includes('process.stdin')) Object.defineProperty(process, 'stdin', { value: Readable.from([wave('AB')]) });
  for (const [name, make] of Object.entries(given)) {
    // TypeScript erases a declaration, so that the name is then looked for among the globals.
    if (new RegExp(`^declare .*\\b${name}\\b`, 'm').test(code)) Reflect.set(globalThis, name, await make());
  }
}

/** Removes that folder, and what was declared. */
export async function leave(): Promise<void> {
  const folder = process.cwd();
  process.chdir(root);
  await rm(folder, { recursive: true });
  for (const name of Object.keys(given)) Reflect.deleteProperty(globalThis, name);
}

/** Calls what a fence exports, since code that only defines something has not run. */
export async function use(exports: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [name, value] of Object.entries(exports)) {
    const useOf = uses[name];
    if (!useOf) throw new Error(`A fence exports "${name}", but docs/fences/uses.ts does not use it.`);
    await useOf(value as never);
  }
}
