/** @file Properties of combined adapters for any numbers. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deltaOf, relativeError } from '../../../fixtures/deltaOf.ts';
import { matmul, matrix } from '../../linalg/matrix.ts';
import { svd } from '../../linalg/decompositions.ts';
import { Random } from '../../runtime/random.ts';
import { float32, sizeOf, type Tensor, tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { adapterConfig } from '../formats/peftConfig.ts';
import { tensorName } from '../formats/tensorNames.ts';
import { combineAdapters } from './combine.ts';
import { approximated } from './lowRank.ts';
import { negate } from './negate.ts';
import type { CombineOptions, CombinePart } from './options.ts';
import { keepLargest } from './prune.ts';

/** A linear layer, one at the end of whose name another ends, a convolution in two groups, an embedding. */
const layers = {
  q: { A: (r: number) => [r, 5], B: (r: number) => [4, r] },
  'a.q': { A: (r: number) => [r, 3], B: (r: number) => [6, r] },
  conv: { A: (r: number) => [2 * r, 2, 3], B: (r: number) => [4, r, 1] },
  emb: { A: (r: number) => [r, 7], B: (r: number) => [3, r] },
} as const;

function adapterFrom(
  seed: number,
  ranks: Partial<Record<keyof typeof layers, number>>,
  alpha: number,
  rslora: boolean,
): Adapter {
  const random = new Random(seed);
  const noise = (dims: readonly number[]): Tensor =>
    float32(
      new Float32Array(sizeOf(dims)).map(() => random.normal()),
      dims,
    );
  const tensors = new Map<string, Tensor>();
  const pattern: Record<string, number> = {};
  for (const path of ['a.q', 'q', 'conv', 'emb'] as const) {
    const r = ranks[path] ?? 0;
    if (r === 0) continue;
    pattern[path.replace('.', String.raw`\.`)] = path === 'conv' ? 2 * r : r;
    const [a, b] =
      path === 'emb' ? (['lora_embedding_A', 'lora_embedding_B'] as const) : (['lora_A', 'lora_B'] as const);
    tensors.set(tensorName(path, a), noise(layers[path].A(r))).set(tensorName(path, b), noise(layers[path].B(r)));
  }
  return new Adapter(adapterConfig({ r: 2, loraAlpha: alpha, rankPattern: pattern, useRslora: rslora }), tensors);
}

const rank = fc.integer({ min: 0, max: 3 });
const anAdapter = fc
  .record({
    seed: fc.integer({ min: 0, max: 1e6 }),
    ranks: fc.record({ q: fc.integer({ min: 1, max: 3 }), 'a.q': rank, conv: rank, emb: rank }),
    alpha: fc.constantFrom(1, 2, 6.5),
    rslora: fc.boolean(),
  })
  .map(({ seed, ranks, alpha, rslora }) => adapterFrom(seed, ranks, alpha, rslora));
const aWeight = fc.constantFrom(-1.5, -0.3, 0.2, 1, 2);
const aPart = fc.record({ adapter: anAdapter, weight: aWeight });
const someParts = fc.array(aPart, { minLength: 1, maxLength: 4 });

type Deltas = ReadonlyMap<string, Float64Array>;

/** Equal to float32's rounding; a module that one side lacks is zero. */
function expectSame(found: Deltas, expected: Deltas, tolerance = 2e-6): void {
  const size = Math.sqrt([...expected.values()].flatMap((each) => [...each]).reduce((sum, x) => sum + x * x, 1));
  for (const path of new Set([...found.keys(), ...expected.keys()])) {
    const length = (found.get(path) ?? expected.get(path))!.length;
    const [a, b] = [found, expected].map((each) => each.get(path) ?? new Float64Array(length));
    expect(Math.hypot(...a!.map((x, i) => x - b![i]!)) / size, path).toBeLessThan(tolerance);
  }
}

function weightedSum(parts: readonly { readonly deltas: Deltas; readonly weight: number }[]): Deltas {
  const result = new Map<string, Float64Array>();
  for (const { deltas, weight } of parts) {
    for (const [path, delta] of deltas) {
      const sum = result.get(path) ?? new Float64Array(delta.length);
      result.set(path, sum);
      delta.forEach((value, i) => (sum[i]! += weight * value));
    }
  }
  return result;
}

const combined = (parts: readonly CombinePart[], options: CombineOptions): Deltas =>
  deltaOf(combineAdapters(parts, options));

