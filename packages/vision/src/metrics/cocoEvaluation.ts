/**
 * @file COCO's metrics of boxes and masks: average precision and recall over ten overlaps, equal to pycocotools'.
 *
 * @see Lin et al., "Microsoft COCO: Common Objects in Context" (2014), arXiv:1405.0312
 */

import { type Measure, type MetricsNamed } from '@onnx-lora/sdk/tasks';
import type { Rle } from '../data/shapes/outlines.ts';
import { boxOverlaps, maskOverlaps, type Extent } from './objectOverlaps.ts';

/** An object of the truth. */
export interface TrueObject {
  /** Number of its class. */
  readonly label: number;
  /** Left, top, width and height in pixels. */
  readonly box: Extent;
  /** Its pixels, for masks. */
  readonly mask?: Rle;
  /** Its area in pixels, by which it is small, medium or large; the box's by default. */
  readonly area?: number;
  /** True for a crowd: it may be found several times, and counts neither as found nor as missed. */
  readonly crowd?: boolean;
}

/** An object that a model found. */
export interface FoundObject {
  readonly label: number;
  readonly score: number;
  /** Left, top, width and height in pixels. */
  readonly box: Extent;
  /** Its pixels, for masks. */
  readonly mask?: Rle;
}

/** Metrics of detection: average precision (`map`) and recall; those without any object to find are absent. */
export type DetectionScores = MetricsNamed<'map' | 'map50' | 'map75'>;

/** Metrics of a class. */
export interface ClassPrecision {
  /** Average precision over all overlaps, at 50% and at 75%; NaN without an object to find. */
  readonly map: number;
  readonly map50: number;
  readonly map75: number;
  /** Share of the objects that are found among the 100 best of each image. */
  readonly recall: number;
  /** Number of objects. */
  readonly objects: number;
  /** Highest precision at recall 0, 0.01 … 1, of overlaps of 50%. */
  readonly curve: readonly number[];
}

/** Overlaps from 0.5 to 0.95, computed as numpy does. */
const overlapThresholds: readonly number[] = Array.from({ length: 10 }, (_, i) =>
  i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9),
);
const recalls = Array.from({ length: 101 }, (_, i) => i * 0.01);

/** All objects, small ones, medium ones, large ones: bounds of the area, both inclusive. */
const ranges: readonly (readonly [number, number])[] = [[0, 1e10], [0, 32 ** 2], [32 ** 2, 96 ** 2], [96 ** 2, 1e10]]; // prettier-ignore
const rangeNames = ['', 'Small', 'Medium', 'Large'];
/** Objects per image and class that count. */
const MOST = 100;

/** Whether something found is a true one, by overlap: a bit each. */
interface Verdict {
  readonly score: number;
  readonly image: number;
  /** Place among those of its image and class by score. */
  readonly rank: number;
  /** By range of areas. */
  readonly hits: readonly number[];
  readonly ignored: readonly number[];
}

/** Verdicts on the found objects of a class, and the places of the true ones. */
class ClassVerdicts {
  readonly found: Verdict[] = [];
  /** By range of areas: the image of each object that counts. */
  readonly truths: readonly number[][] = ranges.map(() => []);
}

/** Collects images and computes the metrics. */
export class CocoEvaluation {
  readonly #masks: boolean;
  readonly #classes: readonly ClassVerdicts[];
  #images = 0;

  /** @param kind which overlap counts @param classes number of classes; others are left out */
  constructor(kind: 'boxes' | 'masks', classes: number) {
    this.#masks = kind === 'masks';
    this.#classes = Array.from({ length: classes }, () => new ClassVerdicts());
  }

  /** Number of images. */
  get images(): number {
    return this.#images;
  }

