import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytesOf, fixture, sharedFolder, synthetic, tensorsOf, worst } from '../../fixtures/goldens.ts';
import type { Image, ImageDecoder } from '../image/image.ts';
import { ImagePreprocessorFactory } from './config/preprocessorFile.ts';
import { readImagePlan } from './config/preprocessorConfig.ts';

interface Case {
  name: string;
  config: Record<string, unknown>;
  from: [number, number];
  shape: number[];
  pixels: string;
  at: number[];
  values: number[];
  sum: number;
}

class OneImage implements ImageDecoder {
  readonly image: Image;
  constructor(image: Image) {
    this.image = image;
  }
  decode(): Promise<Image> {
    return Promise.resolve(this.image);
  }
}

const blank = new OneImage(synthetic(4, 4, 1));
const known = { image_processor_type: 'ViTImageProcessor' };

describe('ImagePreprocessor', () => {
  test.each(fixture<{ cases: Case[] }>('processors.json').cases)('does what $name does', async (golden) => {
    const image = synthetic(golden.from[0], golden.from[1], 3);
    const preprocessor = new ImagePreprocessorFactory(new OneImage(image)).create(golden.config, 'config.json');
    expect(preprocessor.pixels(image).data).toEqual(bytesOf(golden.pixels));

    const tensor = await preprocessor.preprocess('any.png');
    const data = tensor.data as Float32Array;
    expect(tensor.type).toBe('float32');
    expect(tensor.dims).toEqual(golden.shape);
    expect(
      worst(
        golden.at.map((i) => data[i]!),
        golden.values,
      ),
    ).toBeLessThanOrEqual(1e-6);
    expect(data.reduce((sum, value) => sum + value, 0)).toBeCloseTo(golden.sum, 3);
  });

  test('refuses an image so thin that resizing would blow it up', async () => {
    const image = { width: 1, height: 3_000_000, data: new Uint8Array(0) };
    const config = { image_processor_type: 'CLIPImageProcessor' };
    await expect(
      new ImagePreprocessorFactory(new OneImage(image)).create(config, 'c.json').preprocess('line.png'),
    ).rejects.toMatchObject({ code: 'DATA_INVALID', message: expect.stringContaining('line.png') });
  });

  test('refuses an image larger than its padding', async () => {
    const config = {
      image_processor_type: 'SamImageProcessor',
      size: { longest_edge: 8 },
      pad_size: { height: 4, width: 4 },
    };
    await expect(
      new ImagePreprocessorFactory(blank).create(config, 'c.json').preprocess('x.png'),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('pad_size'),
    });
  });

  test('leaves out the steps that are switched off', async () => {
    const config = { ...known, do_resize: false, do_rescale: false, do_normalize: false };
    const { dims, data } = await new ImagePreprocessorFactory(blank).create(config, 'c.json').preprocess('x.png');
    expect(dims).toEqual([3, 4, 4]);
    expect([data[0], data[16], data[32]]).toEqual([...blank.image.data.subarray(0, 3)]);
  });
});

describe('ImagePreprocessorFactory', () => {
  const factory = new ImagePreprocessorFactory(blank);

  test.each([
    [{ image_processor_type: 'ViTImageProcessor' }, true],
    [{ image_processor_type: 'NobodyKnowsImageProcessor' }, true],
    [{ feature_extractor_type: 'ConvNextFeatureExtractor', size: 224 }, true],
    [{ do_resize: true, size: 96 }, true],
    [{ feature_extractor_type: 'WhisperFeatureExtractor', sampling_rate: 16000 }, false],
    [{ feature_size: 80, sampling_rate: 16000, size: 1 }, false],
    [{}, false],
  ])('%j is an image processor: %s', (config, expected) => {
    expect(factory.recognises(config)).toBe(expected);
  });
});