describe('sums', () => {
  it('are the weighted sums of the deltas, whatever ranks, scalings and modules', () => {
    fc.assert(
      fc.property(someParts, (parts) => {
        const sum = weightedSum(parts.map(({ adapter, weight }) => ({ deltas: deltaOf(adapter), weight })));
        expectSame(combined(parts, { method: 'linear' }), sum);
      }),
      { numRuns: 60 },
    );
  });

  it('of one adapter alone are the adapter', () => {
    fc.assert(
      fc.property(anAdapter, (adapter) => {
        for (const method of ['cat', 'svd'] as const) expectSame(combined([{ adapter }], { method }), deltaOf(adapter));
      }),
      { numRuns: 30 },
    );
  });

  it('do not depend on the order', () => {
    fc.assert(
      fc.property(someParts, fc.constantFrom('cat', 'svd', 'ties', 'magnitude_prune'), (parts, method) => {
        const options = { method, ...(/ties|prune/.test(method) ? { density: 0.6, rank: 'full' as const } : {}) };
        expectSame(combined(parts.toReversed(), options), combined(parts, options), 1e-5);
      }),
      { numRuns: 40 },
    );
  });

  it('are linear in the weights', () => {
    fc.assert(
      fc.property(aPart, aPart, fc.constantFrom(-2, 0, 0.5, 3), (a, b, factor) => {
        const times = combined(
          [
            { ...a, weight: a.weight * factor },
            { ...b, weight: b.weight * factor },
          ],
          { method: 'cat' },
        );
        expectSame(times, weightedSum([{ deltas: combined([a, b], { method: 'cat' }), weight: factor }]));
      }),
      { numRuns: 30 },
    );
  });

  it('of full rank lose nothing', () => {
    fc.assert(
      fc.property(someParts, (parts) => {
        expectSame(combined(parts, { method: 'svd', rank: 'full' }), combined(parts, { method: 'cat' }), 1e-5);
      }),
      { numRuns: 40 },
    );
  });

  it('of a smaller rank are as near as any matrix of it can be', () => {
    fc.assert(
      fc.property(fc.array(aPart, { minLength: 2, maxLength: 3 }), fc.integer({ min: 1, max: 3 }), (parts, r) => {
        const whole = matrix(4, 5, combined(parts, { method: 'cat' }).get('q')!);
        const found = combineAdapters(parts, { method: 'svd', rank: r });
        expect(found.tensors.get(tensorName('q', 'lora_A'))!.dims[0]).toBeLessThanOrEqual(r);
        const left = deltaOf(found)
          .get('q')!
          .map((value, i) => value - whole.data[i]!);
        // Eckart and Young: what is left are the singular values that were cut off.
        const { S } = svd(whole);
        expect(Math.hypot(...left)).toBeCloseTo(Math.hypot(...S.slice(r)), 4);
      }),
      { numRuns: 30 },
    );
  });
});

describe('pruning', () => {
  it('of nothing is the sum', () => {
    fc.assert(
      fc.property(someParts, fc.constantFrom('magnitude_prune', 'dare_linear'), (parts, method) => {
        const options = { method, density: 1, rank: 'full' } as const;
        expectSame(combined(parts, options), combined(parts, { method: 'cat' }), 1e-5);
      }),
      { numRuns: 20 },
    );
  });

  it('keeps the largest, as many as the density says, the first of equal ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -4, max: 4 })),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (list, density) => {
          const tensor = Float64Array.from(list);
          keepLargest(tensor, density);
          const order = list
            .map((value, i) => ({ i, size: Math.abs(value) }))
            .sort((a, b) => b.size - a.size || a.i - b.i);
          const kept = new Set(order.slice(0, Math.trunc(density * list.length)).map(({ i }) => i));
          expect([...tensor]).toEqual(list.map((value, i) => (kept.has(i) ? value : 0)));
        },
      ),
    );
  });

  it('at random keeps the expectation, and repeats itself with the seed', () => {
    const parts = [
      { adapter: adapterFrom(1, { q: 2, emb: 1 }, 2, false), weight: 0.7 },
      { adapter: adapterFrom(2, { q: 3 }, 2, false), weight: -0.4 },
    ];
    const options = { method: 'dare_linear', density: 0.5, rank: 'full' } as const;
    const runs = 800;
    const results = Array.from({ length: runs }, (_, seed) => combined(parts, { ...options, seed }));
    const sum = combined(parts, { method: 'cat' });
    const mean = weightedSum(results.map((deltas) => ({ deltas, weight: 1 / runs })));
    // The mean of 800 draws lies within √(1 / 800) of the sum, in units of the draws' spread, which is about the sum itself.
    for (const [path, delta] of sum) expect(relativeError(mean.get(path)!, delta)).toBeLessThan(0.08);
    expect(relativeError(results[0]!.get('q')!, sum.get('q')!)).toBeGreaterThan(0.3);
    expect(combined(parts, { ...options, seed: 3 })).toEqual(results[3]);
  });

  it('of a large layer finds what the whole decomposition finds', () => {
    const random = new Random(3);
    const noise = (rows: number, columns: number) =>
      matrix(
        rows,
        columns,
        Float64Array.from({ length: rows * columns }, () => random.normal()),
      );
    const dense = matmul(noise(260, 6), noise(6, 150));
    keepLargest(dense.data, 0.4);
    const quick = approximated(dense, 4, 6);
    const { U, S, V } = svd(dense);
    const exact = new Float64Array(dense.data.length);
    for (let k = 0; k < 4; k++)
      exact.forEach((_, i) => {
        exact[i]! += S[k]! * U.data[Math.floor(i / 150) * 150 + k]! * V.data[(i % 150) * 150 + k]!;
      });
    expect(relativeError(matmul(quick.B, quick.A).data, exact)).toBeLessThan(1e-7);
  });
});

