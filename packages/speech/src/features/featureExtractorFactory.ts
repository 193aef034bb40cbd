/** @file The factory of feature extractors, by preprocessor_config.json. */

import { float32, OnnxLoraError, stack } from '@onnx-lora/sdk';
import { ConfigFields } from '@onnx-lora/sdk/data';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import { type AudioReader, monoAt, monoStreamAt } from '../audio/audio.ts';
import type { ClipFeatures, FeatureExtractor } from './featureExtractor.ts';
import { notFinite } from './filterBank.ts';
import { KALDI_RATE, KaldiFilterBank, stackedFeatures } from './kaldiFilterBank.ts';
import { batchWaveforms } from './waveform.ts';
import { whisperFeatures } from './logMel.ts';

const types: Readonly<Record<string, (fields: ConfigFields) => ClipFeatures>> = {
  ASTFeatureExtractor: spectrogramFeatures,
  SeamlessM4TFeatureExtractor: stackedFeatures,
  Wav2Vec2FeatureExtractor: waveformFeatures,
  WhisperFeatureExtractor: whisperFeatures,
};

/** Makes the feature extractors of transformers' speech models, by `feature_extractor_type`. */
export class FeatureExtractorFactory implements PreprocessorFactory {
  /** The domain: recordings. */
  readonly domain: string = 'speech';
  readonly #reader: AudioReader;

  /** `reader` decodes recordings for every extractor. */
  constructor(reader: AudioReader) {
    this.#reader = reader;
  }

  get fileEndings(): readonly string[] {
    return this.#reader.fileEndings;
  }

  /** True for a known type. */
  recognises(config: Readonly<Record<string, unknown>>): boolean {
    return (
      typeof config['feature_extractor_type'] === 'string' && Object.hasOwn(types, config['feature_extractor_type'])
    );
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` for unsupported fields, naming `path` */
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
    if (this.recognises(config)) return types[type as string]!(new ConfigFields(config, path));
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${path}": feature_extractor_type is ${(JSON.stringify(type) ?? 'missing').slice(0, 80)}, but one of ${Object.keys(types).join(', ')} is expected. Check that it is a speech model.`,
    );
  }
}

/** Reads the first `most` samples at most. */
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

/**
 * AST's features: `input_values` `[batch, frames, mels]`, mostly `[1024, 128]` a clip, normalised to mean 0 and
 * deviation 0.5 over the training data.
 * @throws OnnxLoraError `CONFIG_INVALID` for unsupported fields
 */
function spectrogramFeatures(fields: ConfigFields): ClipFeatures {
  fields.fixed('sampling_rate', KALDI_RATE);
  const mels = fields.integer('num_mel_bins', 1, 256) ?? 128;
  const frames = fields.integer('max_length', 1, 6000) ?? 1024;
  const doNormalise = fields.boolean('do_normalize') ?? true;
  const mean = doNormalise ? (fields.number('mean', -1e6, 1e6) ?? -4.2677393) : 0;
  const scale = doNormalise ? 1 / (2 * (fields.number('std', 1e-6, 1e6) ?? 4.5689974)) : 1;
  const maxSamples = KaldiFilterBank.samples(frames);
  const bank = new KaldiFilterBank(mels, 'hanning');
  return {
    sampleRate: KALDI_RATE,
    inputName: 'input_values',
    maxSamples,
    extract: (samples) => {
      const data = new Float32Array(frames * mels);
      // Padding is 0 before normalisation.
      data.set(bank.features(samples.subarray(0, maxSamples)));
      for (let i = 0; i < data.length; i++) data[i] = (data[i]! - mean) * scale;
      return float32(data, [frames, mels]);
    },
    soundIn: (samples) => ({ timeAxis: 0, frames: Math.min(frames, KaldiFilterBank.frames(samples)) }),
    batch: (clips) => ({ input_values: stack(clips) }),
  };
}

/**
 * wav2vec2's features: `input_values` `[batch, samples]`, normalised to zero mean and unit variance if the file says
 * so, with an `attention_mask` if the model takes one.
 * @throws OnnxLoraError `CONFIG_INVALID` for unsupported fields
 */
function waveformFeatures(fields: ConfigFields): ClipFeatures {
  const sampleRate = fields.integer('sampling_rate', 1000, 48_000) ?? 16_000;
  fields.fixed('feature_size', 1);
  fields.fixed('padding_side', 'right');
  const options = {
    normalise: fields.boolean('do_normalize') ?? true,
    mask: fields.boolean('return_attention_mask') ?? false,
    padding: fields.number('padding_value', -1, 1) ?? 0,
  };
  return {
    sampleRate,
    inputName: 'input_values',
    extract: (samples) => {
      if (!samples.every(Number.isFinite)) throw notFinite();
      return float32(samples, [samples.length]);
    },
    batch: (clips) =>
      batchWaveforms(
        clips.map(({ data }) => data as Float32Array),
        options,
      ),
  };
}
