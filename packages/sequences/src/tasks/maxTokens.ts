/** @file The model's maximum length in tokens. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { readSentenceLimits } from '@onnx-lora/sdk/data';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { SequencePorts } from './sequenceTask.ts';

/** Models whose position ids start after the padding id. */
const offsetTypes: ReadonlySet<unknown> = new Set([
  'roberta',
  'xlm-roberta',
  'camembert',
  'esm',
  'ibert',
  'longformer',
]);

/**
 * Most tokens of a row, special ones included: `given` or the least limit of the graph, `config.json` and the
 * tokenizer.
 * @throws OnnxLoraError `CONFIG_INVALID` for a length without room for letters, or beyond the positions
 */
export function maxTokens(
  model: TaskModel,
  tokenizer: SequenceTokenizer,
  ports: SequencePorts,
  given: number | undefined,
): number {
  const positions = numberOf(model, 'max_position_embeddings') - positionOffset(model);
  const isRotary = model.config?.['position_embedding_type'] === 'rotary';
  // Rotary positions are unbounded: the user may exceed the trained length.
  const hard = Math.min(ports.length ?? Infinity, isRotary ? Infinity : positions);
  if (given === undefined) return Math.min(hard, positions, tokenizer.maxLength ?? Infinity);
  const least = tokenizer.added.pair + 1;
  if (Number.isInteger(given) && given >= least && given <= hard) return given;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    given > hard
      ? `The maximal length is ${given} tokens, but "${model.name}" has positions for ${hard}. Give at most ${hard}, or leave it out.`
      : `The maximal length must be a whole number of at least ${least} tokens, ${tokenizer.added.pair} of them special, but it is ${given}.`,
  );
}

/**
 * Most tokens that sentence-transformers reads, special ones included; infinite without its files.
 * @throws OnnxLoraError `CONFIG_INVALID` for lower-casing that the tokenizer lacks; like `readSentenceLimits`
 */
export async function sentenceTokens({ folder, name }: TaskModel, tokenizer: SequenceTokenizer): Promise<number> {
  if (folder === undefined) return Infinity;
  const { maxLength = Infinity, isLowerCase } = await readSentenceLimits(folder);
  const idsOf = (text: string): string => tokenizer.tokens(text).ids.join();
  if (isLowerCase && idsOf('The BIG House') !== idsOf('the big house')) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `sentence_bert_config.json of "${name}" says "do_lower_case": true, and its tokenizer reads capitals as they are. Add the normalizer {"type": "Lowercase"} to tokenizer.json, or set do_lower_case to false.`,
    );
  }
  return Math.max(maxLength, tokenizer.added.single + 1);
}

/** Position id of the first token: RoBERTa's and ESM's learned positions start after the padding id; otherwise 0. */
export function positionOffset({ config }: TaskModel): number {
  if (!offsetTypes.has(config?.['model_type'])) return 0;
  const pad = config?.['pad_token_id'];
  return (typeof pad === 'number' ? pad : 1) + 1;
}

function numberOf({ config }: TaskModel, name: string): number {
  const value = config?.[name];
  return typeof value === 'number' && value > 0 ? value : Infinity;
}
