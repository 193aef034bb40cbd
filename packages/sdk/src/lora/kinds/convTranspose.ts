/** @file Transposed convolutions: found, so that they can be named, but not adapted. */

import { conv } from './conv.ts';
import type { LayerKind } from './kind.ts';

/** PEFT defines no LoRA for them; what would be trained here could not be exchanged. */
export const convTranspose: LayerKind = {
  ...conv,
  refuses: () => 'is a transposed convolution, for which PEFT defines no LoRA (modulesToSave can train it in full)',
};
