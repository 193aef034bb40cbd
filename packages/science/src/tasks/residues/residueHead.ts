/** @file The head that answers about each residue: the model's own, or a new one on the states of its tokens. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type HeadPort, listedPorts, noHead, type TaskHead, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';

/**
 * The output `logits` `[batch, tokens, outputs]` of a model with a head for each token. One with as many outputs as there are
 * tokens, or more, guesses masked tokens, and is none of these.
 */
export function ownTokenHead({ outputs, config }: TaskModel, tokenizer: SequenceTokenizer): HeadPort | undefined {
  const { logits } = outputs;
  if (logits?.type !== 'float32' || logits.dims?.length !== 3) return undefined;
  const labels = config?.['id2label'];
  const named = typeof labels === 'object' && labels !== null ? Object.keys(labels).length : undefined;
  const count = typeof logits.dims[2] === 'number' ? logits.dims[2] : named;
  return count === undefined || count >= tokenizer.size ? undefined : { output: 'logits', outputs: count };
}

/**
 * The same of a model that must have one.
 *
 * @param answers what it is to answer with, for the error: `classes`
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function requireTokenHead(model: TaskModel, tokenizer: SequenceTokenizer, answers: string): HeadPort {
  const head = ownTokenHead(model, tokenizer);
  if (head) return head;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not answer with ${answers} about each residue: that takes a float32 output "logits" [batch, tokens, ${answers}], and its outputs are ${listedPorts(model.outputs)}. Name the adapter that brings its head (--adapter), or export it with one.`,
  );
}

/**
 * Makes the head of a model that has none: a linear layer on `last_hidden_state`, or on what the head for masked tokens reads,
 * called `classifier` as that of transformers' token classifiers.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the model gives no states of tokens
 */
export function headOnEachToken(model: TaskModel, labels: readonly string[]): TaskHead {
  const { last_hidden_state: states, logits } = model.outputs;
  const attach = { pool: 'each', module: 'classifier' } as const;
  if (states?.dims?.length === 3 && !logits)
    return { output: 'logits', labels, head: { output: 'last_hidden_state', labels, attach } };
  const features = logits?.dims?.length === 3 ? model.featuresOf?.('logits') : undefined;
  if (features)
    return { output: 'logits', labels, head: { output: 'logits', labels, attach: { ...attach, inPlaceOf: features.module } } }; // prettier-ignore
  throw noHead(model, 'It gives neither scores nor states of each token');
}
