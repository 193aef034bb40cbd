import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { float32, int64 } from '@onnx-lora/sdk';
import type { GraphPort, TaskModel } from '@onnx-lora/sdk/tasks';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import type { Image, ImageDecoder } from '../../image/image.ts';
import { ImageFileDecoder } from '../../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from '../../preprocess/config/preprocessorFile.ts';
import { imageClassification, imageClassificationTask, imageClassifier } from './imageTasks.ts';

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
    return new ImageFileDecoder().decode(file);
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
    const classifier = await imageClassifier(model());
    expect(classifier.decode({ logits }).map(({ label }) => label)).toEqual(['cat', 'dog', 'cat']);
  });

  test('one class is enough where the model knows others, and is told of', async () => {
    const dogs = imageClassification(dataFolder({ 'dog/1.png': true, 'dog/2.png': true }));
    const prepared = await dogs.prepare(model());
    const { targets } = await prepared.collate([await prepared.train.get(0)]);
    expect(targets['labels']!.data).toEqual(BigInt64Array.of(0n));
    expect(prepared.warnings).toEqual([expect.stringMatching(/^All training images are of one class, "dog"/)]);
    const birds = imageClassification(dataFolder({ 'bird/1.png': true, 'bird/2.png': true }));
    await expect(birds.prepare(model())).rejects.toThrow(/one class only, "bird"/);
    expect((await imageClassification(dataFolder(catsAndDogs)).prepare(model())).warnings ?? []).toEqual([]);
  });

  test('decodes each image once while the cache lasts', async () => {
    const folder = dataFolder(catsAndDogs);
    const run = async (cacheBytes: number) => {
      const decoder = new CountingDecoder();
      const { train } = await imageClassification(folder, { decoder, cacheBytes }).prepare(model());
      for (let epoch = 0; epoch < 3; epoch++) await Promise.all([0, 1, 2, 3, 3].map((i) => train.get(i)));
      return decoder.files.length;
    };
    const bytes = 3 * 8 * 8;
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
    expect(await two.validation!.get(0)).toMatchObject({ file: join(other, 'dog', '9.png'), target: 0 });

    const splits = dataFolder({ 'train/cat/1.png': true, 'train/dog/1.png': true, 'val/cat/2.png': true });
    const three = await imageClassification(splits).prepare(model());
    expect(await three.validation!.get(0)).toMatchObject({ target: 1 });

    for (const validation of [1, -0.1, Number.NaN]) {
      await expect(imageClassification(folder, { validation }).prepare(model())).rejects.toThrow(/between 0 and 1/);
    }
    const unknown = imageClassification(folder, { validation: dataFolder({ 'cow/9.png': true }) });
    await expect(unknown.prepare(model())).rejects.toThrow(/has the class "cow", but the learned ones are/);
  });

  test('says how often to draw for classes to come equally often, and warns of images in two splits', async () => {
    const rows = ['a.png,cat,train', 'b.png,cat,train', 'c.png,dog,train', 'd.png,dog,val'];
    const names = { 'a.png': true, 'b.png': true, 'c.png': true, 'd.png': true } as const;
    const folder = dataFolder({ 'labels.csv': ['image,label,split', ...rows].join('\n'), ...names });
    const { train, warnings } = await imageClassification(folder).prepare(model());
    expect(train.weights).toEqual([1 / 2, 1 / 2, 1]);
    expect(warnings).toEqual([expect.stringContaining('1 image is in more than one split')]);
    writeFileSync(join(folder, 'b.png'), 'x');
    await expect(train.get(1)).rejects.toThrow(/labels\.csv, line 3: .*b\.png/);
    expect(train.nameOf!(1)).toMatch(/b\.png \(.*labels\.csv, line 3\)$/);
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
    expect(await train.get(2)).toMatchObject({ target: 1 });
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
      'a single file',
      () => {
        const { folder: _, ...lone } = model();
        return lone;
      },
      'CONFIG_INVALID',
      /single .onnx file/,
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
      () => model({ outputs: { boxes: port('n', 5, 9) } }),
      'MODEL_UNSUPPORTED',
      /neither scores nor features.*"boxes" \[n, 5, 9\]/,
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

describe('the head of imageClassification', () => {
  const birds = { 'emu/1.png': true, 'jay/2.png': true, 'owl/1.png': true } as const;

  test('is new where the model does not know the classes', async () => {
    const prepared = await imageClassification(dataFolder(birds)).prepare(model());
    expect(prepared.head).toEqual({
      output: 'logits',
      labels: ['emu', 'jay', 'owl'],
      probe: expect.any(Function) as unknown,
    });
    const { targets } = await prepared.collate([await prepared.train.get(2)]);
    expect(targets['labels']!.data).toEqual(BigInt64Array.of(2n));
  });

  test('is the own one where it does, unless another is asked for', async () => {
    expect((await imageClassification(dataFolder(catsAndDogs)).prepare(model())).head).toBeUndefined();
    const { head } = await imageClassification(dataFolder(catsAndDogs), { head: 'new' }).prepare(model());
    expect(head!.labels).toEqual(['cat', 'dog']);
    const refused = imageClassification(dataFolder(birds), { head: 'keep' }).prepare(model());
    await expect(refused).rejects.toThrow(/"emu", "jay", "owl".*--set head=new/);
  });

  test('is not new where most classes are known and one may be misspelt', async () => {
    const data = dataFolder({ ...catsAndDogs, 'dogs/1.png': true });
    await expect(imageClassification(data).prepare(model())).rejects.toThrow(/Not among them: "dogs".*mean "dog"/);
  });

  test.each([
    ['vit', { last_hidden_state: port('n', 5, 9), pooler_output: port('n', 9) }, 'last_hidden_state', { pool: 'first' }],
    ['dinov2', { last_hidden_state: port('n', 5, 9), pooler_output: port('n', 9) }, 'last_hidden_state', { pool: 'first-and-mean', skip: 1 }],
    ['dinov2_with_registers', { last_hidden_state: port('n', 9, 9) }, 'last_hidden_state', { pool: 'first-and-mean', skip: 5 }],
    ['clip_vision_model', { image_embeds: port('n', 4), last_hidden_state: port('n', 5, 9) }, 'last_hidden_state', { pool: 'mean', skip: 1 }],
    ['siglip_vision_model', { last_hidden_state: port('n', 4, 9), pooler_output: port('n', 9) }, 'last_hidden_state', { pool: 'mean' }],
    ['convnext', { last_hidden_state: port('n', 9, 2, 2), pooler_output: port('n', 9) }, 'pooler_output', { pool: 'all' }],
    ['resnet', { last_hidden_state: port('n', 9, 2, 2), pooler_output: port('n', 9, 1, 1) }, 'pooler_output', { pool: 'all' }],
    [undefined, { features: port('n', 9) }, 'features', { pool: 'all' }],
  ])('reads features of %s as transformers does', async (type, outputs, output, attach) => {
    const config = { ...(type ? { model_type: type } : {}), num_register_tokens: type?.includes('reg') ? 4 : 0 };
    const prepared = await imageClassification(dataFolder(birds)).prepare(model({ outputs, config }));
    expect(prepared.head).toEqual({ output, labels: ['emu', 'jay', 'owl'], attach, probe: expect.any(Function) as unknown });
  }); // prettier-ignore
});

describe('imageClassificationTask', () => {
  test('knows its settings, and says when one cannot be', async () => {
    const decoder = new ImageFileDecoder();
    const factory = imageClassificationTask(decoder, [new ImagePreprocessorFactory(decoder)]);
    const data = dataFolder(catsAndDogs);
    const settings = { augment: 'standard', classWeights: 'balanced', mixUp: 0.2, labelSmoothing: 0.1, head: 'new' };
    expect(Object.keys(settings).filter((name) => !factory.settings.rows.some((each) => each.name === name))).toEqual(
      [],
    );
    const prepared = await factory.create({ data, seed: 1, settings, holdOut: 0.5 }).prepare(model());
    expect([prepared.train.length, prepared.validation!.length]).toEqual([2, 2]);
    expect(prepared.train.isDeterministic ?? false).toBe(false);
    const drawn = await Promise.all([prepared.train.get(0, 0), prepared.train.get(1, 1)]);
    const { targets } = await prepared.collate(drawn);
    // MixUp: each row holds a share of either class.
    expect(targets['labels']).toMatchObject({ type: 'float32', dims: [2, 2] });
    const rows = targets['labels']!.data as Float32Array;
    expect(rows[0]! + rows[1]!).toBeCloseTo(1, 6);
    const same = await prepared.collate(await Promise.all([prepared.train.get(0, 0), prepared.train.get(1, 1)]));
    expect(same).toEqual(await prepared.collate(drawn));
    const measured = await prepared.collate([await prepared.validation!.get(0)]);
    expect(measured.targets['labels']!.type).toBe('int64');
    expect(() => factory.create({ data, seed: 1, settings: { augment: 'standart' } })).toThrow(/mean "standard"/);
    // Options of a program are checked like the command line's.
    const given = (options: object): Promise<unknown> => imageClassification(data, options).prepare(model());
    await expect(given({ mixUp: 0 })).rejects.toThrow(/^mixUp must be a number above 0, but it is 0\. Blends images/);
    await expect(given({ columns: { image: 3 } })).rejects.toThrow(/^columns\.image must be text, but it is 3\./);
    const calibrated = factory.create({ data, seed: 1, settings: { calibrate: true } });
    await expect(calibrated.prepare(model())).rejects.toThrow(/none are held out/);
  });

  test('weighs classes as scikit-learn does', async () => {
    const folder = dataFolder({
      ...catsAndDogs,
      'cat/3.png': true,
      'cat/4.png': true,
      'cat/5.png': true,
      'cat/6.png': true,
    });
    const weighted = await imageClassification(folder, { classWeights: 'balanced' }).prepare(model());
    // compute_class_weight('balanced') of 6 cats and 2 dogs: 8 / (2 · 6) and 8 / (2 · 2).
    const of = (...labels: number[]): number => weighted.lossWeight!({ labels: int64(labels, [labels.length]) });
    expect(of(1)).toBeCloseTo(8 / 12, 12);
    expect(of(0, 0, 1)).toBeCloseTo(2 + 2 + 8 / 12, 12);
    const wrong = imageClassification(folder, { classWeights: { cat: 2, cow: 1 } }).prepare(model());
    await expect(wrong).rejects.toThrow(/"cow" the weight 1/);
    const named = dataFolder({ 'constructor/1.png': true, 'dog/1.png': true });
    const own = await imageClassification(named, { classWeights: { dog: 2 }, head: 'new' }).prepare(model());
    expect(own.lossWeight!({ labels: int64([0, 1], [2]) })).toBe(3);
  });

  test('makes tasks, and answers about files without labels', async () => {
    const decoder = new ImageFileDecoder();
    const factory = imageClassificationTask(decoder, [new ImagePreprocessorFactory(decoder)]);
    const folder = dataFolder(catsAndDogs);
    expect((await factory.create({ data: folder, seed: 1 }).prepare(model())).train.length).toBe(4);

    const processor = await factory.processor(model());
    const feeds = await processor.feeds([join(folder, 'cat', '1.png'), join(folder, 'dog', '1.png')]);
    expect(feeds['pixel_values']!.dims).toEqual([2, 3, 8, 8]);
    expect(processor.decode({ logits: float32([0, 9], [1, 2]) }, feeds)).toMatchObject([{ label: 'cat' }]);
  });
});
