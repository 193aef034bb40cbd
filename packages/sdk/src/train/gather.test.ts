import { describe, expect, it } from 'vitest';
import { differenceUpToSigns, golden, goldenMatrix, mlp, upToSigns } from '../../fixtures/inits/mlp.ts';
import { ParameterFinder } from '../adapter/merging/findParameter.ts';
import { corda } from '../lora/init/corda.ts';
import { eva } from '../lora/init/eva.ts';
import type { InitSite, InputBatch, InputInitializer } from '../lora/init/initializer.ts';
import { loraGa } from '../lora/init/named.ts';
import { gradientMatrix, weightMatrix } from '../lora/init/weightMatrix.ts';
import { matrix, sliceRows } from '../linalg/matrix.ts';
import { findSites, type Site } from '../match/sites.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import { Random } from '../runtime/random.ts';
import { type Feeds, float32 } from '../runtime/tensor.ts';
import { meanSquaredError } from './losses/index.ts';
import { observeInputs } from './observeInputs.ts';
import { weightGradients } from './weightGradients.ts';

const { model, output } = mlp((layer) => golden(`base.${layer}.weight`));
const sites = findSites(model.graph!);
const common = {
  base: model,
  runtime: new OrtRuntime(),
  session: { provider: 'cpu', threads: 1 } as const,
  name: 'mlp',
};

function describeSite({ path, weightShape: [out, width] }: Site): InitSite {
  return { path, kind: 'linear', out: out!, width: width!, groups: 1, r: 4, scaling: 1.5 };
}

/** Batch `index` of the four of 16 rows. */
function batch(index: number): Promise<Feeds> {
  const { data, columns } = sliceRows(goldenMatrix('base.calibration.x'), 16 * index, 16 * (index + 1));
  return Promise.resolve({ x: float32(Float32Array.from(data), [16, columns]) });
}

describe('what layers read, gathered by the runtime, gives PEFT’s first values', () => {
  it.each([
    ['corda-ipm', corda(), 1e-4],
    ['corda-kpm', corda({ method: 'kpm' }), 1e-4],
    ['eva', eva({ rho: 1 }), 5e-3],
  ] as [string, InputInitializer, number][])('%s', async (name, initializer, tolerance) => {
    const observed = sites.map((site) => ({
      name: site.input,
      width: site.weightShape[1]!,
      observer: initializer.observe({ width: site.weightShape[1]!, r: 4, random: new Random(1) }),
    }));
    await observeInputs(observed, { ...common, batch, batches: 4, passes: initializer.passes });
    sites.forEach((site, i) => {
      const factors = observed[i]!.observer.factors(describeSite(site), () => weightMatrix(site));
      expect(differenceUpToSigns(factors, name, site.path)).toBeLessThan(tolerance);
    });
  });

  it('and nothing more once everybody has settled', async () => {
    let seen = 0;
    const observer = {
      update: ({ rows, sum }: InputBatch): void => {
        seen++;
        expect(rows).toBe(16);
        expect(sum).toHaveLength(24);
      },
      get settled(): boolean {
        return seen >= 6;
      },
      factors: () => ({ A: matrix(1, 1), B: matrix(1, 1) }),
    };
    await observeInputs([{ name: 'x', width: 24, observer }], { ...common, batch, batches: 4, passes: 9 });
    expect(seen).toBe(6);
  });
});

describe('gradients of whole weights', () => {
  const parameters = sites.map(({ path }) => new ParameterFinder(model.graph!, sites).find(path, 'weight')!);
  const request = {
    ...common,
    loss: ((g, outputs, targets) => meanSquaredError(g, outputs[output]!, targets['target']!)) as Parameters<
      typeof weightGradients
    >[1]['loss'],
  };

  it('give PEFT’s first values of LoRA-GA', async () => {
    const gradients = await weightGradients(parameters, {
      ...request,
      batch: () =>
        Promise.resolve({ inputs: { x: golden('base.calibration.x') }, targets: { target: golden('target') } }),
      batches: 2,
    });
    sites.forEach((site, i) => {
      const gradient = gradientMatrix(site, gradients.get(parameters[i]!)!);
      const { A, B } = loraGa().init(describeSite(site), gradient, new Random(3));
      const [wantedA, wantedB] = [
        goldenMatrix(`lora-ga.${site.path}.lora_A`),
        goldenMatrix(`lora-ga.${site.path}.lora_B`),
      ];
      const none = matrix(4, 4);
      // The components of A and of B are different ones, so their signs are independent.
      expect(upToSigns({ A, B: none }, { A: wantedA, B: none })).toBeLessThan(1e-4);
      expect(upToSigns({ A: none, B }, { A: none, B: wantedB })).toBeLessThan(1e-4);
    });
  });

  it('are refused where the loss is no number', async () => {
    const x = golden('base.calibration.x');
    const broken = float32(new Float32Array(x.data.length).fill(NaN), x.dims);
    await expect(
      weightGradients(parameters, {
        ...request,
        batch: () => Promise.resolve({ inputs: { x: broken }, targets: { target: golden('target') } }),
        batches: 1,
      }),
    ).rejects.toThrow('The loss of the base is NaN on batch 1');
  });
});
