/** @file Modules chosen by an adapter's options, against PEFT's choice for the same options; and training with them. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Adapter,
  type Feeds,
  float32,
  int64,
  loadAdapter,
  type LoraOptions,
  merge,
  type Model,
  openModel,
  previewLora,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { crossEntropy, type Task } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { readTensor, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { linearNet } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';

const cases = fileURLToPath(new URL('fixtures/cases', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-options-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Case {
  readonly model: Model;
  readonly feeds: Feeds;
  readonly labels: Tensor;
}

async function openCase(name: string): Promise<Case> {
  const model = await openModel(path.join(cases, name, 'model.onnx'));
  const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
  const { labels, ...feeds } = Object.fromEntries(tensors) as Record<string, Tensor> & { labels: Tensor };
  return { model, feeds, labels };
}

/** One batch with everything in it, to be learned by heart. */
function task({ feeds, labels }: Case): Task<number> {
  return {
    name: 'memorise',
    prepare: () =>
      Promise.resolve({
        train: { length: 1, get: (i: number) => Promise.resolve(i) },
        collate: () => Promise.resolve({ inputs: feeds, targets: { labels } }),
        loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
        metrics: () => ({ update: () => undefined, result: () => ({}) }),
      }),
  };
}

async function logitsOf(model: Model, feeds: Feeds, adapter?: Adapter): Promise<Float32Array> {
  const session = await model.session({ adapters: adapter ? { adapter } : {}, provider: 'cpu', worker: false });
  try {
    const { logits } = await session.run(feeds, { adapter: adapter ? 'adapter' : null });
    return logits!.data as Float32Array;
  } finally {
    await session.release();
  }
}

function meanLoss(logits: Float32Array, { data }: Tensor): number {
  const classes = logits.length / data.length;
  const losses = Array.from(data as BigInt64Array, Number).flatMap((label, i) => {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    return label < 0 ? [] : [Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!];
  });
  return losses.reduce((sum, each) => sum + each, 0) / losses.length;
}

const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

async function trained(each: Case, lora: LoraOptions, steps: number): Promise<{ losses: number[]; adapter: Adapter }> {
  const run = await train(each.model, { task: task(each), lora, steps, lr: 2e-2, schedule: 'constant', provider: 'cpu', threads: 1 }); // prettier-ignore
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  return { losses, adapter: run.adapter };
}

/** Options as a user writes them, and the case that PEFT made with the same. */
const options: readonly (readonly [option: string, name: string, lora: LoraOptions])[] = [
  ['bias: all', 'lora-bias-all', { r: 4, loraAlpha: 8, targetModules: ['up', 'down'], bias: 'all' }],
  ['bias: lora_only', 'lora-bias-only', { r: 4, loraAlpha: 8, targetModules: ['up', 'down'], bias: 'lora_only' }],
  ['loraBias', 'lora-lora-bias', { r: 4, loraAlpha: 8, targetModules: ['up', 'down'], loraBias: true }],
  ['targetParameters', 'lora-target-parameters', { r: 4, loraAlpha: 40, targetParameters: ['up', 'experts.down'] }],
  [
    'trainableTokenIndices by name',
    'lora-trainable-tokens',
    { r: 4, loraAlpha: 8, targetModules: ['mix'], trainableTokenIndices: { tokens: [2, 5, 17] } },
  ],
  [
    'trainableTokenIndices of the only embedding',
    'lora-trainable-tokens',
    { r: 4, loraAlpha: 8, targetModules: ['mix'], trainableTokenIndices: [2, 5, 17] },
  ],
  ['a MultiheadAttention', 'lora-mha', { r: 4, loraAlpha: 8, targetModules: ['stem', 'attn'] }],
  [
    'ensureWeightTying',
    'lora-tied-embeddings-ensured',
    { r: 4, loraAlpha: 8, targetModules: ['lm_head', 'q_proj'], ensureWeightTying: true },
  ],
  [
    'a function',
    'lora-lora-bias',
    { r: 4, loraAlpha: 8, targetModules: ({ weight }) => /^layers\.\d\.(up|down)\./.test(weight), loraBias: true },
  ],
];

