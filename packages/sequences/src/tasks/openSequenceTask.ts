/** @file Opens the data of a sequence task. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { type DivideOptions, definingRecords } from '@onnx-lora/sdk/data';
import type { SequenceDomain, TargetKind } from '../domain.ts';
import type { SequenceData, SequenceRecord } from '../record.ts';
import { openSequenceInput } from './sequenceInput.ts';
import type { SequencePorts, SequenceTask, TokenOptions } from './sequenceTask.ts';
import { TokenDataset } from './tokenDataset.ts';

/**
 * Reads the data, and opens the tokenizer and inputs; every record must have the target `wanted`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND`
 */
export async function openSequenceTask<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: TaskModel,
  source: Source,
  options: Options & TokenOptions,
  wanted?: TargetKind,
): Promise<SequenceTask<R>> {
  const { rules, tokenizer, ports, feeds } = await openSequenceInput(model, options, domain);
  const read = await domain.read(source, options, wanted);
  const unfit = domain.unfit?.(tokenizer, definingRecords(read)) ?? [];
  const data = { ...read, warnings: [...read.warnings, ...unfit, ...unmasked(model, ports, read)] };
  if (data.train.length === 0 && !data.validation?.length)
    throw new OnnxLoraError('DATA_INVALID', `The data have no ${domain.noun}. Name a file that has some.`);
  const { seed = 0 } = options;
  // Longest training row, the limit of padding.
  let most = 0;
  return {
    model,
    data,
    tokenizer,
    ports,
    options,
    dataset: (records, targets, { isTrained = false, isCroppedAtRandom = false } = {}) => {
      const dataset = new TokenDataset(records, targets, { rules, seed, isCroppedAtRandom });
      if (isTrained) for (const length of dataset.lengths) most = Math.max(most, length);
      return dataset;
    },
    feeds: (rows, isTrained) => feeds(rows, isTrained ? most : undefined),
  };
}

/** Warns of models without an attention mask, which may read padding; predictors avoid padding for them. */
function unmasked({ name }: TaskModel, { mask, length }: SequencePorts, data: SequenceData): string[] {
  if (mask !== undefined || length !== undefined) return [];
  const records = [...data.train, ...(data.validation ?? [])];
  const lengths = new Set(records.map(({ sequence, second = '' }) => sequence.length + second.length));
  if (lengths.size < 2) return [];
  return [
    `"${name}" has no input attention_mask. Unless its graph finds padding by itself, shorter sequences of a batch get other answers than alone. Use a batch size of 1 (--batch-size 1), or export the model with the mask.`,
  ];
}
