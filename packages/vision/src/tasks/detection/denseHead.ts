/** @file Dense heads: the convolutions behind a detector's outputs that give boxes and classes for each place of a grid. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { describedPorts, type GraphBuilder, type TaskModel, type Value } from '@onnx-lora/sdk/tasks';
import type { ImagePort } from '../imagePorts.ts';

/** A grid of places. */
export interface DenseLevel {
  /** Outputs that are one beside the other along the channels: `[batch, channels, rows, columns]`. */
  readonly values: readonly string[];
  /** Pixels of the model's input per place. */
  readonly stride: number;
}

/** The raw outputs of a dense head, the finest level first. */
export interface DenseHead {
  /**
   * `distances`: 4 · `bins` scores of an edge's distance, then classes (YOLOv8 to v12). `offsets`: center and size, one
   * score for any object, then classes (YOLOX).
   */
  readonly kind: 'distances' | 'offsets';
  readonly levels: readonly DenseLevel[];
  /** Bins of a distance; 0 for offsets. */
  readonly bins: number;
  readonly classes: number;
}

/** Bins of YOLOv8's distances. */
const USUAL_BINS = 16;

/** A convolution's output with known sizes. */
interface Map4 {
  readonly name: string;
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
}

/**
 * Finds a dense head: among the outputs, or as the last convolutions before them, so that what a graph does after, such
 * as decoding or suppression, is left out.
 * @param labels number of classes in config.json; 0 if it names none
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another head, with what was found
 */
export function denseHeadOf(model: TaskModel, input: ImagePort, labels = 0): DenseHead {
  const [, , height, width] = model.inputs[input.name]?.dims ?? [];
  if (typeof height !== 'number' || typeof width !== 'number') {
    throw unsupported(model, `its input "${input.name}" has no fixed height and width, by which a place's pixels are known. Export it with a fixed size of images`); // prettier-ignore
  }
  const found = [...mapsOf(model, width)];
  const sizes = [...new Set(found.map(({ rows, columns }) => `${rows} x ${columns}`))];
  const levels = sizes.map((size) => found.filter(({ rows, columns }) => `${rows} x ${columns}` === size));
  const sorted = levels.sort((a, b) => b[0]!.rows - a[0]!.rows);
  const channels = sorted.map((maps) => maps.map((map) => map.channels).join(' + '));
  const [first] = sorted;
  const described = sorted.map(([map], i) => `${channels[i]} channels of ${map!.rows} x ${map!.columns}`).join(', ');
  if (!first || new Set(channels).size > 1) {
    throw unsupported(model, first ? `its last convolutions give ${described}, not the same for each level of a dense head. Use a model whose head is known` : `it has no outputs "logits" [batch, queries, classes] and "pred_boxes" [batch, queries, 4], and no convolutions over a grid of places lie before its outputs (it has ${describedPorts(model.outputs)}). Export DETR, RT-DETR, YOLOv8 to v12, YOLOX or another of their kind`); // prettier-ignore
  }
  const named = sorted.map((maps) => ({ values: maps.map(({ name }) => name), stride: width / maps[0]!.columns }));
  const parts = first.map((map) => map.channels);
  const total = parts.reduce((sum, each) => sum + each, 0);
  // One convolution may give all parts.
  const isOffsets = parts.length === 1 ? total > 5 && total === 5 + labels : parts.length === 3 && parts[0] === 4 && parts[1] === 1; // prettier-ignore
  if (isOffsets) return { kind: 'offsets', levels: named, bins: 0, classes: total - 5 };
  const bins = parts.length === 2 && parts[0]! % 4 === 0 ? parts[0]! / 4 : USUAL_BINS;
  const isDistances = parts.length <= 2 && bins > 1 && total > 4 * bins;
  if (isDistances) return { kind: 'distances', levels: named, bins, classes: total - 4 * bins };
  throw unsupported(model, `its last convolutions give ${described}, which is neither the head of YOLOv8 to v12 (distances by bins, classes) nor of YOLOX (4, 1, classes). Its loss is not known`); // prettier-ignore
}

function unsupported(model: TaskModel, reason: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" cannot be trained to detect objects: ${reason}.`);
}

/** Maps over grids of places, in the order of the head's parts. */
function* mapsOf(model: TaskModel, width: number): Generator<Map4> {
  const isMap = (dims: readonly (number | string)[] | undefined): dims is readonly [number | string, number, number, number] =>
    dims?.length === 4 && dims.slice(1).every((each) => typeof each === 'number') && width % Number(dims[3]) === 0 && width / Number(dims[3]) >= 4; // prettier-ignore
  const seen = new Set<string>();
  const values = Object.keys(model.outputs);
  for (const value of values)
    for (const { name, dims, input } of model.layersBehind?.(value) ?? []) {
      if (seen.has(name)) continue;
      seen.add(name);
      if (isMap(dims)) yield { name, channels: dims[1], rows: dims[2], columns: dims[3] };
      // A convolution that only weighs bins lies between the head and the boxes.
      else if (dims?.[1] === 1) values.push(input);
    }
}

/** The raw outputs of each level, `[batch, channels, rows, columns]`. */
export function denseLevels(
  g: GraphBuilder,
  { levels }: DenseHead,
  outputs: Readonly<Record<string, Value>>,
): readonly Value[] {
  return levels.map(({ values }) => {
    const parts = values.map((name) => outputs[name]!);
    return parts.length === 1 ? parts[0]! : g.Concat(parts, 1);
  });
}