describe.each(options)('%s (%s)', (_, name, lora) => {
  it('adapts what PEFT adapts, under the same names', async () => {
    const each = await openCase(name);
    const { adapter } = await trained(each, lora, 1);
    const expected = await loadAdapter(path.join(cases, name, 'adapter'));
    const shapes = ({ tensors }: Adapter): Record<string, string> =>
      // PEFT saves copies of adapted embeddings along.
      Object.fromEntries([...tensors].filter(([key]) => !key.endsWith('base_layer.weight')).map(([key, { dims }]) => [key, dims.join('×')])); // prettier-ignore
    expect(shapes(adapter)).toEqual(shapes(expected));
    // The numbers that are trained, which for tied layers are one pair of factors.
    const isShared = (key: string): boolean => lora.ensureWeightTying === true && key.includes('lm_head');
    const count = [...adapter.tensors].reduce((sum, [key, { data }]) => sum + (isShared(key) ? 0 : data.length), 0);
    expect(previewLora(each.model, lora).trainableParameters).toBe(count);
  });

  it('starts at the base, learns, and what is saved, loaded and merged is what was trained', () =>
    expectLearning(name, lora));
});

async function expectLearning(name: string, lora: LoraOptions): Promise<Adapter> {
  const each = await openCase(name);
  const { losses } = await trained(each, lora, 6);
  expect(losses[0]).toBeCloseTo(meanLoss(await logitsOf(each.model, each.feeds), each.labels), 5);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.005);
  // One step less: its adapter has the loss that the last step began with.
  const { adapter } = await trained(each, lora, 5);
  const place = path.join(folder, `${name}-${Object.keys(lora).join('-')}`);
  await adapter.save(place, { overwrite: true });
  const loaded = await loadAdapter(place);
  const unmerged = await logitsOf(each.model, each.feeds, loaded);
  expect(meanLoss(unmerged, each.labels)).toBeCloseTo(losses[5]!, 5);
  const { files } = await merge(each.model, loaded, `${place}.onnx`, { overwrite: true });
  const merged = await logitsOf(await openModel(files[0]!), each.feeds);
  expect(furthest(merged, unmerged)).toBeLessThan(2e-5);
  return loaded;
}

it('trains the biases of a MultiheadAttention that PEFT trains', async () => {
  const adapter = await expectLearning('lora-mha', { r: 2, targetModules: ['attn'], bias: 'all' });
  // Those that torch calls `bias`: not attn.in_proj_bias. PEFT wraps out_proj inside its wrapper of attn.
  expect([...adapter.tensors.keys()].filter((key) => key.endsWith('bias')).sort()).toEqual([
    'base_model.model.attn.base_layer.out_proj.base_layer.bias',
    'base_model.model.head.bias',
    'base_model.model.stem.bias',
  ]);
});

describe('trained tokens', () => {
  it('are trained in the output layer too, where that shares the table', async () => {
    const name = 'lora-tied-embeddings-ensured';
    const adapter = await expectLearning(name, { targetModules: ['q_proj'], r: 2, trainableTokenIndices: [7, 20] });
    // Only the embedding's rows are saved, as PEFT does; what they do to the logits of these two tokens is more than that.
    expect([...adapter.tensors.keys()].filter((key) => !key.includes('q_proj'))).toEqual([
      'base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta',
    ]);
    const { model, feeds } = await openCase(name);
    const { type, dims, data } = feeds['input_ids']!;
    const unread = { ...feeds, input_ids: { type, dims, data: (data as BigInt64Array).map(() => 3n) } };
    const tensors = new Map([...adapter.tensors].filter(([key]) => !key.includes('q_proj')));
    const change = Float32Array.from(await logitsOf(model, unread, new Adapter(adapter.config, tensors)));
    const base = await logitsOf(model, unread);
    const moved = new Set([...change].flatMap((value, i) => (Math.abs(value - base[i]!) > 1e-6 ? [i % 40] : [])));
    expect([...moved].sort((a, b) => a - b)).toEqual([7, 20]);
  });

  it('may be all that is trained', async () => {
    const adapter = await expectLearning('lora-trainable-tokens', {
      targetModules: [],
      trainableTokenIndices: { tokens: [2, 5, 17, 1, 9] },
    });
    // PEFT's value for an adapter without low-rank modules.
    expect(adapter.config.targetModules).toBe('dummy-target-modules');
  });
});

