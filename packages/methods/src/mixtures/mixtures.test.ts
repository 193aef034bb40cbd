/** @file Mixtures of LoRAs: Arrow against PEFT's numbers, gates against loops over experts and rows. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Adapter, loadAdapter, type Model, openModel, previewLora, type Tensor, tensor, train } from '@onnx-lora/sdk';
import { meanSquaredError, toHalf } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { randomAdapter } from '@onnx-lora/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { taskOf } from '../../fixtures/memorise.ts';
import { methodsPlugin } from '../plugin.ts';
import { mixtureOf, type MixtureOptions, limitedToBest } from './mixtureOf.ts';

const folder = path.join(import.meta.dirname, '../../fixtures/arrow');
let model: Model;
let expected: ReadonlyMap<string, Tensor>;
let tasks: Record<string, Adapter>;
let general: Adapter[];
let x: Tensor;

const load = (name: string): Promise<Adapter> => loadAdapter(path.join(folder, name));
const numbers = ({ data }: Tensor): number[] => Array.from(data as Float32Array);

beforeAll(async () => {
  model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
  ({ tensors: expected } = await readSafetensors(path.join(folder, 'expected.safetensors')));
  const [a, b, c] = await Promise.all(['task_0', 'task_1', 'task_2'].map(load));
  tasks = { task_0: a!, task_1: b!, task_2: c! };
  general = await Promise.all(['gks_0', 'gks_1'].map(load));
  const { tensors } = await readSafetensors(path.join(folder, 'base.safetensors'));
  x = tensors.get('x')!;
});

async function run(adapter: Adapter | null, feeds: Tensor = x): Promise<Tensor> {
  const session = await model.session({ adapters: adapter ? { adapter } : {}, threads: 1 });
  try {
    const outputs = await session.run(
      { [Object.keys(model.inputs)[0]!]: feeds },
      { adapter: adapter ? 'adapter' : null },
    );
    return Object.values(outputs)[0]!;
  } finally {
    await session.release();
  }
}

function expectSame(found: Tensor, wanted: Tensor, digits = 4): void {
  expect(found.dims).toEqual(wanted.dims);
  numbers(found).forEach((value, i) => {
    expect(value).toBeCloseTo(numbers(wanted)[i]!, digits);
  });
}

describe('Arrow', () => {
  it.each<[string, MixtureOptions, boolean]>([
    ['top1', { topK: 1 }, false],
    ['top2', { topK: 2 }, false],
    ['top3-cold', { topK: 3, temperature: 0.3 }, false],
    ['top2-gks', { topK: 2 }, true],
  ])("%s computes PEFT's outputs from PEFT's prototypes, and its own are close", async (name, options, isGeneral) => {
    const mixture = mixtureOf(tasks, { ...options, ...(isGeneral ? { general } : {}) });
    const cosines: number[] = [];
    const tensors = new Map(
      [...mixture.tensors].map(([key, tensor]): [string, Tensor] => {
        if (!key.endsWith('prototypes')) return [key, tensor];
        const theirs = expected.get(`${name}.${key.split('.').at(-2)!}.prototypes`)!;
        const [count, width] = theirs.dims as [number, number];
        for (let e = 0; e < count; e++) {
          const [one, other] = [tensor, theirs].map((each) => numbers(each).slice(e * width, (e + 1) * width));
          cosines.push(Math.abs(one!.reduce((sum, value, i) => sum + value * other![i]!, 0)));
        }
        return [key, theirs];
      }),
    );
    // PEFT stops after 15 rounds.
    expect(Math.min(...cosines)).toBeGreaterThan(0.985);
    expect(cosines.filter((each) => each > 0.9999).length).toBeGreaterThan(cosines.length / 2);
    expectSame(await run(new Adapter(mixture.config, tensors)), expected.get(`${name}.y`)!);
  });
});

/** The mean change that each of the adapters makes, times a gate of its own, row by row. */
describe('gates', () => {
  const rowsOf = (tensor: Tensor): Tensor[] => {
    const [rows, ...rest] = tensor.dims as [number, ...number[]];
    const size = tensor.data.length / rows;
    return Array.from({ length: rows }, (_, i) => ({ ...tensor, dims: [1, ...rest], data: tensor.data.slice(i * size, (i + 1) * size) }) as Tensor); // prettier-ignore
  };

  it.each<[string, () => Promise<Adapter>]>([
    ['arrow', async () => mixtureOf(tasks, { topK: 2 })],
    ['a router by tokens', () => withRouter(mixtureOf(tasks, { router: 'trained' }))],
    ['a router by examples', () => withRouter(mixtureOf(tasks, { router: 'trained', routeBy: 'example', topK: 1 }))],
    ['hydralora', () => randomAdapter(model, { lora: { tuner: 'hydralora', targetModules: ['up', 'down'] } })],
    ['mola', () => randomAdapter(model, { lora: { tuner: 'mola', targetModules: ['up', 'down'] } })],
  ])('of %s are those of each row alone', async (_, make) => {
    const mixture = await make();
    const whole = rowsOf(await run(mixture));
    const alone = await Promise.all(rowsOf(x).map((row) => run(mixture, row)));
    whole.forEach((row, i) => {
      expectSame(row, alone[i]!, 5);
    });
    expect(numbers(await run(mixture))).not.toEqual(numbers(await run(null)));
  });

  it('that know but one adapter give what it gives alone', async () => {
    const { task_0, task_1 } = tasks as Record<'task_0' | 'task_1', Adapter>;
    const silent = new Adapter(task_1.config, new Map([...task_1.tensors].map(([name, tensor]) => [name, { ...tensor, data: new Float32Array(tensor.data.length) } as Tensor]))); // prettier-ignore
    // The other's change has no direction: the score of every token is 0, which is the least.
    expectSame(await run(mixtureOf({ task_0, silent }, { topK: 1 })), await run(task_0), 5);
  });

  it('read adapters in half precision', async () => {
    const halved = ({ config, tensors }: Adapter): Adapter => new Adapter(config, new Map([...tensors].map(([name, { dims, data }]) => [name, tensor('float16', Uint16Array.from(data as Float32Array, toHalf), dims)]))); // prettier-ignore
    const halves = Object.fromEntries(Object.entries(tasks).map(([name, adapter]) => [name, halved(adapter)]));
    expectSame(await run(mixtureOf(halves)), await run(mixtureOf(tasks)), 2);
  });

  it('of equal adapters give what one gives, whatever they are', async () => {
    const { task_2 } = tasks as Record<'task_2', Adapter>;
    for (const options of [{ topK: 2 }, { router: 'trained' as const }])
      expectSame(await run(mixtureOf({ one: task_2, other: task_2 }, options)), await run(task_2), 4);
  });
});

