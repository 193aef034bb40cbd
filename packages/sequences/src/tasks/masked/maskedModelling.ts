/** @file The task of masked-language modelling: continued training without labels. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { crossEntropy, type PreparedTask, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type DivideOptions, drawSeed, Random } from '@onnx-lora/sdk/data';
import type { SequenceDomain } from '../../domain.ts';
import { heldOutNote, type SequenceRecord } from '../../record.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import type { SequenceDataset, SequenceExample, SequenceTask, TokenOptions } from '../sequenceTask.ts';
import { type MaskedScores, MaskedMetrics, maskedPort } from './maskedMetrics.ts';
import { maskedReport } from './maskedReport.ts';
import { countMaskedTokens, fixedSeed, maskedTargets, Masking, type MaskingOptions } from './masking.ts';

/** Options of {@link maskedModelling}. */
export interface MaskedModellingOptions extends TokenOptions, MaskingOptions {
  /** Draws new masks each time a sequence is trained on (the default), or keeps its masks. */
  readonly dynamic?: boolean | undefined;
}

/**
 * Masked-language modelling on the sequences of a domain. Validation sequences keep their masks, so that results before
 * and after are comparable. Sequences that are too long are cropped, in training at a random place per draw. Targets
 * are `labels` int64 `[batch, tokens]`, the ids of masked tokens and −100 elsewhere, and `records` int64 `[batch]`.
 */
export function maskedModelling<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  name: string,
  domain: SequenceDomain<R, Source, Options>,
  source: Source,
  options: Options & MaskedModellingOptions,
): Task<SequenceExample<undefined, R>, MaskedScores> {
  return { name, prepare: (model) => prepare(domain, model, source, options) };
}

/** Decorrelates the masks' seed from a draw's other random choices. */
const MASKS = 0x6d61736b;

async function prepare<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: TaskModel,
  source: Source,
  { dynamic = true, rate, masked, random, spanLength, ...own }: Options & MaskedModellingOptions,
): Promise<PreparedTask<SequenceExample<undefined, R>, MaskedScores>> {
  // TypeScript cannot express that the rest belongs to the domain.
  const options = own as unknown as Options & TokenOptions;
  const task = await openSequenceTask<R, Source, Options>(domain, model, source, options);
  const { tokenizer, data, ports } = task;
  const { seed = 0 } = options;
  const port = maskedPort(model, tokenizer);
  const { output } = port;
  const masking = new Masking(tokenizer, { rate, masked, random, spanLength });
  const [kept, warnings] = maskable(domain, data.train, task, masking);
  const [measured, others] = maskable(domain, data.validation ?? [], task, masking);
  const without = (records: readonly R[]): undefined[] => records.map(() => undefined);
  const train = task.dataset(kept, without(kept), { isTrained: true, isCroppedAtRandom: dynamic });
  const validation = measured.length > 0 ? task.dataset(measured, without(measured)) : undefined;
  const collate: PreparedTask<SequenceExample<undefined, R>>['collate'] = async (examples) => {
    const isTrained = examples[0]?.draw !== undefined;
    const rows = examples.map(({ record, row, draw }) => {
      const own =
        dynamic && draw !== undefined ? drawSeed(seed + MASKS, draw) : fixedSeed(seed, record.sequence, row.from);
      return masking.mask(row.ids, new Random(own));
    });
    const fed = examples.map(({ row }, i) => ({ ...row, ids: rows[i]!.ids }));
    const inputs = task.feeds(fed, isTrained);
    const numbers = examples.map(({ index }) => index);
    return { inputs, targets: maskedTargets(rows, numbers, inputs[ports.ids]!.dims[1]!) };
  };
  const metrics = (): MaskedMetrics => new MaskedMetrics(port);
  return {
    train: dynamic ? neverTheSame(train) : train,
    ...(validation && { validation }),
    notes: [heldOutNote(data, domain.one)],
    warnings: [...data.warnings, ...warnings, ...others],
    collate,
    // Only masked tokens reach the head.
    loss: (g, outputs, { labels }) => crossEntropy(g, outputs[output]!, labels!, { countedOnly: true }),
    lossWeight: countMaskedTokens,
    metrics,
    ...(validation && {
      report: (request) =>
        maskedReport({ names: domain, tokenizer, train, validation, collate, masking, metrics }, request),
    }),
  };
}

/** Drops records without maskable tokens, with a warning. */
function maskable<R extends SequenceRecord>(
  { noun, remedy }: Pick<SequenceDomain<R, never, never>, 'noun' | 'remedy'>,
  records: readonly R[],
  { tokenizer }: SequenceTask<R>,
  masking: Masking,
): readonly [kept: readonly R[], warnings: readonly string[]] {
  const kept = records.filter(({ sequence }) => tokenizer.tokens(sequence).ids.some((id) => masking.canBeAsked(id)));
  const lost = records.length - kept.length;
  if (lost === 0) return [records, []];
  const { where } = records.find((record) => !kept.includes(record))!;
  if (kept.length > 0)
    return [kept, [`${lost} ${noun} have no letter that the model knows, and are left out: the first is ${where}.`]];
  throw new OnnxLoraError(
    'DATA_INVALID',
    `None of the ${lost} ${noun} has a letter that the model knows; the first is ${where}. Check that they are what the model reads. ${remedy}`,
  );
}

/** The dataset marked as random, as its masks change. */
function neverTheSame<R extends SequenceRecord>(
  dataset: SequenceDataset<undefined, R>,
): PreparedTask<SequenceExample<undefined, R>>['train'] {
  return {
    length: dataset.length,
    lengths: dataset.lengths,
    get: (index, draw) => dataset.get(index, draw),
    ...(dataset.nameOf && { nameOf: (index) => dataset.nameOf!(index) }),
  };
}
