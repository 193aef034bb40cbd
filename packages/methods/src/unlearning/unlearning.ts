/** @file Unlearning: a task that forgets some examples and keeps what is known of others. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Dataset, GraphBuilder, PreparedTask, Task, Value } from '@onnx-lora/sdk/tasks';

/** How the loss of what is to be forgotten, L_f, and of what is kept, L_r, are made one. */
export interface UnlearningOptions {
  /** What is forgotten; it trains on the task's training data. */
  readonly forget: Task;
  /** What is kept: of the same kind as `forget`, whose examples are in its batches. Its held-out data are what a run measures. */
  readonly retain: Task;
  /**
   * `bounded`, the default: L_r + weight · max(0, bound − L_f), which stops where enough is forgotten (GS-LoRA). `difference`:
   * L_r − weight · L_f. `ascent`: −weight · L_f. These two have no end: what they make of the rest must be watched.
   */
  readonly method?: 'bounded' | 'difference' | 'ascent';
  /** The loss of what is forgotten from which on nothing more is asked; 10 by default. That of guessing among n classes is log n. */
  readonly bound?: number;
  /** How much forgetting counts beside keeping; 1 by default. */
  readonly weight?: number;
}

/**
 * A task that unlearns: each step has as many examples to forget as to keep, which follow each other in a batch.
 *
 * Zhao et al., "Continual Forgetting for Pre-trained Vision Models" (2024), arXiv:2403.11530, for `bounded`.
 *
 * @example
 * const task = unlearning({ forget: imageClassification('sevens'), retain: imageClassification('others'), bound: Math.log(10) });
 * const { adapter } = await (await train(model, { task, lora: { targetModules: 'all-linear' }, steps: 100 })).done;
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a method that does not exist, and numbers that are none
 */
export function unlearning(options: UnlearningOptions): Task {
  const { forget, retain, method = 'bounded', bound = 10, weight = 1 } = options;
  const methods: readonly string[] = ['bounded', 'difference', 'ascent'];
  if (!methods.includes(method)) throw new OnnxLoraError('CONFIG_INVALID', `There is no way "${method}" to unlearn. There are ${methods.join(', ')}.`); // prettier-ignore
  for (const [name, value] of Object.entries({ bound, weight }))
    if (!(value > 0 && Number.isFinite(value))) throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0, and is ${value}.`); // prettier-ignore
  return {
    name: `unlearn-${retain.name}`,
    prepare: async (model) => {
      const [lost, kept] = await Promise.all([forget.prepare(model), retain.prepare(model)]);
      const own: Pick<PreparedTask, 'train' | 'collate' | 'loss' | 'lossWeight'> = {
        train: pairs(lost.train, kept.train),
        collate: async (examples) => {
          const both = examples as readonly (readonly [unknown, unknown])[];
          return kept.collate([...both.map(([each]) => each), ...both.map(([, each]) => each)]);
        },
        loss: (g, outputs, targets) => {
          const rows = rowsOf(outputs);
          const half = (from: number): Value =>
            kept.loss(g, part(g, outputs, from, rows), part(g, targets, from, rows));
          const lose = half(0);
          if (method === 'ascent') return g.Mul(lose, -weight);
          const more = method === 'bounded' ? g.Relu(g.Sub(g.scalar(bound), lose)) : g.Neg(lose);
          return g.Add(half(rows / 2), g.Mul(more, weight));
        },
        // Halves of a batch are not to be parted.
        lossWeight: undefined as never,
      };
      return Object.assign(Object.create(kept) as PreparedTask, own);
    },
  };
}

/** As many pairs as the longer has examples; the shorter begins anew at its end. */
function pairs(lost: Dataset<unknown>, kept: Dataset<unknown>): Dataset<readonly [unknown, unknown]> {
  const name = (data: Dataset<unknown>, i: number): string => data.nameOf?.(i % data.length) ?? String(i % data.length);
  return {
    length: Math.max(lost.length, kept.length),
    get: (i, draw) => Promise.all([lost.get(i % lost.length, draw), kept.get(i % kept.length, draw)]),
    nameOf: (i) => `${name(lost, i)}, ${name(kept, i)}`,
  };
}

/** How many rows a batch has: those of the first output. */
function rowsOf(outputs: Readonly<Record<string, Value>>): number {
  const rows = Object.values(outputs)[0]?.shape?.[0];
  if (typeof rows === 'number') return rows;
  throw new OnnxLoraError('MODEL_UNSUPPORTED', 'The model does not say how many rows its first output has, so what is forgotten cannot be told from what is kept. Use a model whose outputs are by examples.'); // prettier-ignore
}

/** Of all values with a row for each example, the half that begins at `from`. */
function part(
  g: GraphBuilder,
  values: Readonly<Record<string, Value>>,
  from: number,
  rows: number,
): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value.shape?.[0] === rows ? g.Slice(value, [from], [from + rows / 2], [0]) : value,
    ]),
  );
}
