/** @file Which outputs of a detector are what, and how they become sets of predictions. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { DetectorOutputs, Predictions } from './losses/detectionLoss.ts';

/** Names of a detector's outputs; those of auxiliary losses may be absent. */
export interface DetectorPorts {
  /** Class scores `[batch, queries, classes]`. */
  readonly logits: string;
  /** Boxes `[batch, queries, 4]`: center, width and height in shares of the image; absent for masks alone. */
  readonly boxes?: string;
  /** Masks of objects before the sigmoid, where they are learned: `[batch, queries, rows, columns]`. */
  readonly masks?: string;
  /** Scores of the decoder layers but the last: `[batch, layers, queries, classes]`. */
  readonly auxLogits?: string;
  /** Their boxes: `[batch, layers, queries, 4]`. */
  readonly auxBoxes?: string;
  /** Scores of the encoder's proposals: `[batch, queries, classes]`. */
  readonly encoderLogits?: string;
  /** Their boxes. */
  readonly encoderBoxes?: string;
  /** D-FINE's scores before and after each layer: `[batch, layers + 1, queries, classes]`. */
  readonly intermediateLogits?: string;
  /** Their boxes. */
  readonly intermediateBoxes?: string;
  /** D-FINE's distributions of edges: `[batch, layers, queries, 4 · bins]`. */
  readonly corners?: string;
  /** The boxes that they refine: `[batch, layers, queries, 4]`. */
  readonly references?: string;
}

/** The sets of predictions among a model's outputs: the final one, the decoder layers', the encoder's. */
export function detectorOutputs(
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  ports: DetectorPorts,
): DetectorOutputs {
  const value = (name: string): Value => sized(outputs[name], name);
  const layer = (name: string, i: number): Value => g.Gather(value(name), g.constant(int64([i], [])), 1);
  const sets: Predictions[] = [{ logits: value(ports.logits), ...(ports.boxes !== undefined && { boxes: value(ports.boxes) }) }]; // prettier-ignore
  const { auxLogits, auxBoxes, encoderLogits, encoderBoxes } = ports;
  const { intermediateLogits, intermediateBoxes, corners, references } = ports;
  const stacked = auxLogits && auxBoxes ? { logits: auxLogits, boxes: auxBoxes } : undefined;
  const layers = (name: string): number => value(name).shape![1] as number;
  if (stacked) {
    for (let i = 0; i < layers(stacked.logits); i++)
      sets.push({ logits: layer(stacked.logits, i), boxes: layer(stacked.boxes, i) });
  }
  const isRefined = intermediateLogits && intermediateBoxes && corners && references;
  // The scores and boxes of a layer are learned with the next one's distributions, as transformers pairs them.
  const learning = isRefined ? Array.from({ length: layers(corners) - 1 }, (_, i) => i) : [];
  for (const i of learning) sets.push({ logits: layer(intermediateLogits!, i), boxes: layer(intermediateBoxes!, i) });
  if (encoderLogits && encoderBoxes) sets.push({ logits: value(encoderLogits), boxes: value(encoderBoxes) });
  const masks = ports.masks === undefined ? {} : { masks: value(ports.masks) };
  if (learning.length === 0) return { sets, ...masks };
  return {
    sets,
    ...masks,
    edges: {
      corners: learning.map((i) => layer(corners!, i)),
      references: learning.map((i) => layer(references!, i)),
      teacher: layer(corners!, learning.length),
    },
  };
}

function sized(value: Value | undefined, name: string): Value {
  if (value?.shape?.every((size) => typeof size === 'number')) return value;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    value
      ? `The shape of the output "${name}" is not known from the graph, so that its queries cannot be matched. Export the model with a fixed number of queries, and masks of a fixed size.`
      : `The model has no output "${name}". Check its export.`,
  );
}
