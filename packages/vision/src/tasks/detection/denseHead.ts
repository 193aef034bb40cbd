/** @file Dense heads: the convolutions behind a detector's outputs that give boxes and classes for each place of a grid. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { describedPorts, type GraphBuilder, type TaskModel, type Value } from '@onnx-lora/sdk/tasks';
import type { Size } from '../../preprocess/imagePlan.ts';
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
   * `distances`: 4 · `bins` scores of an edge's distance, then classes (YOLOv8 to v12). `qualities`: classes, then such
   * scores (PicoDet). `offsets`: center and size, one score for any object, then classes (YOLOX).
   */
  readonly kind: 'distances' | 'qualities' | 'offsets';
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

/** Facts beside the graph that a head is found by. */
export interface DenseHeadFacts {
  /** Number of classes in config.json; 0 if it names none. */
  readonly labels?: number;
  /** Size of the images, for a graph that leaves it open. */
  readonly size?: Size | undefined;
}

/**
 * Finds a dense head: among the outputs, or as the last convolutions before them, so that what a graph does after, such
 * as decoding or suppression, is left out.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another head, with what was found
 */
export function denseHeadOf(model: TaskModel, input: ImagePort, { labels = 0, size }: DenseHeadFacts = {}): DenseHead {
  const [, , ...sides] = model.inputs[input.name]?.dims ?? [];
  const isOpen = !sides.every((side) => typeof side === 'number');
  const [height, width] = isOpen ? [size?.height, size?.width] : (sides as number[]);
  if (height === undefined || width === undefined) {
    throw unsupported(model, `its input "${input.name}" has no fixed height and width, by which a place's pixels are known. Give a fixed "size" in preprocessor_config.json, or export it with a fixed size of images`); // prettier-ignore
  }
  const shapes = isOpen ? { [input.name]: [input.batch ?? 1, 3, height, width] } : undefined;
  const found = [...mapsOf(model, { height, width }, shapes)];
  const sizes = [...new Set(found.map(({ rows, columns }) => `${rows} x ${columns}`))];
  const levels = sizes.map((each) => found.filter(({ rows, columns }) => `${rows} x ${columns}` === each));
  const sorted = levels.sort((a, b) => b[0]!.rows - a[0]!.rows);
  const channels = sorted.map((maps) => maps.map((map) => map.channels).join(' + '));
  const [first] = sorted;
  const described = sorted.map(([map], i) => `${channels[i]} channels of ${map!.rows} x ${map!.columns}`).join(', ');
  if (!first || new Set(channels).size > 1) {
    throw unsupported(model, first ? `its last convolutions give ${described}, not the same for each level of a dense head. Use a model whose head is known` : `it has no outputs "logits" [batch, queries, classes] and "pred_boxes" [batch, queries, 4], and no convolutions over a grid of places lie before its outputs (it has ${describedPorts(model.outputs)}). Export DETR, RT-DETR, YOLOv8 to v12, YOLOX, PicoDet or another of their kind`); // prettier-ignore
  }
  const named = sorted.map((maps) => ({ values: maps.map(({ name }) => name), stride: strideOf(width, maps[0]!.columns) })); // prettier-ignore
  const { stride } = named[0]!;
  if (width % stride > 0 || height % stride > 0) {
    throw unsupported(model, `its images of ${width} x ${height} pixels are no multiple of its finest places of ${stride}. Give another "size" in preprocessor_config.json`); // prettier-ignore
  }
  const parts = first.map((map) => map.channels);
  const total = parts.reduce((sum, each) => sum + each, 0);
  const scores = parts.length === 1 ? scoresFirst(model, total, first[0]!) : undefined;
  if (scores !== undefined) return { kind: 'qualities', levels: named, bins: (total - scores) / 4, classes: scores };
  // One convolution may give all parts.
  const isOffsets = parts.length === 1 ? total > 5 && total === 5 + labels : parts.length === 3 && parts[0] === 4 && parts[1] === 1; // prettier-ignore
  if (isOffsets) return { kind: 'offsets', levels: named, bins: 0, classes: total - 5 };
  const bins = parts.length === 2 && parts[0]! % 4 === 0 ? parts[0]! / 4 : USUAL_BINS;
  const isDistances = parts.length <= 2 && bins > 1 && total > 4 * bins;
  if (isDistances) return { kind: 'distances', levels: named, bins, classes: total - 4 * bins };
  const isHeat = sorted.length === 1 && parts.filter((each) => each === 2).length >= 2;
  throw unsupported(model, isHeat ? `its last convolutions give ${described}, which is a heat map of centers with sizes and offsets (CenterNet, CenterFace). Which way round its sizes and offsets are, and whether sizes are logarithms, its graph does not say, so that its loss is not known. Use a model whose head is known` : `its last convolutions give ${described}, which is neither the head of YOLOv8 to v12 (distances by bins, classes), nor of YOLOX (4, 1, classes), nor of PicoDet (classes and distances, each an output). Its loss is not known`); // prettier-ignore
}

/** Classes of a convolution whose channels a graph divides into outputs of classes and of distances, in this order. */
function scoresFirst(model: TaskModel, total: number, { rows, columns }: Map4): number | undefined {
  const own = Object.values(model.outputs).filter(({ dims }) => dims?.length === 3 && dims[1] === rows * columns);
  const [scores, distances] = own.map(({ dims }) => dims![2]);
  if (own.length !== 2 || typeof scores !== 'number' || typeof distances !== 'number') return undefined;
  return scores + distances === total && distances % 4 === 0 && distances > 4 ? scores : undefined;
}

/** Pixels per place: a power of two, as the last place may reach beyond the image. */
function strideOf(pixels: number, places: number): number {
  return 2 ** Math.round(Math.log2(pixels / places));
}

function unsupported(model: TaskModel, reason: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" cannot be trained to detect objects: ${reason}.`);
}

/** Maps over grids of places, in the order of the head's parts. */
function* mapsOf(
  model: TaskModel,
  { width, height }: Size,
  shapes: Readonly<Record<string, readonly number[]>> | undefined,
): Generator<Map4> {
  const isMap = (
    dims: readonly (number | string)[] | undefined,
  ): dims is readonly [number | string, number, number, number] => {
    if (dims?.length !== 4 || !dims.slice(1).every((each) => typeof each === 'number')) return false;
    const [rows, columns] = dims.slice(2) as [number, number];
    const stride = strideOf(width, columns);
    return stride >= 4 && columns === Math.ceil(width / stride) && rows === Math.ceil(height / stride);
  };
  const seen = new Set<string>();
  const values = Object.keys(model.outputs);
  for (const value of values)
    for (const { name, dims, input } of model.layersBehind?.(value, shapes) ?? []) {
      if (seen.has(name)) continue;
      seen.add(name);
      if (isMap(dims)) yield { name, channels: dims[1], rows: dims[2], columns: dims[3] };
      // A convolution that only weighs bins lies between the head and the boxes.
      else if (dims?.[1] === 1) values.push(input);
    }
}

/** The raw outputs of each level, `[batch, channels, rows, columns]`; classes last. */
export function denseLevels(
  g: GraphBuilder,
  { levels, kind, bins, classes }: DenseHead,
  outputs: Readonly<Record<string, Value>>,
): readonly Value[] {
  return levels.map(({ values }) => {
    const parts = values.map((name) => outputs[name]!);
    if (kind === 'qualities') return g.Concat(g.Split(parts[0]!, [classes, 4 * bins], 1).toReversed(), 1);
    return parts.length === 1 ? parts[0]! : g.Concat(parts, 1);
  });
}
