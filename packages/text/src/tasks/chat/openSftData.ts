/** @file Opens a language model for supervised fine-tuning: its logits, tokenizer, and rules for rows. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { describedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { openSequenceInput, type SequenceInput, type SequenceNames, type SequenceTokenizer } from '@onnx-lora/sequences'; // prettier-ignore
import { openChatTemplate, readNamedTokens } from '../../chat/chatTemplate.ts';
import type { LearnedTokens } from '../../chat/sftTokens.ts';
import type { SftRules } from './sftRows.ts';

/** Names of a language model's input, for errors. */
export const languageModel: SequenceNames = {
  noun: 'texts',
  one: 'text',
  remedy: 'Use a language model (optimum-cli export onnx --task text-generation-with-past).',
};

/** TRL's default: enough for most conversations, while contexts are up to a hundred times as long. */
const USUAL_LENGTH = 1024;

/** The output with logits over the vocabulary. */
export interface LogitsPort {
  readonly output: string;
  /** Logits per token, possibly more than tokens in the vocabulary. */
  readonly size: number;
}

export interface SftOptions {
  readonly learn: LearnedTokens;
  /** Maximum tokens of a row. */
  readonly maxLength?: number | undefined;
  readonly tokenizer?: SequenceTokenizer | undefined;
}

/** Inputs and rules of supervised fine-tuning. */
export interface SftData {
  readonly input: SequenceInput;
  readonly port: LogitsPort;
  readonly rules: SftRules;
}

/**
 * Opens a model's tokenizer, chat template and logits.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that is no language model; `CONFIG_INVALID` for unreadable
 * files
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

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` without logits, such as for a model published without its head */
function logitsPort(model: TaskModel, tokenizer: SequenceTokenizer): LogitsPort {
  const output = 'logits';
  const dims = model.outputs[output]?.dims;
  const size = dims?.[2];
  if (dims?.length === 3 && typeof size === 'number' && size >= tokenizer.size) return { output, size };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" writes no text: that takes an output "logits" [batch, tokens, ${tokenizer.size} or more], and its outputs are ${describedPorts(model.outputs)}. Export the model with its head (optimum-cli export onnx --task text-generation-with-past).`,
  );
}
