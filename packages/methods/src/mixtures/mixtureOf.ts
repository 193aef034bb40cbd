/** @file Makes a routed mixture of several LoRAs as one adapter. */

import { Adapter, float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { addScaled, type Matrix, type Tuner } from '@onnx-lora/sdk/plugin';
import { arrow } from './arrow.ts';
import { mola } from './mola.ts';
import { xlora } from './xlora.ts';
import { factorsOf, mainDirection, type ModuleFactors } from './factors.ts';

/** Options of {@link mixtureOf}. */
export interface MixtureOptions {
  /**
   * `arrow`, the default: by each adapter's main direction, untrained. `trained`: by a router that `train` still has to
   * train from this adapter (`from`) on examples of all adapters, which stay frozen. `xlora`: the same with one
   * classifier that reads the base's last features: better informed, at twice the cost.
   */
  readonly router?: 'arrow' | 'trained' | 'xlora';
  /** Adapters per token; 3 with `arrow`, 2 with `trained`, all with `xlora`. */
  readonly topK?: number;
  /** For `arrow`: divides the scores; below 1 the choice is sharper. 1 by default. */
  readonly temperature?: number;
  /** For `arrow`: adapters of general knowledge; their mean A and mean B are subtracted first, as PEFT does. */
  readonly general?: readonly Adapter[];
  /** For `xlora`: input features of the model's last linear layer. */
  readonly hiddenSize?: number;
  /** For `trained` and `xlora`: routes each token, the default, or each example as a whole. */
  readonly routeBy?: 'token' | 'example';
}

/**
 * One adapter of several, for inputs of all of their kinds: it routes each token to those that fit it. It is served as
 * any adapter, in one run; it cannot be merged, as its output depends on the input.
 *
 * Arrow: Ostapenko et al., "Towards Modular LLMs by Building and Reusing a Library of LoRAs" (2024), arXiv:2405.11157.
 * @example
 * const model = await openModel('models/vit', { plugins: [methodsPlugin] });
 * const mixture = mixtureOf({ turned, inverted, noisy });
 * const session = await model.session({ adapters: { mixture } });
 * @param adapters LoRAs of linear layers, by the names that the mixture's config keeps; they may adapt different layers
 * @throws OnnxLoraError `INPUT_INVALID` for fewer than two adapters, for anything but LoRAs of linear layers, and for
 *   different bases
 */
export function mixtureOf(adapters: Readonly<Record<string, Adapter>>, options: MixtureOptions = {}): Adapter {
  const { router = 'arrow', topK, temperature = 1, general = [], routeBy = 'token', hiddenSize } = options;
  const names = Object.keys(adapters);
  if (names.length < 2) throw new OnnxLoraError('INPUT_INVALID', 'A mixture needs at least two adapters. Name more.');
  const bases = new Set(Object.values(adapters).flatMap(({ baseDigest }) => baseDigest ?? []));
  if (bases.size > 1) throw new OnnxLoraError('INPUT_INVALID', `The adapters ${names.join(', ')} were trained on different base models. Mix those of one.`); // prettier-ignore
  const known = general.map((each, i) => factorsOf(each, `general ${i}`));
  const experts = names.map((name) => withoutMean(factorsOf(adapters[name]!, name), known));
  const modules = [...new Set(experts.flatMap((each) => [...each.keys()]))];
  const r = Math.max(...experts.flatMap((each) => [...each.values()].map(({ A }) => A.rows)));
  const chosen = (): { readonly tuner: Tuner; readonly settings: Readonly<Record<string, unknown>> } => {
    if (router === 'arrow') return { tuner: arrow, settings: { experts: names, r, top_k: topK ?? 3, router_temperature: temperature } }; // prettier-ignore
    if (router === 'xlora') return { tuner: xlora, settings: { experts: names, r, hidden_size: hiddenSize, top_k_lora: topK ?? null, route_by: routeBy } }; // prettier-ignore
    return { tuner: mola, settings: { experts: names.length, r, lora_alpha: r, top_k: topK ?? 2, route_by: routeBy, train_experts: false } }; // prettier-ignore
  };
  const random = new Random(0);
  const tensors = new Map<string, Tensor>();
  for (const module of modules) {
    const own = experts.map((each) => each.get(module));
    const { A, B } = own.find((each) => each !== undefined)!;
    const stack = (
      word: string,
      dims: readonly number[],
      fill: (each: ModuleFactors, into: Float32Array) => void,
    ): void => {
      const size = dims.reduce((product, dim) => product * dim, 1);
      const data = new Float32Array(names.length * size);
      own.forEach((each, i) => {
        if (each) fill(each, data.subarray(i * size, (i + 1) * size));
      });
      tensors.set(`base_model.model.${module}.${word}`, float32(data, [names.length, ...dims]));
    };
    const prefix = router === 'trained' ? 'mola' : router;
    stack(`${prefix}_A`, [r, A.columns], (each, into) => into.set(each.A.data));
    // Pads the columns of a lower-rank expert with zeros.
    stack(`${prefix}_B`, [B.rows, r], ({ B: { columns, data }, scaling }, into) => {
      data.forEach((value, at) => (into[Math.floor(at / columns) * r + (at % columns)] = scaling * value));
    });
    if (router === 'arrow') stack('arrow_prototypes', [A.columns], (each, into) => into.set(mainDirection(each)));
    else if (router === 'trained')
      stack('mola_router', [A.columns], (_, into) => into.set(into.map(() => 0.02 * random.normal())));
  }
  const { tuner, settings } = chosen();
  if (router === 'xlora') addClassifier(tensors, settings, random);
  const [{ config, baseDigest }] = Object.values(adapters) as [Adapter];
  return new Adapter(
    {
      ...config,
      peftType: tuner.peftType,
      r: 0,
      loraAlpha: 0,
      targetModules: modules,
      rankPattern: {},
      alphaPattern: {},
      extra: { ...tuner.defaults, ...settings },
    },
    tensors,
    baseDigest,
  );
}

/**
 * Limits a mixture to its k best adapters; their weights are a softmax over them, so a single one has weight 1. A
 * router trains better with all adapters; once trained, the best one alone is closer to that adapter itself.
 * @param k adapters per token or example
 * @throws OnnxLoraError `INPUT_INVALID` for an adapter that is no mixture
 */
export function limitedToBest(mixture: Adapter, k = 1): Adapter {
  const changes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    [arrow.peftType]: { top_k: k },
    [mola.peftType]: { top_k: k },
    [xlora.peftType]: { top_k_lora: k, enable_softmax_topk: true },
  };
  const { config, tensors, baseDigest, notes } = mixture;
  const change = changes[config.peftType];
  if (!change) throw new OnnxLoraError('INPUT_INVALID', `An adapter of the type ${config.peftType} has no adapters to choose from. Make a mixture of several: mixtureOf.`); // prettier-ignore
  return new Adapter({ ...config, extra: { ...config.extra, ...change } }, tensors, baseDigest, notes);
}

