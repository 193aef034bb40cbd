/** @file Tuners with shared and seeded tensors (VeRA), and with states, a loss and hooks of their own (AdaLoRA), held to PEFT's numbers. */

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  convertToLora,
  float32,
  loadAdapter,
  type Model,
  openModel,
  OrtRuntime,
  previewLora,
  type Tensor,
  train,
  type TrainOptions,
} from '@onnx-lora/sdk';
import { methodsPlugin } from '@onnx-lora/methods';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { definePlugin, TorchRandom, type Tuner } from '@onnx-lora/sdk/plugin';
import { crossEntropy, type LossFragment, meanSquaredError } from '@onnx-lora/sdk/tasks';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { checkAdapterRoundTrip, checkGradients, checkTuner, randomAdapter } from '@onnx-lora/testing'; // prettier-ignore
import { afterAll, describe, expect, it } from 'vitest';
import { vera } from '../packages/methods/src/tuners/sharedProjections/vera.ts';
import { taskOf } from '../packages/sdk/fixtures/memorise.ts';

const cases = path.join(import.meta.dirname, 'fixtures/cases');
/** The mean of the layer at two inputs. */
const twice: Tuner = {
  name: 'twice',
  peftType: 'TWICE',
  description: 'the mean of a layer at two inputs',
  defaults: {},
  tune: (layer) => ({
    tensors: {
      shift: { dims: [layer.in], init: () => new Float32Array(layer.in), identity: () => new Float32Array(layer.in) },
    },
    apply: (g, { x, forward }, { shift }) => g.Mul(g.Add(forward(g.Add(x, shift!)), forward(x)), 0.5),
  }),
};
const twicePlugin = definePlugin({ name: 'twice', tuners: [twice] });

/** LoRA with one A for all layers of the same width. */
const tied: Tuner = {
  name: 'tied',
  peftType: 'TIED',
  description: 'B of each layer, and A of all layers that read as much',
  defaults: {},
  tune: (layer) => {
    const tensor = (dims: readonly [number, number]) => {
      const zeros = (): Float32Array => new Float32Array(dims[0] * dims[1]);
      return { dims, init: zeros, identity: zeros };
    };
    return {
      linearIn: ['tied_B'],
      tensors: { tied_A: { ...tensor([2, layer.in]), share: 'shape' }, tied_B: tensor([layer.out, 2]) },
      delta: (g, { tied_A: A, tied_B: B }) => g.MatMul(B!, A!),
    };
  },
};

/** Has a tensor in no file, as large as the config says. */
const largePlugin = definePlugin({
  name: 'large',
  tuners: [
    {
      name: 'large',
      peftType: 'LARGE',
      description: 'as large as it is told',
      defaults: { r: 1 },
      tune: (_, { r }) => {
        const tensor = { init: () => new Float32Array(r as number), identity: () => new Float32Array(r as number) };
        return {
          tensors: {
            own: { dims: [1], init: () => new Float32Array(1), identity: () => new Float32Array(1) },
            all: { ...tensor, dims: [r as number], role: 'seeded' },
          },
          delta: (_, { own }) => own!,
        };
      },
    },
  ],
});

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-hooks-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** Logits of a model with an adapter for the inputs of a case. */
async function logits(model: Model, adapter: Adapter, name = 'peft-vera'): Promise<Tensor> {
  const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
  const session = await model.session({ adapters: { adapter } });
  const outputs = await session.run({ x: tensors.get('x')! }, { adapter: 'adapter' });
  await session.release();
  return outputs['logits']!;
}

it("draws torch's numbers", () => {
  // torch.empty(4).uniform_(-1, 1, generator=torch.Generator('cpu').manual_seed(7)), and the 700th of such a row.
  const random = new TorchRandom(7);
  expect([...random.uniform(4, -1, 1)]).toEqual([
    0.06984508037567139, -0.602393627166748, 0.31842339038848877, 0.3137805461883545,
  ]);
  expect(random.uniform(696, -1, 1).at(-1)).toBe(0.4036751985549927);
  const large = new TorchRandom(123456789012).uniform(3, -0.3, 0.7);
  expect([...large]).toEqual([-0.10241985321044922, -0.25659674406051636, 0.35207509994506836]);
});

