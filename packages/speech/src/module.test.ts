/** @file Tests that the module resolves in a container. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY } from '@onnx-lora/sdk';
import { Container } from 'inversify';
import { describe, expect, it } from 'vitest';
import type { AudioReader } from './audio/audio.ts';
import { speechModule } from './module.ts';
import { AUDIO_READER } from './tokens.ts';
import { WavefileReader } from './audio/wavefileReader.ts';

describe('speechModule', () => {
  it('brings families, two preprocessors and a reader, each once', async () => {
    const container = new Container();
    container.load(speechModule);
    expect(container.getAll(MODEL_FAMILY).map(({ name, domain }) => `${domain}/${name}`)).toEqual([
      'speech/whisper',
      'speech/wav2vec2',
      'speech/audio-spectrogram-transformer',
    ]);
    expect(container.get(AUDIO_READER)).toBeInstanceOf(WavefileReader);
    const types = ['WhisperFeatureExtractor', 'Wav2Vec2FeatureExtractor', 'ViTImageProcessor'];
    const takers = types.map((feature_extractor_type) =>
      container.getAll(PREPROCESSOR_FACTORY).filter((factory) => factory.recognises({ feature_extractor_type })),
    );
    expect(takers.map((factories) => factories.length)).toEqual([1, 1, 0]);
    expect(container.getAll(PREPROCESSOR_FACTORY)[0]).toBe(container.getAll(PREPROCESSOR_FACTORY)[0]);
  });

  it('lets an application bring its own reader', async () => {
    const container = new Container();
    container.load(speechModule);
    const tone: AudioReader = { read: async () => ({ sampleRate: 16_000, channels: [new Float32Array([1, -1])] }) };
    container.rebind(AUDIO_READER).toConstantValue(tone);
    const factory = container
      .getAll(PREPROCESSOR_FACTORY)
      .find((each) => each.recognises({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' }));
    const { data } = await factory!.create({ do_normalize: false }, 'preprocessor_config.json').preprocess('any.flac');
    expect([...data]).toEqual([1, -1]);
  });
});