  /** Adds an image: its objects, and what was found in it. */
  add(truths: readonly TrueObject[], found: readonly FoundObject[]): void {
    const image = this.#images++;
    this.#classes.forEach((own, label) => {
      const there = truths.filter((each) => each.label === label);
      const best = found.filter((each) => each.label === label).sort((a, b) => b.score - a.score).slice(0, MOST); // prettier-ignore
      if (there.length === 0 && best.length === 0) return;
      const overlaps = (this.#masks ? maskOverlaps : boxOverlaps)(best, there);
      const areas = best.map((each) => (this.#masks ? areaOf(each.mask) : each.box[2] * each.box[3]));
      const verdicts = ranges.map((range) => verdictsOf(there, overlaps, areas, range));
      verdicts.forEach(({ counted }, i) => own.truths[i]!.push(...new Array<number>(counted).fill(image)));
      best.forEach(({ score }, rank) => {
        own.found.push({
          score,
          image,
          rank,
          hits: verdicts.map(({ hits }) => hits[rank]!),
          ignored: verdicts.map(({ ignored }) => ignored[rank]!),
        });
      });
    });
  }

  /** The metrics as a function of how often each image counts. */
  measure(): Measure<DetectionScores> {
    const classes = this.#classes.map(({ found, truths }) => ({
      found: [...found].sort((a, b) => b.score - a.score),
      truths,
    }));
    return (times) => {
      const curves = (range: number, most: number): Curve[] =>
        classes.flatMap((each) => curvesOf(each, range, most, times) ?? []);
      const all = ranges.map((_, range) => curves(range, MOST));
      const precision = (of: readonly Curve[], threshold?: number): number =>
        meanOf(of.flatMap(({ precisions }) => (threshold === undefined ? precisions : [precisions[threshold]!])).flatMap((each) => [...each])); // prettier-ignore
      const recall = (of: readonly Curve[]): number => meanOf(of.flatMap((each) => each.recalls));
      const scores: Record<string, number> = {
        map: precision(all[0]!),
        map50: precision(all[0]!, 0),
        map75: precision(all[0]!, 5),
      };
      for (const [i, name] of rangeNames.entries()) if (i > 0) scores[`map${name}`] = precision(all[i]!);
      for (const most of [1, 10]) scores[`recallAt${most}`] = recall(curves(0, most));
      scores['recallAt100'] = recall(all[0]!);
      for (const [i, name] of rangeNames.entries()) if (i > 0) scores[`recall${name}`] = recall(all[i]!);
      const always = new Set(['map', 'map50', 'map75']);
      return Object.fromEntries(
        Object.entries(scores).filter(([name, value]) => times || always.has(name) || !Number.isNaN(value)),
      ) as DetectionScores;
    };
  }

  /** The score from which on the F1 of all classes together is highest, for overlaps of 50%; 0.5 if nothing is right. */
  bestThreshold(): number {
    const all = this.#classes.flatMap(({ found }) => found.filter(({ ignored }) => (ignored[0]! & 1) === 0));
    const sorted = all.sort((a, b) => b.score - a.score);
    const total = this.#classes.reduce((sum, { truths }) => sum + truths[0]!.length, 0);
    let [hits, best, threshold] = [0, 0, 0.5];
    sorted.forEach(({ score, hits: hit }, i) => {
      if (hit[0]! & 1) hits++;
      const next = sorted[i + 1]?.score ?? 0;
      const f1 = (2 * hits) / (i + 1 + total);
      // Equal scores are above a threshold together.
      if (next === score || f1 <= best) return;
      best = f1;
      threshold = (score + next) / 2;
    });
    return threshold;
  }

  /** Average precision at each overlap, from 0.5 to 0.95. */
  byOverlap(): number[] {
    const curves = this.#classes.flatMap((each) => curvesOf(sortedByScore(each), 0, MOST) ?? []);
    return overlapThresholds.map((_, i) => meanOf(curves.flatMap(({ precisions }) => [...precisions[i]!])));
  }

  /** The metrics of each class. */
  byClass(): ClassPrecision[] {
    return this.#classes.map((each) => {
      const curve = curvesOf(sortedByScore(each), 0, MOST);
      const objects = each.truths[0]!.length;
      if (!curve) return { map: NaN, map50: NaN, map75: NaN, recall: NaN, objects, curve: [] };
      const { precisions, recalls: found } = curve;
      return {
        map: meanOf(precisions.flatMap((own) => [...own])),
        map50: meanOf([...precisions[0]!]),
        map75: meanOf([...precisions[5]!]),
        recall: meanOf(found),
        objects,
        curve: [...precisions[0]!],
      };
    });
  }
}

