/** @file Every layout of LoRA files against torch's outputs with the same file, and against itself after writing. */

import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { convertToLora, type Feeds, loadAdapter, merge, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { expect, it } from 'vitest';
import { formatFile, formats, loraFile, sdTiny, shared } from '../../fixtures/oracle.ts';
import { diffusionPlugin } from '../plugin.ts';
import { componentModules } from './componentModules.ts';
import { parseLoraFile, readLoraFile } from './loraFile.ts';
import type { Components } from './moduleNames.ts';
import { type PipelineAdapter, readPipelineAdapter } from './readAdapters.ts';
import { formatLoraFile } from './writeAdapters.ts';

interface Pipeline {
  readonly models: Readonly<Record<string, Model>>;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

const open = (file: string): Promise<Model> => openModel(file, { plugins: [diffusionPlugin] });

const pipelines: Readonly<Record<string, () => Promise<Pipeline>>> = {
  sd: async () => ({
    models: {
      unet: await open(path.join(sdTiny, 'unet')),
      text_encoder: await open(path.join(sdTiny, 'text_encoder')),
    },
    feeds: Object.fromEntries((await readSafetensors(formatFile('inputs.safetensors'))).tensors),
  }),
  sdxl: async () => ({
    models: { unet: await open(path.join(shared, 'cases/unet-sdxl-v4/model.onnx')) },
    feeds: Object.fromEntries((await readSafetensors(path.join(shared, 'cases/unet-sdxl-v4/inputs.safetensors'))).tensors), // prettier-ignore
  }),
  flux: async () => ({
    models: { transformer: await open(path.join(shared, 'cases/flux-transformer-v4/model.onnx')) },
    feeds: Object.fromEntries((await readSafetensors(path.join(shared, 'cases/flux-transformer-v4/inputs.safetensors'))).tensors), // prettier-ignore
  }),
};

const opened = new Map<string, Promise<Pipeline>>();
const pipelineOf = (name: string): Promise<Pipeline> => {
  const kind = name.startsWith('sdxl') ? 'sdxl' : name.startsWith('flux') ? 'flux' : 'sd';
  const found = opened.get(kind) ?? pipelines[kind]!();
  opened.set(kind, found);
  return found;
};

const componentsOf = ({ models }: Pipeline): Components =>
  Object.fromEntries(Object.entries(models).map(([name, model]) => [name, componentModules(model)]));

/** Outputs of every network with its adapter. */
async function outputs({ models, feeds }: Pipeline, { adapters }: PipelineAdapter): Promise<Record<string, Tensor>> {
  const all: Record<string, Tensor> = {};
  for (const [name, model] of Object.entries(models)) {
    const adapter = adapters[name];
    const session = await model.session(adapter ? { adapters: { own: adapter } } : {});
    const own: Feeds = Object.fromEntries(session.inputNames.map((input) => [input, feeds[input]!]));
    Object.assign(all, await session.run(own, adapter ? { adapter: 'own' } : {}));
    await session.release();
  }
  return all;
}

function expectClose(name: string, found: Tensor, expected: Tensor): void {
  expect(found.dims, name).toEqual(expected.dims);
  const worst = (expected.data as Float32Array).reduce((most, value, i) => Math.max(most, Math.abs(value - Number(found.data[i]))), 0); // prettier-ignore
  expect(worst, name).toBeLessThan(1e-4);
}

async function adapterIn(name: string, pipeline: Pipeline): Promise<PipelineAdapter> {
  if (name !== 'peft') return readPipelineAdapter(loraFile(name), componentsOf(pipeline));
  const folder = path.join(sdTiny, 'adapter');
  return { adapters: { unet: await loadAdapter(path.join(folder, 'unet')), text_encoder: await loadAdapter(path.join(folder, 'text_encoder')) } }; // prettier-ignore
}

it.each(formats)(
  '%s gives the outputs of torch',
  async (name) => {
    const pipeline = await pipelineOf(name);
    const { tensors } = await readSafetensors(formatFile(name, 'expected.safetensors'));
    const found = await outputs(pipeline, await adapterIn(name, pipeline));
    const expected = [...tensors].filter(([key]) => key.startsWith('expected.'));
    expect(expected.length).toBeGreaterThan(0);
    for (const [key, value] of expected) expectClose(key, found[key.slice('expected.'.length)]!, value);
  },
  60_000,
);

it.each(formats.filter((name) => name !== 'peft'))(
  '%s is written back as it was',
  async (name) => {
    const pipeline = await pipelineOf(name);
    const components = componentsOf(pipeline);
    const { tensors } = formatLoraFile(await readPipelineAdapter(loraFile(name), components), components);
    const { tensors: before } = await readSafetensors(loraFile(name));
    expect([...tensors.keys()].toSorted()).toEqual([...before.keys()].toSorted());
    for (const [key, value] of before) expect(tensors.get(key), key).toEqual(value);
  },
  60_000,
);

it.each(['kohya', 'original', 'diffusers'] as const)(
  'adapters of PEFT written as %s give the same outputs',
  async (layout) => {
    const pipeline = await pipelineOf('peft');
    const components = componentsOf(pipeline);
    const { tensors, metadata } = formatLoraFile(await adapterIn('peft', pipeline), components, { layout });
    const again = await readPipelineAdapter(parseLoraFile('again', tensors, metadata), components);
    const { tensors: expected } = await readSafetensors(formatFile('peft', 'expected.safetensors'));
    const found = await outputs(pipeline, again);
    expect(Object.keys(again.adapters)).toHaveLength(2);
    for (const [key, value] of expected)
      if (key.startsWith('expected.')) expectClose(key, found[key.slice('expected.'.length)]!, value);
  },
  60_000,
);

it.runIf(formats.includes('sdxl-kohya-sgm'))('names of SDXL are those of diffusers', async () => {
  const pipeline = await pipelineOf('sdxl');
  const names = JSON.parse(readFileSync(formatFile('sdxl-kohya-sgm', 'names.json'), 'utf8')) as Record<string, string>; // prettier-ignore
  const { layout } = await readPipelineAdapter(await readLoraFile(loraFile('sdxl-kohya-sgm')), componentsOf(pipeline));
  expect(Object.fromEntries(layout!.modules.map(({ name, targets }) => [name, targets[0]!.path]))).toEqual(names);
});

it('cores of LoCon become plain LoRA', async () => {
  const pipeline = await pipelineOf('locon-tucker');
  const { adapters } = await readPipelineAdapter(loraFile('locon-tucker'), componentsOf(pipeline));
  const { adapter, errors } = await convertToLora(adapters['unet']!, pipeline.models['unet']!, { r: 2 });
  expect(adapter.config.peftType).toBe('LORA');
  expect(Math.max(0, ...errors.values())).toBeLessThan(1e-3);
  const { tensors } = await readSafetensors(formatFile('locon-tucker', 'expected.safetensors'));
  const found = await outputs(pipeline, { adapters: { unet: adapter } });
  expectClose('out_sample', found['out_sample']!, tensors.get('expected.out_sample')!);
}, 60_000);

it.each(['kohya', 'dora', 'loha', 'lokr'])(
  '%s merged into the UNet gives the outputs of torch',
  async (name) => {
    const pipeline = await pipelineOf(name);
    const { adapters } = await readPipelineAdapter(loraFile(name), componentsOf(pipeline));
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'merged-')), 'unet.onnx');
    await merge(pipeline.models['unet']!, adapters['unet']!, file);
    const { tensors } = await readSafetensors(formatFile(name, 'expected.safetensors'));
    const found = await outputs({ ...pipeline, models: { unet: await openModel(file) } }, { adapters: {} });
    expectClose('out_sample', found['out_sample']!, tensors.get('expected.out_sample')!);
  },
  60_000,
);
