/** @file Which value of a model holds the states of a sequence's tokens. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type GraphPort, listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { didYouMean } from '@onnx-lora/sdk/plugin';

/** How one vector is made of the states of tokens: their mean without special tokens, or the state of the first, `<cls>`. */
export type SequencePooling = 'mean' | 'first';

/** Where embeddings come from. */
export interface FeatureOptions {
  /**
   * The graph output that is the feature; `before-head` is what the head reads. By default `last_hidden_state`, or else
   * `before-head`.
   */
  readonly output?: string | undefined;
  /** `mean` by default. */
  readonly pool?: SequencePooling | undefined;
}

/** The value that is the feature. */
export interface SequenceFeature {
  /** Name of the output: float32 `[batch, tokens, width]`, or `[batch, width]`. */
  readonly output: string;
  /** The same, where it is inside the graph and no output. */
  readonly inner: readonly string[];
  /** Whether it has a vector for each token. */
  readonly isPerToken: boolean;
}

const BEFORE_HEAD = 'before-head';
const usual = ['last_hidden_state', 'token_embeddings', 'hidden_states'];

/**
 * The output that is named; else the last hidden states; else, of a model that answers with scores, what its head reads.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that no output has; `MODEL_UNSUPPORTED` for a model without features
 */
export function sequenceFeature(model: TaskModel, named?: string): SequenceFeature {
  const { outputs } = model;
  if (named !== undefined && named !== BEFORE_HEAD) {
    const port = outputs[named];
    if (port && isFeature(port)) return { output: named, inner: [], isPerToken: isPerToken(port) };
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      port
        ? `The output "${named}" of "${model.name}" is ${listedPorts({ [named]: port })}, and features are float32 [batch, tokens, width] or [batch, width]. Name another output.`
        : `"${model.name}" has no output "${named}".${didYouMean(named, Object.keys(outputs))} Its outputs are ${listedPorts(outputs)}; "${BEFORE_HEAD}" is what a head reads.`,
    );
  }
  const found = usual.find((name) => outputs[name] && isFeature(outputs[name]));
  if (found !== undefined && named === undefined) {
    return { output: found, inner: [], isPerToken: isPerToken(outputs[found]!) };
  }
  const before = 'logits' in outputs ? model.featuresOf?.('logits') : undefined;
  if (before && isFeature(before)) {
    const inner = Object.hasOwn(outputs, before.name) ? [] : [before.name];
    return { output: before.name, inner, isPerToken: isPerToken(before) };
  }
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" gives no features of sequences: its outputs are ${listedPorts(outputs)}. Export the encoder with "last_hidden_state", or name an output of [batch, tokens, width].`,
  );
}

function isFeature({ type, dims }: GraphPort): boolean {
  return type === 'float32' && (dims === undefined || dims.length === 2 || dims.length === 3);
}

function isPerToken({ dims }: GraphPort): boolean {
  return dims?.length !== 2;
}
