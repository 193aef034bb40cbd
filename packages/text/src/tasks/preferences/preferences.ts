/** @file The task `preferences`: DPO, IPO, ORPO and KTO. */

import { type Adapter, float32, int64, loadAdapter, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type AnsweringFactory,
  type Batch,
  type BeginRequest,
  checkedTask,
  evenlySpaced,
  type Measurement,
  type MeasureRequest,
  type PreparedTask,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import {
  answered,
  type PreferenceDataOptions,
  type PreferenceRecord,
  preferenceSettings,
  type PreferenceSource,
  readPreferences,
} from '../../data/readPreferences.ts';
import { generateRows } from '../../generation/generateOptions.ts';
import { answererInput, type AnswererOptions, openAnswerer } from '../chat/answerPredictor.ts';
import { openSftData } from '../chat/openSftData.ts';
import { narrowed, rowSums, runBatches } from '../chat/runBatches.ts';
import { NOT_LEARNED } from '../chat/sftRows.ts';
import { preferenceLoss, type PreferenceLossOptions } from './preferenceLoss.ts';
import { PreferenceMetrics, type PreferenceScores } from './preferenceMetrics.ts';
import { answerSection } from '../chat/answerSection.ts';
import { PreferenceDataset, type PreferenceExample } from './preferenceRows.ts';

/** Options of {@link preferences}. */
export interface PreferenceOptions extends PreferenceDataOptions, PreferenceLossOptions {
  /**
   * The reference: the model with this adapter, also by its path, or the model alone (`base`, the default). A run that
   * starts from an adapter must name one of them; usually that adapter.
   */
  readonly reference?: Adapter | string | undefined;
  /** Maximum tokens of a prompt with an answer; 1024 by default, or the model's context length if shorter. */
  readonly maxLength?: number | undefined;
  /** The tokenizer; that of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

const rows: SettingRows<PreferenceOptions> = {
  loss: {
    kind: 'choice',
    of: ['dpo', 'ipo', 'orpo', 'kto'],
    description: 'dpo (default), ipo, orpo (without a reference) or kto (answers that are good or bad by themselves).',
  },
  beta: { kind: 'number', above: 0, description: 'The smaller, the farther from the reference; 0.1 by default.' },
  labelSmoothing: {
    kind: 'number',
    min: 0,
    below: 0.5,
    description: 'dpo: the assumed share of preferences with swapped answers; 0 by default.',
  },
  desirableWeight: { kind: 'number', min: 0, description: 'kto: weight of good answers; 1 by default.' },
  undesirableWeight: { kind: 'number', min: 0, description: 'kto: weight of bad answers; 1 by default.' },
  reference: {
    kind: 'text',
    description: 'The adapter with which the model is the reference, or base (the model alone; the default).',
  },
  maxLength: {
    kind: 'number',
    whole: true,
    min: 2,
    description: 'Most tokens of a prompt with an answer; 1024 by default, or fewer where the model says so.',
  },
  ...preferenceSettings,
};

const settings = settingsOf<PreferenceOptions>(rows);

/**
 * Preference tuning: DPO and IPO make the chosen of two answers likelier than the rejected one, relative to a reference
 * model; ORPO also learns the chosen answer and needs no reference; KTO learns from answers labelled good or bad. Data
 * are in TRL's forms, see {@link readPreferences}. Targets are `labels` int64 `[2 · examples, tokens]`, `tokens` and
 * `reference` float32 `[2 · examples]`, `isGood` float32 `[examples]`.
 * @example
 * ```ts
 * const task = preferences('preferences.jsonl', { loss: 'dpo', beta: 0.1, validation: 0.1 });
 * const { adapter } = await (await train(smollm, { task, lr: 2e-4 })).done;
 * ```
 */
export function preferences(
  source: PreferenceSource,
  options: PreferenceOptions = {},
): Task<PreferenceExample, PreferenceScores> {
  return checkedTask<PreferenceOptions, PreferenceExample, PreferenceScores, PreferenceScores>(settings, options, {
    name: 'preferences',
    prepare: (model) => prepare(model, source, options),
  });
}

async function prepare(
  model: TaskModel,
  source: PreferenceSource,
  { maxLength, tokenizer, reference, ...options }: PreferenceOptions,
): Promise<PreparedTask<PreferenceExample, PreferenceScores>> {
  const { input, port, rules } = await openSftData(model, { learn: 'answers', maxLength, tokenizer });
  const data = await readPreferences(source, options);
  const dataset = (records: readonly PreferenceRecord[]): PreferenceDataset =>
    new PreferenceDataset(records, rules, options.loss !== 'kto');
  const train = dataset(data.train);
  const validation = data.validation && dataset(data.validation);
  const longest = train.lengths.reduce((most, length) => Math.max(most, length / 2), 0);

  const collate: PreparedTask<PreferenceExample>['collate'] = (examples) => {
    const all = examples.flatMap((example) => example.rows);
    const inputs = input.feeds(all, examples[0]?.draw === undefined ? undefined : longest);
    const length = inputs[input.ports.ids]!.dims[1]!;
    const ofRows = (values: readonly number[]): ReturnType<typeof float32> => float32([...values], [values.length]);
    const targets = {
      labels: int64(
        all.flatMap(({ labels }) => Array.from({ length }, (_, at) => labels[at] ?? NOT_LEARNED)),
        [all.length, length],
      ),
      tokens: ofRows(all.map(({ labels }) => labels.filter((label) => label !== NOT_LEARNED).length)),
      // ORPO has no reference.
      reference: ofRows(examples.flatMap((example) => (options.loss === 'orpo' ? [0, 0] : example.reference))),
      isGood: ofRows(examples.map(({ isGood }) => Number(isGood))),
    };
    return Promise.resolve({ inputs, targets });
  };
  const metrics = (): PreferenceMetrics => new PreferenceMetrics(port, options);
  const batchOf = async (from: PreferenceDataset, examples: readonly number[]): Promise<Batch> =>
    collate(await Promise.all(examples.map((example) => from.get(example))));
  let loaded: Promise<Adapter> | undefined;
  /** The reference's adapter; undefined for the base alone. */
  const referenceAdapter = async (): Promise<Adapter | undefined> => {
    if (reference === undefined || reference === 'base') return undefined;
    return typeof reference === 'string' ? (loaded ??= loadAdapter(reference)) : reference;
  };

  const begin = async ({ adapter, onBatch, ...request }: BeginRequest): Promise<void> => {
    if (options.loss === 'orpo') return;
    if (adapter && reference === undefined) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        'The run begins with an adapter, and nothing says whether it is to stay near the model with that adapter, or near the model alone. Name the adapter as the reference, as most do (reference, or --set reference=runs/answers/adapter), or "base".',
      );
    }
    const total = train.length + (validation?.length ?? 0);
    let before = 0;
    for (const each of validation ? [train, validation] : [train]) {
      const run = runBatches({
        ...request,
        lengths: each.lengths,
        batch: (examples) => batchOf(each, examples),
        size: port.size,
        adapters: [await referenceAdapter()],
        onBatch: (done) => onBatch?.(before + done, total),
      });
      for await (const { examples, targets, outputs } of run) {
        const said = rowSums(outputs[0]!, targets['labels']!, port).map(({ loss }) => -loss);
        for (const [i, example] of examples.entries()) each.setReference(example, said.slice(2 * i, 2 * i + 2));
      }
      before += each.length;
    }
  };

  const measure = async (request: MeasureRequest): Promise<PreferenceMetrics> => {
    const found = metrics();
    const from = validation ?? train;
    const { adapter, limit, examples: some, ...run } = request;
    const asked = (some ?? evenlySpaced(from.length)).slice(0, limit);
    const adapters = [adapter, await referenceAdapter()];
    const batches = runBatches({
      ...run,
      lengths: asked.map((example) => from.lengths[example]!),
      batch: (places) => batchOf(from, places.map((place) => asked[place]!)), // prettier-ignore
      size: port.size,
      // One run suffices if model and reference are the same, or without a reference.
      adapters: options.loss === 'orpo' || adapters[0] === adapters[1] ? [adapter] : adapters,
    });
    for await (const { targets, outputs } of batches) {
      const [own, other = own!] = outputs.map((each) => rowSums(each, targets['labels']!, port));
      found.add(own!, other.map(({ loss }) => -loss), targets['isGood']); // prettier-ignore
    }
    return found;
  };
  const measured = async (request: MeasureRequest): Promise<Measurement<PreferenceScores>> => {
    const found = await measure(request);
    return { metrics: found.result(), draws: found.draws(), ...(request.examples && { examples: request.examples.length }) }; // prettier-ignore
  };
  return {
    train,
    ...(validation && { validation }),
    warnings: [...data.warnings, ...train.warnings, ...(validation?.warnings ?? [])],
    begin,
    collate,
    loss: (g, outputs, { labels, tokens, reference: said, isGood }) =>
      preferenceLoss(
        g,
        { logits: outputs[port.output]!, labels: labels!, tokens: tokens!, reference: said!, isGood: isGood! },
        options,
      ),
    metrics,
    narrowed: narrowed(port.size, 2),
    measure: measured,
    ...(data.validation && {
      report: (request) => {
        // The report shows good answers besides the model's.
        const good = data.validation!.filter(({ isGood }) => isGood !== false);
        const records = good.map((record) => answered(record, record.answers[0]));
        return answerSection(records, rules, request);
      },
    }),
  };
}

const factorySettings = settingsOf<PreferenceOptions & Pick<AnswererOptions, 'generate'>>({
  ...rows,
  generate: generateRows,
});

/** The task `preferences` for the command line, with the predictor of `chat`. */
export const preferencesTask: AnsweringFactory = {
  name: 'preferences',
  description:
    'Which of two answers is better, or which are good; the data is prompts with chosen and rejected answers.',
  settings: factorySettings,
  // An example has two rows. The lower learning rate preserves what the model can already answer.
  defaults: { batchSize: 8, epochs: 1, lr: 2e-4, warmupSteps: 0.1, sampling: 'length' },
  input: answererInput,
  create: ({ data, settings: given, validation, holdOut, seed }) => {
    const { generate: _, ...own } = factorySettings.read(given);
    return preferences(data, { ...own, validation, holdOut, seed });
  },
  predictor: async (model, { settings: given, ...options } = {}) => {
    const { generate, columns: { prompt } = {} } = factorySettings.read(given);
    return openAnswerer(model, { ...options, generate, ...(prompt !== undefined && { columns: { prompt } }) });
  },
};
