import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { golden, goldenFloats, shapes } from '../../../fixtures/optimizers/golden.ts';
import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import { float32 } from '../../runtime/tensor.ts';
import { normOf } from '../slices.ts';
import { clip, type ClipOptions } from '../transformation.ts';
import { Ema } from '../ema.ts';
import { GradientMean } from './gradientMean.ts';
import { LossScale } from './lossScale.ts';
import { ParameterSet } from '../parameters.ts';
import { runInSlices } from '../../graph/eventLoop.ts';

const names = Object.keys(shapes);
const floats = (name: string): Float32Array => goldenFloats(name)!;

describe('clipping', () => {
  it.each<[string, ClipOptions]>([
    ['norm', { norm: 1.5 }],
    ['value', { value: 0.01 }],
  ])('bounds gradients by %s as torch does', async (kind, options) => {
    const gradients = names.map((name) => floats(`gradient.0.${name}`));
    const norm = await runInSlices(normOf(gradients));
    expect(norm).toBeCloseTo(Math.hypot(...gradients.flatMap((each) => [...each])), 10);
    await runInSlices(
      clip(options).gradients!(new Map(names.map((name, i) => [name, gradients[i]!])), { step: 0, seed: 0, norm }),
    );
    names.forEach((name, i) => {
      const expected = floats(`clip-${kind}.${name}`);
      expected.forEach((each, at) => {
        expect(Math.abs(gradients[i]![at]! - each)).toBeLessThanOrEqual(1e-6 * Math.abs(each));
      });
    });
  });

  it('leaves gradients alone that are within the bound', async () => {
    const gradient = Float32Array.of(0.3, -0.4);
    await runInSlices(clip({ norm: 0.6 }).gradients!(new Map([['w', gradient]]), { step: 0, seed: 0, norm: 0.5 }));
    expect(gradient).toEqual(Float32Array.of(0.3, -0.4));
  });
});

function parametersOf(value: (name: string) => Float32Array): ParameterSet {
  return new ParameterSet(
    names.map((name) => {
      const input = { name, perRow: false, tensor: { scale: 1 } } as unknown as AdapterInput;
      const dims = shapes[name]!;
      return { input, dims, value: value(name), fed: float32(value(name), dims) };
    }),
  );
}

describe('the moving average', () => {
  it('is that of torch without a warm-up', async () => {
    const ema = new Ema({ decay: 0.8, warmup: false });
    ema.begin(parametersOf((name) => floats(`initial.${name}`)));
    for (let step = 0; step < 12; step++)
      await runInSlices(ema.after(parametersOf((name) => floats(`gradient.${step}.${name}`))));
    for (const { input, value } of ema.averaged(parametersOf((name) => floats(`initial.${name}`))).all) {
      const expected = floats(`ema.${input.name}`);
      value.forEach((each, i) => {
        expect(Math.abs(each - expected[i]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected[i]!)));
      });
    }
  });

  it('follows faster at first: after n steps with a decay of (1 + n) / (10 + n)', async () => {
    const ema = new Ema({ decay: 0.25 });
    const of = (value: number): ParameterSet => parametersOf((name) => floats(`initial.${name}`).fill(value));
    ema.begin(of(0));
    let expected = 0;
    for (const [value, decay] of [
      [11, 2 / 11],
      [8, 0.25],
      [3, 0.25],
    ] as const) {
      await runInSlices(ema.after(of(value)));
      expected = decay * expected + (1 - decay) * value;
    }
    expect(ema.averaged(of(0)).all[0]!.value[0]).toBeCloseTo(expected, 6);
  });
});

describe('the loss scale', () => {
  it('grows and shrinks as that of torch', () => {
    const scale = new LossScale({ initial: 16, growth: 4, backoff: 0.25, growthInterval: 3 });
    const { overflows, scales } = golden.lossScale;
    const found = overflows.map((overflows) => {
      if (overflows) expect(scale.overflow()).toBe(true);
      else scale.succeed();
      return scale.value;
    });
    expect(found).toEqual(scales);
  });

  it('does not help below 1', () => {
    const scale = new LossScale({ initial: 1 });
    expect(scale.overflow()).toBe(true);
    expect(scale.overflow()).toBe(false);
    expect(scale.value).toBe(0.5);
  });

  it('does not grow to infinity', () => {
    const scale = new LossScale({ initial: 2 ** 127, growthInterval: 1 });
    scale.succeed();
    expect(scale.value).toBe(2 ** 127);
  });
});

describe('the mean of gradients', () => {
  it('counts each part by its weight', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            weight: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 })),
            loss: fc.double({ min: -9, max: 9, noNaN: true }),
            gradient: fc.float32Array({ minLength: 5, maxLength: 5, min: -9, max: 9, noNaN: true }),
          }),
          { minLength: 1, maxLength: 6 },
        ),
        async (parts) => {
          const mean = new GradientMean();
          for (const { weight, loss, gradient } of parts)
            await mean.add({ weight, loss, gradients: new Map([['w', gradient]]) });
          const total = parts.reduce((sum, { weight }) => sum + weight, 0);
          const { weight, loss, gradients } = mean.value();
          expect(weight).toBe(total);
          if (total === 0) {
            expect(loss).toBeNaN();
            expect(gradients.size).toBe(0);
            return;
          }
          const of = (each: (part: (typeof parts)[number]) => number): number =>
            parts.reduce((sum, part) => sum + (part.weight * each(part)) / total, 0);
          expect(loss).toBeCloseTo(of((part) => part.loss), 9); // prettier-ignore
          gradients.get('w')!.forEach((value, i) => {
            expect(value).toBeCloseTo(of((part) => part.gradient[i]!), 4); // prettier-ignore
          });
        },
      ),
    );
  });

  it('is exactly the part when there is only one', async () => {
    const gradient = floats('gradient.0.kernel');
    const mean = new GradientMean();
    await mean.add({ weight: 7, loss: 0.1, gradients: new Map([['w', gradient]]) });
    expect(mean.value()).toEqual({ weight: 7, loss: 0.1, gradients: new Map([['w', gradient]]) });
    expect(mean.value().gradients.get('w')).not.toBe(gradient);
  });

  it('refuses what has no mean', async () => {
    const part = (name: string, size: number, weight = 1): Parameters<GradientMean['add']>[0] => ({
      weight,
      loss: 1,
      gradients: new Map([[name, new Float32Array(size)]]),
    });
    const mean = new GradientMean();
    await mean.add(part('w', 3));
    await expect(mean.add(part('v', 3))).rejects.toThrow('not gradients of the same parameters');
    await expect(mean.add(part('w', 4))).rejects.toThrow('not gradients of the same parameters');
    await expect(mean.add(part('w', 3, -1))).rejects.toThrow("must be a number of 0 or more, but it is -1. Check the task's lossWeight"); // prettier-ignore
  });
});

describe('turns', () => {
  it('let the event loop turn while work continues, and return its result', async () => {
    function* work(): Generator<void, number> {
      for (let i = 0; i < 20; i++) {
        const until = performance.now() + 2;
        while (performance.now() < until);
        yield;
      }
      return 20;
    }
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    expect(await runInSlices(work())).toBe(20);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(2);
  });
});
