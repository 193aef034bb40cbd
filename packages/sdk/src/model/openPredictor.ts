/** @file Answers for files, from a model, an adapter and the task that it was trained for. */

import type { Adapter } from '../adapter/adapter.ts';
import { didYouMean, OnnxLoraError } from '../errors.ts';
import { guardedFactory } from '../plugin/guardedFactory.ts';
import type { Prediction } from '../plugin/predictor.ts';
import type { PredictorOptions, TaskFactory } from '../plugin/taskFactory.ts';
import type { RunnableOptions } from '../plugin/taskModel.ts';
import { modelFor } from './head/forAdapter.ts';
import type { Model } from './model.ts';

/** Options of {@link openPredictor}. */
export interface OpenPredictorOptions extends Omit<RunnableOptions, 'adapters'>, Pick<PredictorOptions, 'settings'> {
  /** The adapter that answers, with its labels or a head of its own where it has them; the base alone without one. */
  readonly adapter?: Adapter;
  /**
   * A task of the model's plugins by its name, or a maker of tasks. By default the one that the adapter was trained for, or
   * else the usual one of the model's family.
   */
  readonly task?: string | TaskFactory;
  /** Files, or records of a file, per run; 32 by default. */
  readonly batchSize?: number;
}

/** A loaded model that answers for files. */
export interface FilePredictor extends AsyncDisposable {
  /** Name of the task whose answers it gives. */
  readonly task: string;
  /**
   * An answer for each file, in their order: `{ label: 'cat', score: 0.98, … }` of a classifier, `{ text }` of a recogniser. Of
   * files that hold many records, such as FASTA, an answer for each record.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID`, naming a file that cannot be read
   */
  predict(files: string | readonly string[]): Promise<Prediction[]>;
  /** Frees the model. */
  release(): Promise<void>;
  /** As {@link FilePredictor.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Loads a model, with an adapter or without, to answer for files that nobody has labelled: all that lies between a file and its
 * label. The model is opened with the plugin of its domain. To serve several adapters at once, or tensors instead of files, open
 * a session: `modelFor(model, adapter)` is the model with an adapter's labels and head.
 *
 * @example
 * const model = await openModel('models/vit', { plugins: [visionPlugin] });
 * await using predictor = await openPredictor(model, { adapter: await loadAdapter('photos-adapter') });
 * const [answer] = await predictor.predict('cat.jpg');
 * console.log(answer.label);
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where no task is known, or the task answers for no files; as `model.session` and the
 *   task's own predictor
 */
export async function openPredictor(
  model: Model,
  { adapter, task, settings, batchSize = 32, ...load }: OpenPredictorOptions = {},
): Promise<FilePredictor> {
  const own = adapter ? modelFor<Model>(model, adapter) : model;
  const factory = guardedFactory(typeof task === 'object' ? task : taskOf(own, task ?? adapter?.notes.task));
  const options = { ...(settings ? { settings } : {}), ...(adapter ? { adapter } : {}) };
  const opened = (
    predict: (files: readonly string[]) => Promise<Prediction[]>,
    release: () => Promise<void>,
  ): FilePredictor => ({
    task: factory.name,
    predict: (files) => predict(typeof files === 'string' ? [files] : files),
    release,
    [Symbol.asyncDispose]: release,
  });
  if (factory.recordAnswerer) {
    const answerer = await factory.recordAnswerer(own, { ...options, load });
    const predict = async (files: readonly string[]): Promise<Prediction[]> => {
      const found: Prediction[] = [];
      for (const file of files)
        for await (const { prediction } of answerer.answers(file, { batchSize })) found.push(prediction);
      return found;
    };
    return opened(predict, () => answerer.release());
  }
  if (factory.answerer) {
    const answerer = await factory.answerer(own, { ...options, load });
    const predict = async (files: readonly string[]): Promise<Prediction[]> => {
      const found: Prediction[] = [];
      for await (const prediction of answerer.answers(files, { batchSize })) found.push(prediction);
      return found;
    };
    return opened(predict, () => answerer.release());
  }
  if (!factory.predictor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The task "${factory.name}" is trained and evaluated, and answers for no files. Name another task.`,
    );
  }
  const predictor = await factory.predictor(own, options);
  const session = await own
    .withOutputs(predictor.outputs ?? [])
    .session({ ...load, adapters: adapter ? { adapter } : {} });
  const predict = async (files: readonly string[]): Promise<Prediction[]> => {
    const found: Prediction[] = [];
    for (let at = 0; at < files.length; at += batchSize) {
      const feeds = await predictor.feeds(files.slice(at, at + batchSize));
      found.push(...predictor.decode(await session.run(feeds, { adapter: adapter ? 'adapter' : null }), feeds));
    }
    return found;
  };
  return opened(predict, () => session.release());
}

/** @throws OnnxLoraError `CONFIG_INVALID` where the model's plugins do not have it, or nothing says which */
function taskOf({ name, family, catalogue: { tasks } }: Model, asked: string | undefined): TaskFactory {
  const names = asked === undefined ? (family?.tasks ?? []) : [asked];
  const found = names.flatMap((each) => tasks.find((task) => task.name === each) ?? [])[0];
  if (found) return found;
  const known = tasks.map((task) => task.name);
  const missing =
    asked === undefined
      ? `Nothing says what "${name}" is asked for.`
      : `No plugin of "${name}" brings the task "${asked}".${didYouMean(asked, known)}`;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    known.length > 0
      ? `${missing} Name a task: ${known.join(', ')}.`
      : `${missing} Open the model with the plugin of its domain: openModel(…, { plugins: [visionPlugin] }).`,
  );
}
