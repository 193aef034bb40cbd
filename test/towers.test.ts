/** @file Towers of CLIP and SigLIP alone: built, opened, merged and used under the names that they have beside each other. */

import {
  cpSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildGraphs, buildModel, buildPlugin } from '@onnx-lora/build';
import { diffusionPlugin, openPipeline, textToImage } from '@onnx-lora/diffusion';
import {
  evaluate,
  float32,
  type Feeds,
  merge,
  type Model,
  openModel,
  quantize,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { readTensor } from '@onnx-lora/sdk/plugin';
import { randomAdapter } from '@onnx-lora/testing';
import { encodePng, visionFamilies, visionPlugin } from '@onnx-lora/vision';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { difference } from './support/graphs.ts';

const fixture = (name: string): string => path.join(import.meta.dirname, '../packages/build/fixtures', name);
const sdTiny = path.join(import.meta.dirname, '../packages/diffusion/fixtures/sd-tiny');
const plugins = [visionPlugin, buildPlugin];
let scratch = '';

beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-towers-'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const towers = [
  ['clip-text', 'text_model'],
  ['clip-text-projection', 'text_model'],
  ['clip-vision', 'vision_model'],
  ['clip-vision-projection', 'vision_model'],
  ['siglip-text', 'text_model'],
  ['siglip-vision', 'vision_model'],
] as const;

/** The feeds and answers of torch that lie beside a checkpoint. */
async function golden(name: string): Promise<{ feeds: Feeds; answers: ReadonlyMap<string, Tensor> }> {
  const { tensors } = await readSafetensors(path.join(fixture(name), 'golden.safetensors'));
  const under = (prefix: string): [string, Tensor][] =>
    [...tensors].flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : []));
  return { feeds: Object.fromEntries(under('0.input.')), answers: new Map(under('0.output.')) };
}

async function answersOf(model: Model, feeds: Feeds, adapter?: Awaited<ReturnType<typeof randomAdapter>>) {
  const session = await model.session(adapter ? { adapters: { adapter } } : {});
  try {
    return await session.run(feeds, adapter ? { adapter: 'adapter' } : {});
  } finally {
    await session.release();
  }
}

describe.each(towers)('%s', (name, graph) => {
  it(`is ${graph}.onnx, from disk and in memory, and gives what torch gives`, async () => {
    const out = path.join(scratch, name);
    const { files } = await buildModel(fixture(name), out);
    expect(path.relative(out, files[0]!)).toBe(`onnx/${graph}.onnx`);
    const { feeds, answers } = await golden(name);
    for (const folder of [fixture(name), out]) {
      const found = await answersOf(await openModel(folder, { plugins }), feeds);
      const [first] = answers.keys();
      expect(Object.keys(found)).toContain(first);
      const valid = name.includes('text') ? 'pooler_output' : 'last_hidden_state';
      const compared = answers.has(valid) ? valid : first!;
      expect(difference(found[compared]!, answers.get(compared)!)).toBeLessThan(1e-4);
    }
  });

  it('is opened among its variants, and keeps its name where it is merged or rounded', async () => {
    const out = path.join(scratch, `${name}-variants`);
    await buildModel(fixture(name), out);
    const [own, half] = [graph, `${graph}_fp16`].map((each) => path.join(out, 'onnx', `${each}.onnx`)) as [string, string]; // prettier-ignore
    copyFileSync(own, half);
    const model = await openModel(out, { plugins });
    expect(model.file).toBe(own);
    expect((await openModel(out, { plugins, variant: 'fp16' })).file).toBe(half);
    await expect(openModel(out, { plugins, variant: 'q4' })).rejects.toThrow('holds no variant "q4"');
    const adapter = await randomAdapter(model, { lora: { r: 2, targetModules: ['q_proj', 'v_proj'] } });
    const { feeds } = await golden(name);
    const merged = path.join(scratch, `${name}-merged`);
    await merge(model, adapter, merged);
    expect(readdirSync(path.join(merged, 'onnx'))).toEqual([`${graph}.onnx`]);
    const [beside, inside] = [await answersOf(model, feeds, adapter), await answersOf(await openModel(merged, { plugins }), feeds)]; // prettier-ignore
    for (const [output, value] of Object.entries(beside)) expect(difference(inside[output]!, value)).toBeLessThan(1e-5);
    const rounded = path.join(scratch, `${name}-rounded`);
    const { files } = await quantize(await openModel(fixture(name), { plugins }), rounded, { bits: 8, smallest: 1 });
    expect(path.basename(files[0]!)).toBe(`${graph}.onnx`);
  });
});

it('a class of one tower has the graph that it has beside the other', async () => {
  const whole = await buildGraphs(fixture('clip'));
  expect([...whole.graphs.keys()]).toEqual(['model', 'text_model', 'vision_model']);
  for (const [architecture, name] of [
    ['CLIPTextModelWithProjection', 'text_model'],
    ['CLIPVisionModelWithProjection', 'vision_model'],
  ] as const) {
    const { graphs } = await buildGraphs(fixture('clip'), { architecture });
    expect([...graphs.keys()]).toEqual([name]);
    const nodes = graphs.get(name)!.graph!.node!;
    expect(nodes.map(({ opType }) => opType)).toEqual(whole.graphs.get(name)!.graph!.node!.map(({ opType }) => opType));
  }
});

