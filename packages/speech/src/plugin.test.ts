/** @file Tests that the plugin is complete in itself. */

import { loadPlugins } from '@onnx-lora/sdk';
import { binding } from '@onnx-lora/sdk/plugin';
import { describe, expect, it } from 'vitest';
import type { AudioReader } from './audio/audio.ts';
import { AudioFileReader } from './audio/audioFileReader.ts';
import { AUDIO_READER, speechPlugin } from './plugin.ts';
import { speechFamilies } from './families/index.ts';

describe('speechPlugin', () => {
  it('brings families, a maker of feature extractors and a reader, each once', () => {
    const { families, preprocessors, provided } = loadPlugins([speechPlugin]);
    expect(families.map(({ name, domain }) => `${domain}/${name}`)).toEqual(
      speechFamilies.map(({ name }) => `speech/${name}`),
    );
    const { reader } = provided({ reader: AUDIO_READER });
    expect(reader).toBeInstanceOf(AudioFileReader);
    expect(reader.fileEndings).toEqual(new AudioFileReader().fileEndings);
    const types = ['WhisperFeatureExtractor', 'Wav2Vec2FeatureExtractor', 'ViTImageProcessor'];
    const takers = types.map((feature_extractor_type) =>
      preprocessors.filter((factory) => factory.recognises({ feature_extractor_type })),
    );
    expect(takers.map((factories) => factories.length)).toEqual([1, 1, 0]);
  });

  it('brings tasks by their names', () => {
    const { tasks } = loadPlugins([speechPlugin]);
    const names = tasks.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['speech-recognition', 'audio-classification', 'audio-tagging', 'audio-regression', 'audio-embedding', 'audio-retrieval'])); // prettier-ignore
    expect(tasks.map((factory) => factory.create({ data: 'x', seed: 0 }).name)).toEqual(names);
    const known = new Set(names);
    expect(speechFamilies.flatMap((family) => family.tasks).filter((name) => !known.has(name))).toEqual([]);
  });

  it('lets an application bring its own reader', async () => {
    const audio = { sampleRate: 16_000, channels: [new Float32Array([1, -1])] };
    const tone: AudioReader = {
      fileEndings: ['.flac'],
      read: async () => audio,
      stream: (source) => new AudioFileReader().stream(source),
    };
    const { preprocessors } = loadPlugins([speechPlugin], { bindings: [binding(AUDIO_READER, () => tone)] });
    const factory = preprocessors.find((each) =>
      each.recognises({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' }),
    );
    const { data } = await factory!
      .create({ feature_extractor_type: 'Wav2Vec2FeatureExtractor', do_normalize: false }, 'preprocessor_config.json')
      .preprocess('any.flac');
    expect([...data]).toEqual([1, -1]);
  });
});
