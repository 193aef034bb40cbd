import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addScaled, type Matrix, matmul, matrix, sliceRows, transpose } from '../../linalg/matrix.ts';
import { findSites } from '../../match/sites.ts';
import { Random } from '../../runtime/random.ts';
import { corda } from './corda.ts';
import { eva } from './eva.ts';
import { differenceUpToSigns, golden, goldenMatrix, mlp, upToSigns } from '../../../fixtures/inits/mlp.ts';
import { bothRandom, gaussian, orthogonal, zeros } from './fromRandom.ts';
import { fastPissa, mica, olora, pissa } from './fromWeight.ts';
import type {
  InitialFactors,
  InitSite,
  InputBatch,
  InputInitializer,
  InputObserver,
  ObservedLayer,
} from './initializer.ts';
import { loftq } from './loftq.ts';
import { loraGa, initializerOf } from './named.ts';

const layers = ['fc1', 'fc2'] as const;
const weightOf = (layer: string): Matrix => goldenMatrix(`base.${layer}.weight`);
const inputsOf = (layer: string): Matrix => goldenMatrix(layer === 'fc1' ? 'base.calibration.x' : 'inputs.fc2');

function siteOf(layer: string, scaling = 1.5): InitSite {
  const { rows: out, columns: width } = weightOf(layer);
  return { path: layer, kind: 'linear', out, width, groups: 1, r: 4, scaling };
}

function batchOf(x: Matrix): InputBatch {
  const sum = new Float64Array(x.columns);
  x.data.forEach((value, i) => (sum[i % x.columns]! += value));
  return { rows: x.rows, gram: matmul(x, x, { transposeA: true }), sum, max: Math.max(...x.data) };
}

/** The layers before quantising. */
const original = findSites(mlp((layer) => golden(`base.${layer}.weight`)).model.graph!);

/** The layer's inputs in four batches of 16, over and over until the observer has settled. */
function observed(initializer: InputInitializer, layer: string): InputObserver {
  const x = inputsOf(layer);
  const observer = initializer.observe({ width: x.columns, r: 4, random: new Random(1) });
  for (let pass = 0; pass < initializer.passes; pass++)
    for (let i = 0; i < 4 && !observer.settled; i++) observer.update(batchOf(sliceRows(x, 16 * i, 16 * (i + 1))));
  return observer;
}

