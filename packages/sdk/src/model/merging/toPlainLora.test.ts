import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../adapter/adapter.ts';
import { type AdapterConfig, adapterConfig } from '../../adapter/formats/peftConfig.ts';
import { addScaled, matmul } from '../../linalg/matrix.ts';
import { golden, goldenMatrix, mlp, trainedByPeft } from '../../../fixtures/inits/mlp.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { type Case, furthest, mlpCase, outputOf } from '../../../fixtures/memorise.ts';
import { toPlainLora } from './toPlainLora.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-plain-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const layers = ['fc1', 'fc2'] as const;
const caseOf = (name: string, weightOf: (layer: string) => Tensor): Promise<Case> =>
  mlpCase(path.join(folder, `${name}.onnx`), mlp(weightOf));
const base = await caseOf('base', (layer) => golden(`base.${layer}.weight`));

/** PEFT's initial values times `factor`, as an adapter that names its initialisation. */
function peft(init: string, factor: number, config: Partial<Parameters<typeof adapterConfig>[0]> = {}): Adapter {
  const tensors = layers.flatMap((layer) =>
    ['lora_A', 'lora_B'].map((role) => {
      const { dims, data } = golden(`${init}.${layer}.${role}`);
      const values = (data as Float32Array).map((value) => factor * value);
      return [`base_model.model.${layer}.${role}.weight`, float32(values, dims)] as const;
    }),
  );
  const initLoraWeights = init.replace('-rslora', '').replaceAll('-', '_');
  return new Adapter(adapterConfig({ r: 4, loraAlpha: 6, initLoraWeights, ...config }), new Map(tensors));
}

/** W − s·B·A, on which PEFT trains. */
function changedBase(init: string, scaling: number): (layer: string) => Tensor {
  return (layer) => {
    const delta = matmul(goldenMatrix(`${init}.${layer}.lora_B`), goldenMatrix(`${init}.${layer}.lora_A`));
    const { rows, columns, data } = addScaled(goldenMatrix(`base.${layer}.weight`), delta, -scaling);
    return float32(Float32Array.from(data), [rows, columns]);
  };
}

describe('an adapter that PEFT trained on a base it had changed', () => {
  it.each([
    ['pissa', 1.5, {}],
    ['pissa-rslora', 3, { useRslora: true }],
    ['olora', 1.5, {}],
  ] as const)(
    'by %s is made plain by the base itself, or by what was saved before training',
    async (init, s, config) => {
      // "Training" has made every factor a tenth larger.
      const trained = peft(init, 1.1, config);
      const changed = await caseOf(init, changedBase(init, s));
      const wanted = await outputOf(
        changed,
        new Adapter({ ...trained.config, initLoraWeights: true }, trained.tensors),
      );
      expect(furthest(await outputOf(base), wanted)).toBeGreaterThan(0.01);
      for (const from of [base.model, peft(init, 1, config)]) {
        const plain = await toPlainLora(trained, from);
        expect(plain.config.initLoraWeights).toBe(true);
        expect(plain.tensors.get('base_model.model.fc1.lora_A.weight')!.dims).toEqual([8, 24]);
        expect(furthest(await outputOf(base, plain), wanted)).toBeLessThan(2e-5);
      }
    },
  );

  it('is not used as it is, unless the model is said to be that base', async () => {
    await expect(base.model.place(peft('pissa', 1))).rejects.toThrow(
      'The adapter counts from a base that its initialisation "pissa" has changed. Make it plain LoRA (toPlainLora; ',
    );
    const { tunings } = await base.model.place(peft('pissa', 1), { allowBaseMismatch: true });
    expect(tunings).toHaveLength(2);
  });
});

describe('what PEFT trained, for a few steps', () => {
  const adapterOf = (kind: string, stage: string, config: AdapterConfig): Adapter => {
    const prefix = `${kind}.${stage}.`;
    const own = [...trainedByPeft].filter(([name]) => name.startsWith(prefix));
    return new Adapter(config, new Map(own.map(([name, each]) => [name.slice(prefix.length), each])));
  };

  it.each([
    ['pissa', {}, { r: 8, loraAlpha: 12 }],
    ['pissa-rslora', { useRslora: true }, { r: 8, loraAlpha: 6 * Math.SQRT2 }],
    [
      'olora',
      { rankPattern: { fc2: 2 }, alphaPattern: { fc1: 3 } },
      { r: 8, loraAlpha: 12, rankPattern: { fc2: 4 }, alphaPattern: { fc1: 6 } },
    ],
    ['pissa-dora', { useDora: true }, { r: 8, loraAlpha: 12, useDora: true }],
  ])('by %s becomes what PEFT makes of it, and computes the same', async (kind, given, expected) => {
    const [initLoraWeights] = kind.split('-');
    const config = adapterConfig({ r: 4, loraAlpha: 6, initLoraWeights: initLoraWeights!, ...given });
    const [trained, initial] = [adapterOf(kind, 'trained', config), adapterOf(kind, 'initial', config)];
    const plain = await toPlainLora(trained, initial);
    expect(plain.config).toMatchObject({ ...expected, initLoraWeights: true });
    // PEFT's conversion leaves DoRA's magnitude out.
    for (const [name, each] of adapterOf(kind, 'plain', config).tensors) expect(plain.tensors.get(name)).toEqual(each);
    expect(plain.tensors.size).toBe(trained.tensors.size);
    for (const each of [plain, await toPlainLora(trained, base.model)])
      expect(furthest(await outputOf(base, each), trainedByPeft.get(`${kind}.y`)!)).toBeLessThan(2e-5);
  });
});

describe('is refused', () => {
  it('where the base was left alone, or does not say what was taken out of it', async () => {
    await expect(toPlainLora(peft('eva', 1), base.model)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: The adapter's initialisation ("eva") left its base alone, so the adapter is plain LoRA already. Use it as it is.]`,
    );
    await expect(toPlainLora(peft('lora-ga', 1), base.model)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: The initial values of "lora_ga" cannot be computed from the base alone. Give the adapter that was saved before training (--plain-from), or save it in PEFT with path_initial_model_for_weight_conversion.]`,
    );
  });

  it('for another base, or a module that the base has lost', async () => {
    const more = new Map(peft('pissa', 1).tensors);
    more.set('base_model.model.fc3.lora_A.weight', float32(new Float32Array(8), [4, 2]));
    more.set('base_model.model.fc3.lora_B.weight', float32(new Float32Array(8), [2, 4]));
    await expect(toPlainLora(new Adapter(peft('pissa', 1).config, more), base.model)).rejects.toThrow(
      'has no module "fc3", whose first values are needed',
    );
    const wide = new Map(
      [...peft('pissa', 1).tensors].map(([name, { dims }]) => {
        const own = dims.map((dim) => (dim === 4 ? 20 : dim));
        return [name, float32(new Float32Array(own[0]! * own[1]!), own)] as const;
      }),
    );
    await expect(toPlainLora(new Adapter({ ...peft('pissa', 1).config, r: 20 }, wide), base.model)).rejects.toThrow(
      '"fc2" of "' +
        base.model.name +
        '" cannot have started with "pissa": the layer has a weight [16, 32], which has 16',
    );
  });
});