describe('shared tensors', () => {
  const lora = { tuner: { name: 'vera', r: 4 }, targetModules: ['up', 'down'] };

  it('are one input of a graph, in the file once or not at all, and not trained', async () => {
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins: [methodsPlugin] });
    // Eight layers of 16 and 24 outputs, and a rank of 4.
    expect(previewLora(model, lora).trainableParameters).toBe(4 * (16 + 24) + 8 * 4);
    const adapter = await randomAdapter(model, { lora });
    expect(adapter.tensors.get('base_model.vera_A')!.dims).toEqual([4, 24]);
    expect(adapter.tensors.size).toBe(2 + 2 * 8);
    const unsaved = await randomAdapter(model, { lora: { ...lora, tuner: { ...lora.tuner, save_projection: false } } });
    expect(unsaved.tensors.size).toBe(2 * 8);
    for (const each of [adapter, unsaved]) expect(await checkAdapterRoundTrip(model, each)).toEqual([]);
  });

  it('of each shape are one tensor, which computes and learns what LoRA does with a copy of it in each layer', async () => {
    const plugins = [definePlugin({ name: 'tied', tuners: [tied] })];
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins });
    const { tensors: given } = await readSafetensors(path.join(cases, 'peft-vera/inputs.safetensors'));
    const inputs = { x: given.get('x')! };
    const all = { tuner: 'tied', targetModules: ['up', 'down'] };
    // up reads 16 and yields 24 numbers, down the other way, in four layers.
    expect(previewLora(model, all).trainableParameters).toBe(2 * (16 + 24) + 2 * 4 * (16 + 24));
    const adapter = await randomAdapter(model, { lora: all });
    const [shared, own] = [[...adapter.tensors.keys()].filter((name) => name.includes('tied_A')), [...adapter.tensors].filter(([name]) => name.includes('tied_B'))]; // prettier-ignore
    expect(shared.sort()).toEqual(['base_model.tied_A.2x16', 'base_model.tied_A.2x24']);
    const copies = own.flatMap(([name, B]): [string, Tensor][] => [
      [name.replace('tied_B', 'lora_B.weight'), B],
      [name.replace('tied_B', 'lora_A.weight'), adapter.tensors.get(`base_model.tied_A.2x${name.includes('.up.') ? 16 : 24}`)!], // prettier-ignore
    ]);
    const { config } = await randomAdapter(model, { lora: { r: 2, loraAlpha: 2, targetModules: ['up', 'down'] } });
    const [found, wanted] = await Promise.all([adapter, new Adapter(config, new Map(copies))].map((each) => logits(model, each))); // prettier-ignore
    (found!.data as Float32Array).forEach((value, i) => {
      expect(value).toBeCloseTo(Number(wanted!.data[i]), 5);
    });
    expect(await checkAdapterRoundTrip(model, adapter)).toEqual([]);
    const loss: LossFragment = (g, { logits }, { y }) => meanSquaredError(g, logits!, y!);
    const checked = await checkGradients(model, { lora: all, loss, inputs, targets: { y: float32(new Float32Array(wanted!.data.length), wanted!.dims) } }); // prettier-ignore
    expect(checked).toHaveLength(2 + 8);
    expect(checked.flatMap(({ problem }) => problem ?? [])).toEqual([]);
  });

  it('are not made where the config says other sizes than the file, or too large ones', async () => {
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins: [methodsPlugin, largePlugin] });
    const { config, tensors } = await randomAdapter(model, { lora: { ...lora, tuner: { ...lora.tuner, save_projection: false } } }); // prettier-ignore
    const other = new Adapter({ ...config, extra: { ...config.extra, r: 1e12 } }, tensors);
    await expect(model.place(other)).rejects.toThrow(/vera_lambda_d of "layers.0.up" has shape \[4\].* needs \[1000000000000\]/); // prettier-ignore
    const large = new Adapter(
      { ...config, peftType: 'LARGE', extra: { r: 1e12 } },
      new Map([['base_model.model.layers.0.up.own', float32([1], [1])]]),
    );
    await expect(model.place(large)).rejects.toMatchObject({ code: 'ADAPTER_INVALID', message: expect.stringMatching(/more than 2 GiB/) as string }); // prettier-ignore
  });

  it('pass the check of the kit', async () => {
    expect(await checkTuner(vera)).toEqual([]);
  });

  it('serve adapters of different layers in one session', async () => {
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins: [methodsPlugin] });
    const { tensors: feeds } = await readSafetensors(path.join(cases, 'peft-vera/inputs.safetensors'));
    const x = { x: feeds.get('x')! };
    const [up, down] = await Promise.all(
      ['up', 'down'].map((name) => randomAdapter(model, { lora: { ...lora, targetModules: [name] } })),
    );
    const alone = await model.session({ adapters: { down: down! } });
    const both = await model.session({ adapters: { up: up!, down: down! } });
    const [one, other] = await Promise.all([alone, both].map((each) => each.run(x, { adapter: 'down' })));
    expect(other!['logits']!.data).toEqual(one!['logits']!.data);
    await Promise.all([alone.release(), both.release()]);
  });
});

