/** @file Keys under which this package binds its ports. */

import { token } from '@onnx-lora/sdk';
import type { ServiceIdentifier } from 'inversify';
import type { AudioReader } from './audio/audio.ts';
import type { SoundFormat } from './audio/formats/soundFormat.ts';

/** Decodes recordings. The one that is bound reads every {@link SOUND_FORMAT}. */
export const AUDIO_READER: ServiceIdentifier<AudioReader> = token('AudioReader');

/** A kind of sound file that can be decoded; bind as many as there are. */
export const SOUND_FORMAT: ServiceIdentifier<SoundFormat> = token('SoundFormat');
