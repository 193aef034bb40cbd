/** @file From a preprocessor_config.json to what makes a model's input of sound. */

import { OnnxLoraError, type PreprocessorFactory } from '@onnx-lora/sdk';
import type { AudioReader } from '../audio/audio.ts';
import { monoAt, monoStreamAt } from '../audio/mono.ts';
import { FeatureConfig } from './featureConfig.ts';
import type { ClipFeatures, FeatureExtractor } from './featureExtractor.ts';
import { spectrogramFeatures } from './spectrogramFeatures.ts';
import { stackedFeatures } from './stackedFeatures.ts';
import { waveformFeatures } from './waveformFeatures.ts';
import { whisperFeatures } from './whisperFeatures.ts';

const types: Readonly<Record<string, (fields: FeatureConfig) => ClipFeatures>> = {
  ASTFeatureExtractor: spectrogramFeatures,
  SeamlessM4TFeatureExtractor: stackedFeatures,
  Wav2Vec2FeatureExtractor: waveformFeatures,
  WhisperFeatureExtractor: whisperFeatures,
};

/** Makes the feature extractors of transformers' speech models, by `feature_extractor_type`. */
export class FeatureExtractorFactory implements PreprocessorFactory {
  /** Of recordings. */
  readonly domain: string = 'speech';
  readonly #reader: AudioReader;

  /** `reader` decodes the recordings of every extractor that is made. */
  constructor(reader: AudioReader) {
    this.#reader = reader;
  }

  get fileEndings(): readonly string[] {
    return this.#reader.fileEndings;
  }

  /** True for the types that it can make. */
  recognises(config: Readonly<Record<string, unknown>>): boolean {
    return (
      typeof config['feature_extractor_type'] === 'string' && Object.hasOwn(types, config['feature_extractor_type'])
    );
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported, naming `path` */
  create(config: Readonly<Record<string, unknown>>, path: string): FeatureExtractor {
    const features = this.#features(config, path);
    const { sampleRate, inputName, maxSamples } = features;
    return {
      ...features,
      preprocess: async (file) => {
        const samples =
          maxSamples === undefined
            ? await monoAt(this.#reader, file, sampleRate)
            : await beginning(monoStreamAt(this.#reader, file, sampleRate), maxSamples);
        const { type, dims, data } = features.batch([features.extract(samples)])[inputName]!;
        return { type, dims: dims.slice(1), data };
      },
    };
  }

  #features(config: Readonly<Record<string, unknown>>, path: string): ClipFeatures {
    const type = config['feature_extractor_type'];
    if (this.recognises(config)) return types[type as string]!(new FeatureConfig(config, path));
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}": feature_extractor_type is ${(JSON.stringify(type) ?? 'missing').slice(0, 80)}, but one of ${Object.keys(types).join(', ')} is expected. Check that it is a speech model.`,
    );
  }
}

/** The first `most` samples, or all where there are fewer; the rest of the recording is not read. */
async function beginning(pieces: AsyncIterable<Float32Array>, most: number): Promise<Float32Array> {
  const samples = new Float32Array(most);
  let length = 0;
  for await (const piece of pieces) {
    const part = piece.subarray(0, most - length);
    samples.set(part, length);
    length += part.length;
    if (length === most) break;
  }
  return samples.subarray(0, length);
}
