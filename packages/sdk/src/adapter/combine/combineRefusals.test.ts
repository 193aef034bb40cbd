/** @file Refusals of adapters that do not combine, with a reason and a remedy; other values are kept. */

import { describe, expect, it } from 'vitest';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { adapterConfig, type AdapterConfig, formatAdapterConfig, parseAdapterConfig } from '../formats/peftConfig.ts';
import { combineAdapters } from './combine.ts';
import { negate } from './negate.ts';
import type { CombineOptions, CombinePart } from './options.ts';

const PREFIX = 'base_model.model.';
const pair = { 'q.lora_A.weight': float32([1, 2], [1, 2]), 'q.lora_B.weight': float32([3], [1, 1]) };

function adapter(tensors: Record<string, Tensor>, config: Partial<AdapterConfig> = {}, digest?: string): Adapter {
  const named = new Map(Object.entries(tensors).map(([name, tensor]) => [PREFIX + name, tensor]));
  return new Adapter(adapterConfig({ r: 1, loraAlpha: 1, targetModules: ['q'], ...config }), named, digest);
}

const plain = adapter(pair);

function message(parts: readonly CombinePart[], options: CombineOptions = { method: 'linear' }): string {
  try {
    combineAdapters(parts, options);
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
  throw new Error('nothing was refused');
}

/** Refused beside a plain one. */
const beside = (other: Adapter): string =>
  message([
    { adapter: plain, name: 'plain' },
    { adapter: other, name: 'other' },
  ]);

describe('adapters that have no sum', () => {
  it('DoRA', () => {
    expect(beside(adapter({ ...pair, 'q.lora_magnitude_vector': float32([1], [1]) }))).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter "other" is DoRA, which cannot be combined: a magnitude multiplies the whole weight, so the adapter's change is no sum of low-rank products. Serve the adapter as it is, or train it without DoRA."`,
    );
  });

  it('trained tokens', () => {
    expect(beside(adapter({ 'e.token_adapter.trainable_tokens_delta': float32([1], [1, 1]) }))).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter "other" has trained token embeddings, which cannot be combined: they replace rows of the base, and weights cannot be applied to them without it. Train the adapter without them."`,
    );
  });

  it('bare parameters', () => {
    expect(beside(adapter(pair, { targetParameters: ['experts.up'] }))).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter "other" adapts bare parameters (target_parameters), which cannot be combined: their tensors do not say which parameter is meant. Train the adapter on modules instead."`,
    );
  });

  it('variants that compute something else', () => {
    expect(beside(adapter(pair, { extra: { use_qalora: true } }))).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter "other" is a variant of LoRA (use_qalora), which cannot be combined: what it computes is not scaling times B times A on the layer's input. Merge it in PEFT, or train it as plain LoRA."`,
    );
  });

  it('an initialisation that changed the base', () => {
    expect(beside(adapter(pair, { initLoraWeights: 'pissa_niter_16' }))).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter "other" counts from a base that its initialisation "pissa_niter_16" has changed, which cannot be combined: the others count from the base itself. Make it plain LoRA first: toPlainLora, or onnx-lora convert with --plain-from."`,
    );
  });

  it('but not those whose options change nothing', () => {
    const { config } = combineAdapters(
      [
        { adapter: adapter(pair, { extra: { use_qalora: false, kasa_config: null }, initLoraWeights: 'eva' }) },
        { adapter: plain },
      ],
      { method: 'linear' },
    );
    expect(config.initLoraWeights).toBe(true);
  });
});

