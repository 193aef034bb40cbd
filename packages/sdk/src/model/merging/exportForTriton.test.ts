/** @file Exports for Triton, run by the plain runtime as Triton's ensembles do, against merged models; configs by their proto. */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { expect, it, onTestFinished } from 'vitest';
import { Adapter } from '../../adapter/adapter.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import { readTensor } from '../../graph/tensorData.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import { float32 } from '../../runtime/tensor.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';
import { exportForTriton } from './exportForTriton.ts';
import { merge } from './merge.ts';

const cases = fileURLToPath(new URL('../../../../../test/fixtures/cases', import.meta.url));

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-triton-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Runs a file with the runtime alone; also returns its declared shapes of outputs. */
async function run(file: string, feeds: Feeds): Promise<{ outputs: Record<string, OrtTensor>; shapes: Shapes }> {
  // It warns of weights that inputs may replace, which is what they are for.
  const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
  const ort = session.inputNames.map((name) => {
    const { type, data, dims } = feeds[name]!;
    return [name, new OrtTensor(type as 'float32', data as Float32Array, [...dims])];
  });
  const described = [...session.inputMetadata, ...session.outputMetadata];
  const shapes = Object.fromEntries(described.map((each) => [each.name, each.isTensor ? each.shape : []]));
  try {
    return { outputs: await session.run(Object.fromEntries(ort) as Record<string, OrtTensor>), shapes };
  } finally {
    await session.release();
  }
}

type Shapes = Readonly<Record<string, readonly (number | string)[]>>;

/** The base as Triton feeds it. This binding takes no optional inputs, so they lose their defaults. */
function withoutDefaults(file: string, folder: string): { file: string; defaults: Feeds } {
  const { model } = openOnnx(file);
  const inputs = new Set(model.graph.input?.map(({ name }) => name));
  const isDefault = ({ name }: { name?: string }): boolean => inputs.has(name);
  const all = model.graph.initializer ?? [];
  const required = path.join(folder, 'required.onnx');
  writeOnnx(required, { ...model, graph: { ...model.graph, initializer: all.filter((each) => !isDefault(each)) } });
  const defaults = Object.fromEntries(all.filter(isDefault).map((each) => [each.name!, readTensor(each)]));
  return { file: required, defaults };
}

const asTensors = (outputs: Record<string, OrtTensor>): Feeds =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, { type, data, dims }]) => [name, { type, data, dims } as unknown as Tensor]),
  );

function expectClose(found: Record<string, OrtTensor>, expected: Record<string, OrtTensor>): void {
  expect(Object.keys(found)).toEqual(Object.keys(expected));
  for (const [name, { data, dims }] of Object.entries(expected)) {
    expect(found[name]!.dims).toEqual(dims);
    (data as Float32Array).forEach((value, i) => expect(Number(found[name]!.data[i])).toBeCloseTo(Number(value), 4));
  }
}

/** Ports of a config, and their sizes. */
const portsOf = (config: string): (readonly [name: string, dims: number[]])[] =>
  [...config.matchAll(/name: "(.*)"\n {2}data_type: TYPE_\w+\n {2}dims: \[ (.*) \]/g)].map(
    ([, name, dims]) => [name!, dims!.split(', ').map(Number)] as const,
  );

/** As the backend of Triton compares them: what the runtime knows as a number must stand in the config. */
function expectAgreeing(config: string, shapes: Shapes): void {
  const ports = new Map(portsOf(config));
  for (const [name, shape] of Object.entries(shapes)) {
    const dims = ports.get(name)!;
    expect(dims).toHaveLength(Math.max(1, shape.length));
    shape.forEach((dim, axis) => {
      if (typeof dim === 'number' && dim >= 0) expect([name, axis, dims[axis]]).toEqual([name, axis, dim]);
    });
  }
}

async function caseOf(name: string): Promise<{ model: Model; adapters: Record<string, Adapter>; feeds: Feeds }> {
  const from = (...parts: string[]): string => path.join(cases, name, ...parts);
  const model = await openModel(from('model.onnx'));
  const lora = await loadAdapter(from('adapter'));
  const less = new Adapter({ ...lora.config, loraAlpha: 3 * lora.config.loraAlpha }, lora.tensors);
  const { tensors } = await readSafetensors(from('inputs.safetensors'));
  const feeds = Object.fromEntries([...tensors].filter(([input]) => Object.hasOwn(model.inputs, input)));
  return { model, adapters: { lora, less }, feeds };
}

