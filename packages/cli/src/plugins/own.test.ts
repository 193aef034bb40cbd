/** @file Which plugins a call needs, known by words that the plugins bring indeed. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadPlugins } from '@onnx-lora/sdk';
import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';
import { temporaryFolder, vit } from '../../fixtures/call.ts';
import { allBuiltinPlugins, domains, builtinPlugins } from './own.ts';

const named = async (command: string, model: unknown, task?: string, adapts = false): Promise<string[]> =>
  (await builtinPlugins({ command, model, task, adapts })).map(({ name }) => name.replace('@onnx-lora/', ''));

const all = ['vision', 'diffusion', 'speech', 'science', 'text', 'methods', 'build'];

/** A folder of a model of this type. */
function typed(type: string, files: readonly string[] = []): string {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ model_type: type }));
  for (const each of files) mkdirSync(path.join(folder, each));
  return folder;
}

it('knows each plugin by what it brings: run `npm run build` where this fails', async () => {
  for (const { load, modelTypes, tasks } of domains.flat()) {
    const brought = loadPlugins([await load()]);
    const types = brought.families.flatMap((family) => (family as DescribedFamily).modelTypes);
    expect(modelTypes).toEqual([...new Set(types)]);
    expect(tasks).toEqual(brought.tasks.map(({ name }) => name));
  }
  // A type in two of them would be taken for one of the first.
  const types = domains.flatMap((each) => [...new Set(each.flatMap(({ modelTypes }) => modelTypes))]);
  expect(new Set(types).size).toBe(types.length);
  expect((await allBuiltinPlugins()).map(({ name }) => name.replace('@onnx-lora/', ''))).toEqual(all);
});

it('loads the domain of a model that says what it is, and all where that is not enough', async () => {
  expect(await named('serve', vit)).toEqual(['vision']);
  expect(await named('serve', vit, undefined, true)).toEqual(['vision', 'methods']);
  expect(await named('inspect', typed('whisper', ['onnx']))).toEqual(['speech']);
  expect(await named('predict', typed('bert'))).toEqual(['science', 'text', 'build']);
  expect(await named('predict', vit, 'image-embedding')).toEqual(['vision']);
  expect(await named('predict', vit, 'speech-recognition')).toEqual(all);
  expect(await named('predict', vit, 'of-a-plugin')).toEqual(all);
  expect(await named('predict', typed('of-a-plugin'))).toEqual(all);
  expect(await named('predict', temporaryFolder())).toEqual(all);
  expect(await named('predict', 'org/name')).toEqual(all);
  expect(await named('train', vit)).toEqual(all);
});
