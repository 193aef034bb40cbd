/** @file Multi-label classification for any domain. */

import { OnnxLoraError } from '../../errors.ts';
import { type Feeds, float32 } from '../../runtime/tensor.ts';
import { binaryCrossEntropy } from '../../train/losses/index.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { HeadValues, PreparedTask, ReportRequest, Task } from '../../plugin/preparedTask.ts';
import type { ReportSection } from '../../plugin/reportSection.ts';
import { settingsOf, type SettingRows } from '../../plugin/settings.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { ridgeProbe } from '../probe/ridgeProbe.ts';
import { withTargets, type Examples, type HeadOption, type Labelled, probedHead } from '../examples.ts';
import { measure } from '../batches.ts';
import { quotedNames } from '../../data/listed.ts';
import { f1 } from '../../statistics/labelMeasure.ts';
import { confusableHint, confusableWarnings } from './modelLabels.ts';
import { labelledHead } from './classification.ts';
import {
  averagePrecisions,
  bestThresholds,
  labelCounts,
  type LabelScores,
  type LabelVector,
  MultiLabelMetrics,
  type MultiLabelScores,
  probability,
} from './multiLabelMetrics.ts';

/** Options of multi-label classification. */
export interface LabellingOptions {
  /** Threshold of probabilities, 0.5 by default; or `tuned`: that of highest F1 per label on held-out examples. */
  readonly threshold?: number | 'tuned' | undefined;
  /** Weight of positives in the loss: `balanced` gives positives and negatives of a label the same total weight. */
  readonly posWeights?: 'balanced' | undefined;
}

/** Settings of multi-label classification. */
export const labellingSettings: SettingRows<LabellingOptions> = {
  threshold: {
    kind: 'number',
    above: 0,
    below: 1,
    or: ['tuned'],
    description: 'Probability between 0 and 1 from which a label is given (0.5), or tuned.',
  },
  posWeights: {
    kind: 'choice',
    of: ['balanced'],
    description: 'balanced: rare labels count as much as frequent ones.',
  },
};

const settings = settingsOf<LabellingOptions>(labellingSettings);

/**
 * Multi-label classification: binary cross-entropy per label; mean average precision and F1; optionally tuned
 * thresholds. If the model does not know the labels it gets a new head, trained in full and saved with the adapter.
 * Targets are `{ labels: float32 [batch, labels] }` of zeros and ones.
 * @param examples the domain's data
 * @throws OnnxLoraError, by `prepare`: `CONFIG_INVALID` for an invalid threshold or weighting; `DATA_INVALID` for
 *   unknown labels, and for tuned thresholds without held-out data; as {@link Examples.open} and {@link chooseHead}
 */
export function labelling<Item extends object, Record, Scores extends Metrics = MultiLabelScores>(
  name: string,
  examples: Examples<Item, Record>,
  options: LabellingOptions & HeadOption = {},
): Task<Labelled<Item, LabelVector>, Scores> {
  return { name, prepare: (model) => prepare(model, examples, options) };
}