describe('adapters that do not belong together', () => {
  it('of other shapes', () => {
    const wide = adapter({ 'q.lora_A.weight': float32([1, 2, 3], [1, 3]), 'q.lora_B.weight': float32([3], [1, 1]) });
    expect(beside(wide)).toMatchInlineSnapshot(
      `"ADAPTER_MISMATCH: Adapter "plain" and adapter "other" are of different models: "q" is 2 → 1 in the first, and 3 → 1 in the second. Combine adapters of one base model."`,
    );
  });

  it('of other bases', () => {
    expect(
      message([
        { adapter: adapter(pair, {}, 'aaaaaaaaaaaaaaaa') },
        { adapter: plain },
        { adapter: adapter(pair, {}, 'bbbbbbbbbbbbbbbb') },
      ]),
    ).toMatchInlineSnapshot(
      `"ADAPTER_MISMATCH: Adapter 1 of 3 and adapter 3 of 3 were trained on different base weights (sha256 aaaaaaaaaaaa… and bbbbbbbbbbbb…), so their changes do not add up to anything. Combine adapters of one base model."`,
    );
  });

  it('under the names of transformers 4 and 5', () => {
    const named = (path: string): Adapter =>
      adapter({ [`${path}.lora_A.weight`]: float32([1], [1, 1]), [`${path}.lora_B.weight`]: float32([1], [1, 1]) });
    const [old, recent] = [
      named('vit.encoder.layer.0.attention.attention.query'),
      named('vit.layers.0.attention.q_proj'),
    ];
    expect(message([{ adapter: recent }, { adapter: plain }, { adapter: old }])).toMatchInlineSnapshot(
      `"ADAPTER_MISMATCH: Adapter 3 of 3 names its modules as transformers 4 does ("vit.encoder.layer.0.attention.attention.query"), and adapter 1 of 3 as transformers 5 ("vit.layers.0.attention.q_proj"), so that their changes would not meet. Give both the same names first: inNaming(adapter, 5, model), or onnx-lora convert with --names 5."`,
    );
    expect(() => combineAdapters([{ adapter: old }, { adapter: plain }], { method: 'linear' })).not.toThrow();
  });

  it('but one that does not know its base is believed', () => {
    const known = adapter(pair, {}, 'aaaa');
    expect(combineAdapters([{ adapter: plain }, { adapter: known }], { method: 'linear' }).baseDigest).toBe('aaaa');
    expect(combineAdapters([{ adapter: plain }], { method: 'linear' }).baseDigest).toBeUndefined();
  });
});

