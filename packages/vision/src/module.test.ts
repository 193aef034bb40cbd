import {
  MODEL_FAMILY,
  PREPROCESSOR_FACTORY,
  type PreprocessorFactory,
  TASK_FACTORY,
  type TaskFactory,
} from '@onnx-lora/sdk';
import { Container } from 'inversify';
import { expect, test } from 'vitest';
import { dataFolder } from '../fixtures/dataFolder.ts';
import {
  IMAGE_DECODER,
  ImageClassificationFactory,
  ImageEmbeddingFactory,
  ImagePreprocessorFactory,
  ImageRetrievalFactory,
  SharpDecoder,
  visionFamilies,
  visionModule,
} from './index.ts';

function container(): Container {
  const made = new Container();
  made.load(visionModule);
  return made;
}

function task(made: Container, name: string): TaskFactory {
  return made.getAll(TASK_FACTORY).find((factory) => factory.name === name)!;
}

test('binds families, preprocessors and tasks', () => {
  const made = container();
  expect(made.getAll(MODEL_FAMILY)).toEqual(visionFamilies);
  expect(made.get(PREPROCESSOR_FACTORY)).toBeInstanceOf(ImagePreprocessorFactory);
  expect(made.get(PREPROCESSOR_FACTORY)).toBe(made.get(PREPROCESSOR_FACTORY));
  expect(task(made, 'image-classification')).toBeInstanceOf(ImageClassificationFactory);
  expect(task(made, 'image-classification')).toBe(task(made, 'image-classification'));
  expect(task(made, 'image-embedding')).toBeInstanceOf(ImageEmbeddingFactory);
  expect(task(made, 'image-retrieval')).toBeInstanceOf(ImageRetrievalFactory);
  expect(made.get(IMAGE_DECODER)).toBeInstanceOf(SharpDecoder);
});

test('families belong to the tasks that are bound', () => {
  const made = container();
  const tasks = made.getAll(TASK_FACTORY).map(({ name }) => name);
  for (const family of made.getAll(MODEL_FAMILY)) {
    expect(family.domain).toBe('vision');
    expect(tasks).toEqual(expect.arrayContaining([...family.tasks]));
  }
});

test('a preprocessor of somebody else is used by the task', async () => {
  const made = container();
  const foreign: PreprocessorFactory = {
    domain: 'elsewhere',
    fileEndings: [],
    recognises: (config) => config['mine'] === true,
    create: () => ({
      preprocess: () => Promise.resolve({ type: 'float32', dims: [3, 1, 1], data: new Float32Array(3) }),
    }),
  };
  made.bind(PREPROCESSOR_FACTORY).toConstantValue(foreign);
  const predictor = await task(made, 'image-classification').predictor!({
    name: 'm',
    folder: dataFolder({ 'preprocessor_config.json': '{"mine":true}' }),
    inputs: { image: { type: 'float32', dims: ['batch', 3, 1, 1] } },
    outputs: { logits: { type: 'float32', dims: ['batch', 2] } },
  });
  expect((await predictor.feeds(['a', 'b']))['image']!.dims).toEqual([2, 3, 1, 1]);
});
