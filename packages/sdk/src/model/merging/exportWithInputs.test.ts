/** @file Exports for ONNX Runtime's other languages, run by the plain runtime, against PEFT's numbers. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { recurrentModel } from '../../../../../test/fixtures/smallNets.ts';
import { formAdapter, formDelta } from '../../../../../test/support/formAdapters.ts';
import { formFeeds, formModel, layerForms, changeModel } from '../../../../../test/support/layerForms.ts';
import { randomFloats } from '../../../../../test/support/storedWeights.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { saveOnnxAdapter } from '../../adapter/storage/convert.ts';
import { adapterConfig } from '../../adapter/formats/peftConfig.ts';
import { parseOrtAdapter } from '../../adapter/formats/ortAdapter.ts';
import { parseTensorName } from '../../adapter/formats/tensorNames.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import { readTensor } from '../../graph/tensorData.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, type Tensor } from '../../runtime/tensor.ts';
import { exportWithInputs, type ExportResult } from './exportWithInputs.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import { merge } from './merge.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';

const cases = fileURLToPath(new URL('../../../../../test/fixtures/cases', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-export-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Exported {
  readonly model: Model;
  readonly half: Adapter;
  readonly result: ExportResult;
  readonly feeds: Feeds;
  /** PEFT's outputs. */
  readonly expected: ReadonlyMap<string, Tensor>;
}

async function exported(name: string): Promise<Exported> {
  const from = (...parts: string[]): string => path.join(cases, name, ...parts);
  const model = await openModel(from('model.onnx'));
  const lora = await loadAdapter(from('adapter'));
  // A second one, which adapts less: where it says nothing the defaults count.
  const first = firstModule(lora);
  const hasRows = [...first.keys()].some((each) => each.endsWith('trainable_tokens_delta'));
  const rows = hasRows ? {} : { trainableTokenIndices: null };
  const half = new Adapter({ ...lora.config, ...rows, loraAlpha: 3 * lora.config.loraAlpha }, first);
  const { tensors } = await readSafetensors(from('inputs.safetensors'));
  return {
    model,
    half,
    result: await exportWithInputs(model, { lora, half }, path.join(folder, `${name}.onnx`), { overwrite: true }),
    feeds: Object.fromEntries([...tensors].filter(([input]) => Object.hasOwn(model.inputs, input))),
    expected: (await readSafetensors(from('expected.safetensors'))).tensors,
  };
}

/** The tensors of the module that comes first. */
function firstModule({ tensors }: Adapter): Map<string, Tensor> {
  const moduleOf = (name: string): string => parseTensorName(name).module;
  const first = moduleOf([...tensors.keys()].find((name) => name.includes('lora_'))!);
  return new Map([...tensors].filter(([name]) => moduleOf(name) === first));
}

/** Runs a file with the runtime alone. */
async function run(file: string, feeds: Feeds): Promise<Record<string, OrtTensor>> {
  const session = await InferenceSession.create(file);
  const ort = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new OrtTensor(type as 'float32', data as Float32Array, [...dims])]); // prettier-ignore
  try {
    return await session.run(Object.fromEntries(ort) as Record<string, OrtTensor>);
  } finally {
    await session.release();
  }
}

/**
 * Runs a file with an active adapter as other languages do: what the adapter's file holds takes the place of the defaults.
 * This binding cannot do so by itself, so the inputs lose their defaults.
 */
async function runWith(
  file: string,
  active: ReadonlyMap<string, Tensor>,
  feeds: Feeds,
): Promise<Record<string, OrtTensor>> {
  const { model } = openOnnx(file);
  const inputs = new Set(model.graph.input?.map(({ name }) => name));
  const isDefault = ({ name }: { name?: string }): boolean => inputs.has(name);
  const defaults = (model.graph.initializer ?? [])
    .filter(isDefault)
    .map((each) => [each.name!, readTensor(each)] as const);
  const required = path.join(folder, 'required.onnx');
  const initializer = (model.graph.initializer ?? []).filter((each) => !isDefault(each));
  writeOnnx(required, { ...model, graph: { ...model.graph, initializer } });
  return run(required, { ...feeds, ...Object.fromEntries(defaults), ...Object.fromEntries(active) });
}

/** Tensors of an adapter's file. */
function read(adapterFile: string): Map<string, Tensor> {
  return parseOrtAdapter(readFileSync(adapterFile), adapterFile);
}

function furthest(found: OrtTensor, expected: Tensor): number {
  expect(found.dims).toEqual(expected.dims);
  return (found.data as Float32Array).reduce((most, each, i) => Math.max(most, Math.abs(each - Number(expected.data[i]))), 0); // prettier-ignore
}

