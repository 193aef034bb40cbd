/** @file Error messages about mismatched feeds, for users of sessions and for authors of tasks in training. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { float32, int64, openModel, train } from '@onnx-lora/sdk';
import { type Batch, crossEntropy, type LossFragment, type Task } from '@onnx-lora/sdk/tasks';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { afterAll, describe, expect, it } from 'vitest';
import { convModel, convNet } from './fixtures/smallNets.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-feeds-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const { channels, side } = convNet;
const file = path.join(folder, 'conv.onnx');
writeOnnx(file, convModel());
const model = await openModel(file);
const image = (...dims: number[]): ReturnType<typeof float32> =>
  float32(new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.5), dims);
const right = { x: image(2, channels, side, side) };
const turned = { x: image(2, side, side, channels) };
const [output] = Object.keys(model.outputs) as [string];
const labels = int64([0, 1], [2]);

const ofLabels: LossFragment = (g, outputs, targets) => crossEntropy(g, outputs[output]!, targets['labels']!);

function taskOf(batch: unknown, loss = ofLabels): Task<number> {
  return {
    name: 'memorize',
    prepare: () =>
      Promise.resolve({
        train: { length: 2, get: (i: number) => Promise.resolve(i) },
        collate: () => Promise.resolve(batch as Batch),
        loss,
        metrics: () => ({ update: () => undefined, result: () => ({}) }),
      }),
  };
}

const settings = { lora: { r: 2, targetModules: ['head'] }, steps: 1, batchSize: 2, provider: 'cpu' } as const;
const { adapter } = await (
  await train(model, { task: taskOf({ inputs: right, targets: { labels } }), ...settings })
).done;

describe('a session with adapters', () => {
  it.each<[string, object, RegExp]>([
    ['no feeds', {}, /conv\.onnx" needs the input "x". It takes x; given were none\.$/],
    ['turned sizes', turned, new RegExp(`takes x as float32 \\[\\w+, ${channels}, ${side}, ${side}\\], but it is float32 \\[2, ${side}, ${side}, ${channels}\\]\\.$`)],
    ['a name of its own inputs', { ...right, lora_rows: int64([0], []) }, /has no input "lora_rows"\. It takes x\./],
    ['no tensor', { x: right.x.data }, /but it is a Float32Array and no tensor/],
  ])('refuses %s', async (_, feeds, message) => {
    const session = await model.session({ adapters: { adapter }, provider: 'cpu' });
    const refused = { code: 'INPUT_INVALID', message: expect.stringMatching(message) as string };
    await expect(session.run(feeds as typeof right, { adapter: ['adapter', null] })).rejects.toMatchObject(refused);
    await expect(session.providerReport(feeds as typeof right)).rejects.toMatchObject(refused);
    // Nothing is left of it.
    expect(Object.keys(await session.run(right, { adapter: 'adapter' }))).toEqual([output]);
    await session.release();
  });

  it('checks what it is to keep', async () => {
    const session = await model.session({ provider: 'cpu' });
    expect(() => session.bind(turned)).toThrow(/takes x as float32/);
    const bound = session.bind(right)!;
    expect(Object.keys(await session.run({}, { bound: [bound] }))).toEqual([output]);
    bound.release();
    await session.release();
  });
}); // prettier-ignore

it.each<[string, unknown, RegExp]>([
  ['turned sizes', { inputs: turned, targets: { labels } }, new RegExp(`^Task author: collate gives the input "x" as float32 \\[2, ${side}, ${side}, ${channels}\\], but ".*conv\\.onnx" takes it as float32 \\[\\w+, ${channels}, ${side}, ${side}\\]\\.$`)],
  ['no tensor', { inputs: { x: [1] }, targets: { labels } }, /^Task author: collate gives the input "x" as an array and no tensor/],
  ['another input', { inputs: { ...right, mask: labels }, targets: { labels } }, /^Task author: collate gives the input "mask", which ".*" does not have\. It takes x\. A tensor for the loss alone is a target\.$/],
  ['no input', { inputs: {}, targets: { labels } }, /^Task author: collate gives no input "x"\. ".*" takes x; given were none\.$/],
  ['a target that is no tensor', { inputs: right, targets: { labels: [0, 1] } }, /^Task author: collate gives the target "labels" as an array and no tensor/],
  ['no targets', { inputs: right }, /^Task author: collate gives no targets\./],
])('training says of a collate that gives %s', async (_, batch, message) => {
  const run = async (): Promise<unknown> => (await train(model, { task: taskOf(batch), ...settings })).done;
  await expect(run()).rejects.toMatchObject({ code: 'PLUGIN_INVALID', message: expect.stringMatching(message) as string });
}); // prettier-ignore

it('training says of more tokens than a model has positions that it does not take them', async () => {
  const bert = await openModel(fileURLToPath(new URL('../docs/examples/models/minilm-tiny', import.meta.url)));
  const tokens = Object.fromEntries(Object.keys(bert.inputs).map((name) => [name, int64(new Array<number>(40).fill(1), [1, 40])])); // prettier-ignore
  const task = taskOf({ inputs: tokens, targets: {} }, (g, outputs) => g.ReduceMean(outputs['last_hidden_state']!, [0, 1, 2], false)); // prettier-ignore
  await expect(train(bert, { task, lora: { targetModules: ['query'] }, steps: 1 })).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    message: expect.stringMatching(/^The model does not take inputs of these sizes \(input_ids \[1, 40\], attention_mask \[1, 40\], token_type_ids \[1, 40\]\): its Add ".*embeddings.*" gets .*40.* and .*32.*crop/) as string,
  });
}); // prettier-ignore