describe('AdaLoRA', () => {
  const folder = path.join(cases, 'peft-adalora-schedule');
  const { train: settings } = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as {
    train: { losses: number[]; lr: number; weightDecay: number };
  };

  it('allots ranks as PEFT does, step by step, and continues from a state to the same bits', async () => {
    const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
    const adapter = await loadAdapter(path.join(folder, 'adapter'));
    const { tensors: given } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
    const { tensors: expected } = await readSafetensors(path.join(folder, 'expected.safetensors'));
    const placed = await model.place(adapter);
    const trainer = (): Trainer =>
      new Trainer({
        base: model.onnx.model,
        plan: placed.tunings.map(({ tuning }) => tuning),
        loss: (g, { logits }, { labels }) => crossEntropy(g, logits!, labels!),
        runtime: new OrtRuntime(),
        session: { threads: 1 },
        optimizer: { name: 'adamw', weightDecay: settings.weightDecay },
        parameters: (inputs) => ParameterSet.of(placed, inputs),
        name: 'net',
      });
    const [inputs, targets] = [{ x: given.get('x')! }, { labels: given.get('labels')! }];
    const whole = trainer();
    let state: Awaited<ReturnType<Trainer['state']>> | undefined;
    for (let step = 0; step < 12; step++) {
      if (step === 6) state = await whole.state();
      const { loss } = await whole.step(inputs, targets, settings.lr);
      expect(loss).toBeCloseTo(settings.losses[step]!, 4);
      for (const module of ['layers.0.up', 'layers.0.down', 'layers.1.up', 'layers.1.down']) {
        const found = whole.parameters!.all.find(({ input }) => input.name === `${module}.lora_E`)!.value;
        const wanted = expected.get(`adalora.step${step}.${module}.lora_E`)!.data as Float32Array;
        expect([...found].map((each) => each === 0)).toEqual([...wanted].map((each) => each === 0));
        found.forEach((each, i) => {
          expect(each).toBeCloseTo(wanted[i]!, 4);
        });
      }
    }
    const again = trainer();
    await again.compile(inputs, targets);
    again.load(state!);
    for (let step = 6; step < 12; step++) await again.step(inputs, targets, settings.lr);
    const bits = ({ parameters }: Trainer): [string, Tensor][] => [...parameters!.tensors()];
    expect(bits(again)).toEqual(bits(whole));
    await Promise.all([whole.release(), again.release()]);
  });

  it("reads PEFT's file of the directions that are left", async () => {
    const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
    const adapter = await loadAdapter(path.join(folder, 'trained'));
    const { tensors: expected } = await readSafetensors(path.join(folder, 'expected.safetensors'));
    expect(new Set([...adapter.tensors].filter(([name]) => name.endsWith('lora_E')).map(([, { dims }]) => dims[0])).size).toBeGreaterThan(1); // prettier-ignore
    const { data } = await logits(model, adapter, 'peft-adalora-schedule');
    (expected.get('trained.logits')!.data as Float32Array).forEach((value, i) => {
      expect(data[i]).toBeCloseTo(value, 3);
    });
    expect(await checkAdapterRoundTrip(model, adapter)).toEqual([]);
  });

  it(
    'continues after it was killed, and its directions that are left compute the same in the layout of PEFT',
    { timeout: 60_000 },
    async () => {
      const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
      const { tensors: given } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
      const rows = given.get('x')!.dims[0]!;
      const task = taskOf(rows, { x: given.get('x')! }, { labels: given.get('labels')! }, (g, { logits }, { labels }) => crossEntropy(g, logits!, labels!)); // prettier-ignore
      const tuner = { name: 'adalora', init_r: 4, target_r: 2, tinit: 1, tfinal: 2, deltaT: 1, total_step: 10 };
      const all = { task, batchSize: 3, lora: { tuner, targetModules: ['up', 'down'] }, lr: 0.05, steps: 10 } satisfies TrainOptions; // prettier-ignore
      const whole = (await (await train(model, all)).done).adapter;
      const checkpoints = { folder: path.join(scratch, 'whole'), every: 5 };
      const killed = path.join(scratch, 'killed');
      const run = await train(model, { ...all, checkpoints });
      for await (const event of run) if (event.type === 'checkpoint' && event.step === 5) cpSync(checkpoints.folder, killed, { recursive: true }); // prettier-ignore
      await run.done;
      const resumed = (await (await train(model, { ...all, checkpoints: { ...checkpoints, folder: killed }, resume: true })).done).adapter; // prettier-ignore
      expect([...resumed.tensors]).toEqual([...whole.tensors]);

      // PEFT's file: rows of A and E, columns of B, and which they are in the config.
      const cut = new Map<string, Tensor>();
      const pattern: Record<string, boolean[]> = {};
      for (const [name, { data, dims }] of whole.tensors) {
        const singular = whole.tensors.get(name.replace(/lora_[AEB]$/, 'lora_E'))!.data as Float32Array;
        const kept = [...singular].map((value) => value !== 0);
        pattern[name.replace(/^base_model\.model\./, '').replace(/lora_[AEB]$/, 'lora_E')] = kept;
        const [rank, width] = [singular.length, name.endsWith('lora_B') ? 1 : data.length / singular.length];
        const left = (data as Float32Array).filter((_, i) => kept[Math.floor(i / width) % rank]);
        const count = kept.filter(Boolean).length;
        cut.set(name, float32(left, name.endsWith('lora_B') ? [dims[0]!, count] : [count, dims[1]!]));
      }
      expect(Object.values(pattern).flat().filter(Boolean)).toHaveLength(2 * Object.keys(pattern).length);
      const peft = new Adapter({ ...whole.config, extra: { ...whole.config.extra, rank_pattern: pattern } }, cut);
      const [full, few] = await Promise.all([whole, peft].map(async (each) => (await logits(model, each, 'peft-adalora-schedule')).data as Float32Array)); // prettier-ignore
      full!.forEach((value, i) => {
        expect(few![i]).toBeCloseTo(value, 5);
      });
    },
  );
});

