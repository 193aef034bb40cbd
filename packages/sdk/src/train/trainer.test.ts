import { describe, expect, it } from 'vitest';
import { modelFrom } from '../../../../test/support/graphs.ts';
import { golden, mlp } from '../../fixtures/inits/mlp.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import { tensorProto } from '../graph/tensorData.ts';
import { LowRank } from '../lora/methods/lora.ts';
import { findSites } from '../match/sites.ts';
import { inferNode } from '../ops/infer.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import { Random } from '../runtime/random.ts';
import { type Feeds, float32, type Tensor } from '../runtime/tensor.ts';
import { GradientMean } from './step/gradientMean.ts';
import { MaskDrawer } from './dropout.ts';
import type { LossAndGradients } from './step/gradientMean.ts';
import { clip } from './transformation.ts';
import { Ema } from './ema.ts';
import { withoutDecay } from './groups.ts';
import { meanSquaredError } from './losses/index.ts';
import { optimizerNames } from './optimizers/named.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import { ParameterSet } from './parameters.ts';
import { Trainer, type TrainerRequest } from './trainer.ts';

const runtime = new OrtRuntime();
const { model, output } = mlp((layer) => golden(`base.${layer}.weight`));
const inputs: Feeds = { x: golden('base.calibration.x') };
const targets: Feeds = { target: golden('target') };

/** fc2(tanh(fc1(x))) with rank 4 on both layers, both factors random, and the mean squared error. */
function trainerOf(options: Partial<TrainerRequest> = {}): Trainer {
  return new Trainer({
    base: model,
    plan: findSites(model.graph!).map((site) => new LowRank({ site, r: 4, dora: false }, 1.5)),
    loss: (g, outputs, targets) => meanSquaredError(g, outputs[output]!, targets['target']!),
    runtime,
    session: { provider: 'cpu', threads: 1 },
    parameters: (inputs) => {
      const random = new Random(2);
      const set = ParameterSet.initial(inputs, random);
      for (const { value } of set.all) for (let i = 0; i < value.length; i++) value[i] = random.uniform(-0.2, 0.2);
      set.refresh();
      return set;
    },
    name: 'mlp',
    ...options,
  });
}

/** The values of all parameters, copied. */
function valuesOf(trainer: Trainer, set: ParameterSet = trainer.parameters!): Map<string, Float32Array> {
  return new Map(set.all.map(({ input, value }) => [input.name, value.slice()]));
}

/** These rows of each tensor. */
function rows(feeds: Feeds, from: number, to: number): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data }]) => {
      const width = data.length / dims[0]!;
      return [name, float32(data.slice(from * width, to * width) as Float32Array, [to - from, ...dims.slice(1)])];
    }),
  );
}

