/** @file A feature extractor that cuts nothing off. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';

/**
 * The extractor, which refuses what lasts longer than the model hears at once: a transcript would go on where the sound that
 * goes with it is cut off.
 */
export function withinWindow(extractor: FeatureExtractor): FeatureExtractor {
  const { maxSamples = Infinity, sampleRate } = extractor;
  return {
    ...extractor,
    extract: (samples) => {
      if (samples.length <= maxSamples) return extractor.extract(samples);
      throw new OnnxLoraError(
        'DATA_INVALID',
        `It lasts ${(samples.length / sampleRate).toFixed(1)} s, and the model hears ${maxSamples / sampleRate} s at once, so that it would be taught words that it does not hear. Cut it into utterances, or leave such recordings out (maxSeconds: ${maxSamples / sampleRate}).`,
      );
    },
  };
}
