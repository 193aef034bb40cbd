/** @file Head, targets and loss of regression. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { type Feeds, float32 } from '../../runtime/tensor.ts';
import { huber, meanSquaredError } from '../../train/losses/index.ts';
import type { HeadFeatures, HeadValues, NewHead, PreparedTask } from '../../plugin/preparedTask.ts';
import { settingsOf, type SettingRows } from '../../plugin/settings.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { type HeadPort, replacedHead, type TaskHead } from '../classification/chooseHead.ts';

/** Options of regression. */
export interface RegressionOptions {
  /** Squared error (`mse`, the default), or `huber`, linear beyond one deviation and thus robust to outliers. */
  readonly loss?: 'mse' | 'huber' | undefined;
}

/** Settings of regression. */
export const regressionSettings: SettingRows<RegressionOptions> = {
  loss: {
    kind: 'choice',
    of: ['mse', 'huber'],
    description: 'mse (default), or huber, which minds outliers less.',
  },
};

const settings = settingsOf<RegressionOptions>(regressionSettings);

/** Input of {@link regressionParts}. */
export interface RegressionRequest extends RegressionOptions {
  /** The head, the model's own or a new one. */
  readonly head: TaskHead;
  /** Numbers of each training example; NaN where missing. */
  readonly targets: readonly (readonly number[])[];
  /** Initial values of a new head, see {@link NewHead.probe}; `standardised` scales targets as the loss does. */
  readonly probe?: (
    features: HeadFeatures,
    standardised: (values: readonly number[]) => readonly number[],
  ) => HeadValues;
}

/** Parts of a {@link PreparedTask}. */
export interface RegressionParts
  extends Pick<PreparedTask, 'loss'>, Required<Pick<PreparedTask, 'finish' | 'lossWeight'>> {
  /** The new head, if any, with the scaling of the targets. */
  readonly head?: NewHead;
}

/**
 * Loss and head of regression, with targets of {@link valueTargets}. The loss is on standardised targets; the finished
 * head folds in their mean and deviation, and answers in the data's units. @throws OnnxLoraError `CONFIG_INVALID` for
 * an unknown loss
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
      // The model's own head already answers in the data's units.
      const found = own ? outputs[output]! : inDeviations(g, outputs[output]!);
      const counted = { mask: known };
      return loss === 'huber' ? huber(g, found, wanted, counted) : meanSquaredError(g, found, wanted, counted);
    },
    lossWeight: ({ values, known }) =>
      known ? (known.data as Float32Array).reduce((sum, each) => sum + each, 0) : values!.dims[0]!,
    // Marks the adapted model as a regression model.
    finish: () => Promise.resolve({ problem: 'regression' }),
  };
}

/** Targets `values`, float32 `[batch, count]`, and with `hasGaps` the mask `known`, 1 or 0; missing values are 0. */
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
  /** `auto` keeps the model's own head if it gives as many numbers, `new` always makes one, `keep` never does. */
  readonly mode: 'auto' | 'new' | 'keep';
  /** Attaches a head to the features of a model without one. */
  readonly attach: (model: TaskModel, names: readonly string[]) => TaskHead;
  /** Examples in the plural, for messages: `images`. */
  readonly noun: string;
}

/** Chooses the head for these numbers; `own` is the model's. @throws OnnxLoraError `DATA_INVALID` */
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

function givesNumbers({ config, learned }: TaskModel): boolean {
  return config?.['problem_type'] === 'regression' || learned?.['problem'] === 'regression';
}