describe('a step', () => {
  it('over batches of several sizes is the step over them as one batch', async () => {
    const lossWeight = ({ target }: Feeds): number => target!.dims[0]!;
    const [whole, parts] = [trainerOf({ lossWeight }), trainerOf({ lossWeight })];
    const mean = new GradientMean();
    const bounds = [0, 10, 14, 64];
    for (let i = 1; i < bounds.length; i++) {
      const [from, to] = [bounds[i - 1]!, bounds[i]!];
      await mean.add(await parts.lossAndGradients(rows(inputs, from, to), rows(targets, from, to)));
    }
    const [one, many] = [await whole.step(inputs, targets, 0.01), await parts.apply(mean.value(), 0.01)];
    expect(many.loss).toBeCloseTo(one.loss, 6);
    expect(many.gradNorm).toBeCloseTo(one.gradNorm, 6);
    const expected = valuesOf(whole);
    for (const [name, value] of valuesOf(parts))
      value.forEach((each, i) => {
        expect(Math.abs(each - expected.get(name)![i]!)).toBeLessThan(1e-6);
      });
  });

  it('keeps two machines equal that apply the mean of what both computed', async () => {
    const machines = [trainerOf(), trainerOf()];
    const one = trainerOf();
    for (let step = 0; step < 3; step++) {
      const mean = new GradientMean();
      for (const [i, machine] of machines.entries()) {
        const half = [rows(inputs, 32 * i, 32 * (i + 1)), rows(targets, 32 * i, 32 * (i + 1))] as const;
        await mean.add(await machine.lossAndGradients(...half));
      }
      for (const machine of machines) {
        const { loss, gradients, weight } = mean.value();
        const own = new Map([...gradients].map(([name, gradient]) => [name, gradient.slice()]));
        await machine.apply({ loss, gradients: own, weight }, 0.01);
      }
      await one.step(inputs, targets, 0.01);
    }
    expect(valuesOf(machines[0]!)).toEqual(valuesOf(machines[1]!));
    const expected = valuesOf(one);
    for (const [name, value] of valuesOf(machines[0]!))
      value.forEach((each, i) => {
        expect(Math.abs(each - expected.get(name)![i]!)).toBeLessThan(1e-5);
      });
  });

  it('clips gradients before they move anything, and reports the norm before that', async () => {
    const [plain, clipped] = [
      trainerOf({ optimizer: 'sgd' }),
      trainerOf({ optimizer: 'sgd', transformations: [clip({ norm: 0.01 })] }),
    ];
    const { parameters } = await plain.compile(inputs, targets);
    const before = valuesOf(plain);
    const { gradNorm } = await plain.step(inputs, targets, 1);
    expect(gradNorm).toBeGreaterThan(0.1);
    expect((await clipped.step(inputs, targets, 1)).gradNorm).toBe(gradNorm);
    const after = valuesOf(clipped);
    for (const { input, value } of parameters.all)
      value.forEach((each, i) => {
        const start = before.get(input.name)![i]!;
        expect(after.get(input.name)![i]).toBeCloseTo(start + ((each - start) * 0.01) / gradNorm, 6);
      });
  });

  it('takes its parameters into the moving average', async () => {
    const trainer = trainerOf({ transformations: [new Ema({ decay: 0.5, warmup: false })] });
    await trainer.compile(inputs, targets);
    const start = valuesOf(trainer);
    expect(valuesOf(trainer, trainer.averaged!)).toEqual(start);
    await trainer.step(inputs, targets, 0.01);
    const first = valuesOf(trainer);
    await trainer.step(inputs, targets, 0.01);
    const second = valuesOf(trainer);
    for (const [name, value] of valuesOf(trainer, trainer.averaged!))
      value.forEach((each, i) => {
        const expected = 0.25 * start.get(name)![i]! + 0.25 * first.get(name)![i]! + 0.5 * second.get(name)![i]!;
        expect(each).toBeCloseTo(expected, 6);
      });
    // Saved averages have PEFT's names, like saved parameters.
    expect([...trainer.averaged!.tensors().keys()]).toEqual([...trainer.parameters!.tensors().keys()]);
  });

  it('takes an optimizer of your own', async () => {
    const optimizer: Optimizer = {
      name: 'halves',
      weightDecay: 0,
      init: () => ({}),
      *update(value) {
        for (let i = 0; i < value.length; i++) value[i]! /= 2;
        yield;
      },
    };
    const trainer = trainerOf({ optimizer });
    await trainer.compile(inputs, targets);
    const before = valuesOf(trainer);
    await trainer.step(inputs, targets, 1);
    for (const [name, value] of valuesOf(trainer)) expect(value).toEqual(before.get(name)!.map((each) => each / 2));
  });

  it('treats groups as they say', async () => {
    const optimizer = { name: 'sgd', weightDecay: 0.5 } as const;
    const trainer = trainerOf({ optimizer, groups: [withoutDecay, { match: ['fc2'], lrFactor: 0 }] });
    await trainer.compile(inputs, targets);
    const before = valuesOf(trainer);
    await trainer.step(inputs, targets, 0.1);
    for (const [name, value] of valuesOf(trainer)) {
      if (name.includes('fc2')) expect(value).toEqual(before.get(name));
      else expect(value).not.toEqual(before.get(name));
    }
    await expect(trainerOf({ groups: [{ match: ['fc3'], lrFactor: 2 }] }).compile(inputs, targets)).rejects.toThrow(
      'The parameter group ["fc3"] matches no trained module. Trained are "fc1", "fc2".',
    );
  });

  it('moves nothing where loss or gradients are not numbers', async () => {
    const trainer = trainerOf();
    const { loss, gradients, weight } = await trainer.lossAndGradients(inputs, targets);
    const before = valuesOf(trainer);
    await expect(trainer.apply({ loss: NaN, gradients, weight }, 0.1)).rejects.toThrow('The loss became NaN.');
    const [[name, gradient]] = [...gradients] as [[string, Float32Array]];
    const broken = new Map([...gradients, [name, gradient.map((each, i) => (i === 3 ? Infinity : each))]]);
    // In float32 there is no scale that could be lowered.
    await expect(trainer.apply({ loss, gradients: broken, weight }, 0.1)).rejects.toThrow(
      'The gradient became Infinity.',
    );
    expect(valuesOf(trainer)).toEqual(before);
  });

  it.each(optimizerNames)('of %s brings the loss down', async (name) => {
    const trainer = trainerOf({ optimizer: name === 'sgd' ? { name, momentum: 0.9 } : name });
    const lr = ({ adamw: 0.03, adam: 0.03, sgd: 0.3, lion: 0.02 } as Partial<Record<typeof name, number>>)[name] ?? 0.1;
    const losses: number[] = [];
    const steps = 60;
    for (let step = 0; step < steps; step++)
      losses.push((await trainer.step(inputs, targets, lr * (1 - step / steps))).loss);
    expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
    await trainer.release();
  });
});

