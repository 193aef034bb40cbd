/** @file From a sound file to what Whisper and wav2vec2 are fed, by their preprocessor_config.json. */

import { float32, type Preprocessor, type PreprocessorFactory, type Tensor } from '@onnx-lora/sdk';
import { toMono, type Audio, type AudioReader } from '../audio/audio.ts';
import { FeatureConfig } from './featureConfig.ts';
import { LogMel } from './logMel.ts';
import { resample } from '../audio/resample.ts';
import { oddPart } from './spectrum.ts';
import { normalise } from './waveform.ts';

const DOMAIN = 'speech';
const ENDINGS: readonly string[] = ['.wav'];
/** A direct transform of the frame's odd part costs its square; 25 in every published model. */
const MAX_ODD_PART = 125;

/**
 * Recognises `WhisperFeatureExtractor`. Its preprocessor gives float32 `[mels, frames]`, `[80, 3000]` for most: the
 * log-mel spectrogram of the first 30 s, mixed to mono and resampled to 16 kHz.
 */
export class WhisperPreprocessorFactory implements PreprocessorFactory {
  readonly domain: string = DOMAIN;
  readonly fileEndings: readonly string[] = ENDINGS;
  readonly #reader: AudioReader;

  constructor(reader: AudioReader) {
    this.#reader = reader;
  }

  /** True for `feature_extractor_type: WhisperFeatureExtractor`. */
  recognises(config: Readonly<Record<string, unknown>>): boolean {
    return config['feature_extractor_type'] === 'WhisperFeatureExtractor';
  }

  create(config: Readonly<Record<string, unknown>>, path: string): Preprocessor {
    const fields = new FeatureConfig(config, path);
    const sampleRate = fields.integer('sampling_rate', 16_000, 16_000, 48_000);
    const frameLength = fields.integer('n_fft', 400, 16, 4096);
    if (frameLength % 2 !== 0 || oddPart(frameLength) > MAX_ODD_PART) {
      throw fields.invalid('n_fft', `an even number whose largest odd divisor is at most ${MAX_ODD_PART}`);
    }
    const seconds = fields.integer('chunk_length', 30, 1, 60);
    const doNormalise = fields.flag('do_normalize', false);
    fields.only('padding_value', 0);
    fields.only('padding_side', 'right');
    fields.only('dither', 0);
    const logMel = new LogMel({
      sampleRate,
      mels: fields.integer('feature_size', 80, 1, 256),
      frameLength,
      hop: fields.integer('hop_length', 160, 40, frameLength),
      length: seconds * sampleRate,
    });
    return {
      preprocess: async (file): Promise<Tensor> => {
        const heard = monoAt(await this.#reader.read(file), sampleRate, seconds);
        const features = logMel.features(doNormalise ? normalise(heard) : heard);
        return float32(features, [features.length / logMel.frames, logMel.frames]);
      },
    };
  }
}

/**
 * Recognises `Wav2Vec2FeatureExtractor`, which wav2vec2, HuBERT, WavLM and others share. Its preprocessor gives the
 * samples, float32 `[samples]`: mono, resampled, normalised over the clip if the file says so. It pads nothing;
 * `batchWaveforms` does.
 */
export class Wav2Vec2PreprocessorFactory implements PreprocessorFactory {
  readonly domain: string = DOMAIN;
  readonly fileEndings: readonly string[] = ENDINGS;
  readonly #reader: AudioReader;

  constructor(reader: AudioReader) {
    this.#reader = reader;
  }

  /** True for `feature_extractor_type: Wav2Vec2FeatureExtractor`. */
  recognises(config: Readonly<Record<string, unknown>>): boolean {
    return config['feature_extractor_type'] === 'Wav2Vec2FeatureExtractor';
  }

  create(config: Readonly<Record<string, unknown>>, path: string): Preprocessor {
    const fields = new FeatureConfig(config, path);
    const sampleRate = fields.integer('sampling_rate', 16_000, 1000, 48_000);
    const doNormalise = fields.flag('do_normalize', true);
    fields.only('feature_size', 1);
    return {
      preprocess: async (file): Promise<Tensor> => {
        const samples = monoAt(await this.#reader.read(file), sampleRate);
        return float32(doNormalise ? normalise(samples) : samples, [samples.length]);
      },
    };
  }
}

/** The first `seconds` of `audio`, mono `[samples]` at `sampleRate`. */
function monoAt(audio: Audio, sampleRate: number, seconds: number = Infinity): Float32Array {
  // One second more than is kept: no resampled sample in the kept part hears further than that.
  const mono = toMono(audio, Math.ceil((seconds + 1) * audio.sampleRate));
  return resample(mono, audio.sampleRate, sampleRate).subarray(0, seconds * sampleRate);
}