it('leaves out whole rows or features where that is said, in a run that continues from the file as well', async () => {
  const opened = await openCase('lora-linear');
  const lossesOf = async (more: Pick<Parameters<typeof train>[1], 'lora' | 'from'>): Promise<[number[], Adapter]> => {
    const run = await train(opened.model, { task: task(opened), steps: 3, lr: 0.05, ...more });
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    return [losses, (await run.done).adapter];
  };
  const lora = { r: 4, targetModules: ['up', 'down'], loraDropout: 0.5 } satisfies LoraOptions;
  const found = new Map<string, string>();
  for (const loraDropoutPattern of ['element', 'column', 'row'] as const) {
    const [losses, adapter] = await lossesOf({ lora: { ...lora, loraDropoutPattern } });
    const key = adapter.config.extra['lora_dropout_pattern'];
    expect(key).toBe(loraDropoutPattern === 'element' ? undefined : loraDropoutPattern);
    const saved = path.join(folder, `dropout-${loraDropoutPattern}`);
    await adapter.save(saved);
    const [more] = await lossesOf({ from: saved });
    const [asElements] = await lossesOf({ from: new Adapter({ ...adapter.config, extra: {} }, adapter.tensors) });
    // The first step draws the same bits for each: as many of them as are left out together.
    if (key === undefined) expect(more).toEqual(asElements);
    else expect(more).not.toEqual(asElements);
    found.set(loraDropoutPattern, losses.join());
  }
  expect(new Set(found.values()).size).toBe(3);
  expect(() => previewLora(opened.model, { ...lora, loraDropout: 0, loraDropoutPattern: 'row' })).toThrow('loraDropoutPattern "row" says how loraDropout leaves out, which is 0.'); // prettier-ignore
  expect(() => previewLora(opened.model, { ...lora, loraDropoutPattern: 'rows' as 'row' })).toThrow(
    'loraDropoutPattern',
  );
});

