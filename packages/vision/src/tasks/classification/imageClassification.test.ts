import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { float32, type GraphPort, type TaskModel } from '@onnx-lora/sdk';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import type { Image, ImageDecoder } from '../../image/image.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { imageClassification } from './imageClassification.ts';
import { ImageClassificationFactory } from './imageClassificationFactory.ts';

const eight = JSON.stringify({ image_processor_type: 'ViTImageProcessor', size: { height: 8, width: 8 } });
const catsAndDogs = { 'cat/1.png': true, 'cat/2.png': true, 'dog/1.png': true, 'dog/2.png': true } as const;

function port(...dims: (number | string)[]): GraphPort {
  return { type: 'float32', dims };
}

function model(overrides: Partial<TaskModel> & { preprocessor?: string } = {}): TaskModel {
  const { preprocessor = eight, ...rest } = overrides;
  return {
    name: 'tiny-vit',
    folder: dataFolder({ 'preprocessor_config.json': preprocessor }),
    config: { model_type: 'vit', id2label: { 0: 'dog', 1: 'cat' } },
    inputs: { pixel_values: port('batch', 3, 8, 8) },
    outputs: { logits: port('batch', 2) },
    ...rest,
  };
}

class CountingDecoder implements ImageDecoder {
  readonly files: string[] = [];
  async decode(file: string): Promise<Image> {
    this.files.push(file);
    return new SharpDecoder().decode(file);
  }
}

