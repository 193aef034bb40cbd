import { type PluginRegistry, loadPlugins } from '@onnx-lora/sdk';
import { definePlugin, type PreprocessorFactory, type TaskFactory } from '@onnx-lora/sdk/plugin';
import type { ProcessorFactory } from '@onnx-lora/sdk/tasks';
import { expect, test } from 'vitest';
import { dataFolder } from '../fixtures/dataFolder.ts';
import { IMAGE_DECODER, ImagePreprocessorFactory, ImageFileDecoder, visionFamilies, visionPlugin } from './index.ts';

function task({ tasks }: PluginRegistry, name: string): TaskFactory {
  return tasks.find((factory) => factory.name === name)!;
}

test('brings families, preprocessors and tasks', () => {
  const registry = loadPlugins([visionPlugin]);
  expect(registry.families).toEqual(visionFamilies);
  expect(registry.preprocessors[0]).toBeInstanceOf(ImagePreprocessorFactory);
  expect(registry.tasks.map(({ name }) => name)).toEqual([
    'image-classification',
    'multi-label-classification',
    'image-regression',
    'image-embedding',
    'image-retrieval',
    'image-text',
    'object-detection',
    'instance-segmentation',
    'semantic-segmentation',
    'promptable-segmentation',
  ]);
  expect(registry.provided({ decoder: IMAGE_DECODER }).decoder).toBeInstanceOf(ImageFileDecoder);
});

test('families belong to the tasks that are there', () => {
  const { families, tasks } = loadPlugins([visionPlugin]);
  const names = tasks.map(({ name }) => name);
  for (const family of families) {
    expect(family.domain).toBe('vision');
    expect(names).toEqual(expect.arrayContaining([...family.tasks]));
  }
});

test('a preprocessor of another plugin is used by the task', async () => {
  const foreign: PreprocessorFactory = {
    domain: 'elsewhere',
    fileEndings: [],
    recognises: (config) => config['mine'] === true,
    create: () => ({
      preprocess: () => Promise.resolve({ type: 'float32', dims: [3, 1, 1], data: new Float32Array(3) }),
    }),
  };
  const elsewhere = definePlugin({ name: 'elsewhere', preprocessors: [foreign] });
  const factory = task(loadPlugins([visionPlugin, elsewhere]), 'image-classification') as ProcessorFactory;
  const processor = await factory.processor({
    name: 'm',
    folder: dataFolder({ 'preprocessor_config.json': '{"mine":true}' }),
    inputs: { image: { type: 'float32', dims: ['batch', 3, 1, 1] } },
    outputs: { logits: { type: 'float32', dims: ['batch', 2] } },
  });
  expect((await processor.feeds(['a', 'b']))['image']!.dims).toEqual([2, 3, 1, 1]);
});