it.each(['vit-dora-v4', 'lora-linear', 'lora-modules-to-save', 'bert-fused-ortopt'])(
  '%s: an adapter as it is merged, and the base without',
  async (name) => {
    const { model, adapters, feeds } = await caseOf(name);
    const folder = temporaryFolder();
    const repository = path.join(folder, 'repository');
    const result = await exportForTriton(model, adapters, repository, { name: 'base' });
    expect(readdirSync(repository).sort()).toEqual(['base', 'less', 'less-weights', 'lora', 'lora-weights']);
    const within = (...parts: string[]): string => path.join(repository, ...parts);
    const configOf = (each: string): string => readFileSync(within(each, 'config.pbtxt'), 'utf8');

    const file = within('base', '1', 'model.onnx');
    const base = await run(model.file, feeds);
    const exported = await run(file, feeds);
    expectClose(exported.outputs, base.outputs);
    expectAgreeing(configOf('base'), exported.shapes);
    const required = withoutDefaults(file, folder);
    expect(Object.keys(required.defaults).sort()).toEqual([...result.inputs].sort());

    for (const [each, adapter] of Object.entries(adapters)) {
      const weights = await run(within(`${each}-weights`, '1', 'model.onnx'), feeds);
      expectAgreeing(configOf(`${each}-weights`), weights.shapes);
      const tensors = asTensors(weights.outputs);
      const beside = (await readSafetensors(within(each, '1', 'inputs.safetensors'))).tensors;
      expect(Object.fromEntries(beside)).toEqual(tensors);
      const found = await run(required.file, { ...feeds, ...required.defaults, ...tensors });
      expectAgreeing(configOf('base'), found.shapes);
      const merged = path.join(folder, `${each}.onnx`);
      await merge(model, adapter, merged);
      expectClose(found.outputs, (await run(merged, feeds)).outputs);
      // Otherwise nothing was compared.
      expect(Object.values(found.outputs)[0]!.data).not.toEqual(Object.values(base.outputs)[0]!.data);
      for (const [step, other] of [
        ['base', 'input_map'],
        [`${each}-weights`, 'output_map'],
      ]) {
        expect(configOf(each)).toContain(`model_name: "${step}"`);
        for (const input of Object.keys(tensors)) expect(configOf(each)).toContain(`${other} { key: "${input}" value: "${input}" }`); // prettier-ignore
      }
    }
  },
);

it('writes all that Triton asks for', async () => {
  const { folder, model, adapter } = await net('head');
  await exportForTriton(model, { photos: adapter }, folder);
  const config = (name: string): string => readFileSync(path.join(folder, name, 'config.pbtxt'), 'utf8');
  expect(config('net')).toBe(`name: "net"
backend: "onnxruntime"
max_batch_size: 0
input {
  name: "x"
  data_type: TYPE_FP32
  dims: [ -1, 4 ]
}
input {
  name: "head.lora_A.weight"
  data_type: TYPE_FP32
  dims: [ 6, -1 ]
  optional: true
}
input {
  name: "head.lora_B.weight"
  data_type: TYPE_FP32
  dims: [ -1, 3 ]
  optional: true
}
output {
  name: "logits"
  data_type: TYPE_FP32
  dims: [ -1, 3 ]
}
instance_group {
  count: 1
  kind: KIND_AUTO
}
`);
  expect(config('photos')).toBe(`name: "photos"
platform: "ensemble"
max_batch_size: 0
input {
  name: "x"
  data_type: TYPE_FP32
  dims: [ -1, 4 ]
}
output {
  name: "logits"
  data_type: TYPE_FP32
  dims: [ -1, 3 ]
}
ensemble_scheduling {
  step {
    model_name: "photos-weights"
    model_version: -1
    input_map { key: "x" value: "x" }
    output_map { key: "head.lora_A.weight" value: "head.lora_A.weight" }
    output_map { key: "head.lora_B.weight" value: "head.lora_B.weight" }
  }
  step {
    model_name: "net"
    model_version: -1
    input_map { key: "x" value: "x" }
    input_map { key: "head.lora_A.weight" value: "head.lora_A.weight" }
    input_map { key: "head.lora_B.weight" value: "head.lora_B.weight" }
    output_map { key: "logits" value: "logits" }
  }
}
`);
});