function largest({ data }: Matrix): number {
  return data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

describe.each(layers)('first values of %s are those of PEFT', (layer) => {
  const random = (): Random => new Random(3);

  it('pissa', () => {
    expect(differenceUpToSigns(pissa.init(siteOf(layer), weightOf(layer), random()), 'pissa', layer)).toBeLessThan(
      2e-6,
    );
  });

  it('pissa where the scaling is alpha / √r', () => {
    const factors = pissa.init(siteOf(layer, 3), weightOf(layer), random());
    expect(differenceUpToSigns(factors, 'pissa-rslora', layer)).toBeLessThan(2e-6);
    const residual = addScaled(weightOf(layer), matmul(factors.B, factors.A), -3);
    expect(largest(addScaled(residual, goldenMatrix(`pissa-rslora.${layer}.base`), -1))).toBeLessThan(2e-6);
  });

  it('pissa_niter_N, which is as near to pissa as torch’s, and reaches it with more iterations', () => {
    const factors = (iterations: number): InitialFactors =>
      fastPissa(iterations).init(siteOf(layer), weightOf(layer), random());
    const torchs = {
      A: goldenMatrix(`pissa-niter-8.${layer}.lora_A`),
      B: goldenMatrix(`pissa-niter-8.${layer}.lora_B`),
    };
    expect(differenceUpToSigns(torchs, 'pissa', layer)).toBeLessThan(0.03);
    expect(differenceUpToSigns(factors(8), 'pissa', layer)).toBeLessThan(0.03);
    expect(differenceUpToSigns(factors(100), 'pissa', layer)).toBeLessThan(2e-6);
  });

  it('olora, signs included', () => {
    const { A, B } = olora.init(siteOf(layer), weightOf(layer), random());
    expect(largest(addScaled(A, goldenMatrix(`olora.${layer}.lora_A`), -1))).toBeLessThan(1e-6);
    expect(largest(addScaled(B, goldenMatrix(`olora.${layer}.lora_B`), -1))).toBeLessThan(1e-6);
  });

  it('mica', () => {
    const factors = mica.init(siteOf(layer), weightOf(layer), random());
    expect(mica.fixed).toEqual(['lora_B']);
    expect(differenceUpToSigns(factors, 'mica', layer)).toBeLessThan(2e-5);
  });

  it.each(['ipm', 'kpm'] as const)('corda %s', (method) => {
    const factors = observed(corda({ method }), layer).factors(siteOf(layer), () => weightOf(layer));
    expect(factors.residual).toBe('subtract');
    expect(differenceUpToSigns(factors, `corda-${method}`, layer)).toBeLessThan(5e-5);
  });

  it('eva, whose singular values PEFT approximates', () => {
    const factors = observed(eva({ rho: 1 }), layer).factors(siteOf(layer), () => weightOf(layer));
    expect(factors.residual).toBeUndefined();
    expect(differenceUpToSigns(factors, 'eva', layer)).toBeLessThan(5e-3);
  });

  it('lora_ga, by a random projection of other numbers than torch has', () => {
    const factors = loraGa().init(siteOf(layer), gradients()[layer]!, random());
    expect(factors.residual).toBe('subtract');
    const [A, B] = [goldenMatrix(`lora-ga.${layer}.lora_A`), goldenMatrix(`lora-ga.${layer}.lora_B`)];
    // The components of A and of B are different ones, so their signs are independent.
    const none = matrix(4, 4);
    expect(upToSigns({ A: factors.A, B: none }, { A, B: none })).toBeLessThan(1e-4);
    expect(upToSigns({ A: none, B: factors.B }, { A: none, B })).toBeLessThan(1e-4);
  });

  it.each(['loftq-nf4-1', 'loftq-nf4-5'])('%s, on its base', (name) => {
    const factors = loftq(original).init(siteOf(layer, 1), goldenMatrix(`${name}.${layer}.base`), random());
    expect(factors.residual).toBeUndefined();
    expect(differenceUpToSigns(factors, name, layer)).toBeLessThan(5e-5);
  });
});

/** ∂ mean (y − target)² ÷ ∂W by hand, for y = fc2(tanh(fc1(x))). */
function gradients(): Record<string, Matrix> {
  const [hidden, target] = [inputsOf('fc2'), goldenMatrix('target')];
  const bias = golden('base.fc2.bias').data as Float32Array;
  const y = matmul(hidden, weightOf('fc2'), { transposeB: true });
  const dy = matrix(
    y.rows,
    y.columns,
    y.data.map((value, i) => (2 * (value + bias[i % y.columns]! - target.data[i]!)) / y.data.length),
  );
  const dh = matmul(dy, weightOf('fc2'));
  const before = matrix(
    dh.rows,
    dh.columns,
    dh.data.map((value, i) => value * (1 - hidden.data[i]! ** 2)),
  );
  return {
    fc1: matmul(before, inputsOf('fc1'), { transposeA: true }),
    fc2: matmul(dy, hidden, { transposeA: true }),
  };
}

describe('first values from random numbers', () => {
  const site: InitSite = { path: 'm', kind: 'linear', out: 300, width: 200, groups: 1, r: 4, scaling: 2 };
  const spread = ({ data }: Matrix): number =>
    Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);

  it('gaussian has deviation 1 / r in A and zeros in B', () => {
    const { A, B } = gaussian.init(site, new Random(1));
    expect([A.rows, A.columns, B.rows, B.columns]).toEqual([4, 200, 300, 4]);
    expect(spread(A)).toBeCloseTo(1 / 4, 1.5);
    expect(largest(B)).toBe(0);
  });

  it('zeros has A = 0 and B as torch starts a Linear; of an embedding the default', () => {
    const { A, B } = zeros.init(site, new Random(1));
    expect([A.rows, A.columns, B.rows, B.columns, largest(A)]).toEqual([4, 200, 300, 4, 0]);
    expect(largest(B)).toBeLessThanOrEqual(1 / 2);
    expect(spread(B)).toBeCloseTo(1 / Math.sqrt(3 * 4), 1);
    expect(zeros.init({ ...site, r: 6, groups: 2 }, new Random(1)).B.columns).toBe(3);
  });

  it.each([gaussian, zeros])('$name starts an embedding as by default', (initializer) => {
    const { A, B } = initializer.init({ ...site, kind: 'embedding' }, new Random(1));
    expect(largest(A)).toBe(0);
    expect(spread(B)).toBeCloseTo(1, 1);
  });

  it('orthogonal has B·A = 0 without a zero factor, each of deviation √(1/2) / 10', () => {
    const { A, B } = orthogonal.init(site, new Random(1));
    expect(largest(matmul(B, A))).toBeLessThan(1e-15);
    expect(spread(A)).toBeCloseTo(Math.SQRT1_2 / 10, 2);
    expect(spread(B)).toBeCloseTo(Math.SQRT1_2 / 10, 2);
    expect(orthogonal.refuses!({ ...site, r: 5 })).toContain('even');
  });

  it('false fills both factors evenly within torch’s bounds', () => {
    const { A, B } = bothRandom.init(site, new Random(1));
    expect(largest(A)).toBeLessThanOrEqual(1 / Math.sqrt(200));
    expect(largest(B)).toBeLessThanOrEqual(1 / 2);
    expect(spread(A)).toBeCloseTo(1 / Math.sqrt(3 * 200), 2);
    expect(spread(B)).toBeCloseTo(1 / Math.sqrt(3 * 4), 1);
  });
});

