/** @file The report of detections: a table of classes, kinds of errors, and pictures. */

import { basename } from '@onnx-lora/sdk/platform';
import {
  type Batch,
  batchesOf,
  evenlySpaced,
  type RecordDataset,
  type ReportPicture,
  type ReportRequest,
  type ReportSection,
} from '@onnx-lora/sdk/tasks';
import type { Box, ImageRecord } from '../../data/imageRecord.ts';
import type { Image, ImageDecoder } from '../../image/image.ts';
import {
  CocoEvaluation,
  type ClassPrecision,
  type FoundObject,
  type TrueObject,
} from '../../metrics/cocoEvaluation.ts';
import { boxOverlaps, maskOverlaps } from '../../metrics/objectOverlaps.ts';
import { decodeRle, type Rle } from '../../data/shapes/outlines.ts';
import { webp } from '../../image/codec.ts';
import { resizeNearest } from '../../preprocess/resize/resize.ts';
import { classColor, galleries, joinHorizontally, paintBoxes, paintMask, shrunk } from '../../report/overlay.ts';
import { type DetectionExample, foundObjects, learnsMasks, trueObjects } from './detectionData.ts';
import { framesOf } from './frames.ts';
import type { Detector } from './detector.ts';

export type DetectionDataset = RecordDataset<ImageRecord, DetectionExample, undefined>;

/** Request of {@link detectionReport}. */
export interface DetectionReportOptions {
  readonly dataset: DetectionDataset;
  readonly collate: (examples: readonly DetectionExample[]) => Promise<Batch>;
  readonly detector: Detector;
  readonly labels: readonly string[];
  /** True if the class head is new, so that the base without the adapter knows no class. */
  readonly isNew: boolean;
  readonly decoder: ImageDecoder;
}

/** Most images examined, evenly spaced over the held-out ones. */
const MOST_IMAGES = 200;
const WORST = 6;
const USUAL = 3;
const EDGE = 320;

/** Numbers of right and wrong objects of an image. */
export interface Mistakes {
  /** Found, with the right class. */
  readonly right: number;
  /** Found at the place of an object of another class. */
  readonly confused: number;
  /** Right class, but an overlap below half. */
  readonly misplaced: number;
  /** Found where nothing is, or a second time. */
  readonly invented: number;
  /** Objects for which nothing was found. */
  readonly missed: number;
}

interface Result {
  readonly index: number;
  readonly truths: readonly TrueObject[];
  readonly found: readonly FoundObject[];
  readonly mistakes: Mistakes;
}

/** Sorts what was found in an image into right and wrong, in falling order of scores; by masks where there are any. */
export function mistakesIn(truths: readonly TrueObject[], found: readonly FoundObject[]): Mistakes {
  const counted = truths.filter(({ crowd }) => crowd !== true);
  const sorted = [...found].sort((a, b) => b.score - a.score);
  const hasMasks = counted.every(({ mask }) => mask) && sorted.every(({ mask }) => mask);
  const overlaps = (hasMasks ? maskOverlaps : boxOverlaps)(sorted, counted);
  const taken = new Set<number>();
  const left = new Set(sorted.keys());
  /** Takes the pairs that overlap enough, the best for each object found. */
  const take = (least: number, isPair: (a: FoundObject, b: TrueObject) => boolean): number => {
    let count = 0;
    sorted.forEach((object, k) => {
      if (!left.has(k)) return;
      const free = counted.map((_, i) => i).filter((i) => !taken.has(i) && overlaps[k]![i]! >= least && isPair(object, counted[i]!)); // prettier-ignore
      const [best] = free.sort((a, b) => overlaps[k]![b]! - overlaps[k]![a]!);
      if (best === undefined) return;
      taken.add(best);
      left.delete(k);
      count++;
    });
    return count;
  };
  const right = take(0.5, (a, b) => a.label === b.label);
  const confused = take(0.5, () => true);
  const misplaced = take(0.1, (a, b) => a.label === b.label);
  return { right, confused, misplaced, invented: left.size, missed: counted.length - taken.size };
}

/** A table of classes, before and after if the model knew them; a table of mistakes; and a gallery, the worst first. */
export async function detectionReport(
  request: ReportRequest,
  options: DetectionReportOptions,
): Promise<readonly ReportSection[]> {
  const { detector, labels, isNew, dataset } = options;
  const kind = learnsMasks(detector.head) ? 'masks' : 'boxes';
  const adapted = new CocoEvaluation(kind, labels.length);
  const base = isNew ? undefined : new CocoEvaluation(kind, labels.length);
  const images: Omit<Result, 'mistakes'>[] = [];
  const chosen = evenlySpaced(dataset.length, MOST_IMAGES);
  for await (const { indices, batch } of batchesOf(options, request.batchSize, chosen)) {
    const [truths, frames] = [trueObjects(batch.targets), framesOf(batch.targets)];
    const found = foundObjects(await request.run(batch.inputs, 'adapted'), frames, detector);
    const before = base && foundObjects(await request.run(batch.inputs, 'base'), frames, detector);
    truths.forEach((objects, i) => {
      adapted.add(objects, found[i]!);
      base?.add(objects, before![i]!);
      images.push({ index: indices[i]!, truths: objects, found: found[i]! });
    });
  }
  const threshold = adapted.bestThreshold();
  const results = images.map(({ found, ...image }): Result => {
    const shown = found.filter(({ score }) => score > threshold);
    return { ...image, found: shown, mistakes: mistakesIn(image.truths, shown) };
  });
  const wrong = ({ mistakes: { confused, misplaced, invented, missed } }: Result): number => confused + misplaced + invented + missed; // prettier-ignore
  const sorted = results.filter(({ truths }) => truths.length > 0).sort((a, b) => wrong(b) - wrong(a));
  return [
    classTable(labels, adapted.byClass(), base?.byClass()),
    mistakeTable(results, threshold),
    curves(labels, adapted.byClass()),
    ...(await galleries(sorted, {
      noun: 'results',
      text: `On the left the true objects, on the right those with a score above ${threshold.toFixed(2)}. Out of ${results.length} held-out images.`,
      worst: WORST,
      usual: USUAL,
      picture: (each) => picture(each, options),
    })),
  ];
}

