import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { golden, goldenFloats, shapes } from '../../../fixtures/optimizers/golden.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { createOptimizer, type OptimizerName, optimizerNames, type OptimizerOptions } from './named.ts';
import { OptimizerMemory } from './memory.ts';

function memoryOf(options: OptimizerName | OptimizerOptions): OptimizerMemory {
  return new OptimizerMemory(createOptimizer(options));
}

const variants: Readonly<Record<string, OptimizerOptions>> = {
  adamw: { name: 'adamw' },
  'adamw-settings': { name: 'adamw', betas: [0.8, 0.95], eps: 1e-3, weightDecay: 0.2 },
  'adamw-amsgrad': { name: 'adamw', amsgrad: true },
  adam: { name: 'adam' },
  'adam-decay': { name: 'adam', weightDecay: 0.3 },
  'adam-amsgrad': { name: 'adam', weightDecay: 0.1, amsgrad: true },
  sgd: { name: 'sgd' },
  'sgd-decay': { name: 'sgd', weightDecay: 0.3 },
  'sgd-momentum': { name: 'sgd', momentum: 0.9, weightDecay: 0.1 },
  'sgd-dampening': { name: 'sgd', momentum: 0.8, dampening: 0.4 },
  'sgd-nesterov': { name: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.1 },
  lion: { name: 'lion' },
  'lion-settings': { name: 'lion', betas: [0.95, 0.98], weightDecay: 0.5 },
  adafactor: { name: 'adafactor' },
  'adafactor-settings': {
    name: 'adafactor',
    beta2Decay: -0.6,
    eps: [1e-6, 0.1],
    clipThreshold: 1.6,
    weightDecay: 0.2,
  },
  'adafactor-transformers': { name: 'adafactor', eps: [1e-30, 1e-3] },
  'adafactor-transformers-fixed': {
    name: 'adafactor',
    eps: [1e-30, 1e-3],
    relativeStep: false,
    scaleParameter: false,
    clipThreshold: 1.3,
  },
};

function floats(name: string): Float32Array {
  return goldenFloats(name)!;
}

function update(
  optimizer: OptimizerMemory,
  name: string,
  value: Float32Array,
  gradient: Float32Array,
  dims: readonly number[],
  lr: number,
): void {
  for (const _ of optimizer.update(name, value, gradient, { lr, weightDecay: optimizer.optimizer.weightDecay, dims }));
}

describe.each(Object.entries(variants))('%s', (variant, options) => {
  it('computes the numbers of torch', () => {
    const optimizer = memoryOf(options);
    for (const [name, dims] of Object.entries(shapes)) {
      const value = floats(`initial.${name}`);
      golden.rates.forEach((rate, step) => {
        // transformers has a rate of its own there.
        const lr = variant === 'adafactor-transformers' ? 0.01 : rate;
        update(optimizer, name, value, floats(`gradient.${step}.${name}`), dims, lr);
        const expected = goldenFloats(`${variant}.${step + 1}.${name}`);
        expected?.forEach((each, i) => {
          expect(Math.abs(value[i]! - each)).toBeLessThan(1e-6 * Math.max(0.1, Math.abs(each)));
        });
      });
    }
  });

  it('continues bit for bit from a saved state', () => {
    const optimizer = memoryOf(options);
    let other: OptimizerMemory | undefined;
    const values = Object.fromEntries(Object.keys(shapes).map((name) => [name, floats(`initial.${name}`)]));
    let copies: Record<string, Float32Array> = {};
    golden.rates.forEach((lr, step) => {
      if (step === 5) {
        const state = new Map(
          [...optimizer.state()].map(([name, { type, dims, data }]) => [name, { type, dims, data: data.slice() }]),
        );
        other = memoryOf(options);
        other.load(state, new Map(Object.entries(shapes)));
        copies = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.slice()]));
      }
      for (const [name, dims] of Object.entries(shapes)) {
        update(optimizer, name, values[name]!, floats(`gradient.${step}.${name}`), dims, lr);
        if (other) update(other, name, copies[name]!, floats(`gradient.${step}.${name}`), dims, lr);
      }
    });
    expect(copies).toEqual(values);
    expect(other!.state()).toEqual(optimizer.state());
  });
});

/** Shape of a parameter large enough for several slices. */
const large = { rows: 8, columns: 10_000 };

function normals(count: number, random: Random): Float32Array {
  return Float32Array.from({ length: count }, () => random.normal());
}

