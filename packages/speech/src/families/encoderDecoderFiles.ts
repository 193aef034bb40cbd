/** @file How models of an encoder and a decoder of text are published. */

import type { FamilyFiles } from '@onnx-lora/sdk/plugin';

/** As optimum writes them: an encoder, and one to three decoders. */
export const encoderDecoderFiles: FamilyFiles = {
  parts: [
    { name: 'encoder_model', prefix: 'model.encoder' },
    {
      name: 'decoder_model',
      // Both decoders in one: without a past it is the first.
      alsoNamed: ['decoder_model_merged'],
      idleInputs: /^(?:use_cache_branch$|past_key_values\.)/,
      reads: { encoder_hidden_states: 'last_hidden_state' },
      inputNames: { input_ids: 'decoder_input_ids' },
    },
    { name: 'decoder_with_past_model', onlyServes: true },
    { name: 'decoder_model_merged', onlyServes: true },
  ],
  // Keys and values that serving keeps are of no use in training.
  outputs: ['logits'],
  // Text is written with the past that only they have, and a Whisper in one file beside them is the same model.
  arePreferred: true,
};
