/** @file Names of this domain's sequences. */

import type { SequenceNames } from '@onnx-lora/sequences';

/** Nouns and remedy in errors and reports. */
export const sequenceNames: SequenceNames = {
  noun: 'sequences',
  one: 'sequence',
  remedy: 'Use the encoder of a model of proteins, nucleotides or molecules.',
};