describe('loftq', () => {
  const base = goldenMatrix('loftq-nf4-1.fc1.base');
  const lost = addScaled(weightOf('fc1'), base, -1);

  it('counts the scaling in, so that what stays lost does not depend on alpha', () => {
    const remains = (scaling: number): number => {
      const { A, B } = loftq(original).init(siteOf('fc1', scaling), base, new Random(1));
      return Math.hypot(...addScaled(lost, matmul(B, A), -scaling).data);
    };
    expect(remains(1)).toBeLessThan(0.8 * Math.hypot(...lost.data));
    expect(remains(4)).toBeCloseTo(remains(1), 10);
  });

  it('starts a layer that lost nothing as by default', () => {
    const { A, B } = loftq(original).init(siteOf('fc1'), weightOf('fc1'), new Random(1));
    expect(largest(B)).toBe(0);
    expect(largest(A)).toBeGreaterThan(0.1);
    expect(largest(A)).toBeLessThanOrEqual(1 / Math.sqrt(24));
  });

  it('refuses layers that were not there, or were others', () => {
    expect(loftq(original).refuses!({ ...siteOf('fc1'), path: 'fc3' })).toBe('is not in the model before quantising');
    expect(loftq(original).refuses!({ ...siteOf('fc1'), width: 25 })).toBe(
      'has a weight [32, 25], but [32, 24] before quantising',
    );
    expect(loftq(original).refuses!(siteOf('fc1'))).toBeUndefined();
  });
});

it('every residual initialiser gives factors of the shapes that it says', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 2, max: 12 }), fc.integer(), (out, width, seed) => {
      const random = new Random(seed);
      const r = Math.max(1, Math.floor(Math.min(out, width) / 2));
      const site: InitSite = { path: 'm', kind: 'linear', out, width, groups: 1, r, scaling: 0.5 };
      const weight = matrix(
        out,
        width,
        Float64Array.from({ length: out * width }, () => random.normal()),
      );
      for (const each of [pissa, fastPissa(2), olora, mica]) {
        expect(each.refuses!(site)).toBeUndefined();
        const { A, B } = each.init(site, weight, random);
        expect([A.rows, A.columns, B.rows, B.columns]).toEqual([r, width, out, r]);
      }
      const { A, B } = loraGa().init(site, weight, random);
      expect([A.rows, A.columns, B.rows, B.columns]).toEqual([r, width, out, r]);
    }),
    { numRuns: 30 },
  );
});

