/** @file What teaches a language model: its scores, its tokens, and how conversations become rows of them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { openSequenceInput, type SequenceInput, type SequenceNames, type SequenceTokenizer } from '@onnx-lora/sequences'; // prettier-ignore
import { openChatTemplate, readNamedTokens } from '../../chat/chatTemplate.ts';
import type { Learned } from '../../chat/sftTokens.ts';
import type { SftRules } from './sftRows.ts';

/** What a language model reads, for errors. */
export const languageModel: SequenceNames = {
  noun: 'texts',
  one: 'text',
  remedy: 'Use a language model (optimum-cli export onnx --task text-generation-with-past).',
};

/** What TRL has: enough for most conversations, where models read a hundred times as much. */
const USUAL_LENGTH = 1024;

/** The output with scores of the vocabulary for each token. */
export interface LogitsPort {
  /** Its name. */
  readonly output: string;
  /** Scores for each token: of models with rows to spare more than tokens. */
  readonly size: number;
}

/** How a model is taught. */
export interface SftOptions {
  /** What of a conversation is learned. */
  readonly learn: Learned;
  /** Most tokens of a row. */
  readonly maxLength?: number | undefined;
  /** The tokenizer of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

/** Data of supervised fine-tuning. */
export interface SftData {
  readonly input: SequenceInput;
  readonly port: LogitsPort;
  readonly rules: SftRules;
}

/**
 * Opens what the model's folder has for it.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not write; `CONFIG_INVALID` for files that cannot be read
 */
export async function openSftData(model: TaskModel, { learn, maxLength, tokenizer }: SftOptions): Promise<SftData> {
  const input = await openSequenceInput(model, { tokenizer, maxLength }, languageModel);
  const port = logitsPort(model, input.tokenizer);
  const folder = model.folder ?? '';
  const { eos_token: end } = await readNamedTokens(folder);
  const rules: SftRules = {
    tokenizer: input.tokenizer,
    template: await openChatTemplate(folder),
    learned: learn,
    end: end === undefined ? undefined : input.tokenizer.idOf(end),
    most: maxLength === undefined ? Math.min(input.rules.most, USUAL_LENGTH) : input.rules.most,
  };
  return { input, port, rules };
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without such an output, as one that is published without its head */
function logitsPort(model: TaskModel, tokenizer: SequenceTokenizer): LogitsPort {
  const output = 'logits';
  const dims = model.outputs[output]?.dims;
  const size = dims?.[2];
  if (dims?.length === 3 && typeof size === 'number' && size >= tokenizer.size) return { output, size };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" writes no text: that takes an output "logits" [batch, tokens, ${tokenizer.size} or more], and its outputs are ${listedPorts(model.outputs)}. Export the model with its head (optimum-cli export onnx --task text-generation-with-past).`,
  );
}