/** A router that has its preferences: one as it begins has nearly none. */
function withRouter(mixture: Adapter): Promise<Adapter> {
  const change = (name: string, tensor: Tensor): Tensor =>
    name.endsWith('router') ? ({ ...tensor, data: (tensor.data as Float32Array).map((value) => 50 * value) } as Tensor) : tensor; // prettier-ignore
  return Promise.resolve(new Adapter(mixture.config, new Map([...mixture.tensors].map(([name, tensor]) => [name, change(name, tensor)])))); // prettier-ignore
}

describe('training', () => {
  it('moves the router of trained adapters alone', async () => {
    const mixture = mixtureOf(tasks, { router: 'trained' });
    const targets = { y: expected.get('top1.y')! };
    const task = taskOf(x.dims[0]!, { x }, targets, (g, { logits }, { y }) => meanSquaredError(g, logits!, y!));
    const trained = (await (await train(model, { task, from: mixture, lr: 0.01, steps: 2, batchSize: x.dims[0]! })).done).adapter; // prettier-ignore
    const changed = [...trained.tensors].filter(([name, { data }]) => numbers(mixture.tensors.get(name)!).some((value, i) => value !== data[i])); // prettier-ignore
    expect(changed.map(([name]) => name.slice(name.lastIndexOf('.') + 1))).toEqual(['mola_router', 'mola_router']);
  });

  it('adds how unevenly experts are taken to the loss', async () => {
    const loss = async (weight: number): Promise<number> => {
      const tuner = { name: 'mola', experts: 4, top_k: 4, router_aux_loss_coef: weight };
      const task = taskOf(x.dims[0]!, { x }, { y: expected.get('top1.y')! }, (g, { logits }, { y }) => meanSquaredError(g, logits!, y!)); // prettier-ignore
      const run = await train(model, { task, lora: { tuner, targetModules: ['up', 'down'] }, lr: 1e-30, steps: 1, batchSize: x.dims[0]! }); // prettier-ignore
      for await (const event of run) if (event.type === 'step') return event.loss;
      throw new Error('no step');
    };
    // With all experts taken by all, each has a quarter of the places, and 4 · Σ ¼ · p = 1 in each of two layers.
    expect((await loss(0.5)) - (await loss(0))).toBeCloseTo(0.5 * 2, 4);
  });
});

