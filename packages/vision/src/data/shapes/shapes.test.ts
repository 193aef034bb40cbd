import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../../fixtures/dataFolder.ts';
import { bytesOf, fixture } from '../../../fixtures/goldens.ts';
import type { ImageRecord } from '../imageRecord.ts';
import { boxOfMask, classMaskOf, maskOf, maskOfObject, readClassMask, readObjectMask } from './masks.ts';
import { maskOfPolygons, formatCocoCounts, parseCocoCounts, decodeRle, encodeRle } from './outlines.ts';

interface Runs {
  width: number;
  height: number;
  counts: string;
  /** Rows, eight pixels a byte. */
  rows: string;
}

interface Goldens {
  polygons: { width: number; height: number; rings: number[][]; counts: string; area: number }[];
  runs: Runs[];
  size: [number, number];
  masks: { name: string; numbers: number[]; bytes: string }[];
}

const goldens = fixture<Goldens>('shapes.json');

function pixelsOf({ width, height, rows }: Runs): Uint8Array {
  const packed = bytesOf(rows);
  return Uint8Array.from({ length: width * height }, (_, i) => (packed[i >> 3]! >> (7 - (i & 7))) & 1);
}

describe('run lengths', () => {
  test('are read and written as pycocotools does', () => {
    for (const each of goldens.runs) {
      const { width, height, counts } = each;
      const data = pixelsOf(each);
      const runs = { kind: 'runs', width, height, counts: parseCocoCounts(counts, 'x') } as const;
      expect(decodeRle(runs)).toEqual({ width, height, data });
      expect(formatCocoCounts(encodeRle({ width, height, data }).counts)).toBe(counts);
    }
  });

  test('of any mask give the mask again, as numbers and as text', () => {
    const masks = fc
      .record({ width: fc.integer({ min: 1, max: 9 }), height: fc.integer({ min: 1, max: 9 }) })
      .chain(({ width, height }) =>
        fc.record({
          width: fc.constant(width),
          height: fc.constant(height),
          data: fc.uint8Array({ max: 1, minLength: width * height, maxLength: width * height }),
        }),
      );
    fc.assert(
      fc.property(masks, (mask) => {
        const runs = encodeRle(mask);
        expect(parseCocoCounts(formatCocoCounts(runs.counts), 'x')).toEqual(runs.counts);
        expect(decodeRle(runs)).toEqual(mask);
      }),
      { seed: 1 },
    );
  });

  test('of 32 bits survive as text', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }));
    fc.assert(
      fc.property(counts, (each) => {
        expect(parseCocoCounts(formatCocoCounts(each), 'x')).toEqual(each);
      }),
      { seed: 1 },
    );
  });

  test.each(['~', 'P', 'PPPPPPPPPPPPP0', 'O', '\u00e4'])('that are %j are refused', (text) => {
    expect(() => parseCocoCounts(text, 'a.json, annotation 3')).toThrow(/a.json, annotation 3: .*malformed/);
  });
});

describe('polygons', () => {
  test('cover the pixels that pycocotools finds', () => {
    for (const { width, height, rings, counts, area } of goldens.polygons) {
      const mask = maskOfPolygons(rings, width, height);
      expect(formatCocoCounts(encodeRle(mask).counts), JSON.stringify(rings)).toBe(counts);
      expect(mask.data.filter((each) => each === 1)).toHaveLength(area);
    }
  });

  test('cover rectangles exactly, and anything else by about its area', () => {
    const side = fc.integer({ min: 0, max: 30 });
    fc.assert(
      fc.property(side, side, side, side, (x, y, right, bottom) => {
        fc.pre(right > x && bottom > y);
        const { data } = maskOfPolygons([[x, y, right, y, right, bottom, x, bottom]], 30, 30);
        expect(data.filter((each) => each === 1)).toHaveLength((right - x) * (bottom - y));
      }),
      { seed: 1 },
    );
    const circle = Array.from({ length: 200 }, (_, i) => [
      32 + 25 * Math.cos(i / 31.83),
      32 + 25 * Math.sin(i / 31.83),
    ]);
    const { data } = maskOfPolygons([circle.flat()], 64, 64);
    expect(data.filter((each) => each === 1).length / (Math.PI * 25 ** 2)).toBeCloseTo(1, 1);
  });

  test('may repeat a corner, and are refused when they reach beyond reason', () => {
    const once = maskOfPolygons([[1, 1, 8, 1, 8, 8]], 10, 10);
    expect(maskOfPolygons([[1, 1, 1, 1, 8, 1, 8, 8, 8, 8]], 10, 10)).toEqual(once);
    expect(() => maskOfPolygons([[0, 0, 1e12, 1, 2, 2]], 10, 10)).toThrow(/reaches too far/);
  });
});