describe.each(['adamw', 'adam', 'sgd', 'lion'] as const)('%s', (name) => {
  it('gives the same numbers however it is sliced', () => {
    const random = new Random(3);
    const { rows, columns } = large;
    const [value, gradient] = [normals(rows * columns, random), normals(rows * columns, random)];
    const settings = { lr: 0.01, weightDecay: 0.1 };
    const [whole, byRow] = [memoryOf(name), memoryOf(name)];
    const row = (values: Float32Array, i: number): Float32Array => values.slice(i * columns, (i + 1) * columns);
    const parts = Array.from({ length: rows }, (_, i) => row(value, i));
    for (let step = 0; step < 2; step++) {
      const turns = [...whole.update('whole', value, gradient, { ...settings, dims: [rows, columns] })];
      expect(turns.length).toBeGreaterThan(2);
      parts.forEach((part, i) => {
        for (const _ of byRow.update(`row ${i}`, part, row(gradient, i), { ...settings, dims: [columns] }));
      });
    }
    parts.forEach((part, i) => {
      expect(part).toEqual(row(value, i));
    });
  });
});

describe('adafactor', () => {
  const { rows, columns } = large;
  const meanOf = (values: ArrayLike<number>): number => mean(values.length, (i) => values[i]!);

  it('computes the first step of a large matrix as written down in the paper', () => {
    const random = new Random(4);
    const [value, gradient] = [normals(rows * columns, random), normals(rows * columns, random)];
    const before = value.slice();
    update(memoryOf('adafactor'), 'large', value, gradient, [rows, columns], 0.01);
    const squares = gradient.map((g) => g * g);
    const byRow = Array.from({ length: rows }, (_, i) => meanOf(squares.subarray(i * columns, (i + 1) * columns)));
    const byColumn = Array.from({ length: columns }, (_, j) => meanOf(byRow.map((_, i) => squares[i * columns + j]!)));
    const updates = Array.from(gradient, (g, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      return g / Math.sqrt((byRow[i]! * byColumn[j]!) / meanOf(byRow));
    });
    const clip = Math.max(1, Math.sqrt(meanOf(updates.map((u) => u * u))));
    const rate = 0.01 * Math.sqrt(meanOf(before.map((v) => v * v)));
    const differences = updates.map((u, at) => Math.abs(value[at]! - (before[at]! - (rate * u) / clip)));
    expect(Math.max(...differences.slice(0, 50_000), ...differences.slice(50_000))).toBeLessThan(1e-6);
  });

  it('takes the learning rate as it is without relativeStep and scaleParameter', () => {
    const value = Float32Array.of(2, -1, 3);
    const optimizer = memoryOf({ name: 'adafactor', relativeStep: false, scaleParameter: false });
    // A vector's first update is the sign of its gradient, whose root mean square is 1.
    update(optimizer, 'vector', value, Float32Array.of(0.5, -4, 0), [3], 0.25);
    expect([...value]).toEqual([1.75, -0.75, 3]);
    // The second rate is still 0.25, where 1/√2 would not bound it either; the first of 2 would have been bounded to 1.
    const fast = Float32Array.of(2, -1, 3);
    for (const relativeStep of [true, false]) {
      const other = memoryOf({ name: 'adafactor', relativeStep, scaleParameter: false });
      const moved = fast.slice();
      update(other, 'vector', moved, Float32Array.of(0.5, -4, 1), [3], 2);
      expect([...moved]).toEqual(relativeStep ? [1, 0, 2] : [0, 1, 1]);
    }
  });
});

/** Rates of optimizers whose steps do not shrink with the sum of their gradients, as Adagrad's do at a rate of 1. */
const rateOf: Readonly<Partial<Record<OptimizerName, number>>> = { adamw: 0.05, adam: 0.05, sgd: 0.02, lion: 0.05, adafactor: 0.1 }; // prettier-ignore

