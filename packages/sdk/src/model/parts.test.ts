/** @file A model of two files is the model that both were one: it trains alike, and its parts serve and merge its adapters. */

import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, mlp } from '../../fixtures/inits/mlp.ts';
import { tinyTask } from '../../fixtures/tinyTask.ts';
import { Adapter } from '../adapter/adapter.ts';
import { weightsDigestInSlices } from '../graph/file/digest.ts';
import { openOnnx, writeOnnx } from '../graph/file/onnxFile.ts';
import type { GraphProto, ModelProto, NodeProto } from '../graph/proto.ts';
import type { FamilyFiles, ModelFamily } from '../plugin/families/family.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import type { LoraOptions } from './planning/loraOptions.ts';
import { merge, unmerge } from './merging/merge.ts';
import type { Model } from './loaded/model.ts';
import { openModel, type OpenOptions } from './openModel.ts';
import { quantize } from './quantizing/quantize.ts';
import { train } from './train.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-parts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** `fc2(tanh(fc1(x)))`: one file, and the same as two; the second calls its input `states`. */
const { model: whole } = mlp((layer) => golden(`base.${layer}.weight`));
const [first, tanh, second] = whole.graph!.node as [NodeProto, NodeProto, NodeProto];
const inner = (name: string): NonNullable<GraphProto['input']>[number] => ({
  name,
  type: {
    tensorType: {
      elemType: 1,
      shape: { dim: [{ dimParam: 'batch' }, { dimValue: golden('base.fc1.bias').dims[0]! }] },
    },
  },
});
const part = (layer: string, graph: Partial<GraphProto>): ModelProto => ({
  ...whole,
  graph: {
    ...whole.graph!,
    initializer: whole.graph!.initializer!.filter(({ name }) => name!.startsWith(layer)),
    ...graph,
  },
});
const lower = part('fc1', { node: [first, tanh], output: [inner(tanh.output![0]!)] });
const upper = part('fc2', {
  node: [{ ...second, input: ['states', ...second.input!.slice(1)] }],
  input: [inner('states')],
});

/** The model with its layers as in a file of an encoder alone: without the path of the encoder. */
const files: FamilyFiles = {
  parts: [
    { name: 'lower', prefix: 'net.body' },
    { name: 'upper', alsoNamed: ['top'], prefix: 'net', reads: { states: tanh.output![0]! } },
    { name: 'upper_again', prefix: 'net', onlyServes: true },
  ],
};
const family: ModelFamily = {
  name: 'net',
  domain: 'test',
  matches: ({ config, modulePaths }) => (config ? config['model_type'] === 'net' : modulePaths.includes('net.fc2')),
  roles: { all: [/.*fc\d/] },
  defaultTargets: ['all'],
  tasks: [],
  files,
};

let count = 0;
/** A folder as models of two files are published. */
function published(names: Readonly<Record<string, ModelProto>> = { lower, upper, upper_again: upper }): string {
  const folder = path.join(scratch, `net-${count++}`);
  mkdirSync(path.join(folder, 'onnx'), { recursive: true });
  for (const [name, model] of Object.entries(names)) writeOnnx(path.join(folder, 'onnx', `${name}.onnx`), model);
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ model_type: 'net' }));
  return folder;
}

/** The same as one file, its modules under the same paths. */
const single = path.join(scratch, 'model.onnx');
const paths: Readonly<Record<string, string>> = { fc1: 'net.body.fc1', fc2: 'net.fc2' };
const renamed = (name: string): string => name.replace(/^fc[12](?=\.)/, (layer) => paths[layer]!);
writeOnnx(single, {
  ...whole,
  graph: {
    ...whole.graph!,
    initializer: whole.graph!.initializer!.map((tensor) => ({ ...tensor, name: renamed(tensor.name!) })),
    node: whole.graph!.node!.map((node) => ({ ...node, input: node.input!.map(renamed) })),
  },
});

