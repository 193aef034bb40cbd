/** @file The task `text-to-image` on a tiny pipeline. */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { encodePng } from '@onnx-lora/vision';
import { expect, it } from 'vitest';
import { sdTiny } from '../../fixtures/oracle.ts';
import { openPipeline } from '../pipeline/openPipeline.ts';
import { diffusionPlugin } from '../plugin.ts';
import { textToImage, type TextToImageOptions } from './textToImage.ts';

const open = (): ReturnType<typeof openModel> => openModel(sdTiny, { plugins: [diffusionPlugin] });

/** Four dark pictures with a light square. */
async function pictures(
  captions: readonly (string | undefined)[] = ['a red owl', 'the bird', 'a lute', 'an owl'],
): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'text-to-image-'));
  for (const [i, caption] of captions.entries()) {
    const data = new Uint8Array(20 * 24 * 3).map((_, at) => (Math.floor(at / 3) % 24 < 6 + 3 * i ? 230 : 20));
    writeFileSync(path.join(folder, `${i}.png`), await encodePng({ width: 24, height: 20, data }));
    if (caption !== undefined) writeFileSync(path.join(folder, `${i}.txt`), `${caption}\n`);
  }
  return folder;
}

it('a denoiser learns pictures, and its adapter makes others', async () => {
  const data = await pictures();
  const model = await open();
  expect(model.family?.name).toBe('stable-diffusion');
  const task = textToImage(data, { minSnr: 5, noiseOffset: 0.05, dropCaptions: 0.1 });
  const before = await evaluate(model, { task });
  const run = await train(model, { task, lora: { r: 4 }, lr: 2e-2, steps: 60, batchSize: 2 });
  const { adapter } = await run.done;
  const after = await evaluate(model, { task, adapter });
  expect(after.metrics.loss).toBeLessThan(0.97 * before.metrics.loss);
  const saved = path.join(data, 'adapter');
  await adapter.save(saved);
  const pipeline = await openPipeline(sdTiny);
  await pipeline.add('own', saved);
  const asked = { prompts: 'red owl', steps: 2, width: 16, height: 16 };
  const [[plain], [own]] = [await pipeline.generate(asked), await pipeline.generate({ ...asked, adapter: 'own' })];
  expect(own!.data).not.toEqual(plain!.data);
  await pipeline.release();
}, 120_000);

it('the loss of an untrained denoiser is that of its definition', async () => {
  const data = await pictures(['a red owl']);
  const model = await open();
  const task = textToImage(data);
  const prepared = await task.prepare(model);
  await prepared.begin!({ model, options: {}, batchSize: 1 });
  const example = await prepared.train.get(0);
  expect(example.timestep).toBe(500);
  // The noise is standard normal.
  const mean = example.noise.reduce((sum, value) => sum + value, 0) / example.noise.length;
  expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(example.noise.length));
  const pipeline = await openPipeline(sdTiny);
  const states = await pipeline.encodePrompts(['a red owl']);
  const unet = await pipeline.models['unet']!.session();
  const { inputs } = await prepared.collate([example]);
  const { out_sample: output } = await unet.run({ sample: inputs['sample']!, timestep: inputs['timestep']!, encoder_hidden_states: states }); // prettier-ignore
  const expected = example.noise.reduce((sum, value, i) => sum + (Number(output!.data[i]) - value) ** 2, 0) / example.noise.length; // prettier-ignore
  expect((await evaluate(model, { task })).metrics.loss).toBeCloseTo(expected, 5);
  await unet.release();
  await pipeline.release();
}, 60_000);

it('draws differ, and come again', async () => {
  const model = await open();
  const prepared = await textToImage(await pictures(), { seed: 3 }).prepare(model);
  await prepared.begin!({ model, options: {}, batchSize: 1 });
  const [one, other, again] = [
    await prepared.train.get(1, 7),
    await prepared.train.get(1, 8),
    await prepared.train.get(1, 7),
  ];
  expect(again).toEqual(one);
  expect(other.timestep === one.timestep && other.noise[0] === one.noise[0]).toBe(false);
  expect(new Random(1).next()).not.toBe(new Random(2).next());
}, 60_000);

it.each<[string, (string | undefined)[], TextToImageOptions, RegExp]>([
  ['a picture without a caption', ['an owl', undefined], {}, /1\.png: the picture has no caption.*1\.txt/],
  [
    'a resolution that the model lacks',
    ['an owl'],
    { resolution: 18 },
    /"resolution" is 18, and must be a multiple of 4/,
  ],
  ['a share beyond 1', ['an owl'], { dropCaptions: 2 }, /dropCaptions/],
])('%s is refused', async (_, captions, options, message) => {
  const model = await open();
  await expect((async () => textToImage(await pictures(captions), options).prepare(model))()).rejects.toThrow(message);
});

it('one caption serves all pictures', async () => {
  const prepared = await textToImage(await pictures([undefined, undefined]), { caption: 'an owl' }).prepare(
    await open(),
  );
  expect(prepared.train.length).toBe(2);
});
