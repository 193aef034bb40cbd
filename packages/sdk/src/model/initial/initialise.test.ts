import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convModel, convNet, tokenModel, tokenNet } from '../../../../../test/fixtures/smallNets.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { convertResidual } from '../../adapter/storage/convertResidual.ts';
import { scalingOf } from '../../adapter/formats/scaling.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { addScaled, type Matrix, matmul } from '../../linalg/matrix.ts';
import { golden, goldenMatrix, mlp, trainedByPeft } from '../../../fixtures/inits/mlp.ts';
import type { Initializer } from '../../lora/init/initializer.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, type Tensor } from '../../runtime/tensor.ts';
import { crossEntropy } from '../../train/losses/index.ts';
import { type Case, factorsOf, furthest, losses, mlpCase, outputOf, taskOf } from '../../../fixtures/memorise.ts';
import { openModel } from '../openModel.ts';
import { previewLora } from '../planning/previewLora.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-init-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The model of the fixtures with these weights. */
const mlpOf = (name: string, weightOf: (layer: string) => Tensor): Promise<Case> =>
  mlpCase(path.join(folder, `${name}.onnx`), mlp(weightOf));
const base = await mlpOf('base', (layer) => golden(`base.${layer}.weight`));

describe('training', () => {
  it('starts from the output that PEFT’s model had', async () => {
    expect(furthest(await outputOf(base), golden('base.y'))).toBeLessThan(1e-6);
  });

  // Each with what PEFT's config says afterwards: its name where PEFT leaves the base alone, and true where it would not.
  it.each([
    ['gaussian', {}, 'gaussian'],
    ['orthogonal', {}, 'orthogonal'],
    ['zeros', {}, true],
    ['pissa', {}, true],
    ['pissa', { useRslora: true }, true],
    ['pissa', { useDora: true }, true],
    ['pissa_niter_2', {}, true],
    ['olora', {}, true],
    ['corda', {}, true],
    ['corda_kpm', {}, true],
    ['eva', {}, 'eva'],
    ['lora_ga', {}, true],
    ['mica', {}, 'mica'],
    ['pissa', { rankPattern: { fc2: 2 }, alphaPattern: { fc1: 3 }, useRslora: true }, true],
  ] as const)(
    'with %s %o starts at the base’s loss, falls, and its adapter gives what was trained',
    async (name, more, saved) => {
      const run = await losses(base, { initLoraWeights: name, ...more }, { steps: 5, batchSize: 64, initBatches: 1 });
      expect(run.losses[0]).toBeCloseTo(base.lossOf(await outputOf(base)), 6);
      expect(run.losses[4]!).toBeLessThan(run.losses[0]!);
      // One step less, with the same order of batches: its adapter has the loss that step 5 began with.
      const shorter = await losses(
        base,
        { initLoraWeights: name, ...more },
        { steps: 4, batchSize: 64, initBatches: 1 },
      );
      const loaded = base.lossOf(await outputOf(base, shorter.adapter));
      expect(loaded).toBeCloseTo(run.losses[4]!, 5);
      expect(shorter.adapter.config.initLoraWeights).toBe(saved);
      for (const [tensor, { dims }] of shorter.adapter.tensors) {
        if (!tensor.includes('lora_A')) continue;
        expect(dims[0]).toBe(scalingOf(shorter.adapter.config, tensor.split('.')[2]!).r);
      }
    },
  );

  it('takes the steps that PEFT takes on the changed base', async () => {
    const scaling = 3; // alpha / √r
    const changed = await mlpOf('residual', (layer) => golden(`pissa-rslora.${layer}.base`));
    const firstOf = (layer: string): { A: Matrix; B: Matrix } => ({
      A: goldenMatrix(`pissa-rslora.${layer}.lora_A`),
      B: goldenMatrix(`pissa-rslora.${layer}.lora_B`),
    });
    const fromGoldens = (residual: boolean): Initializer => ({
      name: 'goldens',
      needs: 'nothing',
      init: ({ path: layer }) => ({ ...firstOf(layer), ...(residual ? { residual: 'subtract' } : {}) }),
    });
    const options = { useRslora: true };
    const peft = await losses(changed, { ...options, initLoraWeights: fromGoldens(false) });
    const ours = await losses(base, { ...options, initLoraWeights: fromGoldens(true) });
    ours.losses.forEach((loss, i) => expect(loss).toBeCloseTo(peft.losses[i]!, 5));
    // The trained factors on the changed base, and the converted adapter on the base, are one model.
    const expected = await outputOf(changed, new Adapter(peft.adapter.config, peft.adapter.tensors));
    expect(furthest(await outputOf(base, ours.adapter), expected)).toBeLessThan(1e-4);
    // And their weights are one matrix, by PEFT's own rule.
    const initial = new Adapter(
      peft.adapter.config,
      new Map(
        ['fc1', 'fc2'].flatMap((layer) =>
          ['lora_A', 'lora_B'].map(
            (factor) =>
              [`base_model.model.${layer}.${factor}.weight`, golden(`pissa-rslora.${layer}.${factor}`)] as const,
          ),
        ),
      ),
    );
    const converted = convertResidual(peft.adapter, initial);
    for (const layer of ['fc1', 'fc2']) {
      const delta = (adapter: Adapter): Matrix => {
        const { A, B } = factorsOf(adapter, layer);
        return matmul(B, A);
      };
      const trained = addScaled(goldenMatrix(`pissa-rslora.${layer}.base`), delta(peft.adapter), scaling);
      const onBase = addScaled(
        goldenMatrix(`base.${layer}.weight`),
        delta(converted),
        scalingOf(converted.config, layer).scaling,
      );
      expect(addScaled(trained, onBase, -1).data.every((value) => Math.abs(value) < 2e-6)).toBe(true);
    }
  });

  it.each([
    ['pissa', {}],
    ['pissa-rslora', { useRslora: true }],
    ['olora', { rankPattern: { fc2: 2 }, alphaPattern: { fc1: 3 } }],
    ['pissa-dora', { useDora: true }],
  ])('by %s has PEFT’s losses', async (kind, more) => {
    const run = await losses(base, { initLoraWeights: kind.split('-')[0]!, ...more }, { steps: 5 });
    const wanted = trainedByPeft.get(`${kind}.losses`)!.data;
    run.losses.forEach((loss, i) => expect(loss).toBeCloseTo(Number(wanted[i]), 4));
    expect(furthest(await outputOf(base, run.adapter), trainedByPeft.get(`${kind}.y`)!)).toBeLessThan(2e-3);
  });

  it('leaves B of mica as it is, and does not count it', async () => {
    const { adapter, trainable } = await losses(base, { initLoraWeights: 'mica' });
    expect(trainable).toBe(4 * 24 + 4 * 32);
    const lora = { r: 4, targetModules: ['fc1', 'fc2'], initLoraWeights: 'mica' };
    expect(previewLora(base.model, lora).trainableParameters).toBe(trainable);
    const B = adapter.tensors.get('base_model.model.fc1.lora_B.weight')!;
    const wanted = golden('mica.fc1.lora_B');
    (B.data as Float32Array).forEach((value, i) =>
      expect(Math.abs(value)).toBeCloseTo(Math.abs(Number(wanted.data[i])), 4),
    );
  });

  it('gives eva’s ranks to the layers whose inputs need them, and leaves out those that get none', async () => {
    const { adapter } = await losses(base, { initLoraWeights: 'eva', r: 3, loraAlpha: 6 }, { batchSize: 32 });
    const ranks = [...adapter.tensors].filter(([name]) => name.includes('lora_A')).map(([, { dims }]) => dims[0]!);
    expect(ranks.reduce((sum, rank) => sum + rank, 0)).toBe(6);
    const rank = (layer: string): number => scalingOf(adapter.config, layer).r;
    // The inputs of fc2 lie in few directions, those of fc1 are spread out.
    expect(rank('fc2')).toBeGreaterThan(rank('fc1'));
    expect(scalingOf(adapter.config, 'fc2').alpha).toBeCloseTo((6 * rank('fc2')) / 3, 12);
  });

  it('says which names there are', async () => {
    await expect(losses(base, { initLoraWeights: 'pizza' })).rejects.toThrow('Did you mean "pissa"');
  });

  it('refuses before it loads anything what cannot start so', async () => {
    await expect(losses(base, { initLoraWeights: 'orthogonal', r: 3 })).rejects.toThrow(
      '"fc1" cannot start with "orthogonal": the layer has rank 3, and orthogonal initialisation needs an even one.',
    );
    await expect(losses(base, { initLoraWeights: 'pissa', r: 20 })).rejects.toThrow(
      'has a weight [16, 32], which has 16 components, not 20',
    );
    await expect(losses(base, { initLoraWeights: 'lora_ga', r: 10 })).rejects.toThrow('16 components, not 20');
  });
});

