/** @file The report of prompted masks: galleries and the distribution of IoU. */

import { basename } from '@onnx-lora/sdk/platform';
import {
  type Batch,
  batchesOf,
  type ReportPicture,
  type ReportRequest,
  type ReportSection,
  evenlySpaced,
} from '@onnx-lora/sdk/tasks';
import type { Color, Mask } from '../../augment/sample.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { intersectionOverUnion, overlapOf } from '../../metrics/maskMetrics.ts';
import { pointToImage } from '../../preprocess/geometry.ts';
import { resizeNearest } from '../../preprocess/resize/resize.ts';
import { galleries, paintMask, paintPoints, shrunk } from '../../report/overlay.ts';
import { webp } from '../../image/codec.ts';
import { cutLogits, logitsOfImage, masksOf } from './imageMask.ts';
import type { PromptableDataset, PromptableExample } from './promptableDataset.ts';
import type { SamPorts } from './samPorts.ts';

export interface PromptableReportOptions {
  readonly dataset: PromptableDataset;
  readonly collate: (examples: readonly PromptableExample[]) => Promise<Batch>;
  readonly ports: SamPorts;
  readonly isPadded: boolean;
  readonly decoder: ImageDecoder;
}

/** Most examples examined, evenly spaced over the held-out ones. */
const MOST_EXAMPLES = 200;
const WORST = 6;
const USUAL = 3;
const EDGE = 240;
const TRUE: Color = [40, 160, 80];
const FOUND: Color = [220, 90, 30];
const POINT: Color = [30, 90, 220];

interface Result {
  readonly example: PromptableExample;
  readonly iou: number;
  readonly before: number;
  readonly mask: Mask;
}

/** Two galleries, and the distribution of IoU before and after. */
export async function promptableReport(
  request: ReportRequest,
  options: PromptableReportOptions,
): Promise<readonly ReportSection[]> {
  const { dataset } = options;
  const results: Result[] = [];
  for await (const { examples, batch } of batchesOf(
    options,
    request.batchSize,
    evenlySpaced(dataset.length, MOST_EXAMPLES),
  ))
    results.push(...(await resultsOf(examples, batch, request, options)));
  results.sort((a, b) => a.iou - b.iou);
  const text = `The mask that was found (orange), the outline of the object (green) and the prompt (blue). Out of ${results.length} held-out examples.`;
  return [
    {
      kind: 'lines',
      title: 'IoU of all examples',
      text: 'How many of the held-out examples have at most this IoU: the lower the curve, the better.',
      x: 'IoU',
      y: 'examples, %',
      series: [
        { name: 'before', points: shares(results.map(({ before }) => before)) },
        { name: 'after', points: shares(results.map(({ iou }) => iou)) },
      ],
    },
    ...(await galleries(results, {
      noun: 'masks',
      text,
      worst: WORST,
      usual: USUAL,
      picture: (each) => picture(each, options),
    })),
  ];
}

async function resultsOf(
  examples: readonly PromptableExample[],
  { inputs }: Batch,
  request: ReportRequest,
  { ports, isPadded }: PromptableReportOptions,
): Promise<Result[]> {
  const after = masksOf(await request.run(inputs, 'adapted'), ports);
  const before = masksOf(await request.run(inputs, 'base'), ports);
  return examples.map((example, i) => {
    const { geometry, masks } = example;
    const truth = masks[0]!;
    const maskOf = (found: typeof after): Mask => {
      const { logits, best } = found(i, 0);
      return { ...truth, data: cutLogits(logitsOfImage(logits[best]!, geometry, { isPadded })) };
    };
    const iou = (mask: Mask): number => intersectionOverUnion(overlapOf(mask.data, truth.data));
    const mask = maskOf(after);
    return { example, mask, iou: iou(mask), before: iou(maskOf(before)) };
  });
}

/** Cumulative percentages of values. */
function shares(values: readonly number[]): [number, number][] {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.map((value, i) => [value, (100 * (i + 1)) / sorted.length]);
}

async function picture({ example, mask, iou }: Result, { decoder }: PromptableReportOptions): Promise<ReportPicture> {
  const { file, masks, prompts, geometry } = example;
  const image = shrunk(await decoder.decode(file), EDGE);
  const paint = (under: typeof image, each: Mask, color: Color, opacity: number): typeof image =>
    paintMask(under, resizeNearest(each, 1, image.height, image.width), {
      color: (number) => (number === 0 ? undefined : color),
      opacity,
    });
  const scale = image.width / geometry.input.width;
  const points = prompts[0]!.points.map((point) => {
    const [x, y] = pointToImage(geometry, point);
    return [(x + 0.5) * scale, (y + 0.5) * scale] as const;
  });
  const painted = paint(paint(image, mask, FOUND, 0.5), masks[0]!, TRUE, 0);
  const name = basename(file);
  return {
    image: await webp(paintPoints(painted, points, POINT)),
    alt: `${name}: the object and the mask that was found, which overlap by ${iou.toFixed(2)}`,
    caption: `${name}: IoU ${iou.toFixed(3)}`,
  };
}
