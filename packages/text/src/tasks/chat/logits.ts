/** @file What a language model is, to tasks that teach it or ask it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { SequenceNames, SequenceTokenizer } from '@onnx-lora/sequences';

/** What it reads, for errors. */
export const languageModel: SequenceNames = {
  noun: 'texts',
  one: 'text',
  remedy: 'Use a language model (optimum-cli export onnx --task text-generation-with-past).',
};

/** The output with scores of the vocabulary for each token. */
export interface LogitsPort {
  /** Its name. */
  readonly output: string;
  /** Scores for each token: of models with rows to spare more than tokens. */
  readonly size: number;
}

/**
 * Finds the scores of a model.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without it, as one that is published without its head
 */
export function logitsPort(model: TaskModel, tokenizer: SequenceTokenizer): LogitsPort {
  const output = 'logits';
  const dims = model.outputs[output]?.dims;
  const size = dims?.[2];
  if (dims?.length === 3 && typeof size === 'number' && size >= tokenizer.size) return { output, size };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" writes no text: that takes an output "logits" [batch, tokens, ${tokenizer.size} or more], and its outputs are ${listedPorts(model.outputs)}. Export the model with its head (optimum-cli export onnx --task text-generation-with-past).`,
  );
}