describe.each([
  'vit-dora-v4',
  'lora-modules-to-save',
  'lora-dora-conv2d',
  'lora-dora-embedding',
  'lora-bias-all',
  'lora-lora-bias',
  'lora-mha',
  'lora-target-parameters',
  'lora-trainable-tokens',
])('%s', (name) => {
  it('runs as the base, and with each adapter as PEFT does', async () => {
    const { model, half, result, feeds, expected } = await exported(name);
    const [file] = result.files as [string];
    expect(furthest((await run(file, feeds))['logits']!, expected.get('base.logits')!)).toBeLessThan(1e-4);
    const { logits } = await runWith(file, read(result.adapters['lora']!), feeds);
    expect(furthest(logits!, expected.get('lora.logits')!)).toBeLessThan(1e-4);
    const session = await model.session({ adapters: { half }, provider: 'cpu', worker: false });
    const own = await session.run(feeds, { adapter: 'half' });
    await session.release();
    const found = await runWith(file, read(result.adapters['half']!), feeds);
    expect(furthest(found['logits']!, own['logits']!)).toBeLessThan(1e-5);
  });
});

describe.each(Object.keys(layerForms).filter((name) => name.startsWith('ConvTranspose')))('%s', (name) => {
  it('runs with its delta, and its file is the one that convert writes and reads', async () => {
    const form = layerForms[name]!;
    const [source, feeds, adapter] = [path.join(folder, 'form.onnx'), formFeeds(form), formAdapter(form)];
    writeOnnx(source, formModel(form));
    const model = await openModel(source);
    const result = await exportWithInputs(model, { up: adapter }, path.join(folder, 'form-served.onnx'), {
      overwrite: true,
    });
    const [file] = result.files as [string];
    const [output] = Object.keys(model.outputs) as [string];
    const base = (await run(source, feeds))[output]!;
    expect(furthest((await run(file, feeds))[output]!, base as unknown as Tensor)).toBe(0);
    const delta = path.join(folder, 'form-delta.onnx');
    writeOnnx(delta, changeModel(form, formDelta(form, adapter)));
    const [change] = Object.values(await run(delta, feeds)) as [OrtTensor];
    const expected = (base.data as Float32Array).map((value, i) => value + (change.data as Float32Array)[i]!);
    const found = (await runWith(file, read(result.adapters['up']!), feeds))[output]!;
    expect(furthest(found, { type: 'float32', data: expected, dims: base.dims })).toBeLessThan(1e-4);

    const converted = path.join(folder, 'converted.onnx_adapter');
    await saveOnnxAdapter(adapter, converted, { overwrite: true });
    expect(read(converted)).toEqual(read(result.adapters['up']!));
    const session = await model.session({ adapters: { back: await loadAdapter(converted) }, provider: 'cpu' });
    const served = (await session.run(feeds, { adapter: 'back' }))[output]!;
    await session.release();
    expect(furthest(found, served)).toBeLessThan(1e-5);
  });
});

it('runs the weights of an LSTM as merged, and says that its file is for the exported model alone', async () => {
  const source = path.join(folder, 'lstm.onnx');
  writeOnnx(source, recurrentModel());
  const model = await openModel(source);
  const random = new Random(3);
  const draw = (...dims: number[]): Tensor => float32(randomFloats(dims, random), dims);
  const [rows, width, hidden] = [20, 28, 5];
  const tensors = new Map([
    ['base_model.model.lstm.base_layer.lora_A.weight', draw(2, width)],
    ['base_model.model.lstm.base_layer.lora_B.weight', draw(rows, 2)],
    ['base_model.model.lstm.lora_A.weight', draw(2, hidden)],
    ['base_model.model.lstm.lora_B.weight', draw(rows, 2)],
  ]);
  const adapter = new Adapter(
    adapterConfig({ r: 2, loraAlpha: 4, targetParameters: ['lstm.weight_ih_l0', 'lstm.weight_hh_l0'] }),
    tensors,
  );
  const { files, adapters } = await exportWithInputs(model, { lstm: adapter }, path.join(folder, 'lstm-served.onnx'));
  const merged = path.join(folder, 'lstm-merged.onnx');
  await merge(model, adapter, merged);
  const [output] = Object.keys(model.outputs) as [string];
  const feeds = { x: draw(4, 4, 7, 7) };
  const [base, expected] = [(await run(source, feeds))[output]!, (await run(merged, feeds))[output]!];
  expect(furthest(expected, base as unknown as Tensor)).toBeGreaterThan(1e-2);
  expect(furthest((await run(files[0]!, feeds))[output]!, base as unknown as Tensor)).toBe(0);
  const found = (await runWith(files[0]!, read(adapters['lstm']!), feeds))[output]!;
  expect(furthest(found, expected as unknown as Tensor)).toBeLessThan(1e-5);
  await expect(saveOnnxAdapter(adapter, path.join(folder, 'no.onnx_adapter'))).rejects.toThrow('target_parameters');
  await expect(loadAdapter(adapters['lstm']!)).rejects.toThrow(
    /"lstm\.weight_ih_l0" has shape .*\(a weight of LSTM or GRU.*load the original PEFT folder/,
  );
});

it('refuses adapters whose heads have different numbers of outputs, and names both', async () => {
  const at = (...parts: string[]): string => path.join(cases, 'lora-modules-to-save', ...parts);
  const model = await openModel(at('model.onnx'));
  const three = await loadAdapter(at('adapter'));
  const headed = (outputs: number): Adapter =>
    new Adapter(
      three.config,
      new Map(
        [...three.tensors].map(([name, each]) => {
          if (!name.includes('head.')) return [name, each];
          const dims = [outputs, ...each.dims.slice(1)];
          return [name, float32(new Float32Array(dims.reduce((a, b) => a * b)), dims)];
        }),
      ),
    );
  const before = readdirSync(folder);
  const without = new Adapter({ ...three.config, modulesToSave: null }, firstModule(three));
  const five = headed(5);
  for (const [adapters, words] of [
    [{ three, five }, '3 outputs with the adapter "three" and 5 with "five"'],
    [{ five, three }, '5 outputs with the adapter "five" and 3 with "three"'],
    [{ five, four: headed(4) }, '5 outputs with the adapter "five" and 4 with "four"'],
    // Its answers would be those of the other's head, of zeros.
    [{ five, without }, '5 outputs with the adapter "five" and 3 with "without"'],
  ] as const) {
    await expect(exportWithInputs(model, adapters, path.join(folder, 'heads.onnx'))).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      message: expect.stringContaining(`The head "head" has ${words}, and one file holds a head of one size.`), // prettier-ignore
    });
  }
  expect(readdirSync(folder)).toEqual(before);
});