describe('mask files', () => {
  const [width, height] = goldens.size;

  test.each(goldens.masks.map((mask) => [mask.name, mask] as const))(
    '%s gives the numbers it stores',
    async (_, mask) => {
      const folder = dataFolder({});
      const file = join(folder, 'mask.png');
      writeFileSync(file, bytesOf(mask.bytes));
      const numbers = mask.numbers.map((each) => (each === 65535 ? 255 : each));
      expect(await readClassMask(file)).toEqual({ width, height, data: Uint8Array.from(numbers) });
    },
  );

  test('of an object are ones where it is', async () => {
    const folder = dataFolder({});
    for (const [name, from] of [
      ['pillow-1', 1],
      ['gray1', 1],
      ['palette1', 1],
      ['palette8', 1],
      ['gray4', 8],
      ['pillow-L', 128],
      ['gray16-white', 32768],
    ] as const) {
      const mask = goldens.masks.find((each) => each.name === name)!;
      writeFileSync(join(folder, name), bytesOf(mask.bytes));
      const { data } = await readObjectMask(join(folder, name));
      expect([...data], name).toEqual(mask.numbers.map((each) => Number(each >= from)));
    }
  });

  test('that hold no class numbers are refused by name', async () => {
    const folder = dataFolder({ 'colours.png': true, 'text.png': 'x' });
    const sharp = (await import('sharp')).default;
    const noise = sharp({ create: { width: 8, height: 8, channels: 3, background: '#101010' } });
    writeFileSync(join(folder, 'lossy.jpg'), await noise.clone().jpeg().toBuffer());
    const wide = Uint16Array.from({ length: 64 }, (_, i) => 250 + i);
    const high = sharp(wide, { raw: { width: 8, height: 8, channels: 1 } }).toColourspace('grey16');
    writeFileSync(join(folder, 'high.png'), await high.png().toBuffer());
    for (const [name, reason] of [
      ['colours.png', /colours\.png" is a picture in colours.*palette/],
      ['text.png', /text\.png".*Save masks as PNG/],
      ['lossy.jpg', /lossy\.jpg" is JPEG.*as PNG/],
      ['high.png', /high\.png" has the class number 256/],
      ['none.png', /There is no mask ".*none\.png"/],
    ] as const)
      await expect(readClassMask(join(folder, name))).rejects.toMatchObject({ message: expect.stringMatching(reason) });
  });

  test('that are cut short are refused', async () => {
    const folder = dataFolder({});
    const bytes = bytesOf(goldens.masks.find(({ name }) => name === 'palette8')!.bytes);
    for (const length of [9, 20, 40, 200, bytes.length - 30]) {
      writeFileSync(join(folder, 'cut.png'), bytes.subarray(0, length));
      await expect(readClassMask(join(folder, 'cut.png')), String(length)).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringContaining('cut.png'),
      });
    }
  });
});

describe('masks of records', () => {
  const size = { width: 8, height: 6 };
  const square = { kind: 'polygons', rings: [[1, 1, 4, 1, 4, 4, 1, 4]] } as const;
  const dot = { kind: 'runs', width: 8, height: 6, counts: [2 * 6 + 2, 1, 48 - 15] } as const;
  const record = (more: Partial<ImageRecord>): ImageRecord => ({ file: 'a.png', place: 'data.json, image 1', ...more });

  test('are all its objects, or its classes with small ones on top', async () => {
    const objects = [
      { category: 'dot', shape: dot },
      { category: 'square', shape: square },
      { category: 'unknown', shape: { ...square, rings: [[5, 0, 8, 0, 8, 6, 5, 6]] } },
    ];
    const all = (await maskOf(record({ objects: objects.slice(0, 2) }), size))!;
    expect(boxOfMask(all)).toEqual([1, 1, 4, 4]);
    const numbers = new Map([
      ['dot', 7],
      ['square', 3],
    ]);
    const { data } = (await classMaskOf(record({ objects }), size, { numbers, background: 9 }))!;
    expect([...data].map(String).join('').match(/.{8}/g)).toEqual([
      '99999999',
      '93339999',
      '93739999',
      '93339999',
      '99999999',
      '99999999',
    ]);
    const twice = [{ category: 'dot', shape: square }, { category: 'square', shape: square }]; // prettier-ignore
    const alike = await classMaskOf(record({ objects: twice }), size, { numbers, background: 9 });
    expect([...new Set(alike!.data)]).toEqual([9, 3]);
    const crowd = await classMaskOf(record({ objects: [{ crowd: true, shape: dot }] }), size, {
      numbers,
      background: 0,
    });
    expect(crowd!.data.indexOf(255)).toBe(2 * 8 + 2);
    expect(await maskOf(record({}), size)).toBeUndefined();
    expect(boxOfMask({ ...size, data: new Uint8Array(48) })).toBeUndefined();
  });

  test('are of the size of their image', async () => {
    expect(() => maskOfObject({ shape: dot }, { width: 6, height: 8 }, 'data.json, image 1')).toThrow(
      /data.json, image 1: the mask has 8 x 6 pixels, but its image has 6 x 8/,
    );
    const folder = dataFolder({ 'm.png': true });
    await expect(maskOf(record({ mask: join(folder, 'm.png') }), size)).rejects.toThrow(
      /m\.png": the mask has 18 x 13/,
    );
  });
});