describe('blends', () => {
  const open = (): Promise<Model> => openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins: [methodsPlugin, twicePlugin] }); // prettier-ignore
  const change = ({ tensors, config }: Adapter, factor: number, pattern: RegExp, idle = 0): Adapter =>
    new Adapter(config, new Map([...tensors].map(([name, { data, ...rest }]) => [name, { ...rest, data: pattern.test(name) ? (data as Float32Array).map((each) => idle + factor * (each - idle)) : data } as Tensor]))); // prettier-ignore

  it.each<[string, RegExp, number]>([
    ['vera', /lambda_b/, 0],
    ['loha', /hada_w1_a/, 0],
    ['ia3', /ia3_l/, 1],
  ])('of %s are the adapter with so much of its linear part', async (tuner, pattern, idle) => {
    const model = await open();
    const { tensors } = await readSafetensors(path.join(cases, 'peft-vera/inputs.safetensors'));
    const x = { x: tensors.get('x')! };
    const a = await randomAdapter(model, { lora: { tuner, targetModules: ['up', 'down'] } });
    const session = await model.session({ adapters: { a, b: change(a, -2, pattern, idle), sum: change(a, 0.3 - 2 * 0.1, pattern, idle) } }); // prettier-ignore
    const [blended, sum, base] = await Promise.all([{ a: 0.3, b: 0.1 }, 'sum', null].map(async (adapter) => (await session.run(x, { adapter }))['logits']!.data as Float32Array)); // prettier-ignore
    blended!.forEach((value, i) => {
      expect(value).toBeCloseTo(sum![i]!, 5);
    });
    expect(Math.max(...blended!.map((value, i) => Math.abs(value - base![i]!)))).toBeGreaterThan(1e-3);
    if (tuner === 'loha') {
      await session.replace(
        'b',
        await randomAdapter(model, { lora: { tuner, targetModules: ['up', 'down'] }, seed: 5 }),
      );
      await expect(session.run(x, { adapter: { a: 0.5, b: 0.5 } })).rejects.toThrow(/LOHA, whose adapters can be blended where they have the same hada_/); // prettier-ignore
    }
    await session.release();
  });

  it('of a layer that is computed twice has both', async () => {
    const model = await open();
    expect(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora: { tuner: 'twice', targetModules: ['up'] } }))).toEqual([]); // prettier-ignore
  });
});

