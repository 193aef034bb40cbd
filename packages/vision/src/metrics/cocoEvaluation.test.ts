/** @file All numbers of pycocotools on sets with crowds, ties, empty images and masks. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeRle, maskOfPolygons, parseCocoCounts, type Rle } from '../data/shapes/outlines.ts';
import { CocoEvaluation, type FoundObject, type TrueObject } from './cocoEvaluation.ts';
import type { Extent } from './objectOverlaps.ts';

const own = path.join(import.meta.dirname, '../../fixtures/coco');
const oracle = path.join(import.meta.dirname, '../../../../../shared/oracle/detection/map');
const folderOf = (name: string): string => path.join(existsSync(path.join(own, name)) ? own : oracle, name);
const sets = [...new Set([own, oracle].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : [])))].filter(
  (name) => existsSync(path.join(folderOf(name), 'expected.json')),
);

interface Annotation {
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox?: Extent;
  readonly area?: number;
  readonly iscrowd?: number;
  readonly score?: number;
  readonly segmentation?: readonly number[][] | { size: [number, number]; counts: string | number[] };
}

interface Expected {
  readonly type: 'bbox' | 'segm';
  readonly stats: Readonly<Record<string, number>>;
  readonly perCategory: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly APperThreshold: readonly number[];
}

const namesOfStats: Record<string, string> = {
  AP: 'map', AP50: 'map50', AP75: 'map75', APsmall: 'mapSmall', APmedium: 'mapMedium', APlarge: 'mapLarge', AR1: 'recallAt1',
  AR10: 'recallAt10', AR100: 'recallAt100', ARsmall: 'recallSmall', ARmedium: 'recallMedium', ARlarge: 'recallLarge',
}; // prettier-ignore

function evaluated(name: string): { evaluation: CocoEvaluation; expected: Expected; categories: number[] } {
  const read = <T>(file: string): T => JSON.parse(readFileSync(path.join(folderOf(name), file), 'utf8')) as T;
  const truth = read<{
    images: { id: number; width: number; height: number }[];
    annotations: Annotation[];
    categories: { id: number }[];
  }>('ground-truth.json');
  const detections = read<Annotation[]>('detections.json');
  const expected = read<Expected>('expected.json');
  const categories = truth.categories.map(({ id }) => id).sort((a, b) => a - b);
  const evaluation = new CocoEvaluation(expected.type === 'segm' ? 'masks' : 'boxes', categories.length);
  for (const { id, width, height } of truth.images.toSorted((a, b) => a.id - b.id)) {
    const objectOf = (each: Annotation): TrueObject & FoundObject => {
      const mask = rleOf(each, width, height);
      return {
        label: categories.indexOf(each.category_id),
        score: each.score ?? 0,
        box: each.bbox ?? [0, 0, 0, 0],
        crowd: each.iscrowd === 1,
        ...(each.area === undefined ? {} : { area: each.area }),
        ...(mask ? { mask } : {}),
      };
    };
    const of = (list: readonly Annotation[]): (TrueObject & FoundObject)[] => list.filter((each) => each.image_id === id).map(objectOf); // prettier-ignore
    evaluation.add(of(truth.annotations), of(detections));
  }
  return { evaluation, expected, categories };
}

function rleOf({ segmentation }: Annotation, width: number, height: number): Rle | undefined {
  if (segmentation === undefined) return undefined;
  if (Array.isArray(segmentation)) return encodeRle(maskOfPolygons(segmentation, width, height));
  const { size, counts } = segmentation as { size: [number, number]; counts: string | number[] };
  return { kind: 'runs', height: size[0], width: size[1], counts: typeof counts === 'string' ? parseCocoCounts(counts, '') : counts }; // prettier-ignore
}

/** COCO says -1 where there is nothing to average. */
const orNothing = (value: number | undefined): number => (value === undefined || Number.isNaN(value) ? -1 : value);

describe.each(sets)('%s', (name) => {
  const { evaluation, expected, categories } = evaluated(name);

  it('has the twelve numbers', () => {
    const found = evaluation.measure()();
    for (const [stat, value] of Object.entries(expected.stats))
      expect(orNothing(found[namesOfStats[stat]!]), stat).toBeCloseTo(value, 7);
    expect(Object.keys(expected.stats)).toEqual(Object.keys(namesOfStats));
  });

  it('has the numbers of each class, and of each overlap', () => {
    const found = evaluation.byClass();
    categories.forEach((id, i) => {
      const { AP, AP50, AP75, AR100 } = expected.perCategory[id]!;
      const { map, map50, map75, recall } = found[i]!;
      [AP, AP50, AP75, AR100].forEach((value, k) => {
        expect(orNothing([map, map50, map75, recall][k])).toBeCloseTo(value!, 7);
      });
    });
    evaluation.byOverlap().forEach((value, i) => {
      expect(orNothing(value)).toBeCloseTo(expected.APperThreshold[i]!, 7);
    });
  });

  it('counts an image drawn twice like two images', () => {
    const twice = new Uint32Array(evaluation.images).fill(2);
    const [once, doubled] = [evaluation.measure()(), evaluation.measure()(twice)];
    expect(orNothing(doubled.map)).toBeCloseTo(orNothing(once.map), 9);
    const some = Uint32Array.from({ length: evaluation.images }, (_, i) => i % 2);
    expect(evaluation.measure()(some).map).not.toBe(once.map);
  });
});
