/** @file Finds where sound goes in, where text goes in, and where scores of tokens come out. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** Names in the graph of an encoder with a decoder. */
export interface RecognitionPorts {
  /** What the encoder reads: `input_features` `[batch, mels, frames]`, or `input_values` `[batch, samples]`. */
  readonly input: string;
  /** The tokens so far, int64 `[batch, length]`. */
  readonly tokens: string;
  /** Float `[batch, length, vocabulary]`. */
  readonly logits: string;
}

/**
 * The ports of a model that writes token by token, as transformers calls them.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function recognitionPorts(model: TaskModel): RecognitionPorts {
  const input = ['input_features', 'input_values'].find((name) => name in model.inputs);
  const tokens = 'decoder_input_ids';
  const logits = 'logits';
  if (input !== undefined && tokens in model.inputs && model.outputs[logits]?.dims?.length === 3) {
    return { input, tokens, logits };
  }
  const has = Object.keys(model.inputs).join(', ');
  const hint =
    input === undefined && 'encoder_hidden_states' in model.inputs
      ? 'This is a decoder alone: name the folder, whose encoder and decoder are trained as one.'
      : input !== undefined && 'last_hidden_state' in model.outputs
        ? 'This is an encoder alone: name the folder, whose encoder and decoder are trained as one.'
        : 'Export it with optimum-cli export onnx --task automatic-speech-recognition.';
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not write what it hears: that takes the inputs input_features (or input_values) and decoder_input_ids, and the output logits [batch, length, vocabulary], but it has the inputs ${has} and the outputs ${Object.keys(model.outputs).join(', ')}. ${hint}`,
  );
}