describe('as LoRA', () => {
  const run = async (model: Model, adapter: Adapter): Promise<Float32Array> => (await logits(model, adapter)).data as Float32Array; // prettier-ignore
  const far = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

  it.each<[string, number, boolean]>([
    ['vera', 1, true],
    ['loha', 16, true],
    ['loha', 2, false],
  ])('%s of rank %d', async (tuner, r, isExact) => {
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins: [methodsPlugin] });
    const adapter = await randomAdapter(model, { lora: { tuner: { name: tuner, r: 4 }, targetModules: ['up', 'down'] } }); // prettier-ignore
    const { adapter: lora, errors } = await convertToLora(adapter, model, { r });
    expect(lora.config).toMatchObject({ peftType: 'LORA', r });
    expect(errors.size).toBe(8);
    const [whole, found] = [await run(model, adapter), await run(model, lora)];
    if (isExact) {
      expect(Math.max(...errors.values())).toBeLessThan(1e-6);
      expect(far(whole, found)).toBeLessThan(1e-4);
    } else {
      for (const error of errors.values()) expect(error > 0.05 && error < 1).toBe(true);
      expect(far(whole, found)).toBeGreaterThan(1e-3);
    }
  });

  it('refuses what is LoRA, and what changes a bias', async () => {
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins: [methodsPlugin] });
    const [lora, ia3] = await Promise.all([{ r: 2, targetModules: ['up'] }, { tuner: 'ia3', targetModules: ['up'] }].map((each) => randomAdapter(model, { lora: each }))); // prettier-ignore
    await expect(convertToLora(lora!, model)).rejects.toThrow(/LoRA already/);
    await expect(convertToLora(ia3!, model)).rejects.toThrow(/"layers.0.up" cannot become LoRA: it changes its bias/);
    await expect(convertToLora(ia3!, model, { r: 0 })).rejects.toThrow(/rank r must be/);
  });
});