it.each<[string, () => unknown, RegExp]>([
  ['one adapter', () => mixtureOf({ one: tasks['task_0']! }), /needs at least two adapters/],
  [
    'what is no LoRA',
    () => mixtureOf({ mixture: mixtureOf(tasks), other: tasks['task_0']! }),
    /only LoRA adapters can be combined/,
  ],
  [
    'bases that differ',
    () =>
      mixtureOf({
        a: new Adapter(tasks['task_0']!.config, tasks['task_0']!.tensors, 'a'),
        b: new Adapter(tasks['task_1']!.config, tasks['task_1']!.tensors, 'b'),
      }),
    /trained on different base models/,
  ],
])('refuses %s', (_, mix, message) => {
  expect(mix).toThrow(message);
});

it.each([
  [{ experts: 0 }, /setting experts must be a whole number/],
  [{ route_by: 'word' }, /setting route_by must be "token" or "example"/],
])('refuses the settings %j', (settings, message) => {
  expect(() => previewLora(model, { tuner: { name: 'mola', ...settings }, targetModules: ['up'] })).toThrow(message);
});

it('spreads numbers of experts over the depth', async () => {
  const adapter = await randomAdapter(model, { lora: { tuner: { name: 'mola', experts: [2, 5] }, targetModules: ['up', 'down'] } }); // prettier-ignore
  expect(['up', 'down'].map((module) => adapter.tensors.get(`base_model.model.${module}.mola_router`)!.dims[0])).toEqual([2, 5]); // prettier-ignore
});

it('of Arrow has nothing to train', async () => {
  const task = taskOf(x.dims[0]!, { x }, { y: expected.get('top1.y')! }, (g, { logits }, { y }) => meanSquaredError(g, logits!, y!)); // prettier-ignore
  const run = train(model, { task, from: mixtureOf(tasks), lr: 0.01, steps: 1, batchSize: 1 });
  await expect(run.then(({ done }) => done)).rejects.toThrow(/nothing to train/);
});

