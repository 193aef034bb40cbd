/** @file The head for sequences or tokens: the model's own, or a new one on its token states. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type GraphPort,
  type HeadOption,
  type HeadPort,
  describedPorts,
  type NewHead,
  missingHeadError,
  type TaskHead,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { SequencePorts } from './sequenceTask.ts';

/** Options of the head of whole sequences. */
export interface SequenceHeadOptions extends HeadOption {
  /** Input of a new head: the `mean` of all token states (default), or the state of the `first`, such as `<cls>`. */
  readonly pool?: 'mean' | 'first' | undefined;
}

/**
 * The output `logits` of a model with a head: `[batch, outputs]`, or with the tokenizer `each` `[batch, tokens,
 * outputs]`. An output as wide as the vocabulary is a masked-language head, and does not count.
 */
export function ownHead({ outputs, config }: TaskModel, each?: SequenceTokenizer): HeadPort | undefined {
  const { logits } = outputs;
  if (logits?.type !== 'float32' || logits.dims?.length !== (each ? 3 : 2)) return undefined;
  const labels = config?.['id2label'];
  const named = typeof labels === 'object' && labels !== null ? Object.keys(labels).length : undefined;
  const last = logits.dims.at(-1);
  const count = typeof last === 'number' ? last : named;
  return count === undefined || (each && count >= each.size) ? undefined : { output: 'logits', outputs: count };
}

/**
 * {@link ownHead} of a model that must have one; `answers` (`classes`) and `noun` (`sequences`) are for the error.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function requireHead(model: TaskModel, answers: string, noun: string, each?: SequenceTokenizer): HeadPort {
  const head = ownHead(model, each);
  if (head) return head;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not answer with ${answers} about ${each ? 'each token' : noun}: it has no float32 output "logits" [batch, ${each ? 'tokens, ' : ''}${answers}] (it has ${describedPorts(model.outputs)}). Name the adapter that brings its head (--adapter), or export it with one.`,
  );
}

/**
 * Makes a new head: linear on the mean `last_hidden_state` without padding, or on the masked-language head's input.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without token states
 */
export function headOnTokens(
  { mask }: SequencePorts,
  pool: SequenceHeadOptions['pool'] = 'mean',
): (model: TaskModel, labels: readonly string[]) => TaskHead {
  const attach = { pool, ...(pool === 'mean' && mask !== undefined && { mask }) };
  return (model, labels) => headOn(model, labels, attach, model.outputs['last_hidden_state']);
}

/**
 * Makes a new head on each token, called `classifier` like transformers' token classifiers.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without token states
 */
export function headOnEachToken(model: TaskModel, labels: readonly string[]): TaskHead {
  const { last_hidden_state: states, logits } = model.outputs;
  return headOn(model, labels, { pool: 'each', module: 'classifier' }, logits ? undefined : states);
}

function headOn(
  model: TaskModel,
  labels: readonly string[],
  attach: NonNullable<NewHead['attach']>,
  states: GraphPort | undefined,
): TaskHead {
  const on = (output: string, more: typeof attach): TaskHead => ({ output: 'logits', labels, head: { output, labels, attach: more } }); // prettier-ignore
  if (states?.dims?.length === 3) return on('last_hidden_state', attach);
  const features = model.outputs['logits']?.dims?.length === 3 ? model.featuresOf?.('logits') : undefined;
  if (features) return on('logits', { ...attach, inPlaceOf: features.module });
  throw missingHeadError(
    model,
    `It gives neither scores nor states of ${attach.pool === 'each' ? 'each token' : 'tokens'}`,
  );
}