const open = (options: OpenOptions = { families: [family] }, folder = published()): Promise<Model> =>
  openModel(folder, options);
const x = float32(
  Float32Array.from({ length: 48 }, (_, i) => Math.sin(i)),
  [2, 24],
);

async function run(
  model: Model,
  feeds: Record<string, Tensor>,
  adapters: Record<string, Adapter> = {},
): Promise<Tensor> {
  const session = await model.session({ adapters, provider: 'cpu', threads: 1, worker: false });
  try {
    const outputs = await session.run(feeds, { adapter: Object.keys(adapters)[0] ?? null });
    return Object.values(outputs)[0]!;
  } finally {
    await session.release();
  }
}

/** The first part, and then the second, as who serves the model runs them. */
async function runParts(model: Model, adapters: Record<string, Adapter> = {}, last = 'upper'): Promise<Tensor> {
  const states = await run(model.part('lower'), { x }, adapters);
  return run(model.part(last), { states }, adapters);
}

async function trained(
  model: Model,
  targetModules: readonly string[] = ['fc1', 'fc2'],
  more: LoraOptions = {},
): Promise<{ adapter: Adapter; losses: number[] }> {
  const settings = {
    lora: { r: 4, targetModules: [...targetModules], ...more },
    steps: 12,
    batchSize: 8,
    lr: 1e-2,
    seed: 5,
  };
  const run = await train(model, { ...settings, provider: 'cpu', threads: 1, task: tinyTask() });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  return { adapter: (await run.done).adapter, losses };
}

const furthest = (a: Tensor, b: Tensor): number =>
  Math.max(...Array.from(a.data as Float32Array, (value, i) => Math.abs(value - Number(b.data[i]))));

