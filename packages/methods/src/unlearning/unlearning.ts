/** @file Unlearning: a task that forgets some examples and keeps others. */

import { type Adapter, float32, type Model, OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import { type Dataset, distillation, type GraphBuilder, type PreparedTask, type Task, type Value } from '@onnx-lora/sdk/tasks'; // prettier-ignore
import { lossesOf, scoresOf } from './evaluated.ts';

/** Unlearning losses; see {@link UnlearningOptions.method}. */
export type UnlearningMethod = 'bounded' | 'npo' | 'difference' | 'kl' | 'ascent';

/** Options of {@link unlearning}. L_f is the loss of the examples to forget, L_r of those to keep. */
export interface UnlearningOptions {
  /** Training data of this task are forgotten. */
  readonly forget: Task;
  /** Data to keep: of the kind of `forget`, whose examples join its batches. A run measures its validation data. */
  readonly retain: Task;
  /**
   * `bounded`, the default: L_r + weight · max(0, bound − L_f), which stops once enough is forgotten (GS-LoRA). `npo`:
   * L_r + weight · (2/β) · mean log(1 + (p/p₀)^β), with p the probability of an example's answer and p₀ the
   * reference's: pushes an example less the more it is forgotten. `difference`: L_r − weight · L_f. `kl`: divergence
   * from the reference on kept examples − weight · L_f. `ascent`: −weight · L_f. The last three are unbounded: watch
   * the kept scores.
   */
  readonly method?: UnlearningMethod;
  /** For `bounded`: the loss at which forgetting stops; 10 by default. Guessing among n classes has log n. */
  readonly bound?: number;
  /** Weight of forgetting; 1 by default. */
  readonly weight?: number;
  /** For `npo`: β, 0.1 by default. A larger one lets an example go sooner. */
  readonly beta?: number;
  /** For `npo` and `kl`: the model before unlearning, with the adapter that training continues from, if any. */
  readonly reference?: { readonly model: Model; readonly adapter?: Adapter };
}

const methods: readonly string[] = ['bounded', 'npo', 'difference', 'kl', 'ascent'] satisfies UnlearningMethod[];

/** ONNX's data type number of float32. */
const FLOAT = 1;

/** Target with the reference's losses or scores. */
const BEFORE = 'before-unlearning';

/**
 * A task that unlearns: each batch has as many examples to forget as to keep, the former first.
 *
 * Zhao et al., "Continual Forgetting for Pre-trained Vision Models" (2024), arXiv:2403.11530, for `bounded`; Zhang et
 * al., "Negative Preference Optimization" (2024), arXiv:2404.05868, for `npo`; Maini et al., "TOFU" (2024),
 * arXiv:2401.06121, for the others.
 * @example
 * const task = unlearning({ forget: imageClassification('sevens'), retain: imageClassification('others'), bound: Math.log(10) });
 * const { adapter } = await (await train(model, { task, lora: { targetModules: 'all-linear' }, steps: 100 })).done;
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown method, numbers out of range, a missing or useless reference;
 *   by `prepare`, for a loss that the method cannot use
 */
export function unlearning(options: UnlearningOptions): Task {
  const { forget, retain, method = 'bounded', bound = 10, weight = 1, beta = 0.1, reference } = options;
  if (!methods.includes(method)) throw new OnnxLoraError('CONFIG_INVALID', `There is no way "${method}" to unlearn. There are ${methods.join(', ')}.`); // prettier-ignore
  for (const [name, value] of Object.entries({ bound, weight, beta }))
    if (!(value > 0 && Number.isFinite(value))) throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0, and is ${value}.`); // prettier-ignore
  const compares = method === 'npo' || method === 'kl';
  if (compares && !reference) throw new OnnxLoraError('CONFIG_INVALID', `${method} needs the model before unlearning. Name it, as reference: { model }, with the adapter that training continues from.`); // prettier-ignore
  if (!compares && reference) throw new OnnxLoraError('CONFIG_INVALID', `The reference has no use for ${method}. Leave it out, or unlearn by npo or kl.`); // prettier-ignore
  return {
    name: `unlearn-${retain.name}`,
    prepare: async (model) => {
      const [lost, kept] = await Promise.all([forget.prepare(model), retain.prepare(model)]);
      const losses = method === 'npo' ? await lossesOf({ ...reference!, data: lost, examples: lost.train }) : undefined;
      const answers = method === 'kl' ? await scoresOf({ ...reference!, data: kept, examples: kept.train }) : undefined;
      const before = (batch: readonly Pair[]): Tensor =>
        losses
          ? float32(batch.map(({ lost: { index } }) => losses[index]!), [batch.length])
          : stack(batch.map(({ kept: { index } }) => answers!.scores[index]!)); // prettier-ignore
      const own: Pick<PreparedTask, 'train' | 'collate' | 'loss' | 'lossWeight'> = {
        train: pairs(lost.train, kept.train),
        collate: async (examples) => {
          const both = examples as readonly Pair[];
          const batch = await kept.collate([...both.map((pair) => pair.lost.example), ...both.map((pair) => pair.kept.example)]); // prettier-ignore
          return compares ? { ...batch, targets: { ...batch.targets, [BEFORE]: before(both) } } : batch;
        },
        loss: (g, outputs, targets) => {
          const rows = rowsOf(outputs);
          const half = rows / 2;
          const taken = (values: Named, from: number, count = half): Named => part(g, values, rows, from, count);
          const loss = (from: number, count?: number): Value => kept.loss(g, taken(outputs, from, count), taken(targets, from, count)); // prettier-ignore
          switch (method) {
            case 'bounded':
              return g.Add(loss(half), g.Mul(g.Relu(g.Sub(g.scalar(bound), loss(0))), weight));
            case 'npo': {
              const each = Array.from({ length: half }, (_, row) => g.Reshape(loss(row, 1), [1]));
              // log (p/p₀)^β; the loss is its softplus.
              const ratio = g.Mul(g.Sub(targets[BEFORE]!, g.Concat(each, 0)), beta);
              return g.Add(loss(half), g.Mul(g.ReduceMean(g.Softplus(ratio), [0], false), (2 * weight) / beta));
            }
            case 'difference':
              return g.Sub(loss(half), g.Mul(loss(0), weight));
            case 'kl': {
              const { output, labels } = answers!;
              // Negative labels mark ignored positions.
              const mask = g.GreaterOrEqual(g.Cast(taken(targets, half)[labels]!, FLOAT), 0);
              const apart = distillation(g, taken(outputs, half)[output]!, targets[BEFORE]!, { temperature: 1, mask });
              return g.Sub(apart, g.Mul(loss(0), weight));
            }
            case 'ascent':
              return g.Mul(loss(0), -weight);
          }
        },
        // The halves of a batch belong together.
        lossWeight: undefined as never,
      };
      return Object.assign(Object.create(kept) as PreparedTask, own);
    },
  };
}

interface Numbered {
  readonly index: number;
  readonly example: unknown;
}

interface Pair {
  readonly lost: Numbered;
  readonly kept: Numbered;
}

/** Pairs examples of both; the shorter dataset repeats. */
function pairs(lost: Dataset<unknown>, kept: Dataset<unknown>): Dataset<Pair> {
  const one = async (data: Dataset<unknown>, i: number, draw?: number): Promise<Numbered> => {
    const index = i % data.length;
    return { index, example: await data.get(index, draw) };
  };
  const name = (data: Dataset<unknown>, i: number): string => data.nameOf?.(i % data.length) ?? String(i % data.length);
  return {
    length: Math.max(lost.length, kept.length),
    get: async (i, draw) => {
      const [forgotten, retained] = await Promise.all([one(lost, i, draw), one(kept, i, draw)]);
      return { lost: forgotten, kept: retained };
    },
    nameOf: (i) => `${name(lost, i)}, ${name(kept, i)}`,
  };
}

type Named = Readonly<Record<string, Value>>;

function rowsOf(outputs: Named): number {
  const rows = Object.values(outputs)[0]?.shape?.[0];
  if (typeof rows === 'number') return rows;
  throw new OnnxLoraError('MODEL_UNSUPPORTED', 'The model does not say how many rows its first output has, so what is forgotten cannot be told from what is kept. Use a model whose outputs are by examples.'); // prettier-ignore
}

function part(g: GraphBuilder, values: Named, rows: number, from: number, count: number): Named {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value.shape?.[0] === rows ? g.Slice(value, [from], [from + count], [0]) : value,
    ]),
  );
}