/** X-LoRA's classifier with the init of torch's linear layers. */
function addClassifier(
  tensors: Map<string, Tensor>,
  { experts, hidden_size: width }: Readonly<Record<string, unknown>>,
  random: Random,
): void {
  // prettier-ignore
  if (width === undefined) throw new OnnxLoraError('CONFIG_INVALID', 'router "xlora" needs hiddenSize: how many features the last linear layer of the model reads.'); // prettier-ignore
  const [outputs, inputs] = [(experts as string[]).length, width as number];
  const drawn = (count: number): Float32Array => new Float32Array(count).map(() => random.uniform(-1, 1) / Math.sqrt(inputs)); // prettier-ignore
  tensors.set('base_model.xlora_classifier.0.weight', float32(drawn(outputs * inputs), [outputs, inputs]));
  tensors.set('base_model.xlora_classifier.0.bias', float32(drawn(outputs), [outputs]));
}

/** Subtracts the mean A and the mean B of general adapters. */
function withoutMean(
  own: Map<string, ModuleFactors>,
  general: readonly Map<string, ModuleFactors>[],
): Map<string, ModuleFactors> {
  // prettier-ignore
  const less = (of: Matrix, others: readonly Matrix[]): Matrix =>
    others.reduce((left, other) => addScaled(left, other, -1 / general.length), of);
  return new Map(
    [...own].map(([module, { A, B, scaling }]) => {
      const others = general.flatMap((each) => each.get(module) ?? []);
      return [module, { A: less(A, others.map((each) => each.A)), B: less(B, others.map((each) => each.B)), scaling }]; // prettier-ignore
    }),
  );
}