/** Warnings of the process meanwhile. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = [];
  const listen = (warning: Error): unknown => warnings.push(warning.message);
  process.on('warning', listen);
  try {
    await work();
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', listen);
  }
  return warnings;
}

describe('opened', () => {
  it('is the model of one file: modules, inputs, outputs, digest', async () => {
    const [joined, one] = [await open(), await openModel(single)];
    expect(joined.family?.name).toBe('net');
    expect(joined.modules()).toEqual(one.modules());
    expect(joined.inputs).toEqual(one.inputs);
    expect(Object.keys(joined.outputs)).toEqual(Object.keys(one.outputs));
    expect(await joined.digest()).toBe(await one.digest());
    expect(await run(joined, { x })).toEqual(await run(one, { x }));
    expect(await runParts(joined)).toEqual(await run(one, { x }));
  });

  it('in precision int4 is what quantize writes, each file of it', async () => {
    const precision = { name: 'int4', blockSize: 16, smallest: 1 } as const;
    const folder = path.join(scratch, `quantised-${count++}`);
    await quantize(await open(), folder, { bits: 4, blockSize: 16, smallest: 1 });
    const [written, joined] = [await open(undefined, folder), await open({ families: [family], precision })];
    expect(await joined.digest()).toBe(await written.digest());
    expect(joined.quantizedFrom).toEqual({ from: await (await open()).digest(), bits: 4, blockSize: 16 });
    expect(await run(joined, { x })).toEqual(await run(written, { x }));
    expect(await runParts(joined)).toEqual(await run(written, { x }));
  });

  it('has its files as parts', async () => {
    const joined = await open();
    expect(joined.files.map((file) => path.relative(joined.folder!, file))).toEqual(['onnx/lower.onnx', 'onnx/upper.onnx', 'onnx/upper_again.onnx']); // prettier-ignore
    expect(joined.parts.map(({ name, inputs, outputs }) => [name, ...Object.keys({ ...inputs, ...outputs })])).toEqual([
      ['lower', 'x', tanh.output![0]],
      ['upper', 'states', second.output![0]],
      ['upper_again', 'states', second.output![0]],
    ]);
    expect(() => joined.part('uper')).toThrow(
      'has no part "uper". Did you mean "upper"? Its parts are "lower", "upper"',
    );
    expect((await openModel(single)).parts).toEqual([]);
  });

  it('without the files that only serve, and with other names that files may have', async () => {
    const joined = await open(undefined, published({ lower, top: upper }));
    expect(joined.parts.map(({ name }) => name)).toEqual(['lower', 'upper']);
  });

  it('by the names of its files, in any order where a family knows them', async () => {
    const folder = published();
    const named = ['upper', 'lower'].map((name) => path.join(folder, 'onnx', `${name}.onnx`));
    const joined = await openModel(named, { families: [family] });
    expect(joined.parts.map(({ name }) => name)).toEqual(['lower', 'upper']);
    expect(joined.folder).toBe(folder);
    expect(await joined.digest()).toBe(await (await open()).digest());
  });

  it('from folders of their own, their weights in further files', async () => {
    const folder = path.join(scratch, `apart-${count++}`);
    const named = Object.entries({ lower, upper }).map(([name, model]) => {
      mkdirSync(path.join(folder, name), { recursive: true });
      const file = path.join(folder, name, `${name}.onnx`);
      // Nothing stays inside.
      expect(writeOnnx(file, model, 0)).toEqual([file, `${file}.data`]);
      return file;
    });
    const joined = await openModel(named, { files });
    expect(await run(joined, { x })).toEqual(await run(await open(), { x }));
  });

  it('as the user says', async () => {
    const joined = await open({ files });
    expect(joined.modules().map((module) => module.path)).toEqual(['net.body.fc1', 'net.fc2']);
    const named = published({ one: lower, two: { ...upper, graph: { ...upper.graph!, input: [inner(tanh.output![0]!)], node: [second] } } }); // prettier-ignore
    const byName = await openModel(['one', 'two'].map((name) => path.join(named, 'onnx', `${name}.onnx`)));
    expect(await run(byName, { x })).toEqual(await run(joined, { x }));
  });

  it('with modules of one name under the names of the files', async () => {
    const square = (input: string, output: string, scale: number): ModelProto => ({
      ...whole,
      graph: {
        node: [{ opType: 'MatMul', name: '/fc/MatMul', input: [input, 'fc.weight'], output: [output] }],
        initializer: [
          {
            name: 'fc.weight',
            dims: [2, 2],
            dataType: 1,
            rawData: new Uint8Array(Float32Array.of(scale, 0, 0, scale).buffer),
          },
        ],
        input: [
          { name: input, type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 1 }, { dimValue: 2 }] } } } },
        ],
        output: [{ name: output }],
      },
    });
    const folder = published({ a: square('x', 'h', 2), b: square('h', 'y', 3) });
    const joined = await openModel(['a', 'b'].map((name) => path.join(folder, 'onnx', `${name}.onnx`)));
    expect(joined.modules().map((module) => module.path)).toEqual(['a.fc', 'b.fc']);
    expect([...(await run(joined, { x: float32([1, 2], [1, 2]) })).data]).toEqual([6, 12]);
  });

  it('of a variant, only when it is asked for', async () => {
    const folder = published({ lower, upper, lower_fp16: lower, upper_fp16: upper, model_fp16: whole });
    const names = (model: Model): string[] => model.files.map((file) => path.basename(file));
    expect(names(await open(undefined, folder))).toEqual(['lower.onnx', 'upper.onnx']);
    expect(names(await open({ variant: 'fp16' }, folder))).toEqual(['model_fp16.onnx']);
    rmSync(path.join(folder, 'onnx/model_fp16.onnx'));
    expect(names(await open({ families: [family], variant: 'fp16' }, folder))).toEqual([
      'lower_fp16.onnx',
      'upper_fp16.onnx',
    ]);
    await expect(open({ families: [family], variant: 'q4' }, folder)).rejects.toThrow('holds no variant "q4"');
  });

  it('beside the whole in one file, where the family prefers the parts', async () => {
    const both = published({ lower, upper, model: openOnnx(single).model });
    expect((await open({ families: [family] }, both)).files).toEqual([path.join(both, 'onnx/model.onnx')]);
    const preferring = { ...family, files: { ...files, arePreferred: true } };
    const joined = await open({ families: [preferring] }, both);
    expect(joined.parts.map(({ name }) => name)).toEqual(['lower', 'upper']);
    expect(await joined.digest()).toBe(await (await openModel(single)).digest());
    rmSync(path.join(both, 'onnx/upper.onnx'));
    expect((await open({ families: [preferring] }, both)).files).toEqual([path.join(both, 'onnx/model.onnx')]);
  });

  it('not where files are missing', async () => {
    await expect(open(undefined, published({ lower, other: upper }))).rejects.toThrow(
      /holds onnx\/lower\.onnx, onnx\/other\.onnx, but not upper\.onnx, without which the files are not a whole model/,
    );
    await expect(open({}, published({ lower, upper }))).rejects.toThrow('holds several models');
    await expect(open({ files }, published({ lower }))).rejects.toThrow('but not upper.onnx');
    await expect(openModel([])).rejects.toThrow('No file of the model is named');
  });
});

describe('adapters', () => {
  it('are trained as on one file, in both parts', async () => {
    const [joined, one] = [await trained(await open()), await trained(await openModel(single))];
    expect(joined.losses).toEqual(one.losses);
    expect(joined.adapter.tensors).toEqual(one.adapter.tensors);
    expect(joined.adapter.baseDigest).toBe(one.adapter.baseDigest);
  });

  it('serve on the parts, what belongs to another passed over without a warning', async () => {
    const model = await open();
    const { adapter } = await trained(model);
    const { adapter: below } = await trained(model, ['fc1']);
    const expected = await run(model, { x }, { adapter });
    expect(furthest(expected, await run(model, { x }))).toBeGreaterThan(1e-3);
    const warnings = await warningsOf(async () => {
      expect(furthest(await runParts(model, { adapter }), expected)).toBeLessThan(1e-6);
      expect(furthest(await runParts(model, { adapter }, 'upper_again'), expected)).toBeLessThan(1e-6);
      expect(furthest(await runParts(model, { below }), await run(model, { x }, { below }))).toBeLessThan(1e-6);
    });
    expect(warnings).toEqual([]);
  });

  it.each([
    ['modules trained in full', ['fc2'], { modulesToSave: ['fc1'] }],
    ['biases', ['fc1', 'fc2'], { bias: 'all' }],
  ] as const)('with %s serve on the parts', async (_, targets, more) => {
    const model = await open();
    const { adapter } = await trained(model, targets, more as LoraOptions);
    const expected = await run(model, { x }, { adapter });
    expect(furthest(expected, await run(model, { x }))).toBeGreaterThan(1e-3);
    expect(furthest(await runParts(model, { adapter }), expected)).toBeLessThan(1e-6);
    const out = path.join(scratch, `full-${count++}`);
    await merge(model, adapter, out);
    expect(furthest(await run(await openModel(out, { families: [family] }), { x }), expected)).toBeLessThan(1e-5);
  });

  it('serve on a part that is opened by itself, where the others lie beside it', async () => {
    const folder = published();
    const model = await open(undefined, folder);
    const { adapter } = await trained(model);
    const alone = (name: string): Promise<Model> =>
      openModel(path.join(folder, 'onnx', `${name}.onnx`), { families: [family] });
    const warnings = await warningsOf(async () => {
      const states = await run(await alone('lower'), { x }, { adapter });
      expect(await run(await alone('upper_again'), { states }, { adapter })).toEqual(
        await runParts(model, { adapter }),
      );
    });
    expect(warnings).toEqual([]);
    rmSync(path.join(folder, 'onnx/upper.onnx'));
    // Then nothing says that the adapter's base is this file's.
    await expect((await alone('lower')).place(adapter)).rejects.toThrow('trained on other weights');
  });

  it('that were trained on a part alone serve on the whole', async () => {
    const folder = published();
    const alone = await openModel(path.join(folder, 'onnx', 'lower.onnx'));
    const tensors = new Map([
      ['base_model.model.fc1.lora_A.weight', float32(new Float32Array(48).fill(0.1), [2, 24])],
      [
        'base_model.model.fc1.lora_B.weight',
        float32(new Float32Array(2 * golden('base.fc1.bias').dims[0]!).fill(0.2), [
          golden('base.fc1.bias').dims[0]!,
          2,
        ]),
      ],
    ]);
    const { adapter } = await trained(await open(), ['fc1']);
    const below = new Adapter({ ...adapter.config, r: 2, targetModules: ['fc1'] }, tensors, await alone.digest());
    const model = await open(undefined, folder);
    const states = await run(alone, { x }, { below });
    expect(await run(model.part('lower'), { x }, { below })).toEqual(states);
    expect(furthest(await run(model, { x }, { below }), await run(model.part('upper'), { states }))).toBeLessThan(1e-6);
  });

  it('of another base are refused by every part; of what no part holds is warned once', async () => {
    const model = await open();
    const { adapter } = await trained(model);
    const other = new Adapter(adapter.config, adapter.tensors, 'f'.repeat(64));
    for (const each of [model, ...model.parts])
      await expect(each.place(other)).rejects.toThrow('trained on other weights');
    const unlimited = { ...adapter.config, targetModules: null };
    const strange = new Adapter(unlimited, new Map([...adapter.tensors].map(([name, tensor]) => [name.replace('fc2', 'fc9'), tensor]))); // prettier-ignore
    const warnings = await warningsOf(async () => {
      for (const each of [...model.parts, model]) await each.place(strange);
    });
    expect(warnings).toEqual([
      `The adapter changes modules that "${model.name}" does not hold. They have no effect here: "net.fc9".`,
    ]);
    // PEFT's copies of what a trained module replaced are no loss.
    const copy = ['base_model.model.net.fc2.original_module.bias', float32(new Float32Array(1), [1])] as const;
    const copied = new Adapter(adapter.config, new Map([...adapter.tensors, copy]));
    expect(await warningsOf(async () => void (await model.place(copied)))).toEqual([]);
    const nowhere = new Adapter(unlimited, new Map([...adapter.tensors].map(([name, tensor]) => [name.replace('fc', 'gc'), tensor]))); // prettier-ignore
    await expect(model.part('upper').place(nowhere)).rejects.toThrow("None of the adapter's modules is in");
  });

  it('know the base whatever the order of the files', async () => {
    const graphs = [lower, upper, upper].map(({ graph }) => graph!) as [GraphProto, GraphProto, GraphProto];
    const digest = await weightsDigestInSlices(...graphs);
    expect(await weightsDigestInSlices(graphs[2], graphs[0])).toBe(digest);
    expect(await weightsDigestInSlices(openOnnx(single).model.graph)).toBe(digest);
    expect(await weightsDigestInSlices(graphs[0])).not.toBe(digest);
  });
});

describe('cut at a value', () => {
  const at = tanh.output![0]!;

  it('gives two models that compute what it computes, base and adapted', async () => {
    const one = await openModel(single);
    const { adapter } = await trained(one);
    for (const adapters of [{}, { adapter }]) {
      const [lowerHalf, upperHalf] = one.cutAt(at);
      expect([Object.keys(lowerHalf.inputs), Object.keys(upperHalf.inputs)]).toEqual([['x'], [at]]);
      const warnings = await warningsOf(async () => {
        const between = await run(lowerHalf, { x }, adapters);
        expect(await run(upperHalf, { [at]: between }, adapters)).toEqual(await run(one, { x }, adapters));
      });
      expect(warnings).toEqual([]);
    }
    expect(one.cutAt(at).map(({ parameterCount }) => parameterCount)).toEqual(
      (await open()).parts.slice(0, 2).map(({ parameterCount }) => parameterCount),
    );
  });

  it('not at one that it does not compute', async () => {
    const one = await openModel(single);
    expect(() => one.cutAt('x')).toThrow('computes no value "x"');
  });
});

describe('merged', () => {
  it('into a folder, which is opened as the old one; and taken out again', async () => {
    const folder = published();
    copyFileSync(path.join(folder, 'config.json'), path.join(folder, 'notes.json'));
    const model = await open(undefined, folder);
    const { adapter } = await trained(model);
    const expected = await run(model, { x }, { adapter });
    const out = path.join(scratch, 'merged');
    const { files: written, modules } = await merge(model, adapter, out);
    expect(written.map((file) => path.relative(out, file))).toEqual(['onnx/lower.onnx', 'onnx/upper.onnx', 'onnx/upper_again.onnx', 'config.json']); // prettier-ignore
    expect(modules).toEqual(['net.body.fc1', 'net.fc2']);
    const again = await openModel(out, { families: [family] });
    expect(furthest(await run(again, { x }), expected)).toBeLessThan(1e-5);
    expect(furthest(await runParts(again, {}, 'upper_again'), expected)).toBeLessThan(1e-5);
    // Names inside the files are the published ones.
    expect(openOnnx(written[0]!).model.graph.node!.map(({ name }) => name)).toEqual([first.name, tanh.name]);
    const back = path.join(scratch, 'back');
    await unmerge(again, adapter, back);
    expect(
      furthest(await run(await openModel(back, { families: [family] }), { x }), await run(model, { x })),
    ).toBeLessThan(1e-5);
  });

  it('leaves a part as it is that the adapter does not change', async () => {
    const folder = published();
    const model = await open(undefined, folder);
    const { adapter } = await trained(model, ['fc2']);
    const out = path.join(scratch, 'half');
    await merge(model, adapter, out);
    expect(readFileSync(path.join(out, 'onnx/lower.onnx'))).toEqual(readFileSync(path.join(folder, 'onnx/lower.onnx')));
    const changed = ['upper', 'upper_again'].map((name) => readFileSync(path.join(out, `onnx/${name}.onnx`)));
    expect(changed[0]).toEqual(changed[1]);
    expect(changed[0]).not.toEqual(readFileSync(path.join(folder, 'onnx/upper.onnx')));
  });

  it('into one file', async () => {
    const model = await open();
    const { adapter } = await trained(model);
    const file = path.join(scratch, 'one.onnx');
    expect((await merge(model, adapter, file)).files).toEqual([file]);
    expect(furthest(await run(await openModel(file), { x }), await run(model, { x }, { adapter }))).toBeLessThan(1e-5);
  });

  it('not into the base, nor over a file', async () => {
    const folder = published();
    const model = await open(undefined, folder);
    const { adapter } = await trained(model, ['fc2']);
    await expect(merge(model, adapter, folder)).rejects.toThrow('is the base model itself');
    await expect(merge(model, adapter, path.join(folder, 'onnx/upper.onnx'))).rejects.toThrow(
      'is the base model itself',
    );
    await expect(merge(model, adapter, path.join(folder, 'config.json'))).rejects.toThrow('is a file, but');
    expect(existsSync(path.join(scratch, 'absent'))).toBe(false);
  });
});

it('refuses fixed inputs before any file is read, and says which files there are', async () => {
  const folder = published();
  const opened = await openModel(folder, { families: [family] });
  const named = ['lower', 'upper', 'upper_again'].map((name) => path.join(folder, 'onnx', `${name}.onnx`));
  expect(() => opened.withFixedInputs({ x: 1 })).toThrow(/"x" of ".*" cannot be fixed.* has 3 files.*lower\.onnx/);
  expect(opened.withFixedInputs({})).toBe(opened);
  for (const file of named) writeFileSync(file, 'not read');
  for (const source of [folder, named.slice(0, 2)])
    await expect(openModel(source, { families: [family], fixedInputs: { x: 1 } })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/Open the file that has the input by itself and fix it there/), // prettier-ignore
    });
});
