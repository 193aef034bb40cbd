/** @file What this package lends to others, and takes from them. */

import { capability, type Capability, capabilityList, type CapabilityList } from '@onnx-lora/sdk';
import type { AudioReader } from './audio/audio.ts';
import type { SoundFormat } from './audio/formats/soundFormat.ts';

/** Decodes recordings. That of this package reads every {@link SOUND_FORMAT}. */
export const AUDIO_READER: Capability<AudioReader> = capability('audio-reader', { usuallyFrom: '@onnx-lora/speech' });

/** A kind of sound file that can be decoded; provide as many as there are. */
export const SOUND_FORMAT: CapabilityList<SoundFormat> = capabilityList('sound-format');
