/** @file Writes answers of detectors as a COCO file, whose annotations have scores. */

import { basename, extname } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import type { AnswerWriter, Prediction } from '@onnx-lora/sdk/tasks';
import { formatCocoCounts, parseCocoCounts, type Rle } from '../../data/shapes/outlines.ts';

/** An object in an answer. */
export interface DetectedObject {
  /** Name of its class. */
  readonly label: string;
  /** Its probability, 0 to 1. */
  readonly score: number;
  /** Left, top, width and height in pixels of the image, as in COCO. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
}

/** An object in an answer, with its pixels. */
export interface SegmentedObject extends DetectedObject {
  /** COCO's compressed run-length encoding of its pixels; `size` is `[height, width]`. */
  readonly segmentation: { readonly size: readonly [height: number, width: number]; readonly counts: string };
  /** Its outlines as rings of alternating x and y in pixels, without its holes; for drawing. */
  readonly polygons: readonly (readonly number[])[];
}

/** COCO's form of a mask. */
export function segmentationOf({ height, width, counts }: Rle): SegmentedObject['segmentation'] {
  return { size: [height, width], counts: formatCocoCounts(counts) };
}

/** Endings of files that {@link cocoAnswers} writes. */
export const cocoEndings: readonly string[] = ['.json'];

/**
 * Writes answers `{ file, objects }` as a COCO file: images, categories, and annotations with a score. Images are
 * numbered from 1 in the order of the answers, categories in the order of `labels`. `annotations` alone is what
 * pycocotools' `loadRes` takes. Undefined for other endings.
 */
export function cocoAnswers(path: string, labels: readonly string[]): AnswerWriter | undefined {
  if (!cocoEndings.includes(extname(path).toLowerCase())) return undefined;
  const images: object[] = [];
  const annotations: object[] = [];
  const categories = labels.map((name, i) => ({ id: i + 1, name }));
  return {
    write: (prediction) => {
      const { file, objects } = answerOf(prediction);
      images.push({ id: images.length + 1, file_name: basename(file) });
      for (const { label, score, box, segmentation } of objects)
        annotations.push({
          id: annotations.length + 1,
          image_id: images.length,
          category_id: labels.indexOf(label) + 1,
          bbox: box,
          ...(segmentation && { segmentation }),
          area: segmentation ? areaOf(segmentation) : box[2] * box[3],
          iscrowd: 0,
          score,
        });
      return Promise.resolve();
    },
    finish: () => writeFileAtomic(path, `${JSON.stringify({ images, categories, annotations })}\n`),
    abort: () => Promise.resolve(),
  };
}

/** @throws OnnxLoraError `INPUT_INVALID` for a prediction of another task */
function answerOf({ file, objects }: Prediction): {
  file: string;
  objects: readonly (DetectedObject & Partial<SegmentedObject>)[];
} {
  if (typeof file === 'string' && Array.isArray(objects)) return { file, objects };
  throw new OnnxLoraError('INPUT_INVALID', 'Only answers { file, objects } can be written as a COCO file.');
}

function areaOf({ counts }: SegmentedObject['segmentation']): number {
  return parseCocoCounts(counts, 'an answer').reduce((sum, count, i) => sum + (i % 2 === 1 ? count : 0), 0);
}