describe('imageClassification', () => {
  test('makes batches whose labels are numbered as the model numbers them', async () => {
    const task = imageClassification(dataFolder(catsAndDogs));
    expect(task.name).toBe('image-classification');
    const prepared = await task.prepare(model());
    expect(prepared.train.length).toBe(4);
    expect(prepared.validation).toBeUndefined();
    const examples = await Promise.all([0, 2, 3].map((i) => prepared.train.get(i)));
    const { inputs, targets } = await prepared.collate(examples);
    expect(inputs['pixel_values']).toMatchObject({ type: 'float32', dims: [3, 3, 8, 8] });
    expect(targets['labels']).toEqual({ type: 'int64', dims: [3], data: BigInt64Array.from([1n, 0n, 0n]) });

    const logits = float32([0, 5, 5, 0, 0, 5], [3, 2]);
    const metrics = prepared.metrics();
    metrics.update({ logits }, targets);
    expect(metrics.result()['accuracy']).toBeCloseTo(2 / 3, 12);
    expect(metrics.confusion!().labels).toEqual(['dog', 'cat']);
    expect(prepared.decode({ logits }).map(({ label }) => label)).toEqual(['cat', 'dog', 'cat']);
  });

  test('decodes each image once while the cache lasts', async () => {
    const folder = dataFolder(catsAndDogs);
    const run = async (cacheBytes: number) => {
      const decoder = new CountingDecoder();
      const { train } = await imageClassification(folder, { decoder, cacheBytes }).prepare(model());
      for (let epoch = 0; epoch < 3; epoch++) await Promise.all([0, 1, 2, 3, 3].map((i) => train.get(i)));
      return decoder.files.length;
    };
    const bytes = 3 * 8 * 8 * 4;
    expect(await run(4 * bytes)).toBe(4);
    // Two of four fit; the others are decoded in each of three epochs.
    expect(await run(2 * bytes)).toBe(2 + 3 * 2);
    expect(await run(0)).toBe(12);
  });

  test('holds out a fraction, another folder, or the folder beside train', async () => {
    const folder = dataFolder(catsAndDogs);
    const half = await imageClassification(folder, { validation: 0.5, seed: 3 }).prepare(model());
    expect([half.train.length, half.validation!.length]).toEqual([2, 2]);
    const held = (await Promise.all([0, 1].map((i) => half.validation!.get(i)))).map(({ file }) => file);
    const kept = (await Promise.all([0, 1].map((i) => half.train.get(i)))).map(({ file }) => file);
    expect(new Set([...held, ...kept]).size).toBe(4);

    const other = dataFolder({ 'dog/9.png': true });
    const two = await imageClassification(folder, { validation: other }).prepare(model());
    expect(await two.validation!.get(0)).toMatchObject({ file: join(other, 'dog', '9.png'), label: 0 });

    const splits = dataFolder({ 'train/cat/1.png': true, 'train/dog/1.png': true, 'val/cat/2.png': true });
    const three = await imageClassification(splits).prepare(model());
    expect(await three.validation!.get(0)).toMatchObject({ label: 1 });

    for (const validation of [0, 1, -0.1, Number.NaN]) {
      await expect(imageClassification(folder, { validation }).prepare(model())).rejects.toThrow(/between 0 and 1/);
    }
    const strange = imageClassification(folder, { validation: dataFolder({ 'cow/9.png': true }) });
    await expect(strange.prepare(model())).rejects.toThrow(/class folder "cow"/);
  });

  test('names the corrupt image', async () => {
    const folder = dataFolder({ ...catsAndDogs, 'cat/3.png': '\u0089PNG' });
    const { train } = await imageClassification(folder).prepare(model());
    await expect(train.get(2)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(join(folder, 'cat', '3.png')),
    });
    // A failure is not remembered: the file may be repaired while a notebook is open.
    writeFileSync(join(folder, 'cat', '3.png'), (await import('../../../fixtures/dataFolder.ts')).png);
    expect(await train.get(2)).toMatchObject({ label: 1 });
  });

  test('takes the preprocessor of transformers 5 from processor_config.json, and the type from the model', async () => {
    const joint = JSON.stringify({ image_processor: { size: { height: 8, width: 8 } }, processor_class: 'X' });
    const folder = dataFolder({ 'processor_config.json': joint });
    const prepared = await imageClassification(dataFolder(catsAndDogs)).prepare(model({ folder }));
    expect((await prepared.train.get(0)).pixels.dims).toEqual([3, 8, 8]);
  });

  test.each<[string, () => TaskModel, string, RegExp]>([
    [
      'a missing file',
      () => model({ folder: dataFolder({}) }),
      'CONFIG_INVALID',
      /no ".*preprocessor_config.json".*Copy the file/,
    ],
    ['no JSON', () => model({ preprocessor: '[' }), 'CONFIG_INVALID', /preprocessor_config.json" is not a JSON object/],
    ['an array', () => model({ preprocessor: '[]' }), 'CONFIG_INVALID', /is not a JSON object/],
    [
      'an audio processor',
      () => model({ preprocessor: '{"sampling_rate":16000,"feature_extractor_type":"WhisperFeatureExtractor"}' }),
      'CONFIG_INVALID',
      /no image processor/,
    ],
    [
      'a lone file',
      () => {
        const { folder: _, ...lone } = model();
        return lone;
      },
      'CONFIG_INVALID',
      /lone .onnx file/,
    ],
    [
      'another size',
      () => model({ inputs: { x: port('n', 3, 16, 8) } }),
      'CONFIG_INVALID',
      /makes images of 8 x 8.*takes 16 x 8/,
    ],
    [
      'channels last',
      () => model({ inputs: { x: port('n', 8, 8, 3) } }),
      'MODEL_UNSUPPORTED',
      /\[batch, 3, height, width\]/,
    ],
    [
      'float16',
      () => model({ inputs: { x: { type: 'float16', dims: [1, 3, 8, 8] } } }),
      'MODEL_UNSUPPORTED',
      /float16/,
    ],
    [
      'two inputs',
      () => model({ inputs: { a: port(1), b: port(1) } }),
      'MODEL_UNSUPPORTED',
      /2 inputs \("a" float32 \[1\]/,
    ],
    [
      'no scores',
      () => model({ outputs: { last_hidden_state: port('n', 5, 9) } }),
      'MODEL_UNSUPPORTED',
      /no output "logits".*last_hidden_state/,
    ],
    [
      'other labels',
      () => model({ outputs: { logits: port('n', 3) } }),
      'CONFIG_INVALID',
      /names 2 classes.*3 outputs/,
    ],
  ])('refuses %s', async (_, make, code, reason) => {
    await expect(imageClassification(dataFolder(catsAndDogs)).prepare(make())).rejects.toMatchObject({
      code,
      message: expect.stringMatching(reason),
    });
  });

  test('reads nothing before it is prepared, and says when a fixed batch does not fit', async () => {
    imageClassification('nowhere');
    const fixed = model({
      inputs: { pixel_values: port(2, 3, 8, 8) },
      outputs: { scores: port(2, 2), hidden: port(2, 4, 4) },
    });
    const prepared = await imageClassification(dataFolder(catsAndDogs)).prepare(fixed);
    const example = await prepared.train.get(0);
    await prepared.collate([example, example]);
    await expect(prepared.collate([example])).rejects.toThrow(/exactly 2, but this one has 1/);
  });
});

describe('ImageClassificationFactory', () => {
  test('makes tasks, and answers about files without labels', async () => {
    const decoder = new SharpDecoder();
    const factory = new ImageClassificationFactory(decoder, [new ImagePreprocessorFactory(decoder)]);
    const folder = dataFolder(catsAndDogs);
    expect((await factory.create({ data: folder, seed: 1 }).prepare(model())).train.length).toBe(4);

    const predictor = await factory.predictor(model());
    const feeds = await predictor.feeds([join(folder, 'cat', '1.png'), join(folder, 'dog', '1.png')]);
    expect(feeds['pixel_values']!.dims).toEqual([2, 3, 8, 8]);
    expect(predictor.decode({ logits: float32([0, 9], [1, 2]) })).toMatchObject([{ label: 'cat' }]);
  });
});