function sortedByScore({ found, truths }: ClassVerdicts): Pick<ClassVerdicts, 'found' | 'truths'> {
  return { found: [...found].sort((a, b) => b.score - a.score), truths };
}

/** Precision at each recall, and the recall of all that counts, by overlap. */
interface Curve {
  readonly precisions: readonly Float64Array[];
  readonly recalls: readonly number[];
}

/** Undefined for a class without an object to find. */
function curvesOf(
  { found, truths }: Pick<ClassVerdicts, 'found' | 'truths'>,
  range: number,
  most: number,
  times?: ArrayLike<number>,
): Curve | undefined {
  const timesOf = (image: number): number => (times ? times[image]! : 1);
  const total = truths[range]!.reduce((sum, image) => sum + timesOf(image), 0);
  if (total === 0) return undefined;
  const counted = found.filter(({ rank, image }) => rank < most && timesOf(image) > 0);
  const all = overlapThresholds.map((_, i) => {
    const bit = 1 << i;
    const [reached, precision]: [number[], number[]] = [[], []];
    let [hits, misses] = [0, 0];
    for (const { image, hits: hit, ignored } of counted) {
      const weight = timesOf(image);
      if ((ignored[range]! & bit) === 0) {
        if (hit[range]! & bit) hits += weight;
        else misses += weight;
      }
      reached.push(hits / total);
      precision.push(hits / (hits + misses + Number.EPSILON));
    }
    for (let at = precision.length - 1; at > 0; at--)
      if (precision[at]! > precision[at - 1]!) precision[at - 1] = precision[at]!;
    const sampled = new Float64Array(recalls.length);
    let at = 0;
    recalls.forEach((recall, k) => {
      while (at < reached.length && reached[at]! < recall) at++;
      if (at < reached.length) sampled[k] = precision[at]!;
    });
    return { sampled, recall: reached.at(-1) ?? 0 };
  });
  return { precisions: all.map(({ sampled }) => sampled), recalls: all.map(({ recall }) => recall) };
}

/** Pairs what was found with the truth, in falling order of scores, at each overlap. */
function verdictsOf(
  truths: readonly TrueObject[],
  overlaps: readonly (readonly number[])[],
  areas: readonly number[],
  [least, largest]: readonly [number, number],
): { readonly counted: number; readonly hits: Int32Array; readonly ignored: Int32Array } {
  const outside = (area: number): boolean => area < least || area > largest;
  const isIgnored = truths.map(({ crowd, area, box }) => crowd === true || outside(area ?? box[2] * box[3]));
  const order = truths.map((_, i) => i).sort((a, b) => Number(isIgnored[a]) - Number(isIgnored[b]));
  const hits = new Int32Array(areas.length);
  const ignored = new Int32Array(areas.length);
  overlapThresholds.forEach((threshold, t) => {
    const taken = new Set<number>();
    areas.forEach((area, k) => {
      let [best, overlap] = [-1, Math.min(threshold, 1 - 1e-10)];
      for (const i of order) {
        if (taken.has(i) && truths[i]!.crowd !== true) continue;
        if (best >= 0 && !isIgnored[best] && isIgnored[i]) break;
        if (overlaps[k]![i]! < overlap) continue;
        [best, overlap] = [i, overlaps[k]![i]!];
      }
      if (best >= 0) {
        taken.add(best);
        hits[k]! |= 1 << t;
      }
      if (best >= 0 ? isIgnored[best] : outside(area)) ignored[k]! |= 1 << t;
    });
  });
  return { counted: isIgnored.filter((each) => !each).length, hits, ignored };
}

function areaOf(mask: Rle | undefined): number {
  return (mask?.counts ?? []).reduce((sum, count, i) => sum + (i % 2 === 1 ? count : 0), 0);
}

/** NaN of nothing. */
function meanOf(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}
