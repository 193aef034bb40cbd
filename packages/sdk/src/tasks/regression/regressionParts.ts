/** @file What tasks that predict numbers share, whatever the examples are: head, targets and loss. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { type Feeds, float32 } from '../../runtime/tensor.ts';
import { huber, meanSquaredError } from '../../train/losses/index.ts';
import type { HeadFeatures, HeadValues, NewHead, PreparedTask } from '../../plugin/preparedTask.ts';
import { settingsOf, type SettingRows } from '../../plugin/settings.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { type HeadPort, replacedHead, type TaskHead } from '../classification/chooseHead.ts';

/** Options of tasks that predict numbers. */
export interface RegressionOptions {
  /** Squared errors (`mse`, the default), or `huber`, which is linear beyond one deviation and so minds outliers less. */
  readonly loss?: 'mse' | 'huber' | undefined;
}

/** Settings of tasks with numbers about each example. */
export const regressionSettings: SettingRows<RegressionOptions> = {
  loss: {
    kind: 'choice',
    of: ['mse', 'huber'],
    description: 'mse (default), or huber, which minds outliers less.',
  },
};

const settings = settingsOf<RegressionOptions>(regressionSettings);

/** What the parts are made from. */
export interface RegressionRequest extends RegressionOptions {
  /** The head that gives the numbers, the model's own or a new one. */
  readonly head: TaskHead;
  /** The numbers of each example that is trained on; NaN where one is not known. */
  readonly targets: readonly (readonly number[])[];
  /**
   * First values of a new head, see {@link NewHead.probe}.
   *
   * @param standardised an example's numbers as the loss counts them: in deviations from the mean
   */
  readonly probe?: (
    features: HeadFeatures,
    standardised: (values: readonly number[]) => readonly number[],
  ) => HeadValues;
}

/** Parts of a {@link PreparedTask}, and the head with the units of the data. */
export interface RegressionParts
  extends Pick<PreparedTask, 'loss'>, Required<Pick<PreparedTask, 'finish' | 'lossWeight'>> {
  /** The head, where the model has none of that size. */
  readonly head?: NewHead;
}

/**
 * Loss and head. Targets are those of {@link valueTargets}. The loss counts in deviations of the training data; the
 * adapter's head takes its mean and deviation in, so that it answers in the data's own units wherever it is loaded.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for another loss
 */
export function regressionParts({ head, targets, loss = 'mse', probe }: RegressionRequest): RegressionParts {
  settings.checkOptions({ loss });
  const { output, labels } = head;
  const count = labels.length;
  const { mean, deviation } = moments(targets, count);
  const standardised = (values: readonly number[]): readonly number[] =>
    values.map((value, i) => (value - mean[i]!) / deviation[i]!);
  const own = head.head && {
    ...head.head,
    ...({ targetScaling: { factor: deviation, offset: mean } } satisfies Partial<NewHead>),
    ...(probe && { probe: (features: HeadFeatures) => probe(features, standardised) }),
  };
  const inDeviations = (g: GraphBuilder, value: Value): Value =>
    g.Div(g.Sub(value, g.constant(float32([...mean], [1, count]))), g.constant(float32([...deviation], [1, count])));
  return {
    ...(own && { head: own }),
    loss: (g, outputs, { values, known }) => {
      const wanted = inDeviations(g, values!);
      // A head of the model's own answers in units of the data already.
      const found = own ? outputs[output]! : inDeviations(g, outputs[output]!);
      const counted = { mask: known };
      return loss === 'huber' ? huber(g, found, wanted, counted) : meanSquaredError(g, found, wanted, counted);
    },
    lossWeight: ({ values, known }) =>
      known ? (known.data as Float32Array).reduce((sum, each) => sum + each, 0) : values!.dims[0]!,
    // By this the model with the adapter is known as one that gives numbers.
    finish: () => Promise.resolve({ problem: 'regression' }),
  };
}

/**
 * Targets of a batch: `values`, float32 `[batch, count]`, and where the data lack some numbers `known`, 1 where there is one and
 * 0 where there is none, of which the value is 0.
 *
 * @param hasGaps whether any example of the data lacks a number
 */
export function valueTargets(rows: readonly (readonly number[])[], count: number, hasGaps = false): Feeds {
  const flat = rows.flat();
  const dims = [rows.length, count];
  if (!hasGaps) return { values: float32(flat, dims) };
  const isKnown = flat.map((value) => !Number.isNaN(value));
  return {
    values: float32(flat.map((value, i) => (isKnown[i] ? value : 0)), dims), // prettier-ignore
    known: float32(isKnown.map(Number), dims),
  };
}

/** Mean and deviation of what is known of each number; the deviation of one that is always the same counts as 1. */
function moments(
  targets: readonly (readonly number[])[],
  count: number,
): { readonly mean: readonly number[]; readonly deviation: readonly number[] } {
  const columns = Array.from({ length: count }, (_, i) =>
    targets.map((target) => target[i]!).filter((value) => !Number.isNaN(value)),
  );
  const mean = columns.map((column) => column.reduce((a, b) => a + b, 0) / Math.max(1, column.length));
  const deviation = columns.map((column, i) => {
    const variance = column.reduce((sum, value) => sum + (value - mean[i]!) ** 2, 0) / Math.max(1, column.length);
    return Math.sqrt(variance) || 1;
  });
  return { mean, deviation };
}

/** How a head is chosen. */
export interface RegressionHeadChoice {
  /** `auto` keeps the model's own where it is one for as many numbers, `new` always makes one, `keep` never. */
  readonly mode: 'auto' | 'new' | 'keep';
  /** The head on the features of a model without one. */
  readonly attach: (model: TaskModel, names: readonly string[]) => TaskHead;
  /** What examples are called in messages, in the plural: `images`. */
  readonly noun: string;
}

/**
 * The head for numbers of these names.
 *
 * @param own the head that the model has
 * @throws OnnxLoraError `DATA_INVALID` where the model's own head is to answer and gives another count
 */
export function regressionHead(
  model: TaskModel,
  own: HeadPort | undefined,
  names: readonly string[],
  { mode, attach, noun }: RegressionHeadChoice,
): TaskHead {
  if (own && mode !== 'new' && own.outputs === names.length && (mode === 'keep' || givesNumbers(model)))
    return { output: own.output, labels: names };
  if (mode !== 'keep') return own ? replacedHead(own, names) : attach(model, names);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The ${noun} have ${names.length} numbers each, and "${model.name}" gives ${own?.outputs ?? 'none'}. Have it get a new head (head: 'auto').`,
  );
}

/** Whether the model's head gives numbers, not scores of classes. */
function givesNumbers({ config, learned }: TaskModel): boolean {
  return config?.['problem_type'] === 'regression' || learned?.['problem'] === 'regression';
}