it.each([
  [{ name: 'photos' }, {}, 'Two models of the repository would be called "photos"'],
  [{ name: 'net' }, { 'a/b': 'photos' }, 'cannot be the name of its file'],
  [{ name: '..' }, {}, 'The base would be called ".."'],
])('refuses %o %o', async (options, renamed, message) => {
  const { folder, model, adapter } = await net();
  const names = Object.keys(renamed);
  const adapters = Object.fromEntries((names.length > 0 ? names : ['photos']).map((name) => [name, adapter]));
  await expect(exportForTriton(model, adapters, folder, options)).rejects.toThrow(message);
  expect(readdirSync(folder)).toEqual([]);
});

it('writes over a repository where that is asked for', async () => {
  const { folder, model, adapter } = await net();
  await exportForTriton(model, { photos: adapter }, folder);
  const again = (overwrite: boolean): Promise<unknown> =>
    exportForTriton(model, { photos: adapter }, folder, { overwrite });
  await expect(again(false)).rejects.toThrow('is there already');
  await again(true);
});

async function net(targetModules = 'all-linear'): Promise<{ folder: string; model: Model; adapter: Adapter }> {
  const model = await openModel(await publishModel(path.join(temporaryFolder(), 'net'), { model: linearNet({ inputs: 4 }) })); // prettier-ignore
  const adapter = await randomAdapter(model, {
    lora: { r: 2, targetModules: targetModules === 'all-linear' ? targetModules : [targetModules] },
    seed: 1,
  });
  return { folder: temporaryFolder(), model, adapter };
}

const python = process.env['ONNX_LORA_PYTHON'] ?? 'python3';
const has = (module: string): boolean => spawnSync(python, ['-c', `import ${module}`]).status === 0;

/** JSON that a Python program prints about a repository. */
function told<T>(script: string, words: readonly string[], rows: readonly (readonly number[])[]): T {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const { stdout, stderr } = spawnSync(python, [file, ...words], {
    input: JSON.stringify(rows),
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as T;
}

const rows = [
  [1, 2, 3, 4],
  [-1, 0.5, 2, 0],
];

async function expectAnswers(model: Model, photos: Adapter, found: Record<string, number[]>): Promise<void> {
  expect(Object.keys(found).sort()).toEqual(['net', 'photos']);
  const session = await model.session({ adapters: { photos } });
  onTestFinished(() => session.release());
  for (const [name, values] of Object.entries(found)) {
    const { logits } = await session.run(
      { x: float32(rows.flat(), [2, 4]) },
      { adapter: name === 'net' ? null : name },
    );
    values.forEach((value, i) => expect(value).toBeCloseTo((logits as Tensor).data[i] as number, 4));
  }
}

it.skipIf(!has('tritonclient.grpc.model_config_pb2, onnxruntime'))(
  "Triton's own proto reads it, and Python's runtime answers with it",
  async () => {
    const { folder, model, adapter } = await net();
    const { inputs } = await exportForTriton(model, { photos: adapter }, folder);
    const { configs, answers } = told<{
      configs: Record<
        string,
        { input: { name: string; optional?: boolean }[]; ensembleScheduling?: { step: object[] } }
      >;
      answers: Record<string, Record<string, number[]>>;
    }>('tritonRepository.py', [folder], rows);
    expect(Object.keys(configs)).toEqual(['net', 'photos', 'photos-weights']);
    expect(configs['net']!.input.filter(({ optional }) => optional).map(({ name }) => name)).toEqual(inputs);
    expect(configs['photos']!.ensembleScheduling!.step).toMatchObject([
      { modelName: 'photos-weights' },
      { modelName: 'net' },
    ]);
    await expectAnswers(
      model,
      adapter,
      Object.fromEntries(Object.entries(answers).map(([name, { logits }]) => [name, logits!])),
    );
  },
);

it.skipIf(!has('pytriton, tritonclient.http, onnxruntime'))(
  'Triton itself serves it',
  { timeout: 60_000 },
  async () => {
    const { folder, model, adapter } = await net();
    await exportForTriton(model, { photos: adapter }, folder);
    await expectAnswers(model, adapter, told('tritonServer.py', [folder, String(await freePort())], rows));
  },
);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