describe.each(optimizerNames)('%s', (name) => {
  it('fits a small linear task from any start', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), (seed) => {
        const random = new Random(seed);
        const [samples, width] = [12, 3];
        const x = normals(samples * width, random);
        const goal = normals(width, random);
        const product = (weights: ArrayLike<number>, row: number): number =>
          goal.reduce((sum, _, i) => sum + weights[i]! * x[row * width + i]!, 0);
        const value = normals(width, random);
        const loss = (): number => mean(samples, (row) => (product(value, row) - product(goal, row)) ** 2);
        const first = loss();
        const optimizer = memoryOf(name === 'sgd' ? { name, momentum: 0.9 } : { name, weightDecay: 0 });
        const steps = 400;
        for (let step = 0; step < steps; step++) {
          const gradient = Float32Array.from({ length: width }, (_, i) =>
            mean(samples, (row) => 2 * (product(value, row) - product(goal, row)) * x[row * width + i]!),
          );
          const lr = (rateOf[name] ?? 1) * (1 - step / steps);
          for (const _ of optimizer.update('w', value, gradient, { lr, weightDecay: 0, dims: [1, width] }));
        }
        expect(loss()).toBeLessThan(1e-3 * first);
      }),
      { numRuns: 20 },
    );
  });

  it('shares no memory with a state that it has loaded', () => {
    const [optimizer, other] = [memoryOf(name), memoryOf(name)];
    update(optimizer, 'w', new Float32Array(4), Float32Array.of(1, 2, 3, 4), [2, 2], 0.1);
    other.load(optimizer.state(), new Map([['w', [2, 2]]]));
    const before = structuredClone(optimizer.state());
    update(other, 'w', new Float32Array(4), Float32Array.of(4, 3, 2, 1), [2, 2], 0.1);
    expect(optimizer.state()).toEqual(before);
    expect(other.state()).not.toEqual(before);
  });

  it('moves a parameter that it has forgotten as it would at first', () => {
    const [optimizer, fresh] = [memoryOf(name), memoryOf(name)];
    for (const each of ['w', 'other'])
      update(optimizer, each, new Float32Array(4), Float32Array.of(1, 2, 3, 4), [2, 2], 0.1);
    const kept = [...optimizer.state()].filter(([key]) => key.startsWith('other.'));
    optimizer.forget('w');
    expect([...optimizer.state()]).toEqual(kept);
    const [again, first] = [Float32Array.of(1, 1, 1, 1), Float32Array.of(1, 1, 1, 1)];
    update(optimizer, 'w', again, Float32Array.of(4, 3, 2, 1), [2, 2], 0.1);
    update(fresh, 'w', first, Float32Array.of(4, 3, 2, 1), [2, 2], 0.1);
    expect(again).toEqual(first);
    expect(optimizer.state()).toEqual(new Map([...kept, ...fresh.state()]));
  });

  it('refuses the state of other parameters', () => {
    const dims = new Map([['w', [2, 2]]]);
    const optimizer = memoryOf(name);
    update(optimizer, 'w', new Float32Array(4), Float32Array.of(1, 2, 3, 4), [2, 2], 0.1);
    const state = optimizer.state();
    memoryOf(name).load(state, dims);
    const load = (
      changed: ReadonlyMap<string, Tensor>,
      shapes: ReadonlyMap<string, readonly number[]> = dims,
    ): void => {
      memoryOf(name).load(changed, shapes);
    };
    const stray = new Map([...state, ['other.exp_avg', float32([1], [1])]]);
    expect(() => { load(stray); }).toThrow('"other.exp_avg" belongs to no parameter'); // prettier-ignore
    expect(() => { load(state, new Map()); }).toThrow('belongs to no parameter'); // prettier-ignore
    expect(() => { load(new Map([...state, ['w.step', float32([1], [])]])); }).toThrow('"w.step" is not one int32'); // prettier-ignore
    const [slot] = [...state].find(([, { data }]) => data.length > 1) ?? [];
    // SGD without momentum remembers no numbers.
    if (slot === undefined) return;
    expect(() => { load(new Map([...state].filter(([each]) => each !== slot))); }).toThrow(`"${slot}" is missing`); // prettier-ignore
    expect(() => { load(new Map([...state, [slot, float32([1], [1])]])); }).toThrow(`"${slot}" has 1 numbers of type float32`); // prettier-ignore
  });
});

it('says which option is out of its range', () => {
  const bad: [OptimizerOptions, string][] = [
    [{ name: 'adamw', betas: [1, 0.9] }, 'betas of adamw must be two numbers from 0 to below 1, but it is [1,0.9].'],
    [{ name: 'lion', betas: [0.9, NaN] }, 'betas of lion must be two numbers from 0 to below 1'],
    [{ name: 'adam', weightDecay: -1 }, 'weightDecay of adam must be a number of 0 or more, but it is -1.'],
    [{ name: 'sgd', momentum: Infinity }, 'momentum of sgd must be a number of 0 or more, but it is Infinity.'],
    [{ name: 'sgd', nesterov: true }, 'nesterov needs a momentum above 0'],
    [{ name: 'sgd', nesterov: true, momentum: 0.9, dampening: 0.1 }, 'nesterov needs a momentum above 0'],
    [{ name: 'adafactor', clipThreshold: 0 }, 'clipThreshold of adafactor must be a number above 0, but it is 0.'],
    [{ name: 'adafactor', beta2Decay: 0.8 }, 'beta2Decay of adafactor must be a number of 0 or less, but it is 0.8.'],
    [{ name: 'adamW' as 'adamw' }, 'There is no optimizer "adamW". Did you mean "adam" or "adamw"'],
  ];
  for (const [options, message] of bad) expect(() => createOptimizer(options)).toThrow(message);
});

function mean(count: number, of: (i: number) => number): number {
  return Array.from({ length: count }, (_, i) => of(i)).reduce((sum, each) => sum + each, 0) / count;
}
