/** @file Tests that the module resolves in a container. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY, TASK_FACTORY } from '@onnx-lora/sdk';
import { Container } from 'inversify';
import { describe, expect, it } from 'vitest';
import type { AudioReader } from './audio/audio.ts';
import { speechFamilies } from './families/index.ts';
import { speechModule } from './module.ts';
import { AUDIO_READER } from './tokens.ts';
import { SoundReader } from './audio/soundReader.ts';

describe('speechModule', () => {
  it('brings families, a maker of feature extractors and a reader, each once', async () => {
    const container = new Container();
    container.load(speechModule);
    expect(container.getAll(MODEL_FAMILY).map(({ name, domain }) => `${domain}/${name}`)).toEqual(
      speechFamilies.map(({ name }) => `speech/${name}`),
    );
    expect(container.get(AUDIO_READER)).toBeInstanceOf(SoundReader);
    const types = ['WhisperFeatureExtractor', 'Wav2Vec2FeatureExtractor', 'ViTImageProcessor'];
    const takers = types.map((feature_extractor_type) =>
      container.getAll(PREPROCESSOR_FACTORY).filter((factory) => factory.recognises({ feature_extractor_type })),
    );
    expect(takers.map((factories) => factories.length)).toEqual([1, 1, 0]);
    expect(container.getAll(PREPROCESSOR_FACTORY)[0]).toBe(container.getAll(PREPROCESSOR_FACTORY)[0]);
  });

  it('brings tasks by their names', () => {
    const container = new Container();
    container.load(speechModule);
    const tasks = container.getAll(TASK_FACTORY);
    const names = tasks.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['speech-recognition', 'audio-classification', 'audio-tagging', 'audio-embedding', 'audio-retrieval'])); // prettier-ignore
    expect(tasks.map((factory) => factory.create({ data: 'x', seed: 0 }).name)).toEqual(names);
    const known = new Set(names);
    expect(speechFamilies.flatMap((family) => family.tasks).filter((name) => !known.has(name))).toEqual([]);
  });

  it('lets an application bring its own reader', async () => {
    const container = new Container();
    container.load(speechModule);
    const audio = { sampleRate: 16_000, channels: [new Float32Array([1, -1])] };
    const tone: AudioReader = {
      fileEndings: ['.flac'],
      read: async () => audio,
      stream: (source) => new SoundReader().stream(source),
    };
    container.rebind(AUDIO_READER).toConstantValue(tone);
    const factory = container
      .getAll(PREPROCESSOR_FACTORY)
      .find((each) => each.recognises({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' }));
    const { data } = await factory!
      .create({ feature_extractor_type: 'Wav2Vec2FeatureExtractor', do_normalize: false }, 'preprocessor_config.json')
      .preprocess('any.flac');
    expect([...data]).toEqual([1, -1]);
  });
});