describe('a state', () => {
  it.each(optimizerNames)('of %s makes a new trainer go on bit for bit', async (optimizer) => {
    const options = (): Partial<TrainerRequest> => ({ optimizer, transformations: [new Ema({ decay: 0.9 })] });
    const [first, second] = [trainerOf(options()), trainerOf(options())];
    for (let step = 0; step < 3; step++) await first.step(inputs, targets, 0.01);
    const { tensors, json } = await first.state();
    await first.step(inputs, targets, 0.01);
    // The state is a copy: what the first did since is not in it.
    await second.compile(inputs, targets);
    second.load({ tensors, json: JSON.parse(JSON.stringify(json)) as unknown });
    expect(second.steps).toBe(3);
    await second.step(inputs, targets, 0.01);
    for (const trainer of [first, second]) await trainer.step(inputs, targets, 0.02);
    expect(valuesOf(second)).toEqual(valuesOf(first));
    expect(valuesOf(second, second.averaged!)).toEqual(valuesOf(first, first.averaged!));
    expect(valuesOf(second, second.averaged!)).not.toEqual(valuesOf(second));
    expect(await second.state()).toEqual(await first.state());
  });

  it('is refused where it does not belong', async () => {
    const of = async (options: Partial<TrainerRequest>): Promise<Trainer> => {
      const trainer = trainerOf(options);
      await trainer.compile(inputs, targets);
      return trainer;
    };
    const trainer = await of({});
    await trainer.step(inputs, targets, 0.01);
    const { tensors, json } = await trainer.state();
    const load = async (options: Partial<TrainerRequest>, state = { tensors, json }): Promise<void> => {
      (await of(options)).load(state);
    };
    await load({});
    await expect(load({ optimizer: 'lion' })).rejects.toThrow('its optimizer is "adamw", and not "lion"');
    await expect(load({ transformations: [new Ema()] })).rejects.toThrow('it has no ema');
    const averaged = { tensors, json: { ...(json as object), ema: { steps: 1 } } };
    await expect(load({}, averaged)).rejects.toThrow('it has ema');
    await expect(load({ lossScaling: false })).rejects.toThrow('its loss was scaled');
    await expect(load({}, { tensors, json: { optimizer: 'adamw', steps: -1 } })).rejects.toThrow(
      'its settings are damaged',
    );
    const [name] = [...tensors.keys()].filter((each) => each.startsWith('parameter/')) as [string];
    const without = new Map([...tensors].filter(([each]) => each !== name));
    await expect(load({}, { tensors: without, json })).rejects.toThrow(
      `"${name.slice('parameter/'.length)}" is missing`,
    );
    expect(() => trainerOf().load({ tensors, json })).toThrow('call compile with the first batch');
  });
});

