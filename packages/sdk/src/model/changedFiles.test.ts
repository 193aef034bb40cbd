/** @file A model whose files were changed after it was opened is not mixed with what they hold now. */

import { mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, randomAdapter } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { taskOf } from '../../fixtures/memorise.ts';
import { writeOnnx } from '../graph/file/onnxFile.ts';
import { meanSquaredError } from '../train/losses/index.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { exportWithInputs } from './merging/exportWithInputs.ts';
import { merge } from './merging/merge.ts';
import type { Model } from './loaded/model.ts';
import { openModel } from './openModel.ts';
import { train } from './train.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-changed-'));
afterAll(() => rmSync(folder, { recursive: true }));
const sizes = { inputs: 32, hidden: 32 };
const lora = { r: 2, targetModules: ['encoder.0'] };

/** The time of the last change that files have before and after, in seconds. */
const OLD = 1_700_000_000;
const zeros = (width: number): Tensor => float32(new Float32Array(width), [1, width]);

/** Other weights of the same size in place of those of a file, which keeps its time of change. */
const changes = {
  'written in place': (file: string, bytes: Buffer) => writeFileSync(file, bytes),
  replaced: (file: string, bytes: Buffer) => {
    writeFileSync(`${file}.new`, bytes);
    renameSync(`${file}.new`, file);
  },
};

const uses: Readonly<Record<string, (model: Model) => Promise<unknown>>> = {
  session: (model) => model.session({ provider: 'cpu', worker: false }),
  digest: (model) => model.digest(),
  merge: async (model) => merge(model, await randomAdapter(await opened('other'), { lora }), path.join(folder, 'merged.onnx'), { allowBaseMismatch: true }), // prettier-ignore
  export: async (model) => exportWithInputs(model, { one: await randomAdapter(await opened('other'), { lora }) }, path.join(folder, 'exported.onnx'), { allowBaseMismatch: true }), // prettier-ignore
  train: async (model) => {
    const task = taskOf(1, { x: zeros(32) }, { target: zeros(3) }, (g, { logits }, { target }) => meanSquaredError(g, logits!, target!)); // prettier-ignore
    const run = await train(model, { task, lora, steps: 1, provider: 'cpu' });
    return run.done;
  },
};

/** A model with weights in the .onnx file, or beside it. */
async function opened(name: string, inlineLimit?: number, ending = '.onnx'): Promise<Model> {
  const file = path.join(folder, `${name}.onnx`);
  writeOnnx(file, linearNet(sizes), inlineLimit);
  utimesSync(path.join(folder, `${name}${ending}`), OLD, OLD);
  return openModel(file);
}

describe.each([
  ['the file', undefined, '.onnx'],
  ['the weights beside it', 0, '.onnx.data'],
] as const)('%s', (_, inlineLimit, ending) => {
  describe.each(Object.entries(changes))('%s', (how, change) => {
    it.each(Object.entries(uses))('%s names the file and the remedy', async (use, begin) => {
      const name = `${ending.length}-${how.length}-${use}`;
      const file = path.join(folder, `${name}${ending}`);
      const model = await opened(name, inlineLimit, ending);
      const bytes = readFileSync(file);
      for (let i = 1; i < 64; i++) bytes[bytes.length - i]! ^= 1;
      change(file, bytes);
      utimesSync(file, OLD, OLD);
      await expect(begin(model)).rejects.toMatchObject({
        code: 'FILE_INVALID',
        message: `"${file}" was changed after the model was opened, so what is known of its weights no longer holds. Open the model again.`,
      });
    });
  });
});

it('a file that is gone is told as such', async () => {
  const model = await opened('gone');
  rmSync(model.file);
  await expect(model.session({ provider: 'cpu', worker: false })).rejects.toThrow(
    'was removed after the model was opened',
  );
});