describe('slerp', () => {
  const [a, b] = [adapterFrom(5, { q: 2, conv: 1 }, 2, true), adapterFrom(6, { q: 3, emb: 1 }, 4, false)];

  it('begins at the first adapter and ends at the second', () => {
    expectSame(combined([{ adapter: a }, { adapter: b, weight: 0 }], { method: 'slerp' }), deltaOf(a));
    expectSame(combined([{ adapter: a, weight: 0 }, { adapter: b }], { method: 'slerp' }), deltaOf(b));
  });

  it('goes along the arc, as angles of the deltas themselves say', () => {
    const [x, y] = [deltaOf(a).get('q')!, deltaOf(b).get('q')!];
    const dot = (u: Float64Array, v: Float64Array): number => u.reduce((sum, value, i) => sum + value * v[i]!, 0);
    const angle = Math.acos(dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y)));
    const found = combined(
      [
        { adapter: a, weight: 3 },
        { adapter: b, weight: 1 },
      ],
      { method: 'slerp' },
    );
    const expected = x.map(
      (value, i) => (Math.sin(0.75 * angle) * value + Math.sin(0.25 * angle) * y[i]!) / Math.sin(angle),
    );
    expect(relativeError(found.get('q')!, expected)).toBeLessThan(1e-6);
    // Zero has no direction, so the way to it is straight.
    expect(
      relativeError(
        found.get('conv')!,
        deltaOf(a)
          .get('conv')!
          .map((value) => 0.75 * value),
      ),
    ).toBeLessThan(1e-6);
    expect(
      relativeError(
        found.get('emb')!,
        deltaOf(b)
          .get('emb')!
          .map((value) => 0.25 * value),
      ),
    ).toBeLessThan(1e-6);
  });

  it('keeps the length of what lies near together, and meets no pole between opposites', () => {
    const same = combined([{ adapter: a }, { adapter: a }], { method: 'slerp' });
    expectSame(same, deltaOf(a));
    expectSame(
      combined([{ adapter: a, weight: 3 }, { adapter: negate(a) }], { method: 'slerp' }),
      weightedSum([{ deltas: deltaOf(a), weight: 0.5 }]),
    );
  });
});

describe('negate', () => {
  it('turns the effect round, and twice gives the adapter back bit by bit', () => {
    fc.assert(
      fc.property(anAdapter, (adapter) => {
        const once = negate(adapter);
        expect(deltaOf(once)).toEqual(weightedSum([{ deltas: deltaOf(adapter), weight: -1 }]));
        expect(negate(once)).toEqual(adapter);
        expectSame(combined([{ adapter }, { adapter: once }], { method: 'cat' }), new Map());
      }),
      { numRuns: 20 },
    );
  });

  it('keeps half precision', () => {
    const half = tensor('float16', Uint16Array.of(0x3c00, 0xc000), [2, 1]);
    const tensors = new Map([
      [tensorName('q', 'lora_A'), float32([1], [1, 1])],
      [tensorName('q', 'lora_B'), half],
    ]);
    const { tensors: found } = negate(new Adapter(adapterConfig({ r: 1, loraAlpha: 1 }), tensors));
    expect(found.get(tensorName('q', 'lora_B'))).toEqual(tensor('float16', Uint16Array.of(0xbc00, 0x4000), [2, 1]));
  });
});
