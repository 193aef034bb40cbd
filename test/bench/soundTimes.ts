/** @file Features of half a minute of sound made in this process, in CPU time. */

import { FeatureExtractorFactory, AudioFileReader } from '@onnx-lora/speech';
import { readFile } from 'node:fs/promises';

/** Timed classes of transformers, with numbers of mel bins. */
export const soundCases: readonly { readonly name: string; readonly type: string; readonly mels?: number }[] = [
  { name: 'Whisper, 80 mels', type: 'Whisper', mels: 80 },
  { name: 'Whisper, 128 mels', type: 'Whisper', mels: 128 },
  { name: 'AST', type: 'AST' },
  { name: 'SeamlessM4T', type: 'SeamlessM4T' },
  { name: 'Wav2Vec2', type: 'Wav2Vec2' },
];

/** How often each turn makes the features of each case; the shortest time counts. */
export const SOUND_ROUNDS = 20;

/** CPU milliseconds of one clip, by case. */
export interface SoundFigures {
  readonly soundMs: Readonly<Record<string, number>>;
}

/**
 * Work of a child: CPU time per clip of every case, summed over this process's threads.
 *
 * @param file float32 samples at 16 kHz
 */
export async function timeSound(file: string): Promise<SoundFigures> {
  const samples = new Float32Array(Uint8Array.from(await readFile(file)).buffer);
  const factory = new FeatureExtractorFactory(new AudioFileReader());
  const found: Record<string, number> = {};
  for (const { name, type, mels } of soundCases) {
    const size = mels === undefined ? {} : { feature_size: mels };
    const extractor = factory.create({ feature_extractor_type: `${type}FeatureExtractor`, ...size }, 'config');
    const times = Array.from({ length: SOUND_ROUNDS }, () => {
      const start = process.cpuUsage();
      extractor.batch([extractor.extract(samples)]);
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    });
    found[name] = Math.min(...times);
  }
  return { soundMs: found };
}