describe('eva shares ranks out', () => {
  it('to the components that explain most, within the sum of all ranks', () => {
    const initializer = eva();
    const observer = (explained: readonly number[]): InputObserver => ({ explained }) as unknown as InputObserver;
    const layer = (path: string, explained: readonly number[]): ObservedLayer => ({
      path,
      r: 2,
      observer: observer(explained),
    });
    const shared = initializer.ranks!([
      layer('a', [0.6, 0.3, 0.05, 0.01]),
      layer('b', [0.2, 0.04, 0.03, 0.02]),
      layer('c', [0.5, 0.4, 0.1, 0]),
    ]);
    // Largest six: 0.6, 0.5, 0.4, 0.3, 0.2, 0.1.
    expect([...shared]).toEqual([
      ['a', 2],
      ['b', 1],
      ['c', 3],
    ]);
  });

  it('by shares that add up to the whole variance when all components are kept', () => {
    const pca = eva({ rho: 6 }).observe({ width: 24, r: 4, random: new Random(1) });
    const x = inputsOf('fc1');
    pca.update(batchOf(sliceRows(x, 0, 30)));
    pca.update(batchOf(sliceRows(x, 30, 64)));
    expect(pca.explained!.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 10);
  });

  it('in wide layers by a projection, which finds the same directions', () => {
    const random = new Random(5);
    const basis = matrix(
      3,
      300,
      Float64Array.from({ length: 900 }, () => random.normal()),
    );
    const weights = matrix(
      80,
      3,
      Float64Array.from({ length: 240 }, (_, i) => [5, 2, 1][i % 3]! * random.normal()),
    );
    const observer = eva({ rho: 1 }).observe({ width: 300, r: 3, random });
    observer.update(batchOf(matmul(weights, basis)));
    expect(observer.explained!.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 8);
    const { A } = observer.factors({ ...siteOf('fc1'), width: 300, r: 3 }, () => basis);
    // Rows of the basis are combinations of the directions found.
    const within = matmul(matmul(basis, transpose(A)), A);
    expect(largest(addScaled(within, basis, -1))).toBeLessThan(1e-6);
  });
});

describe('names', () => {
  it('are those of PEFT, and zeros', () => {
    for (const name of [
      'gaussian',
      'orthogonal',
      'zeros',
      'pissa',
      'pissa_niter_16',
      'olora',
      'corda',
      'eva',
      'lora_ga',
      'mica',
    ])
      expect(initializerOf(name)?.name).toBe(name);
    expect(initializerOf(true)).toBeUndefined();
    expect(initializerOf(false)).toBe(bothRandom);
  });

  it('that nobody knows are refused with those that exist', () => {
    expect(() => initializerOf('pisa')).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: initLoraWeights (--init) "pisa" is not known. Did you mean "pissa" or "mica"? There are default, gaussian, orthogonal, zeros, pissa, pissa_niter_N, olora, mica, corda, corda_kpm, eva, lora_ga, loftq, with a whole number for N.]`,
    );
  });

  it('know which of them needs the model before quantising', () => {
    expect(initializerOf('loftq', original)?.name).toBe('loftq');
    expect(() => initializerOf('loftq')).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: initLoraWeights (--init) "loftq" compares the quantised base with the model before quantising, and none is given. Name it with original (--original), or take "pissa", which needs the base alone.]`,
    );
    expect(() => initializerOf('pissa', original)).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: A model before quantising is given (original, --original), which only initLoraWeights (--init) "loftq" reads. Take "loftq", or leave the model out.]`,
    );
  });
});
