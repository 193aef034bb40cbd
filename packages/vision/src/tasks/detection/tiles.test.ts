import { describe, expect, test } from 'vitest';
import type { FoundObject } from '../../metrics/cocoEvaluation.ts';
import { mergedTiles, tilesOf } from './tiles.ts';

const picture = (width: number, height: number) => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.floor(i / 3) % 251),
});

const found = (label: number, score: number, box: FoundObject['box']): FoundObject => ({ label, score, box });

describe('tiles', () => {
  test('cover the picture evenly and overlap by a fifth at least', () => {
    const [whole, ...tiles] = tilesOf(picture(100, 40), 48);
    expect([whole!.image.width, whole!.image.height]).toEqual([100, 40]);
    // (100 - 48) / 38 rounded up is two steps of 26.
    expect(tiles.map(({ left, top }) => [left, top])).toEqual([[0, 0], [26, 0], [52, 0]]); // prettier-ignore
    expect(tiles.every(({ image }) => image.width === 48 && image.height === 40)).toBe(true);
    const { image, left } = tiles[1]!;
    // The first pixel of the second row.
    expect(image.data[48 * 3]).toBe((100 + left) % 251);
  });

  test('one that holds the picture is the picture', () => {
    expect(tilesOf(picture(40, 30), 48)).toHaveLength(1);
  });

  test('an object that a border cuts becomes one', () => {
    const tiles = [
      { left: 0, top: 0, found: [found(1, 0.6, [30, 10, 18, 10])] },
      { left: 30, top: 0, found: [found(1, 0.8, [4, 10, 20, 10]), found(2, 0.7, [4, 10, 20, 10])] },
    ];
    expect(mergedTiles(tiles)).toEqual([found(1, 0.8, [30, 10, 24, 10]), found(2, 0.7, [34, 10, 20, 10])]);
  });

  test('objects of one tile stay apart, and an object of another takes only one of them', () => {
    const twins = [found(0, 0.9, [10, 10, 10, 10]), found(0, 0.8, [12, 10, 10, 10])];
    expect(mergedTiles([{ left: 0, top: 0, found: twins }])).toHaveLength(2);
    const seenTwice = [
      { left: 0, top: 0, found: twins },
      { left: 10, top: 0, found: twins.map(({ box: [x, ...rest], ...each }) => ({ ...each, box: [x - 10, ...rest] as FoundObject['box'] })) },
    ]; // prettier-ignore
    expect(mergedTiles(seenTwice).map(({ score }) => score)).toEqual([0.9, 0.8]);
  });
});