describe('parameters trained in full', () => {
  const head = (value: number): Record<string, Tensor> => ({ ...pair, 'head.weight': float32([value], [1, 1]) });
  const withHead = (value: number): Adapter => adapter(head(value), { modulesToSave: ['head'] });

  it('are kept where one adapter has them, or all agree', () => {
    for (const parts of [
      [withHead(2), plain],
      [plain, withHead(2)],
      [withHead(2), withHead(2)],
    ]) {
      const result = combineAdapters(
        parts.map((each) => ({ adapter: each, weight: 0.5 })),
        { method: 'linear' },
      );
      expect(result.tensors.get(`${PREFIX}head.weight`)).toEqual(float32([2], [1, 1]));
      expect(result.config.modulesToSave).toEqual(['head']);
    }
  });

  it('are refused where they differ', () => {
    expect(
      message([
        { adapter: withHead(2), name: 'cats' },
        { adapter: withHead(3), name: 'birds' },
      ]),
    ).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter "cats" and adapter "birds" have both trained "head.weight" in full, to different values, and without the base's own these cannot be weighed. Train the adapters without modules_to_save and biases, or serve them side by side."`,
    );
  });

  it('are refused where another adapter adapts the same layer', () => {
    const low = adapter({ 'head.lora_A.weight': float32([1], [1, 1]), 'head.lora_B.weight': float32([1], [1, 1]) });
    expect(message([{ adapter: withHead(2) }, { adapter: low }])).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter 1 of 2 has trained "head.weight" in full, and adapter 2 of 2 adapts it from the base's values, which are gone then. Train both in the same way, or serve them side by side."`,
    );
  });

  it('cannot be subtracted', () => {
    expect(message([{ adapter: plain }, { adapter: withHead(2), weight: -1 }])).toMatchInlineSnapshot(
      `"INPUT_INVALID: Adapter 2 of 2 has trained "head.weight" in full, and with the weight -1 it would have to be subtracted from the base's, which the adapter does not hold. Use an adapter without modules_to_save and biases."`,
    );
    expect(() => negate(withHead(2))).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: The adapter's tensor "base_model.model.head.weight" was trained in full, and its opposite depends on the base's values, which the adapter does not hold. Negate an adapter without modules_to_save and biases.]`,
    );
  });

  it('trained biases are kept under their own names', () => {
    const biased = adapter({ ...pair, 'q.base_layer.bias': float32([7], [1]) }, { bias: 'lora_only' });
    const result = combineAdapters([{ adapter: biased }, { adapter: plain }], { method: 'linear' });
    expect(result.tensors.get(`${PREFIX}q.base_layer.bias`)).toEqual(float32([7], [1]));
    expect(result.config.bias).toBe('lora_only');
  });
});

describe('broken adapters', () => {
  it.each<[string, Record<string, Tensor>]>([
    ['half a pair', { 'q.lora_A.weight': float32([1, 2], [1, 2]) }],
    ['ranks that differ', { 'q.lora_A.weight': float32([1, 2], [1, 2]), 'q.lora_B.weight': float32([1, 2], [1, 2]) }],
    ['no rank at all', { 'q.lora_A.weight': float32([], [0, 2]), 'q.lora_B.weight': float32([], [1, 0]) }],
    ['vectors', { 'q.lora_A.weight': float32([1], [1]), 'q.lora_B.weight': float32([1], [1]) }],
    ['values that are not finite', { ...pair, 'q.lora_B.weight': float32([NaN], [1, 1]) }],
    ['a bias of another size', { ...pair, 'q.lora_B.bias': float32([1, 2], [2]) }],
  ])('%s', (_, tensors) => {
    expect(beside(adapter(tensors))).toMatchSnapshot();
  });
});

it('sums beyond float32 are refused', () => {
  const large = adapter({ 'q.lora_A.weight': float32([1e30], [1, 1]), 'q.lora_B.weight': float32([1], [1, 1]) });
  expect(message([{ adapter: large, weight: 1e10 }])).toMatchInlineSnapshot(
    `"INPUT_INVALID: The combined adapter of "q" has values beyond what float32 can hold. Choose smaller weights."`,
  );
});

/** Combined unless others are given. */
type Parts = readonly CombinePart[];

describe('options', () => {
  it.each<[string, CombineOptions | object, Parts?]>([
    ['no adapters', { method: 'linear' }, []],
    ['an unknown method', { method: 'tise' }],
    ['a name of the language', { method: 'constructor' }],
    ['a weight that is no number', { method: 'linear' }, [{ adapter: plain, weight: NaN }]],
    ['a rank of nothing', { method: 'svd', rank: 0 }],
    ['a rank where it is the sum', { method: 'cat', rank: 3 }],
    ['no density', { method: 'ties' }],
    ['a density of nothing', { method: 'ties', density: 0 }],
    ['a density for a sum', { method: 'svd', density: 0.5 }],
    ['an election for a sum', { method: 'svd', majoritySign: 'total' }],
    ['an unknown election', { method: 'ties', density: 0.5, majoritySign: 'most' }],
    ['a seed that is none', { method: 'linear', seed: 1.5 }],
    ['an unknown tool', { method: 'linear', compat: 'mergekit' }],
    ['slerp of three', { method: 'slerp' }, [{ adapter: plain }, { adapter: plain }, { adapter: plain }]],
    ['slerp backwards', { method: 'slerp' }, [{ adapter: plain, weight: -1 }, { adapter: plain }]],
    ['slerp as PEFT', { method: 'slerp', compat: 'peft' }, [{ adapter: plain }, { adapter: plain }]],
  ])('%s', (_, options, parts = [{ adapter: plain }]) => {
    expect(message(parts, options as CombineOptions)).toMatchSnapshot();
  });
});

it('the config is one that PEFT reads, with nothing left of what no longer holds', () => {
  const from = (config: Partial<AdapterConfig>): Adapter =>
    adapter(pair, {
      taskType: 'SEQ_CLS',
      rankPattern: { q: 1 },
      useRslora: true,
      loraDropout: 0.1,
      layersToTransform: [0],
      extra: { peft_version: '0.13.0', auto_mapping: { base_model_class: 'Two' }, revision: null },
      ...config,
    });
  const { config } = combineAdapters(
    [{ adapter: from({ baseModelNameOrPath: '/a' }) }, { adapter: from({ baseModelNameOrPath: '/b' }) }],
    { method: 'linear' },
  );
  const written = JSON.parse(formatAdapterConfig(config)) as Record<string, unknown>;
  expect(written).toMatchObject({
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 2,
    target_modules: ['q'],
    rank_pattern: {},
    alpha_pattern: {},
    use_rslora: false,
    layers_to_transform: null,
    lora_dropout: 0,
    task_type: 'SEQ_CLS',
    base_model_name_or_path: null,
    auto_mapping: { base_model_class: 'Two' },
  });
  expect(parseAdapterConfig(written, 'config')).toMatchObject({ r: 2, loraAlpha: 2 });
});