async function prepare<Item extends object, Record, Scores extends Metrics>(
  model: TaskModel,
  examples: Examples<Item, Record>,
  options: LabellingOptions & HeadOption,
): Promise<PreparedTask<Labelled<Item, LabelVector>, Scores>> {
  const { noun } = examples;
  const { threshold = 0.5, posWeights } = options;
  settings.checkOptions(options);
  const opened = await examples.open(model, 'labels');
  const { output, labels, head } = labelledHead(model, examples, opened, options);
  const bound = await withTargets(
    opened,
    (record): LabelVector => {
      const { labels: own = [], place } = opened.known(record);
      return labelVector(own, labels, place);
    },
    (vectors): Feeds => ({ labels: float32(vectors.flat(), [vectors.length, labels.length]) }),
  );
  const { train, validation, collate, shared } = bound;
  if (threshold === 'tuned' && !validation) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `threshold: 'tuned' looks for thresholds on held-out ${noun}, and none are held out. Hold some out (validation: 0.2), or give a number.`,
    );
  }
  const weights = posWeights && positiveWeights(train.targets);
  let thresholds = thresholdsOf(model, labels, typeof threshold === 'number' ? threshold : 0.5);
  const metrics = (): MultiLabelMetrics<Scores> =>
    new MultiLabelMetrics({ output, labels, thresholds, metrics: opened.metrics?.labels });
  const measured = (request: ReportRequest): Promise<MultiLabelMetrics<Scores>> =>
    measure(metrics(), { dataset: validation!, collate }, request);
  return {
    ...shared,
    warnings: [...(shared.warnings ?? []), ...confusableWarnings(labels)],
    ...probedHead(head, (features) => labelProbe(ridgeProbe(features, bound.targetOf))),
    loss: (g, outputs, truths) => binaryCrossEntropy(g, outputs[output]!, truths['labels']!, { posWeight: weights }),
    lossWeight: ({ labels: own }) => own!.dims[0]!,
    metrics,
    ...(threshold === 'tuned' && {
      finish: async (finished) => {
        thresholds = bestThresholds((await measured(finished)).all);
        return { thresholds: Object.fromEntries(labels.map((label, i) => [label, thresholds[i]!])) };
      },
    }),
    ...(validation && {
      report: async (request) => {
        const { all } = await measured(request);
        const { first = [], last = [] } =
          (await opened.sections?.(
            {
              kind: 'labels',
              labels,
              train,
              validation,
              collate,
              answers: Float64Array.from(all.scores, probability),
              truths: validation.targets,
              numbersOf: (target) => target,
              thresholds,
            },
            request,
          )) ?? {};
        return [...first, labelTable(all, labels, thresholds, noun), ...last];
      },
    }),
  };
}

/** Turns a probe of label probabilities p into logits: to first order around ½, the logit is 4 · (p − ½). */
export function labelProbe({ weight, bias }: HeadValues): HeadValues {
  return { weight: weight.map((value) => 4 * value), bias: bias.map((value) => 4 * (value - 0.5)) };
}

/** Encodes labels as zeros and ones; `place` names the example. @throws OnnxLoraError `DATA_INVALID` */
export function labelVector(own: Iterable<string>, labels: readonly string[], place: string): LabelVector {
  const given = new Set(own);
  const unknown = [...given].find((label) => !labels.includes(label));
  if (unknown === undefined) return labels.map((label) => (given.has(label) ? 1 : 0));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place} has the label "${unknown}", but the learned ones are ${quotedNames(labels, 20)}.${confusableHint(unknown, labels)} Rename it, or remove it.`,
  );
}

function labelTable(
  all: LabelScores,
  labels: readonly string[],
  thresholds: readonly number[],
  noun: string,
): ReportSection {
  const precisions = averagePrecisions(all);
  const counts = labelCounts(all, thresholds);
  const rounded = (value: number): number | string => (Number.isNaN(value) ? '–' : Number(value.toFixed(4)));
  return {
    kind: 'table',
    title: 'Labels',
    columns: ['label', noun, 'average precision', 'threshold', 'F1'],
    rows: labels.map((label, i) => [label, counts[i]!.examples, rounded(precisions[i]!), rounded(thresholds[i]!), rounded(f1(counts[i]!))]), // prettier-ignore
  };
}

/** Ratio of examples without a label to those with it; 1 for a label that all or none have. */
function positiveWeights(targets: readonly LabelVector[]): readonly number[] {
  return targets[0]!.map((_, label) => {
    const positives = targets.filter((target) => target[label] === 1).length;
    return positives === 0 || positives === targets.length ? 1 : (targets.length - positives) / positives;
  });
}

/** The thresholds saved with the adapter; `usual` for labels without one. */
export function thresholdsOf({ learned }: TaskModel, labels: readonly string[], usual: number): readonly number[] {
  const saved = learned?.['thresholds'];
  const known = new Map(typeof saved === 'object' && saved !== null ? Object.entries(saved) : []);
  return labels.map((label) => {
    const own: unknown = known.get(label);
    return typeof own === 'number' ? own : usual;
  });
}
