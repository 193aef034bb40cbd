/** @file Unlearning: a task that forgets some examples and keeps what is known of others. */

import { type Adapter, float32, type Model, OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import { type Dataset, distillation, type GraphBuilder, type PreparedTask, type Task, type Value } from '@onnx-lora/sdk/tasks'; // prettier-ignore
import { lossesOf, scoresOf } from './asked.ts';

/** The ways to unlearn; what each minimises says {@link UnlearningOptions.method}. */
export type UnlearningMethod = 'bounded' | 'npo' | 'difference' | 'kl' | 'ascent';

/** How the loss of what is to be forgotten, L_f, and of what is kept, L_r, are made one. */
export interface UnlearningOptions {
  /** What is forgotten; it trains on the task's training data. */
  readonly forget: Task;
  /** What is kept: of the same kind as `forget`, whose examples are in its batches. Its held-out data are what a run measures. */
  readonly retain: Task;
  /**
   * `bounded`, the default: L_r + weight · max(0, bound − L_f), which stops where enough is forgotten (GS-LoRA). `npo`: L_r +
   * weight · (2/β) · mean log(1 + (p/p₀)^β), with p the probability of an example's answer and p₀ what it was before: it pushes
   * each the less the more of it is forgotten (negative preference optimisation). `difference`: L_r − weight · L_f. `kl`: the
   * divergence of answers for what is kept from those before, − weight · L_f. `ascent`: −weight · L_f. The last three have no
   * end: what they make of the rest must be watched.
   */
  readonly method?: UnlearningMethod;
  /**
   * Of `bounded`: the loss of what is forgotten from which on nothing more is asked; 10 by default. That of guessing among n
   * classes is log n.
   */
  readonly bound?: number;
  /** How much forgetting counts beside keeping; 1 by default. */
  readonly weight?: number;
  /** Of `npo`: β, 0.1 by default. The larger, the sooner an example is let alone. */
  readonly beta?: number;
  /**
   * Of `npo` and `kl`: the model before unlearning, with the adapter that training goes on from, where there is one. It is asked
   * about each example once, before the first step and without augmentation.
   */
  readonly reference?: { readonly model: Model; readonly adapter?: Adapter };
}

const methods: readonly string[] = ['bounded', 'npo', 'difference', 'kl', 'ascent'] satisfies UnlearningMethod[];

/** The number of float32 in ONNX. */
const FLOAT = 1;

/** The target that says what the reference has said. */
const BEFORE = 'before-unlearning';

/**
 * A task that unlearns: each step has as many examples to forget as to keep, which follow each other in a batch.
 *
 * Zhao et al., "Continual Forgetting for Pre-trained Vision Models" (2024), arXiv:2403.11530, for `bounded`; Zhang et al.,
 * "Negative Preference Optimization" (2024), arXiv:2404.05868, for `npo`; Maini et al., "TOFU" (2024), arXiv:2401.06121, for the
 * others.
 *
 * @example
 * const task = unlearning({ forget: imageClassification('sevens'), retain: imageClassification('others'), bound: Math.log(10) });
 * const { adapter } = await (await train(model, { task, lora: { targetModules: 'all-linear' }, steps: 100 })).done;
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a method that does not exist, numbers that are none, a reference that is missing or
 *   of no use; by `prepare`, for a loss that the method cannot use
 */
export function unlearning(options: UnlearningOptions): Task {
  const { forget, retain, method = 'bounded', bound = 10, weight = 1, beta = 0.1, reference } = options;
  if (!methods.includes(method)) throw new OnnxLoraError('CONFIG_INVALID', `There is no way "${method}" to unlearn. There are ${methods.join(', ')}.`); // prettier-ignore
  for (const [name, value] of Object.entries({ bound, weight, beta }))
    if (!(value > 0 && Number.isFinite(value))) throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0, and is ${value}.`); // prettier-ignore
  const compares = method === 'npo' || method === 'kl';
  if (compares && !reference) throw new OnnxLoraError('CONFIG_INVALID', `${method} compares with the model before unlearning, and there is none. Name it, as reference: { model }, with the adapter that training goes on from.`); // prettier-ignore
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
              // log (p/p₀)^β, of which the loss is the softplus.
              const ratio = g.Mul(g.Sub(targets[BEFORE]!, g.Concat(each, 0)), beta);
              return g.Add(loss(half), g.Mul(g.ReduceMean(g.Softplus(ratio), [0], false), (2 * weight) / beta));
            }
            case 'difference':
              return g.Sub(loss(half), g.Mul(loss(0), weight));
            case 'kl': {
              const { output, labels } = answers!;
              // Labels below 0 are those of places that do not count.
              const mask = g.GreaterOrEqual(g.Cast(taken(targets, half)[labels]!, FLOAT), 0);
              const apart = distillation(g, taken(outputs, half)[output]!, targets[BEFORE]!, { temperature: 1, mask });
              return g.Sub(apart, g.Mul(loss(0), weight));
            }
            case 'ascent':
              return g.Mul(loss(0), -weight);
          }
        },
        // Halves of a batch are not to be parted.
        lossWeight: undefined as never,
      };
      return Object.assign(Object.create(kept) as PreparedTask, own);
    },
  };
}

/** An example, and its number in its dataset. */
interface Numbered {
  readonly index: number;
  readonly example: unknown;
}

/** One to forget and one to keep. */
interface Pair {
  readonly lost: Numbered;
  readonly kept: Numbered;
}

/** As many pairs as the longer has examples; the shorter begins anew at its end. */
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

/** How many rows a batch has: those of the first output. */
function rowsOf(outputs: Named): number {
  const rows = Object.values(outputs)[0]?.shape?.[0];
  if (typeof rows === 'number') return rows;
  throw new OnnxLoraError('MODEL_UNSUPPORTED', 'The model does not say how many rows its first output has, so what is forgotten cannot be told from what is kept. Use a model whose outputs are by examples.'); // prettier-ignore
}

/** Of all values with a row for each example, so many rows from one on. */
function part(g: GraphBuilder, values: Named, rows: number, from: number, count: number): Named {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value.shape?.[0] === rows ? g.Slice(value, [from], [from + count], [0]) : value,
    ]),
  );
}