describe('readImagePlan', () => {
  test('takes a square from 384 pixels on for ConvNeXt, and a crop below', () => {
    const plan = (edge: number) =>
      readImagePlan({ image_processor_type: 'ConvNextImageProcessor', size: edge }, 'c.json');
    expect(plan(384)).toMatchObject({ resize: { to: { kind: 'exact', height: 384, width: 384 } } });
    expect(plan(384).crop).toBeUndefined();
    expect(plan(224)).toMatchObject({
      resize: { to: { kind: 'shortest-edge', edge: 256 } },
      crop: { height: 224, width: 224 },
    });
  });

  test.each([
    [{ ...known, size: -1 }, /"size" must be a whole number.*but is -1/],
    [{ ...known, size: { height: 1e9, width: 2 } }, /"size" must be/],
    [{ ...known, size: { height: 8 } }, /"size" has "height", an unsupported form/],
    [{ ...known, size: { shortest_edge: 8, height: 9 } }, /"shortest_edge" and "height"/],
    [{ ...known, size: JSON.parse('{"__proto__": 5}') }, /"__proto__"/],
    [{ ...known, resample: 9 }, /"resample" must be a number from 0 to 5.*3 bicubic/],
    [{ ...known, image_mean: [0.5] }, /"image_mean" must be three numbers.*\[0.5\]/],
    [{ ...known, image_std: [0, 1, 1] }, /"image_std" must be above 0/],
    [{ ...known, rescale_factor: 'x' }, /"rescale_factor" must be a number above 0, but is "x"/],
    [{ ...known, do_resize: 1 }, /"do_resize" must be true or false/],
    [{ image_processor_type: 3 }, /"image_processor_type" must be a string/],
    [{ ...known, do_center_crop: true }, /"crop_size" is missing/],
    [
      { ...known, do_center_crop: true, crop_size: { shortest_edge: 3 } },
      /"crop_size" must be \{ "height": …, "width": … \}/,
    ],
    [{ image_processor_type: 'ConvNextImageProcessor', size: { height: 9, width: 9 } }, /shortest_edge/],
    [{ image_processor_type: 'ConvNextImageProcessor', size: 9, crop_pct: 1e-9 }, /crop_pct/],
    [{ image_processor_type: 'LevitImageProcessor', size: { shortest_edge: 8 } }, /rules of its own/],
    [{ image_processor_type: 'NewImageProcessor', do_flip_channel_order: true }, /asks for "do_flip_channel_order"/],
    [{ image_processor_type: 'NewImageProcessor', resample: 2, size: 8 }, /means a square to some processors/],
    [{ image_processor_type: 'NewImageProcessor', size: { height: 8, width: 8 } }, /"resample" is missing/],
    [{ image_processor_type: 'constructor' }, /"resample" is missing/],
  ])('refuses %j and names the file', (config, reason) => {
    expect(() => readImagePlan(config, 'models/x/preprocessor_config.json')).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(reason) }),
    );
    expect(() => readImagePlan(config, 'models/x/preprocessor_config.json')).toThrow(
      'models/x/preprocessor_config.json',
    );
  });

  test('accepts unknown fields that ask for nothing', () => {
    const config = {
      image_processor_type: 'NewImageProcessor',
      size: { height: 8, width: 9 },
      resample: 2,
      do_flip: false,
      x: null,
      image_mean: [0, 0, 0],
      image_std: [1, 1, 1],
    };
    expect(readImagePlan(config, 'c.json').resize).toEqual({
      to: { kind: 'exact', height: 8, width: 9 },
      resample: 'bilinear',
    });
  });
});

describe.skipIf(!sharedFolder)('the shared goldens (needs ../shared)', () => {
  const folder = sharedFolder ?? '';
  const processors = sharedFolder
    ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'pixels.safetensors')))
    : [];
  const create = (processor: string) => {
    const path = join(folder, processor, 'preprocessor_config.json');
    return new ImagePreprocessorFactory(blank).create(JSON.parse(readFileSync(path, 'utf8')), path);
  };
  const decoded = (name: string): Image => {
    const { shape, bytes } = tensorsOf(join(folder, 'decoded.safetensors')).get(name)!;
    return { height: shape[0]!, width: shape[1]!, data: bytes };
  };

  test.each(processors)('%s: every pixel', (processor) => {
    const preprocessor = create(processor);
    const expected = JSON.parse(readFileSync(join(folder, processor, 'expected.json'), 'utf8'));
    const goldens = tensorsOf(join(folder, processor, 'pixels.safetensors'));
    expect(goldens.size).toBeGreaterThan(0);
    for (const [name, golden] of goldens) {
      const pixels = preprocessor.pixels(decoded(name));
      expect([pixels.height, pixels.width, 3], name).toEqual(golden.shape);
      expect(worst(pixels.data, golden.bytes), name).toBe(0);

      const { dims, data } = preprocessor.tensor(pixels);
      const plane = dims[1]! * dims[2]!;
      expect(dims, name).toEqual(expected[name].pixel_values);
      expect(
        worst([data[0], data[plane], data[2 * plane]] as number[], expected[name].first),
        name,
      ).toBeLessThanOrEqual(1e-6);
      expect((data as Float32Array).reduce((sum, x) => sum + x, 0) / data.length, name).toBeCloseTo(
        expected[name].mean,
        5,
      );
    }
  });

  test('whole float tensors', () => {
    for (const [name, golden] of tensorsOf(join(folder, 'pixel_values_float32.safetensors'))) {
      const [processor, file] = name.split('/') as [string, string];
      const preprocessor = create(processor);
      const { data } = preprocessor.tensor(preprocessor.pixels(decoded(file)));
      expect(worst(data as Float32Array, new Float32Array(golden.bytes.buffer)), name).toBeLessThanOrEqual(1e-6);
    }
  });

  test('older configurations', () => {
    const cases = JSON.parse(readFileSync(join(folder, 'legacy-configs.json'), 'utf8'));
    for (const { image_processor_type: type, config, means } of cases) {
      const plan = readImagePlan({ image_processor_type: type, ...config }, 'legacy.json');
      expect(plan, JSON.stringify(config)).toEqual(
        readImagePlan({ image_processor_type: type, ...means }, 'means.json'),
      );
      expect(plan.normalization).toEqual({
        rescaleFactor: means.rescale_factor,
        mean: means.image_mean,
        std: means.image_std,
      });
    }
  });
});
