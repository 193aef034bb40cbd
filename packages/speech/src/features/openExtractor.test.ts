/** @file Tests of finding a model's feature extractor, and of files that are none. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { type FeatureExtractor, openExtractor } from './featureExtractor.ts';
import { FeatureExtractorFactory } from './featureExtractorFactory.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'onnx-lora-extractor-'));
});
afterEach(() => rm(folder, { recursive: true }));

const factories: PreprocessorFactory[] = [new FeatureExtractorFactory(new AudioFileReader())];
const write = (name: string, content: unknown): Promise<void> =>
  writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
const open = (config?: Record<string, unknown>): Promise<FeatureExtractor> => {
  const model: TaskModel = { name: 'asr', folder, inputs: {}, outputs: {}, ...(config ? { config } : {}) };
  return openExtractor(model, factories);
};

describe('openExtractor', () => {
  it('reads preprocessor_config.json', async () => {
    await write('preprocessor_config.json', { feature_extractor_type: 'WhisperFeatureExtractor', chunk_length: 5 });
    await write('processor_config.json', 'not even JSON');
    expect(await open()).toMatchObject({ inputName: 'input_features', maxSamples: 80_000 });
  });

  it('else reads feature_extractor in processor_config.json', async () => {
    const feature_extractor = { feature_extractor_type: 'Wav2Vec2FeatureExtractor', sampling_rate: 8000 };
    await write('processor_config.json', { feature_extractor, processor_class: 'Wav2Vec2Processor' });
    expect(await open()).toMatchObject({ inputName: 'input_values', sampleRate: 8000 });
  });

  it.each([
    ['hubert', 'input_values'],
    ['data2vec-audio', 'input_values'],
    ['whisper', 'input_features'],
  ])('goes by the model where the file names no type: %s', async (model_type, inputName) => {
    await write('preprocessor_config.json', { sampling_rate: 16_000 });
    expect(await open({ model_type })).toMatchObject({ inputName });
  });

  it('refuses what describes no sound', async () => {
    await expect(open()).rejects.toThrow(/There is no ".*preprocessor_config.json"/);
    await write('preprocessor_config.json', { image_processor_type: 'ViTImageProcessor' });
    await expect(open({ model_type: 'vit' })).rejects.toThrow(
      /describes no feature extractor of sound that is known\./,
    );
    await write('preprocessor_config.json', { feature_extractor_type: 'ClapFeatureExtractor' });
    await expect(open({ model_type: 'clap' })).rejects.toThrow('that is known, but "ClapFeatureExtractor"');
    await write('preprocessor_config.json', '[1]');
    await expect(open()).rejects.toThrow('is not a JSON object');
    await expect(openExtractor({ name: 'm.onnx', inputs: {}, outputs: {} }, factories)).rejects.toThrow(
      '"m.onnx" is a single .onnx file',
    );
  });

  it('refuses a preprocessor that makes no features', async () => {
    await write('preprocessor_config.json', { feature_extractor_type: 'Any' });
    const other: PreprocessorFactory = {
      domain: 'vision',
      fileEndings: [],
      recognises: () => true,
      create: () => ({ preprocess: () => Promise.reject(new Error('unused')) }),
    };
    await expect(openExtractor({ name: 'asr', folder, inputs: {}, outputs: {} }, [other])).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});