it('declares any rank for each module, and holds no parameter twice', async () => {
  const { result } = await exported('lora-modules-to-save');
  const { graph } = openOnnx(result.files[0]!).model;
  const shapes = Object.fromEntries(
    graph.input!.map(({ name, type }) => [name, type!.tensorType!.shape!.dim!.map(({ dimValue, dimParam }) => dimParam ?? Number(dimValue))]), // prettier-ignore
  );
  expect(shapes).toMatchObject({
    'layers.0.up.lora_A.weight': [16, 'layers.0.up.r'],
    'layers.0.up.lora_B.weight': ['layers.0.up.r', 24],
    'head.weight.trained': [16, 3],
  });
  expect(Object.keys(shapes).filter((input) => input !== 'x')).toEqual(result.inputs);
  const weights = graph.initializer!.map(({ name }) => name);
  expect(weights).toEqual(expect.arrayContaining([...result.inputs]));
  expect(weights).not.toContain('head.weight');
});

it('takes adapters of other ranks than the one that it was exported with', async () => {
  const { result, feeds } = await exported('lora-lora-bias');
  const [file] = result.files as [string];
  const own = read(result.adapters['lora']!);
  // The same deltas with one rank more: the column 7 of A meets a row of zeros in B.
  const wider = [...own].map(([name, tensor]): [string, Tensor] => {
    const data = Array.from(tensor.data as Float32Array);
    const [rows, columns] = tensor.dims as [number, number];
    if (name.endsWith('lora_B.weight')) {
      return [name, { type: 'float32', dims: [rows + 1, columns], data: Float32Array.from([...data, ...Array.from({ length: columns }, () => 0)]) }]; // prettier-ignore
    }
    if (!name.endsWith('lora_A.weight')) return [name, tensor];
    const values = Array.from({ length: rows }, (_, i) => [...data.slice(i * columns, (i + 1) * columns), 7]).flat();
    return [name, { type: 'float32', dims: [rows, columns + 1], data: Float32Array.from(values) }];
  });
  const [expected, found] = [await runWith(file, own, feeds), await runWith(file, new Map(wider), feeds)];
  expect(furthest(found['logits']!, expected['logits'] as unknown as Tensor)).toBeLessThan(1e-6);
});

it('writes nothing for a name that is no file name, or into a folder that cannot be made', async () => {
  const model = await openModel(path.join(cases, 'lora-linear', 'model.onnx'));
  const adapter = await loadAdapter(path.join(cases, 'lora-linear', 'adapter'));
  const before = readdirSync(folder);
  await expect(exportWithInputs(model, { '../a': adapter }, path.join(folder, 'x.onnx'))).rejects.toMatchObject({
    code: 'INPUT_INVALID',
  });
  const inFile = path.join(cases, 'lora-linear', 'model.onnx', 'x.onnx');
  await expect(exportWithInputs(model, { a: adapter }, inFile)).rejects.toMatchObject({ code: 'FILE_INVALID' });
  await expect(exportWithInputs(model, {}, path.join(folder, 'x.onnx'))).rejects.toMatchObject({
    code: 'INPUT_INVALID',
  });
  expect(readdirSync(folder)).toEqual(before);
});
