/** @file The report of segmentations: a table of classes, and pictures. */

import { basename } from '@onnx-lora/sdk/platform';
import type { Tensor } from '@onnx-lora/sdk';
import {
  type Batch,
  batchesOf,
  type RecordDataset,
  type ReportPicture,
  type ReportRequest,
  type ReportSection,
  evenlySpaced,
} from '@onnx-lora/sdk/tasks';
import type { Mask } from '../../augment/sample.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { meanOver, PixelConfusion } from '../../metrics/maskMetrics.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import { resizeNearest } from '../../preprocess/resize/resize.ts';
import { paintMask, joinHorizontally, shrunk, galleries } from '../../report/overlay.ts';
import { webp } from '../../image/codec.ts';
import { classMap, classMapOfImage, type ClassScores, scoresOf, labelColors } from './classMap.ts';
import type { SegmentationClasses } from './segmentationClasses.ts';
import { IGNORED } from './segmentationLoss.ts';

/** A preprocessed image with its class map. */
export interface SegmentationExample {
  /** Path of the image. */
  readonly file: string;
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
  /** The class of each pixel of `pixels`; 255 is ignored. */
  readonly classes: Mask;
}

export type SegmentationDataset = RecordDataset<ImageRecord, SegmentationExample, undefined>;

export interface SegmentationReportOptions {
  readonly dataset: SegmentationDataset;
  readonly collate: (examples: readonly SegmentationExample[]) => Promise<Batch>;
  readonly output: string;
  readonly classes: SegmentationClasses;
  readonly loader: ImageLoader;
  readonly decoder: ImageDecoder;
}

/** Most images examined, evenly spaced over the held-out ones. */
const MOST_IMAGES = 200;
const WORST = 4;
const USUAL = 2;
const EDGE = 240;

interface Result {
  readonly index: number;
  readonly scores: ClassScores;
  readonly meanIou: number;
}

/** A table of classes, before and after if the model knew them, and a gallery. */
export async function segmentationReport(
  request: ReportRequest,
  options: SegmentationReportOptions,
): Promise<readonly ReportSection[]> {
  const { labels, isNew } = options.classes;
  const adapted = new PixelConfusion(labels.length);
  // A new head without its adapter is random.
  const base = isNew ? undefined : new PixelConfusion(labels.length);
  const results: Result[] = [];
  const chosen = evenlySpaced(options.dataset.length, MOST_IMAGES);
  for await (const { indices, batch, examples } of batchesOf(options, request.batchSize, chosen)) {
    const scores = scoresOf((await request.run(batch.inputs, 'adapted'))[options.output]!);
    const before = base && scoresOf((await request.run(batch.inputs, 'base'))[options.output]!);
    examples.forEach(({ classes }, i) => {
      const one = new PixelConfusion(labels.length);
      one.add(classes.data, classMap(scores[i]!, classes).data);
      adapted.join(one);
      // Copied, so that the batch's outputs can be freed.
      const own = { ...scores[i]!, data: scores[i]!.data.slice() };
      results.push({ index: indices[i]!, scores: own, meanIou: meanOver(one.perClass(), 'iou') });
      if (before) base.add(classes.data, classMap(before[i]!, classes).data);
    });
  }
  const sorted = results.filter(({ meanIou }) => !Number.isNaN(meanIou)).sort((a, b) => a.meanIou - b.meanIou);
  const text = `Left the image, in the middle the true classes, on the right those that were found. Out of ${results.length} held-out images.`;
  return [
    table(labels, adapted, base),
    ...(await galleries(sorted, {
      noun: 'results',
      text,
      worst: WORST,
      usual: USUAL,
      picture: (each) => picture(each, options),
    })),
  ];
}

function table(labels: readonly string[], adapted: PixelConfusion, base: PixelConfusion | undefined): ReportSection {
  const after = adapted.perClass();
  const before = base?.perClass();
  const total = after.reduce((sum, { pixels }) => sum + pixels, 0);
  const rows = labels.flatMap((label, c) => {
    const { pixels, iou, dice } = after[c]!;
    if (Number.isNaN(iou)) return [];
    return [[label, percent(pixels / total), ...(before ? [shown(before[c]!.iou)] : []), shown(iou), shown(dice)]];
  });
  return {
    kind: 'table',
    title: 'Classes',
    columns: ['Class', 'Share of pixels', ...(before ? ['IoU before'] : []), 'IoU', 'Dice'],
    rows,
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function shown(value: number): number | string {
  return Number.isNaN(value) ? '–' : Number(value.toFixed(3));
}

async function picture(
  { index, scores, meanIou }: Result,
  { dataset, classes, loader, decoder }: SegmentationReportOptions,
): Promise<ReportPicture> {
  const record = dataset.records[index]!;
  const { geometry, masks } = await loader.load({
    image: record.file,
    masks: [classes.maskOf(record)],
    annotations: 'image',
  });
  const image = shrunk(await decoder.decode(record.file), EDGE);
  const colors = labelColors(classes.labels);
  const paint = (mask: Mask): typeof image =>
    paintMask(image, resizeNearest(mask, 1, image.height, image.width), {
      color: (number) => (number === IGNORED || isBackground(classes.labels[number]) ? undefined : colors(number)),
    });
  const found = classMapOfImage(scores, geometry);
  const named = ({ data }: Mask): string =>
    classes.labels.filter((label, number) => !isBackground(label) && data.includes(number)).join(', ') || 'nothing';
  const [truth, answer] = [named(masks![0]!), named(found)];
  const name = basename(record.file);
  return {
    image: await webp(joinHorizontally([image, paint(masks![0]!), paint(found)])),
    alt: `${name}: the image, its true classes (${truth}), and those that were found (${answer})`,
    caption: `${name}: mean IoU ${meanIou.toFixed(3)}\ntrue: ${truth}\nfound: ${answer}`,
    isWide: true,
  };
}

function isBackground(label: string | undefined): boolean {
  return label?.toLowerCase() === 'background';
}