describe('a graph in float16', () => {
  const width = 8;
  const random = new Random(6);
  const draw = (count: number, size: number): Float32Array =>
    Float32Array.from({ length: count }, () => random.uniform(-size, size));
  const weight = float32(draw(width * width, 0.5), [width, width]);
  const x = float32(draw(4 * width, 1), [4, width]);
  const goal = float32(draw(4 * width, 1), [4, width]);

  /** x·Wᵀ, computed in float16 or not. */
  function linear(half: boolean): { model: ReturnType<typeof modelFrom>; output: string } {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'c/' });
    const to = (value: Value, type: 'float16' | 'float32'): Value =>
      half ? g.Cast(value, dataTypeNumber(type)) : value;
    const input: Value = { name: 'x', type: 'float32', shape: ['batch', width] };
    g.initializers.push(tensorProto('fc.weight', weight));
    const stored: Value = { name: 'fc.weight', type: 'float32', shape: weight.dims };
    const product = g.Gemm(to(input, 'float16'), to(stored, 'float16'), undefined, { transB: true });
    g.nodes.at(-1)!.name = '/fc/Gemm';
    const y = to(product, 'float32');
    return { model: modelFrom(g, [input], [y]), output: y.name };
  }

  /** The loss is multiplied by `factor`, and its gradients with it. */
  function trainer(half: boolean, factor: number, options: Partial<TrainerRequest> = {}): Trainer {
    const { model, output } = linear(half);
    return trainerOf({
      base: model,
      plan: findSites(model.graph!).map((site) => new LowRank({ site, r: 2, dora: false })),
      loss: (g, outputs, targets) =>
        g.Mul(meanSquaredError(g, outputs[output]!, targets['target']!), g.scalar(factor, 'float32')),
      name: 'linear',
      ...options,
    });
  }

  const gradientsOf = async (each: Trainer): Promise<LossAndGradients> =>
    each.lossAndGradients({ x }, { target: goal });

  /** The largest difference from float32's gradients, in parts of the largest of these. */
  async function difference(factor: number, options: Partial<TrainerRequest>): Promise<number> {
    const [found, expected] = [
      await gradientsOf(trainer(true, factor, options)),
      await gradientsOf(trainer(false, factor)),
    ];
    expect(found.loss / expected.loss).toBeCloseTo(1, 2);
    expect(expected.gradients.size).toBe(2);
    return Math.max(
      ...[...expected.gradients].map(([name, gradient]) => {
        const largest = Math.max(...gradient.map(Math.abs));
        return Math.max(...gradient.map((each, i) => Math.abs(each - found.gradients.get(name)![i]!))) / largest;
      }),
    );
  }

  it('loses small gradients without a scale, and keeps them with it', async () => {
    expect(await difference(1e-6, { lossScaling: false })).toBeGreaterThan(0.1);
    expect(await difference(1e-6, {})).toBeLessThan(5e-3);
  });

  it('skips steps that overflow, with a lower scale each time, until one fits', async () => {
    const each = trainer(true, 100, { lossScaling: { initial: 2 ** 16 }, optimizer: 'sgd' });
    await each.compile({ x }, { target: goal });
    const before = valuesOf(each);
    let skipped = 0;
    let result = await each.step({ x }, { target: goal }, 1e-4);
    while (result.overflowed) {
      skipped++;
      expect(valuesOf(each)).toEqual(before);
      expect(each.steps).toBe(0);
      result = await each.step({ x }, { target: goal }, 1e-4);
    }
    expect(skipped).toBeGreaterThan(1);
    expect(each.steps).toBe(1);
    const { json } = (await each.state()) as { json: { lossScale: { value: number; steps: number } } };
    expect(json.lossScale).toEqual({ value: 2 ** (16 - skipped), steps: 1 });
    // The same step in float32, where no scale is needed.
    const exact = trainer(false, 100, { optimizer: 'sgd' });
    await exact.step({ x }, { target: goal }, 1e-4);
    const expected = valuesOf(exact);
    for (const [name, value] of valuesOf(each))
      value.forEach((number, i) => {
        expect(Math.abs(number - expected.get(name)![i]!)).toBeLessThan(1e-4);
      });
  });

  it('does not blame the scale for a loss that is not a number', async () => {
    const each = trainer(true, 1);
    const broken: Tensor = float32(new Float32Array(4 * width).fill(NaN), [4, width]);
    await expect(each.step({ x: broken }, { target: goal }, 1)).rejects.toThrow('The loss became NaN.');
  });
});