describe('convolutions and embeddings', () => {
  const random = new Random(7);
  const rows = 4;

  async function small(name: string): Promise<Case> {
    const isConv = name === 'conv';
    const proto = isConv ? convModel() : tokenModel();
    const file = path.join(folder, `${name}.onnx`);
    writeOnnx(file, proto);
    const size = convNet.channels * convNet.side ** 2;
    const feeds: Feeds = isConv
      ? {
          x: float32(
            new Float32Array(rows * size).map(() => random.uniform(-1, 1)),
            [rows, convNet.channels, convNet.side, convNet.side],
          ),
        }
      : { ids: int64([1, 1, 4, 3, 0, 10, 5, 5, 5, 2, 7, 1], [rows, 3]) };
    const labels = int64([0, 1, 2, 0], [rows]);
    const output = proto.graph!.output![0]!.name!;
    const classes = isConv ? convNet.classes : tokenNet.vocabulary;
    return {
      model: await openModel(file),
      feeds,
      task: taskOf(rows, feeds, { labels }, (g, outputs, targets) =>
        crossEntropy(g, outputs[output]!, targets['labels']!),
      ),
      lossOf: ({ data }) =>
        [0, 1, 2, 0].reduce((sum, label, row) => {
          const logits = Array.from(data.slice(row * classes, (row + 1) * classes) as Float32Array);
          return sum + Math.log(logits.reduce((total, each) => total + Math.exp(each), 0)) - logits[label]!;
        }, 0) / rows,
    };
  }

  it.each([
    ['conv', ['stem', 'wide', 'head'], 'pissa', false],
    ['conv', ['stem', 'wide'], 'olora', true],
    ['conv', ['stem', 'wide'], 'lora_ga', false],
    ['token', ['embedding', 'mix'], 'pissa', false],
    ['token', ['embedding'], 'pissa', true],
    ['token', ['embedding', 'mix'], 'lora_ga', false],
  ] as const)(
    '%s %o with %s, DoRA %s: start at the base’s loss and end as saved',
    async (name, targets, init, useDora) => {
      const net = await small(name);
      const table = net.model.modules().find(({ kind }) => kind === 'embedding')?.path ?? '';
      const targetModules = targets.map((target) => (target === 'embedding' ? table : target));
      const lora = { r: 2, loraAlpha: 3, targetModules, initLoraWeights: init, useDora };
      const options = { steps: 5, batchSize: rows, initBatches: 1, lr: 1e-2 };
      const run = await losses(net, lora, options);
      expect(run.losses[0]).toBeCloseTo(net.lossOf(await outputOf(net)), 5);
      const shorter = await losses(net, lora, { ...options, steps: 4 });
      expect(net.lossOf(await outputOf(net, shorter.adapter))).toBeCloseTo(run.losses[4]!, 4);
      expect(Math.abs(run.losses[4]! - run.losses[0]!)).toBeGreaterThan(1e-3);
    },
  );

  it('are refused where an initialisation cannot be defined', async () => {
    const net = await small('conv');
    const attempt = (init: string, targetModules: readonly string[]): Promise<unknown> =>
      losses(net, { r: 2, targetModules, initLoraWeights: init }, { batchSize: rows });
    await expect(attempt('corda', ['stem'])).rejects.toThrow('"stem" cannot start with "corda": the layer is a conv2d');
    await expect(attempt('pissa', ['grouped'])).rejects.toThrow('is a grouped convolution');
  });
});
