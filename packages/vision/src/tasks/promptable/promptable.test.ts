import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, type Model, openModel, train } from '@onnx-lora/sdk';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { horizontalFlip } from '../../augment/orientation.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { readObjectMask } from '../../data/shapes/masks.ts';
import { visionFamilies } from '../../families/index.ts';
import { ImageFileDecoder } from '../../image/imageFileDecoder.ts';
import { intersectionOverUnion, overlapOf } from '../../metrics/maskMetrics.ts';
import { pointToImage } from '../../preprocess/geometry.ts';
import { ImagePreprocessorFactory } from '../../preprocess/config/preprocessorFile.ts';
import type { PromptableExample } from './promptableDataset.ts';
import {
  promptableSegmentation,
  type PromptableSegmentationOptions,
  promptableSegmentationTask,
} from './promptableSegmentation.ts';
import { SamPredictor } from './samPredictor.ts';

const folder = fileURLToPath(new URL('../../../../../docs/examples/models/sam-tiny', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'onnx-lora-promptable-'));
afterAll(() => rmSync(root, { recursive: true }));

const [width, height] = [96, 72];
const drawn = (shapes: string, ground: string): Promise<Buffer> =>
  sharp(
    Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
      <defs><pattern id="p" width="10" height="10" patternUnits="userSpaceOnUse"><rect width="10" height="10" fill="#c33"/><rect width="5" height="10" fill="#fd8"/></pattern></defs>
      <rect width="100%" height="100%" fill="${ground}"/>${shapes}</svg>`),
  )
    .png()
    .toBuffer();

/** Striped discs; the model takes a stripe for an object; the whole disc is meant. */
async function stripedDiscs(count: number, seed: number): Promise<ImageRecord[]> {
  const random = new Random(seed);
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const [radius, x, y] = [14 + random.index(8), 26 + random.index(44), 24 + random.index(24)];
      const name = join(root, `${seed}-${i}`);
      writeFileSync(`${name}.png`, await drawn(`<circle cx="${x}" cy="${y}" r="${radius}" fill="url(#p)"/>`, '#9ab'));
      writeFileSync(`${name}-mask.png`, await drawn(`<circle cx="${x}" cy="${y}" r="${radius}" fill="#fff"/>`, '#000'));
      return { file: `${name}.png`, place: `${name}.png`, mask: `${name}-mask.png`, points: [[x, y]] } as const;
    }),
  );
}

let model: Model;
let records: ImageRecord[];
let held: ImageRecord[];
beforeAll(async () => {
  model = await openModel(folder, { families: visionFamilies });
  records = await stripedDiscs(8, 1);
  held = await stripedDiscs(5, 2);
});

const task = (options: PromptableSegmentationOptions = {}) =>
  promptableSegmentation({ root: 'discs', train: records, validation: held }, options);
const withoutPoints = ({ file, place, mask }: ImageRecord): ImageRecord => ({ file, place, mask: mask! });

describe('examples', () => {
  const prepare = (data: readonly ImageRecord[], options: PromptableSegmentationOptions = {}) =>
    promptableSegmentation(data, options).prepare(model);
  const pointsOf = ({ prompts, geometry }: PromptableExample) =>
    prompts.map(({ points }) => points.map((point) => pointToImage(geometry, point)));
  const isOn = ({ masks }: PromptableExample, [x, y]: readonly [number, number], object = 0) =>
    masks[object]!.data[Math.round(y) * width + Math.round(x)] === 1;

  test('take the points that the data gives', async () => {
    const { train: data } = await prepare(records);
    expect([data.isDeterministic, data.changingInputs]).toEqual([true, []]);
    for (const draw of [undefined, 7]) {
      const found = pointsOf(await data.get(2, draw))[0]![0]!;
      found.forEach((value, i) => expect(value).toBeCloseTo(records[2]!.points![0]![i]!, 9));
    }
  });

  test('draw other points by the draw, and the deepest one without', async () => {
    const { train: data } = await prepare(records.map(withoutPoints), { prompts: { points: 2, negativePoints: 1 } });
    expect([data.isDeterministic, data.changingInputs]).toEqual([true, ['input_points', 'input_labels']]);
    const [a, again, b] = [await data.get(0, 5), await data.get(0, 5), await data.get(0, 6)];
    expect(again).toEqual(a);
    expect(pointsOf(b)).not.toEqual(pointsOf(a));
    for (const each of [a, b, await data.get(0)]) {
      expect(each.prompts[0]!.labels).toEqual([1, 1, 0]);
      const [one, two, beside] = pointsOf(each)[0]!;
      expect([isOn(each, one!), isOn(each, two!), isOn(each, beside!)]).toEqual([true, true, false]);
    }
    const [deepest] = pointsOf(await data.get(0))[0]!;
    const [x, y] = records[0]!.points![0]!;
    expect(Math.hypot(deepest![0] + 0.5 - x, deepest![1] + 0.5 - y)).toBeLessThan(2);
  });

  test('follow the image where it is flipped', async () => {
    const { train: data } = await prepare(records, { augment: [horizontalFlip({ probability: 1 })] });
    expect(data.isDeterministic).toBe(false);
    const [plain, flipped] = [await data.get(1), await data.get(1, 0)];
    const mirrored = plain.masks[0]!.data.map((_, i, all) => all[i - (i % width) + (width - 1 - (i % width))]!);
    expect(flipped.masks[0]!.data).toEqual(mirrored);
    expect(isOn(flipped, pointsOf(flipped)[0]![0]!)).toBe(true);
  });

  test('ask for several objects of an image at once', async () => {
    const rings = [
      [10, 10, 40, 10, 40, 30, 10, 30],
      [60, 40, 90, 40, 90, 60, 60, 60],
      [10, 50, 30, 50, 30, 65, 10, 65],
    ];
    const objects = rings.map((ring) => ({ shape: { kind: 'polygons', rings: [ring] } as const }));
    const prepared = await prepare([{ file: records[0]!.file, place: 'coco.json', objects }], { objectsPerImage: 2 });
    const { train: data } = prepared;
    expect(data.length).toBe(2);
    const [first, second] = [await data.get(0, 0), await data.get(1, 1)];
    expect(first.prompts.length).toBe(2);
    expect(isOn(first, pointsOf(first)[1]![0]!, 1)).toBe(true);
    // In training the single object is asked for twice; measured it counts once.
    expect([second.weights, (await data.get(1)).weights]).toEqual([
      [1, 1],
      [1, 0],
    ]);
    const { inputs, targets } = await prepared.collate([first, second]);
    expect(inputs['input_points']!.dims).toEqual([2, 2, 1, 2]);
    expect(targets['truth']!.dims).toEqual([2, 2, 128, 128]);
    expect(prepared.lossWeight!(targets)).toBe(4);
    // 96 x 72 becomes 128 x 96, and the rest does not count.
    const truth = targets['truth']!.data as Float32Array;
    expect([truth[95 * 128], truth[96 * 128]]).toEqual([0, -1]);
  });

  test('that show nothing are refused by name', async () => {
    const bare = { file: records[0]!.file, place: 'list.csv, line 3' };
    await expect(prepare([bare])).rejects.toMatchObject({ code: 'DATA_INVALID', message: /list\.csv, line 3.*mask/s });
    const black = join(root, 'black.png');
    writeFileSync(black, await drawn('', '#000'));
    const empty = await prepare([{ ...bare, mask: black }]);
    await expect(empty.train.get(0)).rejects.toMatchObject({ code: 'DATA_INVALID', message: /mask.*empty/ });
  });

  test.each<[PromptableSegmentationOptions, RegExp]>([
    [{ prompts: { points: 1.5 } }, /points/],
    [{ prompts: { points: 0 } }, /point.*box/],
    [{ prompts: { box: true } }, /takes no boxes/],
    [{ objectsPerImage: 0 }, /objectsPerImage/],
  ])('with prompts that cannot be: %j', async (options, message) => {
    await expect(prepare(records, options)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) }); // prettier-ignore
  });
});

describe('a model', () => {
  let adapter: Adapter;

  test('learns from its decoder’s masks, with what the encoder makes kept', async () => {
    const discs = task({ loss: { bce: 1 } });
    const before = await evaluate(model, { task: discs });
    const targetModules = String.raw`mask_decoder\.transformer\..*(q_proj|v_proj|lin1|lin2)`;
    const lora = { r: 4, loraAlpha: 8, targetModules };
    const run = await train(model, { task: discs, lora, steps: 16, batchSize: 4, lr: 2e-3 });
    ({ adapter } = await run.done);
    expect(run.prefix).toMatchObject({ kept: true });
    const after = await evaluate(model, { task: discs, adapter });
    expect(Object.keys(after.metrics)).toEqual(['meanIou', 'dice', 'boundaryF', 'bestIou']);
    expect(after.metrics['meanIou']).toBeGreaterThan(before.metrics['meanIou']! + 0.1);
  }, 120_000);

  test('keeps what the encoder makes while prompts differ, and loses nothing by it', async () => {
    const discs = promptableSegmentation(records.map(withoutPoints), { masks: 'one', loss: { bce: 1 } });
    const lora = { r: 2, targetModules: String.raw`mask_decoder\.transformer\.final_attn_token_to_image\.[qv]_proj` };
    const losses: number[][] = [];
    for (const cachePrefix of ['auto', false] as const) {
      const run = await train(model, { task: discs, lora, steps: 5, batchSize: 4, lr: 1e-3, cachePrefix });
      const found: number[] = [];
      for await (const event of run) if (event.type === 'step') found.push(event.loss);
      expect(run.prefix.kept).toBe(cachePrefix === 'auto');
      losses.push(found);
    }
    losses[0]!.forEach((loss, i) => expect(loss).toBeCloseTo(losses[1]![i]!, 4));
  }, 120_000);

  test('learns in its encoder through the single mask', async () => {
    const single = task({ masks: 'one', loss: { bce: 1 } });
    const lora = { r: 4, loraAlpha: 8, targetModules: String.raw`vision_encoder\.layers\.[45]\.attn\.qkv` };
    const run = await train(model, { task: single, lora, steps: 6, batchSize: 8, lr: 2e-3 });
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    const { metrics } = await evaluate(model, { task: single, adapter: (await run.done).adapter });
    // There is only one to choose from.
    expect(Object.keys(metrics)).toEqual(['meanIou', 'dice', 'boundaryF']);
  }, 120_000);

  test('answers prompts with the masks that are measured, with and without an adapter', async () => {
    const predictor = await SamPredictor.create(model, { adapters: { discs: adapter } });
    const overlaps = { base: 0, discs: 0 };
    for (const { file, mask, points } of held) {
      const truth = await readObjectMask(mask!);
      for (const name of ['base', 'discs'] as const) {
        const image = await predictor.setImage(file, { adapter: name === 'base' ? null : name });
        const { masks, best } = await image.predict({ points: points! });
        overlaps[name] += intersectionOverUnion(overlapOf(masks[best]!.data, truth.data)) / held.length;
      }
    }
    expect(overlaps.base).toBeCloseTo((await evaluate(model, { task: task() })).metrics['meanIou']!, 4);
    expect(overlaps.discs).toBeCloseTo((await evaluate(model, { task: task(), adapter })).metrics['meanIou']!, 4);
    await predictor.release();
  }, 120_000);

  test('answers many prompts as one by one, and takes adapters while it runs', async () => {
    const predictor = await SamPredictor.create(model, { adapters: { discs: adapter } });
    await predictor.add('late', adapter);
    const image = await predictor.setImage(held[0]!.file, { adapter: 'late' });
    const prompts = [{ points: [[20, 20] as const] }, { points: held[0]!.points!, labels: [1] as const }];
    const together = await image.predictAll(prompts);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await image.predict(prompt);
      expect(together[i]!.masks).toEqual(alone.masks);
    }
    // A second point beside the object changes the answer.
    const other = await image.predict({ points: [...held[0]!.points!, [2, 2]], labels: [1, 0] });
    expect(other.scores).not.toEqual(together[1]!.scores);
    expect(predictor.remove('late')).toBe(true);
    await expect(predictor.setImage(held[0]!.file, { adapter: 'late' })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    });
    await expect(image.predict({})).rejects.toMatchObject({ code: 'INPUT_INVALID', message: /empty/ });
    await expect(image.predict({ box: [1, 2, 30, 40] })).rejects.toThrow(/takes no boxes/);
    await predictor.release();
  }, 120_000);

  test('answers on the command line with a mask as PNG', async () => {
    const decoder = new ImageFileDecoder();
    const factory = promptableSegmentationTask(decoder, [new ImagePreprocessorFactory(decoder)]);
    await expect(factory.processor(model)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /--set points/ });
    await expect(factory.processor(model, { points: '1,2,3' })).rejects.toThrow(/must be points of 2 numbers/);
    const [x, y] = held[0]!.points![0]!;
    await using predictor = await factory.predictor(model, {
      settings: { points: `${x},${y};2,2`, labels: '1;0', masks: 'one' },
    });
    let found: Prediction = {};
    for await (const { prediction } of predictor.predict([held[0]!.file])) found = prediction;
    const { mask, area, rle } = found as Prediction & { mask: Uint8Array; area: number; rle: { size: number[] } };
    const file = join(root, 'answer.png');
    writeFileSync(file, mask);
    const read = await readObjectMask(file);
    expect([read.width, read.height, ...rle.size]).toEqual([width, height, height, width]);
    expect(read.data.reduce((sum, each) => sum + each, 0)).toBe(area);
    expect(area).toBeGreaterThan(0);
  });
});