it('both towers, built one after the other into a folder, are one model that compares', async () => {
  const out = path.join(scratch, 'both');
  const own = { families: visionFamilies, overwrite: true };
  await buildModel(fixture('clip'), out, { ...own, architecture: 'CLIPTextModelWithProjection' });
  await buildModel(fixture('clip'), out, { ...own, architecture: 'CLIPVisionModelWithProjection' });
  const model = await openModel(out, { plugins });
  expect(model.parts.map(({ name }) => name)).toEqual(['vision_model', 'text_model']);
  expect(Object.keys(model.outputs)).toEqual(['image_embeds', 'text_embeds']);
});

describe("a pipeline's text encoder", () => {
  /** The pipeline with its text encoder built from a checkpoint of the same weights. */
  async function built(): Promise<string> {
    const [folder, checkpoint] = ['pipeline', 'checkpoint'].map((name) => path.join(scratch, name)) as [string, string];
    cpSync(sdTiny, folder, { recursive: true });
    const model = await openModel(path.join(sdTiny, 'text_encoder'));
    const stored = model.onnx.model.graph.initializer!.filter(({ name }) => name!.startsWith('text_model.'));
    const tensors = new Map(stored.map((each) => [each.name!, readTensor(each)]));
    for (const { path: module, kind, weightShape, weight } of model.sites())
      if (kind === 'linear') {
        const [out, width] = weightShape as [number, number];
        const values = weight.stored.read();
        const turned = values.map((_, i) => (weight.layout === 'in-out' ? values[(i % width) * out + Math.floor(i / width)]! : values[i]!)); // prettier-ignore
        tensors.set(`${module}.weight`, float32(turned, [out, width]));
      }
    mkdirSync(checkpoint);
    copyFileSync(path.join(sdTiny, 'text_encoder/config.json'), path.join(checkpoint, 'config.json'));
    await writeSafetensors(path.join(checkpoint, 'model.safetensors'), tensors);
    rmSync(path.join(folder, 'text_encoder'), { recursive: true });
    const { files } = await buildModel(checkpoint, path.join(scratch, 'encoder'), { ignore: ['export_model_type'] });
    mkdirSync(path.join(folder, 'text_encoder'));
    for (const file of files) copyFileSync(file, path.join(folder, 'text_encoder', path.basename(file)));
    return folder;
  }

  it("gives diffusers' pictures, and trains", async () => {
    const folder = await built();
    expect(readdirSync(path.join(folder, 'text_encoder')).toSorted()).toEqual(['config.json', 'text_model.onnx']);
    const { tensors } = await readSafetensors(path.join(sdTiny, 'golden.safetensors'));
    const asked = JSON.parse(readFileSync(path.join(sdTiny, 'golden.json'), 'utf8')) as Record<string, never>;
    const pipeline = await openPipeline(folder);
    const after: Tensor[] = [];
    await pipeline.generate({
      prompts: asked['prompts']!,
      negativePrompts: asked['negative_prompts']!,
      guidance: asked['guidance_scale']!,
      steps: asked['num_inference_steps']!,
      latents: tensors.get('latents')!,
      onStep: ({ latents }) => void after.push(latents),
    });
    await pipeline.release();
    const latents = after.at(-1)!.data as Float32Array;
    const wanted = tensors.get(`base.latents.${after.length - 1}`)!.data as Float32Array;
    expect(latents.reduce((most, each, i) => Math.max(most, Math.abs(each - wanted[i]!)), 0)).toBeLessThan(1e-4);
    const denoisers = await Promise.all(
      [folder, sdTiny].map((each) => openModel(each, { plugins: [diffusionPlugin] })),
    );
    expect(Object.keys(denoisers[0]!.inputs)).toContain('attention_mask');
    const data = path.join(scratch, 'pictures');
    mkdirSync(data);
    writeFileSync(path.join(data, '0.png'), await encodePng({ width: 24, height: 20, data: new Uint8Array(24 * 20 * 3).map((_, i) => i % 251) })); // prettier-ignore
    const losses: number[] = [];
    for (const model of denoisers) {
      const task = textToImage(data, { caption: 'a red owl', seed: 3 });
      const lora = { r: 2, targetModules: ['q_proj', 'to_v'] };
      const { adapter } = await (await train(model, { task, lora, lr: 1e-2, steps: 3, batchSize: 1, seed: 1 })).done;
      const prepared = await evaluate(model, { task, adapter });
      losses.push(prepared.metrics.loss, (await evaluate(model, { task })).metrics.loss);
    }
    const [trained, base, trainedOnOriginal, original] = losses as [number, number, number, number];
    expect(base).toBeCloseTo(original, 5);
    expect(trained).toBeCloseTo(trainedOnOriginal, 5);
    expect(trained).not.toBe(base);
  });
});