describe('dropout', () => {
  const plan = (dropout: number, scaling = 1.5): TrainerRequest['plan'] =>
    findSites(model.graph!).map((site) => new LowRank({ site, r: 4, dora: false, dropout }, scaling));
  const lossOf = async (options: Partial<TrainerRequest>): Promise<number> => {
    const trainer = trainerOf(options);
    const { loss } = await trainer.lossAndGradients(inputs, targets);
    await trainer.release();
    return loss;
  };

  it('leaves out what the masks say, and makes up for the share', async () => {
    const all = await lossOf({ plan: plan(0.25), drawMask: ({ dims }) => new Uint8Array(dims[0]! * dims[1]!).fill(1) });
    // s·B·A·x/(1 − p), with p = 1/4 and s = 3/2.
    expect(all).toBeCloseTo(await lossOf({ plan: plan(0, 2) }), 6);
    const none = await lossOf({ plan: plan(0.25), drawMask: ({ dims }) => new Uint8Array(dims[0]! * dims[1]!) });
    expect(none).toBeCloseTo(await lossOf({ plan: plan(0, 0) }), 6);
    expect(Math.abs(none - all)).toBeGreaterThan(1e-3);
  });

  it('draws as large a share as it should, again in each run, and the same from one seed', () => {
    const masks = [{ name: 'a', module: 'm', dims: [100, 333], keep: 0.9 }];
    const drawn = (seed: number): Uint8Array[] => {
      const drawer = new MaskDrawer(seed);
      return [drawer.next(masks), drawer.next(masks)].map(([mask]) => mask![1].data as Uint8Array);
    };
    const [first, second] = drawn(3) as [Uint8Array, Uint8Array];
    // Three deviations of a mean over 33,300 numbers are 0.005.
    for (const each of [first, second])
      expect(Math.abs(each.reduce((sum, kept) => sum + kept, 0) / each.length - 0.9)).toBeLessThan(0.005);
    expect(first).not.toEqual(second);
    expect(drawn(3)).toEqual([first, second]);
    expect(drawn(4)[0]).not.toEqual(first);
  });

  it('continues to the same bits', async () => {
    const options = { plan: plan(0.3), seed: 5 };
    const steps = async (trainer: Trainer, count: number): Promise<number[]> => {
      const losses: number[] = [];
      for (let i = 0; i < count; i++) losses.push((await trainer.step(inputs, targets, 1e-2)).loss);
      return losses;
    };
    const whole = trainerOf(options);
    await steps(whole, 3);
    const state = await whole.state();
    const rest = await steps(whole, 3);
    const again = trainerOf(options);
    await again.compile(inputs, targets);
    again.load({ tensors: state.tensors, json: JSON.parse(JSON.stringify(state.json)) as unknown });
    expect(await steps(again, 3)).toEqual(rest);
    expect([...valuesOf(again)]).toEqual([...valuesOf(whole)]);
    await Promise.all([whole.release(), again.release()]);
  });
});