describe('what cannot be done is an error that says what can', () => {
  const never = (): boolean => false;
  it.each<[string, LoraOptions, string, RegExp]>([
    [
      'lora-linear',
      { targetModules: never },
      'TARGET_NOT_FOUND',
      /None of the 10 modules .* is accepted .*"path":"stem"/,
    ],
    [
      'lora-linear',
      { targetModules: never, layersToTransform: 1 },
      'CONFIG_INVALID',
      /Let the function look at the path/,
    ],
    ['lora-linear', { targetModules: [] }, 'CONFIG_INVALID', /nothing would be trained/],
    ['lora-linear', { targetModules: ['up'], loraBias: true, useDora: true }, 'CONFIG_INVALID', /useDora and loraBias/],
    [
      'lora-linear',
      { targetModules: ['up'], loraBias: true, initLoraWeights: 'pissa' },
      'CONFIG_INVALID',
      /loraBias and another/,
    ],
    [
      'lora-linear',
      { targetModules: ['up'], ensureWeightTying: true },
      'CONFIG_INVALID',
      /no layer .* shares its weight/,
    ],
    [
      'lora-linear',
      { targetModules: ['up'], targetParameters: ['up.weight'] },
      'CONFIG_INVALID',
      /"layers\.0\.up\.weight" .* adapts already/,
    ],
    [
      'lora-linear',
      { targetModules: ['up'], targetParameters: ['up.wight'] },
      'TARGET_NOT_FOUND',
      /Did you mean "up\.weight"/,
    ],
    ['lora-linear', { targetModules: ['up'], trainableTokenIndices: [1] }, 'CONFIG_INVALID', /has no embedding/],
    [
      'lora-target-parameters',
      { targetParameters: ['experts.upp'] },
      'TARGET_NOT_FOUND',
      /Did you mean "experts\.up" or "experts\.down"\? Bare parameters: "experts\.up", "experts\.down"/,
    ],
    [
      'lora-target-parameters',
      { targetParameters: ['experts.up'], useDora: true },
      'CONFIG_INVALID',
      /useDora and targetParameters/,
    ],
    [
      'lora-target-parameters',
      { targetParameters: ['up'], rankPattern: { down: 2 } },
      'TARGET_NOT_FOUND',
      /rankPattern "down" has no effect/,
    ],
    [
      'lora-trainable-tokens',
      { targetModules: [], targetParameters: ['tokens.weight'] },
      'CONFIG_INVALID',
      /an embedding\. Name its module in targetModules: "tokens"/,
    ],
    [
      'lora-trainable-tokens',
      { targetModules: ['mix'], trainableTokenIndices: [1, 20] },
      'CONFIG_INVALID',
      /from 0 to 19, each once, but 20/,
    ],
    [
      'lora-trainable-tokens',
      { targetModules: ['mix'], trainableTokenIndices: [1, 1] },
      'CONFIG_INVALID',
      /each once, but 1/,
    ],
    [
      'lora-trainable-tokens',
      { targetModules: ['mix'], trainableTokenIndices: { tokens: [] } },
      'CONFIG_INVALID',
      /names no token/,
    ],
    [
      'lora-trainable-tokens',
      { targetModules: ['mix'], trainableTokenIndices: { toknes: [1] } },
      'TARGET_NOT_FOUND',
      /Did you mean "tokens"/,
    ],
    [
      'lora-trainable-tokens',
      { targetModules: ['tokens'], trainableTokenIndices: [1] },
      'CONFIG_INVALID',
      /"tokens" is adapted/,
    ],
    ['lora-mha', { targetModules: ['out_proj'] }, 'CONFIG_INVALID', /Name "attn" in its place/],
    ['lora-mha', { targetModules: ['attn'], useDora: true }, 'CONFIG_INVALID', /useDora and a MultiheadAttention/],
    [
      'lora-tied-embeddings-ensured',
      { targetModules: ['q_proj'], ensureWeightTying: true },
      'CONFIG_INVALID',
      /Name "model\.embed_tokens"/,
    ],
    [
      'lora-tied-embeddings-ensured',
      { targetModules: ['q_proj'], modulesToSave: ['lm_head'], ensureWeightTying: true },
      'CONFIG_INVALID',
      /cannot be trained in full as one/,
    ],
    [
      'lora-tied-embeddings-ensured',
      { targetModules: ['embed_tokens'], ensureWeightTying: true, alphaPattern: { embed_tokens: 3 } },
      'CONFIG_INVALID',
      /tell them apart/,
    ],
    [
      'lora-tied-embeddings-ensured',
      { targetModules: ['lm_head'], trainableTokenIndices: [1] },
      'CONFIG_INVALID',
      /"lm_head" is adapted/,
    ],
  ])('%s %o', async (name, lora, code, message) => {
    const { model } = await openCase(name);
    expect(() => previewLora(model, lora)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
    );
  });
});

it('DoRA leaves an output without weights alone, as a padding token in a tied table has', async () => {
  const net = linearNet({ hidden: 6 });
  const initializer = net.graph.initializer!.map((tensor) => {
    if (tensor.name !== 'encoder.1.weight' && tensor.name !== 'encoder.1.bias') return tensor;
    const { dims, data } = readTensor(tensor);
    const row = data.length / dims[0]!;
    return tensorProto(tensor.name, float32((data as Float32Array).map((value, i) => (i < row ? 0 : value)), dims)); // prettier-ignore
  });
  const file = path.join(folder, 'padding.onnx');
  writeOnnx(file, { ...net, graph: { ...net.graph, initializer } });
  const feeds = { x: float32(Array.from({ length: 16 }, (_, i) => Math.sin(i)), [2, 8]) }; // prettier-ignore
  const each = { model: await openModel(file), feeds, labels: int64([0, 2], [2]) };
  const { losses, adapter } = await trained(each, { r: 2, targetModules: ['encoder.1'], useDora: true }, 4);
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.005);
  const unmerged = await logitsOf(each.model, feeds, adapter);
  const { files } = await merge(each.model, adapter, path.join(folder, 'padding-merged.onnx'));
  expect(furthest(await logitsOf(await openModel(files[0]!), feeds), unmerged)).toBeLessThan(1e-5);
  expect([...unmerged].every(Number.isFinite)).toBe(true);
});
