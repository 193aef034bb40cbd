/** @file `openPredictor`: answers for files, from a model, an adapter and the adapter's task. */

import type { Adapter } from '../adapter/adapter.ts';
import { didYouMean, OnnxLoraError } from '../errors.ts';
import { knownOptions } from '../knownOptions.ts';
import { guardedFactory } from '../plugin/guards/guardedTask.ts';
import { requireNamedAdapters, sourcesOf } from '../predict/sources.ts';
import type { PredictionOf } from '../plugin/predictions.ts';
import type { Answer, Prediction, Predictor, PredictOptions, Source } from '../plugin/predictor.ts';
import type { PredictorInput, PredictorOptions, TaskFactory } from '../plugin/taskFactory.ts';
import type { RunnableOptions } from '../plugin/taskModel.ts';
import { modelForAdapter } from './head/forAdapter.ts';
import type { Model } from './loaded/model.ts';
import { requireAdapters, requireModel } from './loaded/argumentChecks.ts';

/** Options of {@link openPredictor}. */
export interface OpenPredictorOptions<Name extends string = string>
  extends Omit<RunnableOptions, 'adapters'>, Omit<PredictorOptions, 'load'> {
  /**
   * A task factory or a plugin's task by name, which types predictions by {@link TaskPredictions}; by default the
   * adapter's task, else the family's usual one.
   */
  readonly task?: Name | TaskFactory;
  /** Examples per run, unless `predict` sets it; by default the task's choice. */
  readonly batchSize?: number;
}

/** A predictor of a task. */
export interface TaskPredictor<Said = Prediction> extends Predictor<Said> {
  /** Name of the task. */
  readonly task: string;
  /** The inputs that it accepts. */
  readonly input: PredictorInput;
  /**
   * Yields an answer per file, in order: `{ label: 'cat', score: 0.98, … }`, `{ text }`. For files with many records,
   * such as FASTA, an answer per record.
   */
  predict(
    sources: string | Iterable<Source> | AsyncIterable<Source>,
    options?: PredictOptions,
  ): AsyncIterable<Answer<Said>>;
}

// prettier-ignore
const requireKnown = knownOptions<OpenPredictorOptions>('openPredictor', {
  adapter: true, adapters: true, task: true, settings: true, batchSize: true,
  allowBaseMismatch: true, provider: true, threads: true, worker: true,
});
// prettier-ignore
const requireKnownToPredict = knownOptions<PredictOptions>('predictor.predict', {
  adapter: true, batchSize: true, skip: true, parts: true, onBadSource: true, signal: true,
});

/**
 * Opens a predictor for unlabelled files: preprocessing, model, adapter and decoding in one. The model must be opened
 * with the plugin of its domain. Adapters may differ per file if they share their labels. To serve adapters with
 * different labels at once, or tensors instead of files, open a session: `modelForAdapter(model, adapter)` has the adapter's
 * labels and head.
 * @example
 * const model = await openModel('models/vit', { plugins: [visionPlugin] });
 * await using predictor = await openPredictor(model, { adapter: await loadAdapter('photos-adapter') });
 * for await (const { prediction } of predictor.predict(['cat.jpg'])) console.log(prediction.label);
 * @example
 * await using classifier = await openPredictor(model, { adapter, task: 'image-classification' });
 * for await (const { prediction } of classifier.predict('cat.jpg')) console.log(prediction.score.toFixed(2)); // a number
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown option, for adapters without names, and for a task that is
 *   unknown, predicts nothing, or takes one adapter only; `ADAPTER_MISMATCH` for adapters with different labels; as
 *   `model.session` and the task's predictor
 */
export async function openPredictor<Name extends string = string>(
  model: Model,
  options: OpenPredictorOptions<Name> = {},
): Promise<TaskPredictor<PredictionOf<Name>>> {
  requireModel('openPredictor', model);
  requireKnown(options);
  if (options.adapter !== undefined) requireAdapters('openPredictor', options.adapter);
  const { adapter, adapters = {}, task, settings, batchSize, ...load } = options;
  requireNamedAdapters(adapters);
  const all = [...(adapter ? [adapter] : []), ...Object.values(adapters)];
  requireSameAnswers(all);
  const own = all[0] ? modelForAdapter(model, all[0]) : model;
  const factory = guardedFactory(typeof task === 'object' ? task : taskOf(own, task ?? all[0]?.notes.task));
  if (!factory.predictor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The task "${factory.name}" is trained and evaluated, and answers for no files. Name another task.`,
    );
  }
  const predictor = await factory.predictor(own, { ...(settings && { settings }), ...(adapter && { adapter }), adapters, load }); // prettier-ignore
  const missing = Object.keys(adapters).find((name) => !predictor.adapters?.includes(name));
  if (missing !== undefined) {
    await predictor.release();
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The task "${factory.name}" answers with one adapter, so "${missing}" cannot be chosen for some sources. Open a predictor for each.`,
    );
  }
  const defaults = batchSize === undefined ? {} : { batchSize };
  return {
    ...predictor,
    task: factory.name,
    input: factory.input ?? {},
    predict(sources, asked = {}) {
      requireKnownToPredict(asked);
      return predictor.predict(sourcesOf(sources), { ...defaults, ...asked }) as AsyncIterable<
        Answer<PredictionOf<Name>>
      >;
    },
  };
}

/** A predictor has one set of labels, heads and thresholds: other adapters' outputs would be misread. */
function requireSameAnswers(adapters: readonly Adapter[]): void {
  const answersOf = ({ notes: { labels, head, learned } }: Adapter): string => JSON.stringify([labels, head, learned]);
  if (adapters.every((each) => answersOf(each) === answersOf(adapters[0]!))) return;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    'The adapters answer with different labels, heads or thresholds, and a predictor has one of each. Open a predictor for each adapter.',
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` if no task is named or known, or the plugins lack it */
function taskOf({ name, family, registry: { tasks } }: Model, asked: string | undefined): TaskFactory {
  const names = asked === undefined ? (family?.tasks ?? []) : [asked];
  const found = names.flatMap((each) => tasks.find((task) => task.name === each) ?? [])[0];
  if (found) return found;
  const known = tasks.map((task) => task.name);
  const missing =
    asked === undefined
      ? `The task of "${name}" is unknown.`
      : `No plugin of "${name}" brings the task "${asked}".${didYouMean(asked, known)}`;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    known.length > 0
      ? `${missing} Name a task: ${known.join(', ')}.`
      : `${missing} Open the model with the plugin of its domain: openModel(…, { plugins: [visionPlugin] }).`,
  );
}