describe('X-LoRA', () => {
  const own = path.join(import.meta.dirname, '../../fixtures/xlora');
  const { cases } = JSON.parse(readFileSync(path.join(own, 'xlora.json'), 'utf8')) as { cases: Record<string, { layers: readonly string[] } & Record<string, unknown>> }; // prettier-ignore

  it.each(Object.keys(cases).filter((name) => name !== 'fixed'))(
    "%s: PEFT's logits from PEFT's classifier",
    async (name) => {
      const llama = await openModel(path.join(own, 'model.onnx'), { plugins: [methodsPlugin] });
      const { tensors: wanted } = await readSafetensors(path.join(own, 'expected.safetensors'));
      const [a, b, c] = await Promise.all(['0', '1', '2'].map((each) => loadAdapter(path.join(own, each))));
      const { layers, ...settings } = cases[name]!;
      const mixture = mixtureOf({ a: a!, b: b!, c: c! }, { router: 'xlora', hiddenSize: 16 });
      const isByLayer = settings['layerwise_scalings'] === true;
      const order = layers.toSorted().map((each) => layers.indexOf(each));
      const classifier = [...wanted].flatMap(([key, tensor]): [string, Tensor][] => {
        const [, part] = key.split(`${name}.classifier.layers.`);
        if (part === undefined || !key.startsWith(`${name}.`)) return [];
        const isLast = part.startsWith(String(2 * (Number(settings['xlora_depth'] ?? 1) - 1)));
        // The outputs of the last are by layers, in another order here.
        const size = tensor.data.length / (3 * layers.length);
        const data = isLast && isByLayer ? order.flatMap((l) => [...(tensor.data as Float32Array).subarray(l * 3 * size, (l + 1) * 3 * size)]) : [...(tensor.data as Float32Array)]; // prettier-ignore
        return [[`base_model.xlora_classifier.${part}`, { ...tensor, data: Float32Array.from(data) } as Tensor]];
      });
      const kept = [...mixture.tensors].filter(([key]) => !key.includes('classifier'));
      const adapter = new Adapter({ ...mixture.config, extra: { ...mixture.config.extra, ...settings } }, new Map([...kept, ...classifier])); // prettier-ignore
      const session = await llama.session({ adapters: { adapter }, threads: 1 });
      const { tensors: base } = await readSafetensors(path.join(own, 'base.safetensors'));
      const ids = base.get('input_ids')!;
      const feeds = Object.fromEntries(Object.keys(llama.inputs).map((input) => [input, input === 'input_ids' ? ids : { ...ids, data: new BigInt64Array(ids.data.length).fill(1n) } as Tensor])); // prettier-ignore
      const { logits } = await session.run(feeds, { adapter: 'adapter' });
      await session.release();
      expectSame(logits!, wanted.get(`${name}.logits`)!);
    },
  );

  it('learns, and says which size its classifier needs', async () => {
    expect(() => mixtureOf(tasks, { router: 'xlora' })).toThrow(/needs hiddenSize/);
    const task = taskOf(x.dims[0]!, { x }, { y: expected.get('top1.y')! }, (g, { logits }, { y }) => meanSquaredError(g, logits!, y!)); // prettier-ignore
    const begin = (hiddenSize: number): ReturnType<typeof train> => train(model, { task, from: mixtureOf(tasks, { router: 'xlora', hiddenSize }), lr: 0.01, steps: 2, batchSize: x.dims[0]! }); // prettier-ignore
    await expect(begin(7)).rejects.toThrow(
      /is for 7 features, and the last linear layer reads 16. Give hiddenSize: 16/,
    );
    const { adapter } = await (await begin(16)).done;
    const before = mixtureOf(tasks, { router: 'xlora', hiddenSize: 16 });
    const changed = [...adapter.tensors].filter(([name, { data }]) => numbers(before.tensors.get(name)!).some((value, i) => value !== data[i])); // prettier-ignore
    expect(changed.map(([name]) => name).sort()).toEqual(['base_model.xlora_classifier.0.bias', 'base_model.xlora_classifier.0.weight']); // prettier-ignore
  });
});

it('with the best alone computes each token by one of the adapters', async () => {
  const every = await Promise.all(Object.values(tasks).map((each) => run(each)));
  for (const mixture of [
    mixtureOf(tasks, { router: 'xlora', hiddenSize: 16, routeBy: 'example' }),
    await withRouter(mixtureOf(tasks, { router: 'trained', routeBy: 'example' })),
  ]) {
    // prettier-ignore
    const isByLayers = mixture.config.peftType === 'MOLA';
    const rows = numbers(await run(limitedToBest(mixture)));
    const [, outputs] = every[0]!.dims as [number, number];
    // With one classifier, all layers of a row use the same adapter.
    if (!isByLayers)
      for (let row = 0; row < x.dims[0]!; row++) {
        const distances = every.map((each) => Math.hypot(...numbers(each).slice(row * outputs, (row + 1) * outputs).map((value, i) => value - rows[row * outputs + i]!))); // prettier-ignore
        expect(Math.min(...distances)).toBeLessThan(1e-5);
      }
    expect(rows).not.toEqual(numbers(await run(mixture)));
  }
  expect(() => limitedToBest(tasks['task_0']!)).toThrow(/LORA has no adapters to choose from/);
});
