/** @file LoRAHub: weights of a sum of adapters for a new task, found on a few examples without gradients. */

import { type Adapter, combineAdapters, type Model, OnnxLoraError } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { Task } from '@onnx-lora/sdk/tasks';
import { BlendLoss, type BlendLossOptions } from './blendLoss.ts';
import { search } from './search.ts';

/** Options of {@link loraHub}. */
export interface LoraHubOptions extends BlendLossOptions {
  /** LoRAs of one base, by the names that `weights` uses. */
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** The new task: its training examples, some dozens, give the loss to minimise. */
  readonly task: Task;
  /** Weightings to try; 40 by default. Each takes a pass over the examples. */
  readonly evaluations?: number;
  /** Seed of the search; 0 by default. The search is deterministic. */
  readonly seed?: number;
  /** Weights are in [−bound, bound]; 1.5 by default. */
  readonly bound?: number;
  /** Factor of the mean |wᵢ| in the objective; 0.05 by default. */
  readonly penalty?: number;
  /** Called after each weighting with their number so far and this one's loss. */
  readonly onEvaluation?: (done: number, loss: number) => void;
}

/** Result of {@link loraHub}. */
export interface LoraHubResult {
  /** Σ wᵢ·ΔWᵢ as one plain LoRA; its rank is the sum of the ranks. */
  readonly adapter: Adapter;
  /** wᵢ by adapter name. */
  readonly weights: Readonly<Record<string, number>>;
  /** Mean loss of the examples with the adapter, without the penalty. */
  readonly loss: number;
}

/** Step size of the search at its start; larger ones find less in a few dozen weightings. */
const FIRST_STEP = 0.2;

/**
 * Finds the weights of adapters, trained on other tasks, whose sum solves a new one: minimises loss + penalty · mean
 * |wᵢ| from zero weights by the (1+1)-Cholesky-CMA-ES, where the authors use nevergrad's NGOpt. The authors weight A
 * and B separately, so that wᵢ counts squared and with cross terms; here wᵢ weights ΔWᵢ, as `cat` does.
 *
 * Huang et al., "LoraHub: Efficient Cross-Task Generalization via Dynamic LoRA Composition" (2023), arXiv:2307.13269.
 * @example
 * const { adapter, weights } = await loraHub(model, { adapters: { turned, inverted }, task: imageClassification('both') });
 * @throws OnnxLoraError `CONFIG_INVALID` for numbers out of range; `INPUT_INVALID` without adapters, and for adapters
 *   that cannot be subtracted (DoRA, a trained head); `LOSS_NOT_FINITE` where the base's loss is not finite; as
 *   `task.prepare` and `model.session`
 */
export async function loraHub(model: Model, options: LoraHubOptions): Promise<LoraHubResult> {
  const { adapters, task, evaluations = 40, seed = 0, bound = 1.5, penalty = 0.05, onEvaluation, ...load } = options;
  requireNumbers({ evaluations, bound, penalty, batchSize: load.batchSize ?? 1 });
  const names = Object.keys(adapters);
  const sumOf = (weights: readonly number[]): Adapter =>
    combineAdapters(names.map((name, i) => ({ adapter: adapters[name]!, weight: weights[i]!, name })), { method: 'cat' }); // prettier-ignore
  // Fails before anything is computed for adapters that cannot be subtracted.
  sumOf(names.map(() => -1));
  await using losses = await BlendLoss.open(model, task, adapters, load);
  const named = (weights: readonly number[]): Record<string, number> => Object.fromEntries(names.map((name, i) => [name, weights[i]!])); // prettier-ignore
  const cost = (weights: readonly number[]): number => (penalty * weights.reduce((sum, each) => sum + Math.abs(each), 0)) / names.length; // prettier-ignore
  let done = 0;
  const { numbers, loss } = await search(
    async (weights) => {
      const own = await losses.of(named(weights));
      if (done === 0 && !Number.isFinite(own))
        throw new OnnxLoraError('LOSS_NOT_FINITE', `The loss of "${model.name}" without an adapter is ${own}. Look at the examples and the task's loss.`); // prettier-ignore
      onEvaluation?.(++done, own);
      return own + cost(weights);
    },
    { start: names.map(() => 0), bound, step: FIRST_STEP, evaluations, random: new Random(seed) },
  );
  return { adapter: sumOf(numbers), weights: named(numbers), loss: loss - cost(numbers) };
}

function requireNumbers(numbers: Readonly<Record<'evaluations' | 'batchSize' | 'bound' | 'penalty', number>>): void {
  const { evaluations, batchSize, bound, penalty } = numbers;
  const check = (name: keyof typeof numbers, what: string, is: boolean): void => {
    if (!is)
      throw new OnnxLoraError('CONFIG_INVALID', `${name} of loraHub must be ${what}, but it is ${numbers[name]}.`);
  };
  check('evaluations', 'a whole number of at least 1', Number.isSafeInteger(evaluations) && evaluations > 0);
  check('batchSize', 'a whole number of at least 1', Number.isSafeInteger(batchSize) && batchSize > 0);
  check('bound', 'a number above 0', bound > 0 && Number.isFinite(bound));
  check('penalty', 'a number of at least 0', penalty >= 0 && Number.isFinite(penalty));
}
