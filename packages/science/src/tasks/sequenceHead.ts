/** @file The head that answers about whole sequences: the model's own, or a new one on the states of its tokens. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type HeadOption,
  type HeadPort,
  listedPorts,
  type NewHead,
  noHead,
  type TaskHead,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { SequencePorts } from './sequenceTask.ts';

/** How a model answers about whole sequences. */
export interface SequenceHeadOptions extends HeadOption {
  /**
   * What a new head reads, where the model has none: the `mean` over the states of all tokens (the default), or that of the
   * `first`, such as `<cls>`.
   */
  readonly pool?: 'mean' | 'first' | undefined;
}

/** The output `logits` `[batch, outputs]` of a model with a head for whole sequences. */
export function ownHead({ outputs, config }: TaskModel): HeadPort | undefined {
  const { logits } = outputs;
  if (logits?.type !== 'float32' || logits.dims?.length !== 2) return undefined;
  const labels = config?.['id2label'];
  const named = typeof labels === 'object' && labels !== null ? Object.keys(labels).length : undefined;
  const count = typeof logits.dims[1] === 'number' ? logits.dims[1] : named;
  return count === undefined ? undefined : { output: 'logits', outputs: count };
}

/**
 * The same of a model that must have one.
 *
 * @param answers what it is to answer with, for the error: `classes`
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function requireHead(model: TaskModel, answers: string): HeadPort {
  const head = ownHead(model);
  if (head) return head;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not answer with ${answers} about sequences: it has no float32 output "logits" [batch, ${answers}] (it has ${listedPorts(model.outputs)}). Name the adapter that brings its head (--adapter), or export it with one.`,
  );
}

/**
 * Makes the head of a model that has none: a linear layer on the mean of `last_hidden_state` over all tokens but padding, or on
 * what the head for masked tokens reads.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the model gives no states of tokens
 */
export function headOnTokens(
  { mask }: SequencePorts,
  pool: SequenceHeadOptions['pool'] = 'mean',
): (model: TaskModel, labels: readonly string[]) => TaskHead {
  return (model, labels) => {
    const attach: NonNullable<NewHead['attach']> = { pool, ...(pool === 'mean' && mask !== undefined && { mask }) };
    const on = (output: string, more: typeof attach): TaskHead => ({
      output: 'logits',
      labels,
      head: { output, labels, attach: more },
    });
    if (model.outputs['last_hidden_state']?.dims?.length === 3) return on('last_hidden_state', attach);
    const features = model.outputs['logits']?.dims?.length === 3 ? model.featuresOf?.('logits') : undefined;
    if (features) return on('logits', { ...attach, inPlaceOf: features.module });
    throw noHead(model, 'It gives neither scores nor states of tokens');
  };
}
