/** @file From the outputs of a detector to boxes with classes and scores, as transformers and YOLO's kin do. */

import type { Box } from '../../data/imageRecord.ts';

/** How class scores are read. */
export type ScoreKind =
  /** One class per query, the last being "no object" (DETR, YOLOS). */
  | { readonly kind: 'softmax' }
  /** The best of all pairs of queries and classes; `most` is their number, as many as queries by default. */
  | { readonly kind: 'sigmoid'; readonly most?: number };

/** A box that a model found. */
export interface FoundBox {
  /** Number of its class. */
  readonly label: number;
  /** Its probability, 0 to 1. */
  readonly score: number;
  /** Left, upper, right and lower edge. */
  readonly box: Box;
  /** Number of its query, or of the place in the grid. */
  readonly query: number;
}

/** Outputs of an image. */
export interface QueryOutputs {
  /** `[queries, classes]`, row by row. */
  readonly logits: ArrayLike<number>;
  /** `[queries, 4]`: center, width and height in shares of the image. */
  readonly boxes: ArrayLike<number>;
}

/**
 * Boxes of an image in shares of it, with scores above the threshold. Softmax keeps the order of the queries; sigmoid
 * sorts by falling score. Boxes are not clipped.
 */
export function decodeBoxes({ logits, boxes }: QueryOutputs, scores: ScoreKind, threshold = 0): FoundBox[] {
  const queries = boxes.length / 4;
  const classes = logits.length / queries;
  const boxOf = (query: number): Box => {
    const [x = 0, y = 0, width = 0, height = 0] = [0, 1, 2, 3].map((i) => boxes[4 * query + i]!);
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
  };
  const found =
    scores.kind === 'softmax'
      ? Array.from({ length: queries }, (_, query) => ({ query, ...bestOf(logits, query * classes, classes) }))
      : bestPairs(logits, classes, scores.most ?? queries);
  return found
    .filter(({ score }) => score > threshold)
    .map(({ query, label, score }) => ({ label, score, box: boxOf(query), query }));
}

/** The most probable class but the last. */
function bestOf(logits: ArrayLike<number>, start: number, classes: number): { label: number; score: number } {
  let [top, label] = [logits[start]!, 0];
  for (let i = 1; i < classes; i++) top = Math.max(top, logits[start + i]!);
  let sum = 0;
  for (let i = 0; i < classes; i++) sum += Math.exp(logits[start + i]! - top);
  for (let i = 1; i < classes - 1; i++) if (logits[start + i]! > logits[start + label]!) label = i;
  return { label, score: Math.exp(logits[start + label]! - top) / sum };
}

function bestPairs(
  logits: ArrayLike<number>,
  classes: number,
  most: number,
): { query: number; label: number; score: number }[] {
  const order = Array.from({ length: logits.length }, (_, i) => i).sort((a, b) => logits[b]! - logits[a]!);
  return order.slice(0, most).map((i) => ({
    query: Math.floor(i / classes),
    label: i % classes,
    score: 1 / (1 + Math.exp(-logits[i]!)),
  }));
}

/** Settings of {@link decodeGrid}. */
export interface GridDecoding {
  /** Least score, exclusive; 0.25 by default. */
  readonly threshold?: number;
  /** Overlap above which the box of the lower score is dropped; 0.45 by default. */
  readonly overlap?: number;
  /** Boxes per image; 300 by default. */
  readonly most?: number;
  /** Whether each class of a place may give a box, instead of the best alone; false by default. */
  readonly manyClasses?: boolean;
  /** Whether boxes of different classes suppress each other; false by default. */
  readonly acrossClasses?: boolean;
}

/**
 * Boxes of a dense head's output `[4 + classes, places]`: center, width and height in pixels of the model's input, then
 * the probability of each class. Overlapping boxes of lower scores are suppressed.
 * @returns by falling score, in pixels of the input
 */
export function decodeGrid(
  output: ArrayLike<number>,
  places: number,
  { threshold = 0.25, overlap = 0.45, most = 300, manyClasses = false, acrossClasses = false }: GridDecoding = {},
): FoundBox[] {
  const classes = output.length / places - 4;
  const found: FoundBox[] = [];
  for (let query = 0; query < places; query++) {
    const at = (row: number): number => output[row * places + query]!;
    const [x, y, width, height] = [at(0), at(1), at(2), at(3)];
    const box: Box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
    let best = 0;
    for (let label = 1; label < classes; label++) if (at(4 + label) > at(4 + best)) best = label;
    for (let label = 0; label < classes; label++) {
      const score = at(4 + label);
      if (score > threshold && (manyClasses || label === best)) found.push({ label, score, box, query });
    }
  }
  return suppressed(found, { overlap, acrossClasses, most });
}

/** Drops boxes that overlap with one of a higher score, by falling score. */
function suppressed(
  found: readonly FoundBox[],
  {
    overlap,
    acrossClasses,
    most,
  }: { readonly overlap: number; readonly acrossClasses: boolean; readonly most: number },
): FoundBox[] {
  const kept: FoundBox[] = [];
  for (const each of [...found].sort((a, b) => b.score - a.score)) {
    const isLess = kept.some(
      (other) => (acrossClasses || other.label === each.label) && overlapOfBoxes(other.box, each.box) > overlap,
    );
    if (!isLess) kept.push(each);
    if (kept.length === most) break;
  }
  return kept;
}

/** Intersection over union. */
function overlapOfBoxes(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box: Box): number => (box[2] - box[0]) * (box[3] - box[1]);
  const both = width * height;
  return both / (area(a) + area(b) - both);
}
