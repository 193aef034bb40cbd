/** @file Keys under which this package binds its ports. */

import { token } from '@onnx-lora/sdk';
import type { ServiceIdentifier } from 'inversify';
import type { AudioReader } from './audio/audio.ts';

/** Decodes sound files. Rebind it to read more than WAV. */
export const AUDIO_READER: ServiceIdentifier<AudioReader> = token('AudioReader');
