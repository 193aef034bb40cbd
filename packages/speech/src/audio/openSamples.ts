/** @file Samples that are already decoded, as a sound to read. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Audio } from './audio.ts';
import type { OpenSound } from './formats/soundFormat.ts';
import { checkRates } from './rates.ts';

/**
 * The samples of `audio`, of which nothing is copied.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the rate is no positive whole number or the channels differ in length
 */
export function openSamples({ sampleRate, channels }: Audio): OpenSound {
  const frames = channels[0]?.length ?? 0;
  checkRates(sampleRate);
  if (channels.some(({ length }) => length !== frames)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The channels of a recording must be equally long, not ${channels.map(({ length }) => length).join(', ')} samples.`,
    );
  }
  return {
    sampleRate,
    channels: Math.max(1, channels.length),
    frames,
    async *pieces(start, end): AsyncGenerator<readonly Float32Array[]> {
      const stop = Math.min(end, frames);
      for (let at = start; at < stop; at += sampleRate) {
        yield channels.map((channel) => channel.subarray(at, Math.min(at + sampleRate, stop)));
      }
    },
  };
}
