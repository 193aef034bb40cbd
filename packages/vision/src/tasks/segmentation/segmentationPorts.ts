/** @file Finds the image input and the class scores per pixel among the inputs and outputs of a graph. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type ImagePort, imagePort } from '../imagePort.ts';

/** Where images go in and scores come out. */
export interface SegmentationPorts {
  readonly input: ImagePort;
  /** Name of the output, float32 `[batch, classes, rows, columns]`. */
  readonly output: string;
  readonly classes: number;
}

/**
 * The image input, and the output `logits`, or the only one of four dimensions.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function segmentationPorts(model: TaskModel): SegmentationPorts {
  const input = imagePort(model);
  const maps = Object.entries(model.outputs).filter(([, { type, dims }]) => type === 'float32' && dims?.length === 4);
  const [output, port] = maps.find(([name]) => name === 'logits') ?? (maps.length === 1 ? maps[0]! : []);
  if (output === undefined) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not segment images: it has no float32 output "logits" [batch, classes, rows, columns] (it has ${listedPorts(model.outputs)}). Export it with its segmentation head.`,
    );
  }
  const classes = port!.dims![1]!;
  if (typeof classes === 'number' && classes >= 1 && classes <= mostClasses) return { input, output, classes };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The output "${output}" of "${model.name}" is [${port!.dims!.join(', ')}], and semantic segmentation needs a fixed number of classes of at most ${mostClasses} as its second dimension. Export it so.`,
  );
}

/** Masks hold a byte per pixel, and 255 stands for unknown. */
const mostClasses = 255;