function classTable(
  labels: readonly string[],
  after: readonly ClassPrecision[],
  before: readonly ClassPrecision[] | undefined,
): ReportSection {
  const rows = labels.flatMap((label, i) => {
    const { objects, map, map50, recall } = after[i]!;
    if (objects === 0) return [];
    return [[label, objects, ...(before ? [shown(before[i]!.map)] : []), shown(map), shown(map50), shown(recall)]];
  });
  return {
    kind: 'table',
    title: 'Classes',
    text: 'Average precision over overlaps of 50% to 95%, at 50% (AP50), and the share that is found among the 100 best of an image (recall).',
    columns: ['Class', 'Objects', ...(before ? ['AP before'] : []), 'AP', 'AP50', 'Recall'],
    rows,
  };
}

function mistakeTable(results: readonly Result[], threshold: number): ReportSection {
  const sum = (name: keyof Mistakes): number => results.reduce((total, { mistakes }) => total + mistakes[name], 0);
  return {
    kind: 'table',
    title: 'Mistakes',
    text: `Boxes count with a score above ${threshold.toFixed(2)}, the threshold of the highest F1 on these images.`,
    columns: ['What', 'Objects'],
    rows: [
      ['right: overlaps by half, right class', sum('right')],
      ['confused: overlaps by half, another class', sum('confused')],
      ['badly placed: right class, overlaps by 10% to 50%', sum('misplaced')],
      ['invented: nothing is there, or it is found again', sum('invented')],
      ['missed', sum('missed')],
    ],
  };
}

/** Classes drawn as lines; more are hard to tell apart. */
const MOST_LINES = 8;

function curves(labels: readonly string[], classes: readonly ClassPrecision[]): ReportSection {
  const known = classes.map((each, i) => ({ ...each, name: labels[i]! })).filter(({ objects }) => objects > 0);
  const shownClasses = known.sort((a, b) => b.objects - a.objects).slice(0, MOST_LINES);
  return {
    kind: 'lines',
    title: 'Precision and recall',
    text: 'Highest precision at each recall, for overlaps of 50%.',
    x: 'recall',
    y: 'precision',
    series: shownClasses.map(({ name, curve }) => ({
      name,
      points: curve.map((value, i) => [i / 100, value] as const),
    })),
  };
}

function shown(value: number): number | string {
  return Number.isNaN(value) ? '–' : Number(value.toFixed(3));
}

async function picture(
  { index, truths, found, mistakes }: Result,
  { dataset, labels, decoder }: DetectionReportOptions,
): Promise<ReportPicture> {
  const { file } = dataset.records[index]!;
  const whole = await decoder.decode(file);
  const image = shrunk(whole, EDGE);
  const scale = image.width / whole.width;
  const drawn = (objects: readonly (TrueObject | FoundObject)[]): typeof image =>
    paintBoxes(
      objects.reduce((painted, { label, mask }) => (mask ? tinted(painted, mask, label) : painted), image),
      objects.map(({ label, box: [x, y, w, h] }) => ({
        box: [x, y, x + w, y + h].map((edge) => edge * scale) as unknown as Box,
        color: classColor(label + 1),
      })),
    );
  const named = (objects: readonly { readonly label: number }[]): string =>
    objects.map(({ label }) => labels[label]!).join(', ') || 'nothing';
  const name = basename(file);
  const { right, confused, misplaced, invented, missed } = mistakes;
  return {
    image: await webp(joinHorizontally([drawn(truths), drawn(found)])),
    alt: `${name}: its true objects (${named(truths)}), and those that were found (${named(found)})`,
    caption: `${name}: ${right} right, ${confused} confused, ${misplaced} badly placed, ${invented} invented, ${missed} missed\ntrue: ${named(truths)}\nfound: ${named(found)}`,
    isWide: true,
  };
}

/** The image with an object's pixels in the colour of its class. */
function tinted(image: Image, rle: Rle, label: number): Image {
  const { height, width } = image;
  const mask = resizeNearest(decodeRle(rle), 1, height, width);
  return paintMask(image, mask, { color: (number) => (number === 0 ? undefined : classColor(label + 1)) });
}
