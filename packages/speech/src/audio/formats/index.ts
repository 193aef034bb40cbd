/** @file The formats that are read. */

import { flac } from './flac/flac.ts';
import { mp3 } from './mp3/mp3.ts';
import { mp4 } from './mp4/mp4.ts';
import { ogg } from './ogg/ogg.ts';
import type { AudioFormat } from './audioFormat.ts';
import { wav } from './wav.ts';

/** Every format that this package reads. */
export const audioFormats: readonly AudioFormat[] = [wav, flac, mp3, ogg, mp4];
