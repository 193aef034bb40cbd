/** @file Dropout where it meets DoRA, held to PEFT's numbers, and parts of one packed product. */

import { describe, expect, test } from 'vitest';
import { sited } from '../../../../../test/support/formAdapters.ts';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { ParameterSet } from '../../train/parameters.ts';
import { Trainer, type TrainerRequest } from '../../train/trainer.ts';
import type { DrawMask } from '../../train/dropout.ts';
import { injectAdapters } from '../inject.ts';
import type { TensorSpec, Tuner } from '../tuner.ts';
import { ByTuner } from '../methods/byTuner.ts';
import { LowRank } from '../methods/lora.ts';
import type { ModuleAdapter } from '../methods/moduleAdapter.ts';

/** sin(start + 1.7·i), as the numbers of PEFT were computed from. */
function wave(dims: readonly number[], start: number, factor = 1): Tensor {
  return float32(
    Float32Array.from({ length: sizeOf(dims) }, (_, i) => factor * Math.sin(start + 1.7 * i)),
    dims,
  );
}

function net(
  build: (g: WeightBuilder, weight: (dims: readonly number[], start: number) => Value) => Value,
  x: Value,
): ModelProto {
  // prettier-ignore
  const g = new WeightBuilder(17, '/fc/');
  const weight = (dims: readonly number[], start: number): Value => g.floats([...(wave(dims, start).data as Float32Array)], dims); // prettier-ignore
  const y = build(g, weight);
  g.nodes[0]!.name = `/fc/${g.nodes[0]!.opType}`;
  return modelOf({ opset: 17, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
}

/** PEFT 0.21.2 in float64: the mean of y³, and its gradients, with every third number left out (p = 1/4). */
const expected = {
  linear: {
    x: { name: 'x', type: 'float32', shape: [2, 4] },
    build: (g, weight) => g.emit('Gemm', [{ name: 'x', type: 'float32', shape: [2, 4] }, weight([3, 4], 1), weight([3], 2)], { transB: 1 }), // prettier-ignore
    loss: -0.17279139151693323,
    lora_A: [-0.009541006, -0.097150099, 0.057823395, -0.065573441, 0.008024845, -0.024454459, 0.023166313, 0.05515317],
    lora_B: [0.071390052, 0.051856547, 0.555462229, 0.41940628, 0.438679797, 0.300910205],
    lora_magnitude_vector: [-0.090310057, -0.063867981, 0.032172908],
  },
  conv: {
    x: { name: 'x', type: 'float32', shape: [1, 2, 3, 3] },
    build: (g, weight) => g.emit('Conv', [{ name: 'x', type: 'float32', shape: [1, 2, 3, 3] }, weight([3, 2, 2, 2], 1), weight([3], 2)]), // prettier-ignore
    loss: -1.4277480617272102,
    lora_A: [
      0.086907124, -0.009122092, 0.325405498, 1.53790327, -0.20514436, -0.652143798, -0.314164951, -1.664700186,
      -0.016017896, -0.182028682, -0.012420333, -0.952330309, 0.017431318, 0.545708929, 0.006548623, 0.950422298,
    ],
    lora_B: [-0.374935111, -0.102016041, -0.035519638, 0.721705668, -0.790750102, 0.366680618],
    lora_magnitude_vector: [0.319119525, -0.543708544, -0.55066447],
  },
} satisfies Record<string, { x: Value; build: Parameters<typeof net>[0]; [more: string]: unknown }>;

const meanCube: TrainerRequest['loss'] = (g, outputs) => {
  const [y] = Object.values(outputs) as [Value];
  return g.ReduceMean(g.Mul(y, g.Mul(y, y)), y.shape!.map((_, axis) => axis), false); // prettier-ignore
};

/** Leaves out every third number. */
const everyThird: DrawMask = ({ dims }) => Uint8Array.from({ length: sizeOf(dims) }, (_, i) => Number(i % 3 !== 1));

describe('DoRA with dropout', () => {
  test.each(['linear', 'conv'] as const)('%s', async (kind) => {
    const { x, build, loss, ...gradients } = expected[kind];
    const model = net(build, x);
    const [site] = sited(model).sites;
    const tuning = new LowRank({ site: site!, r: 2, dora: true, dropout: 0.25 }, 1.5);
    const trainer = new Trainer({
      base: model,
      plan: [tuning],
      loss: meanCube,
      runtime: new OrtRuntime(),
      session: { provider: 'cpu', threads: 1 },
      drawMask: everyThird,
      parameters: (inputs) => {
        const begun = ParameterSet.initial(inputs, { uniform: () => 0 } as never).tensors();
        const saved = new Map(
          [...begun].map(([name, { data, dims }]) => {
            const role = Object.keys(gradients).find((each) => name.includes(each))!;
            const at = Object.keys(gradients).indexOf(role);
            const isMagnitude = role === 'lora_magnitude_vector';
            const own = wave(dims, 10 + at, isMagnitude ? 0.3 : 0.5);
            const value = (own.data as Float32Array).map((each, i) => each + (isMagnitude ? (data as Float32Array)[i]! : 0)); // prettier-ignore
            return [role, float32(value, dims)] as const;
          }),
        );
        return ParameterSet.of({ tunings: [{ tuning, saved, names: [] }] }, inputs);
      },
      name: kind,
    });
    const feeds = { x: wave(x.shape, 3) };
    const found = await trainer.lossAndGradients(feeds, {});
    expect(found.loss).toBeCloseTo(loss, 5);
    const parameters = trainer.parameters!.all.map((each) => ({ ...each, value: found.gradients.get(each.input.name)! })); // prettier-ignore
    const named = [...new ParameterSet(parameters).tensors()];
    for (const [role, wanted] of Object.entries(gradients)) {
      const { data } = named.find(([name]) => name.includes(role))![1];
      wanted.forEach((each, i) => {
        expect((data as Float32Array)[i]).toBeCloseTo(each, 5);
      });
    }
    await trainer.release();
  });
});

test("a tuner's change reads the input without what LoRA's product does not read", async () => {
  const { x, build } = expected.linear;
  const model = net(build, x);
  const site = sited(model).sites[0]!;
  const zeros = (dims: readonly number[]): TensorSpec => {
    const numbers = (): Float32Array => new Float32Array(sizeOf(dims));
    return { dims, init: numbers, identity: numbers };
  };
  const tuner: Tuner = {
    name: 'own',
    peftType: 'OWN',
    description: 'LoRA, as a tuner',
    defaults: {},
    tune: () => ({
      dropout: 0.25,
      tensors: { lora_A: zeros([2, 4]), lora_B: zeros([3, 2]) },
      delta: (g, { lora_A, lora_B }) => g.Mul(g.MatMul(lora_B!, lora_A!), 1.5),
    }),
  };
  const [own] = ByTuner.all([{ site, module: 'fc' }], { tuner, settings: {} });
  const saved = new Map([
    ['lora_A', wave([2, 4], 10, 0.5)],
    ['lora_B', wave([3, 2], 11, 0.5)],
  ]);
  const of = async (tuning: ModuleAdapter): Promise<readonly (readonly number[])[]> => {
    const trainer = new Trainer({
      base: model,
      plan: [tuning],
      loss: (g, outputs) => g.ReduceMean(g.Tanh(Object.values(outputs)[0]!), [0, 1], false),
      runtime: new OrtRuntime(),
      session: { provider: 'cpu', threads: 1 },
      drawMask: everyThird,
      parameters: (inputs) => ParameterSet.of({ tunings: [{ tuning, saved, names: [] }] }, inputs),
      name: 'linear',
    });
    const { loss, gradients } = await trainer.lossAndGradients({ x: wave(x.shape, 3) }, {});
    const parameters = trainer.parameters!.all.map((each) => ({ ...each, value: gradients.get(each.input.name)! }));
    const tensors = new ParameterSet(parameters).tensors();
    await trainer.release();
    return [[loss], ...[...tensors.keys()].sort().map((name) => [...(tensors.get(name)!.data as Float32Array)])];
  };
  const asTuner = await of(own!);
  const asLora = await of(new LowRank({ site, r: 2, dora: false, dropout: 0.25 }, 1.5));
  expect(asTuner).toHaveLength(3);
  asTuner.forEach((numbers, i) => {
    numbers.forEach((each, j) => {
      expect(each).toBeCloseTo(asLora[i]![j]!, 6);
    });
  });
});

test('parts of one product leave out numbers of their own', async () => {
  const x: Value = { name: 'x', type: 'float32', shape: [2, 4] };
  const model = net((g, weight) => g.emit('Gemm', [x, weight([6, 4], 1), weight([6], 2)], { transB: 1 }), x);
  const { sites, types } = sited(model);
  const part = (path: string, first: number): LowRank =>
    new LowRank({ site: { ...sites[0]!, path, weightShape: [2, 4], part: { of: 'fc', total: 6, first, size: 2, step: 6, count: 1 } }, r: 1, dora: false, dropout: 0.5 }, 1); // prettier-ignore
  const injected = injectAdapters(model, [part('q', 0), part('v', 4)], { types, mode: 'training' });
  expect(injected.masks.map(({ name }) => name)).toEqual(['q.lora_dropout', 'v.lora_dropout']);
  const [A, B] = [wave([4, 1], 5), wave([1, 2], 6)];
  const kept = { q: [1, 0, 1, 0, 0, 1, 1, 0], v: [0, 1, 1, 1, 1, 0, 0, 1] };
  const mask = (data: readonly number[]): Tensor => ({ type: 'bool', dims: [2, 4], data: Uint8Array.from(data) });
  const feeds = {
    x: wave([2, 4], 3),
    'q.lora_A.weight': A,
    'q.lora_B.weight': B,
    'v.lora_A.weight': A,
    'v.lora_B.weight': B,
    'q.lora_dropout': mask(kept.q),
    'v.lora_dropout': mask(kept.v),
  };
  const base = Object.values(await runOnce(model, { x: feeds.x }))[0]!.data as Float32Array;
  const found = Object.values(await runOnce(injected.model, feeds))[0]!.data as Float32Array;
  const at = ({ data }: Tensor, i: number): number => (data as Float32Array)[i]!;
  for (let row = 0; row < 2; row++)
    for (let out = 0; out < 6; out++) {
      const own = out < 2 ? kept.q : out < 4 ? [] : kept.v;
      let sum = 0;
      for (let i = 0; i < 4; i++) sum += ((own[row * 4 + i] ?? 0) * at(feeds.x, row * 4 + i) * at(A, i)) / 0.5;
      expect(found[row * 6 + out]! - base[row * 6 + out]!).toBeCloseTo(sum * at(B, out % 2), 5);
    }
});

describe("a tuner's dropout", () => {
  const pair: Tuner = {
    name: 'pair',
    peftType: 'PAIR',
    description: 'Pair: two factors',
    defaults: {},
    kinds: ['linear', 'conv2d'],
    tune: ({ weightShape: [out, ...rest] }) => {
      const tensor = (dims: readonly number[]): ReturnType<Tuner['tune']>['tensors'][string] => ({
        dims,
        init: () => new Float32Array(sizeOf(dims)),
        identity: () => new Float32Array(sizeOf(dims)),
      });
      return {
        dropout: 0.25,
        tensors: { lora_A: tensor([2, sizeOf(rest)]), lora_B: tensor([out!, 2]) },
        factors: (g, { lora_A, lora_B }) => ({ A: lora_A!, B: g.Mul(lora_B!, 1.5) }),
      };
    },
  };

  test.each(['linear', 'conv'] as const)('leaves out of a %s what LoRA leaves out', async (kind) => {
    const { x, build } = expected[kind];
    const model = net(build, x);
    const [site] = sited(model).sites;
    const found = async (tuning: ModuleAdapter): Promise<[loss: number, gradients: number[][]]> => {
      const trainer = new Trainer({
        base: model,
        plan: [tuning],
        loss: meanCube,
        runtime: new OrtRuntime(),
        session: { provider: 'cpu', threads: 1 },
        drawMask: everyThird,
        parameters: (inputs) => {
          const begun = [...ParameterSet.initial(inputs, { uniform: () => 0 } as never).tensors()];
          const saved = new Map(begun.map(([name, { dims }]) => [name.includes('lora_A') ? 'lora_A' : 'lora_B', wave(dims, name.includes('lora_A') ? 10 : 11, 0.5)])); // prettier-ignore
          return ParameterSet.of({ tunings: [{ tuning, saved, names: [] }] }, inputs);
        },
        name: kind,
      });
      const { loss, gradients } = await trainer.lossAndGradients({ x: wave(x.shape, 3) }, {});
      const named = trainer.parameters!.all.map((each) => ({ ...each, value: gradients.get(each.input.name)! }));
      await trainer.release();
      return [loss, [...new ParameterSet(named).tensors().values()].map(({ data }) => [...(data as Float32Array)])];
    };
    const [own] = ByTuner.all([{ site: site!, module: 'fc' }], { tuner: pair, settings: {} });
    const [loss, gradients] = await found(own!);
    const [wantedLoss, wanted] = await found(new LowRank({ site: site!, r: 2, dora: false, dropout: 0.25 }, 1.5));
    const [withoutLoss] = await found(new LowRank({ site: site!, r: 2, dora: false }, 1.5));
    expect(loss).toBeCloseTo(wantedLoss, 5);
    expect(Math.abs(loss - withoutLoss)).toBeGreaterThan(0.01);
    gradients.forEach((each, k) => {
      each.forEach((value, i) => {
        expect(value).toBeCloseTo(wanted[k]![i]!, 5);
      });
    });
  });
});

describe('what is left out together', () => {
  const linear = { x: { name: 'x', type: 'float32', shape: [2, 3, 4] }, build: (g, weight) => g.emit('MatMul', [{ name: 'x', type: 'float32', shape: [2, 3, 4] }, weight([4, 3], 1)]) } satisfies { x: Value; build: Parameters<typeof net>[0] }; // prettier-ignore
  const { conv, linear: flat } = expected;

  /** Loss and gradients, where the numbers of x with these places are left out. */
  async function found(
    { x, build }: { x: { readonly shape: readonly number[] } & Value; build: Parameters<typeof net>[0] },
    pattern: 'element' | 'column' | 'row',
    mask: (dims: readonly number[]) => Uint8Array,
  ): Promise<{ dims: readonly number[]; numbers: number[] }> {
    const model = net(build, x);
    const [site] = sited(model).sites;
    const tuning = new LowRank({ site: site!, r: 2, dora: false, dropout: 0.25, dropoutPattern: pattern }, 1.5);
    const masks: (readonly number[])[] = [];
    const trainer = new Trainer({
      base: model,
      plan: [tuning],
      loss: (g, outputs) => {
        const [y] = Object.values(outputs) as [Value];
        return g.ReduceMean(g.Tanh(y), y.shape!.map((_, axis) => axis), false); // prettier-ignore
      },
      runtime: new OrtRuntime(),
      session: { provider: 'cpu', threads: 1 },
      drawMask: ({ dims }) => {
        masks.push(dims);
        return mask(dims);
      },
      parameters: (inputs) => {
        const begun = [...ParameterSet.initial(inputs, { uniform: () => 0 } as never).tensors()];
        const saved = new Map(begun.map(([name, { dims }]) => [name.includes('lora_A') ? 'lora_A' : 'lora_B', wave(dims, name.includes('lora_A') ? 10 : 11, 0.5)])); // prettier-ignore
        return ParameterSet.of({ tunings: [{ tuning, saved, names: [] }] }, inputs);
      },
      name: pattern,
    });
    const { loss, gradients } = await trainer.lossAndGradients({ x: wave(x.shape, 3) }, {});
    await trainer.release();
    return { dims: masks[0]!, numbers: [loss, ...[...gradients.values()].flatMap((each) => [...each])] };
  }

  test.each([
    ['tokens by feature', linear, 'column', [2, 1, 4]],
    ['whole tokens', linear, 'row', [2, 3, 1]],
    ['features of the batch', flat, 'column', [1, 4]],
    ['whole rows', flat, 'row', [2, 1]],
    ['channels', conv, 'column', [1, 2, 1, 1]],
    ['places', conv, 'row', [1, 1, 3, 3]],
  ] as const)('%s', async (_, net, pattern, dims) => {
    const ofMask = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => Number(i % 3 !== 1));
    const together = await found(net, pattern, (own) => ofMask(sizeOf(own)));
    expect(together.dims).toEqual(dims);
    // The same, said of each number.
    const small = ofMask(sizeOf(dims));
    const { shape } = net.x;
    const whole = Uint8Array.from({ length: sizeOf(shape) }, (_, i) => {
      let [rest, at, step] = [i, 0, 1];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at += dims[axis] === 1 ? 0 : step * (rest % shape[axis]!);
        step *= dims[axis]!;
        rest = Math.floor(rest / shape[axis]!);
      }
      return small[at]!;
    });
    const each = await found(net, 'element', () => whole);
    expect(each.dims).toEqual(shape);
    together.numbers.forEach((number, i) => {
      expect(number).toBeCloseTo(each.numbers[i]!, 6);
    });
  });
});