/** A diagonal change of the weight that is pulled to zero, at most two of whose entries remain. */
const sparse: Tuner = {
  name: 'sparse',
  peftType: 'SPARSE',
  description: 'a factor for each output; most stay one',
  defaults: { threshold: 0.01 },
  tune: ({ out, weightShape }) => {
    const zeros = (): Float32Array => new Float32Array(out);
    const tensor = { dims: [out], init: zeros, identity: zeros };
    return {
      tensors: {
        gate: tensor,
        steps: {
          ...tensor,
          dims: [1],
          role: 'state',
          init: () => new Float32Array(1),
          identity: () => new Float32Array(1),
        },
        mask: { ...tensor, role: 'state', init: () => zeros().fill(1) },
        scale: { ...tensor, role: 'frozen', init: (random) => zeros().map(() => random.uniform(0.5, 1)) },
      },
      delta: (g, { gate, mask, scale }) =>
        g.Mul(g.Unsqueeze(g.Mul(g.Mul(gate!, mask!), scale!), [1]), g.constant({ type: 'float32', dims: weightShape as number[], data: new Float32Array(weightShape[0]! * weightShape[1]!).fill(1) })), // prettier-ignore
    };
  },
  training: ({ threshold }) => ({
    loss: (g, modules) =>
      modules.map(({ tensors: { gate } }) => g.Mul(g.ReduceSumSquare(gate!, [0], false), 0.5)).reduce((a, b) => g.Add(a, b)), // prettier-ignore
    gradients: ({ modules }) => {
      for (const { tensors: { gate } } of modules) gate!.gradient![0] = 0; // prettier-ignore
    },
    after: ({ step, lr, modules }) => {
      for (const {
        tensors: { gate, mask, steps },
      } of modules) {
        steps!.value[0] = step + 1;
        const by = lr * (threshold as number);
        gate!.value.set(gate!.value.map((each) => Math.sign(each) * Math.max(0, Math.abs(each) - by)));
        if (step === 3) mask!.value.set(gate!.value.map((_, i) => Number(i < 3)));
      }
    },
  }),
};

describe('hooks', () => {
  const plugins = [definePlugin({ name: 'sparse', tuners: [sparse] })];
  const y: Tensor = { type: 'float32', dims: [6, 3], data: Float32Array.from({ length: 18 }, (_, i) => Math.cos(i)) };

  it('go on after an interruption as if there had been none', { timeout: 60_000 }, async () => {
    const model = await openModel(path.join(cases, 'peft-vera/model.onnx'), { plugins });
    const { tensors } = await readSafetensors(path.join(cases, 'peft-vera/inputs.safetensors'));
    const task = taskOf(6, { x: tensors.get('x')! }, { y }, (g, { logits }, { y: wanted }) => {
      const difference = g.Sub(logits!, wanted!);
      return g.ReduceMean(g.Mul(difference, difference), [0, 1], false);
    });
    const all = { task, batchSize: 3, lora: { tuner: 'sparse', targetModules: ['up'] }, lr: 0.05, steps: 8 } satisfies TrainOptions; // prettier-ignore
    const whole = (await (await train(model, all)).done).adapter;
    const checkpoints = { folder: path.join(scratch, 'checkpoints'), every: 4 };
    const half = await train(model, { ...all, checkpoints });
    for await (const event of half) if (event.type === 'checkpoint' && event.step === 4) half.stop();
    await half.done;
    const again = (await (await train(model, { ...all, checkpoints, resume: true })).done).adapter;
    expect([...again.tensors]).toEqual([...whole.tensors]);
    const gate = whole.tensors.get('base_model.model.layers.0.up.gate')!.data as Float32Array;
    expect(gate[0]).toBe(0);
    expect(gate[1]).not.toBe(0);
    // Files have what is trained or frozen.
    expect([...whole.tensors.keys()].map((name) => name.split('.').at(-1)!).slice(-2)).toEqual(['scale', 'scale']);
    expect([...whole.tensors.keys()].some((name) => /mask|steps/.test(name))).toBe(false);
  });
});
