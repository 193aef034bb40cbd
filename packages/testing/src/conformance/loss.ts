/** @file The losses of cases. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type GraphBuilder,
  type Value,
  binaryCrossEntropy,
  crossEntropy,
  ctc,
  meanSquaredError,
  type LossFragment,
} from '@onnx-lora/sdk/tasks';
import type { CaseLoss, ConformanceCase } from './case.ts';

type Fragment = (
  g: GraphBuilder,
  output: Value,
  labels: Value,
  loss: CaseLoss,
  targets: Readonly<Record<string, Value>>,
) => Value;

const fragments: Readonly<Record<string, Fragment>> = {
  'cross-entropy': (g, logits, labels, loss) => crossEntropy(g, logits, labels, ignored(loss)),
  // [batch, classes, h, w] → [batch, h, w, classes]
  'cross-entropy-2d': (g, logits, labels, loss) =>
    crossEntropy(g, g.Transpose(logits, [0, 2, 3, 1]), labels, ignored(loss)),
  mse: (g, predictions, labels) => meanSquaredError(g, predictions, labels),
  'bce-with-logits': (g, logits, labels) => binaryCrossEntropy(g, logits, labels),
  ctc: (g, logits, labels, { blank, reduction, zero_infinity: zeroInfinity }, { input_lengths: inputLengths }) =>
    ctc(g, logits, labels, { blank, reduction, zeroInfinity, inputLengths }),
};

/** The loss of a case as a graph fragment. @throws OnnxLoraError `MODEL_UNSUPPORTED` for an unknown loss */
export function lossFragment(loss: CaseLoss): LossFragment {
  const fragment = Object.hasOwn(fragments, loss.kind) ? fragments[loss.kind]! : undefined;
  if (!fragment) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The loss "${loss.kind}" is not supported; ${Object.keys(fragments).join(', ')} are, and those that the caller gives.`,
    );
  }
  return (g, outputs, targets) =>
    fragment(g, required(outputs, loss.output ?? ''), required(targets, 'labels'), loss, targets);
}

/** The caller's loss of a case, or the SDK's. @throws OnnxLoraError `FILE_INVALID` for a case without a loss */
export function caseLoss({ loss, objective, id }: ConformanceCase): LossFragment {
  if (objective) return objective.loss;
  if (loss) return lossFragment(loss);
  throw new OnnxLoraError('FILE_INVALID', `The case "${id}" names no loss. Check its case.json.`);
}

function ignored({ ignoreIndex }: CaseLoss): { ignoreIndex?: number } {
  return ignoreIndex === undefined ? {} : { ignoreIndex };
}

function required(values: Readonly<Record<string, Value>>, name: string): Value {
  const value = values[name];
  if (value) return value;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `The loss needs "${name}", but there is only ${Object.keys(values).join(', ') || 'nothing'}. Check the case.`,
  );
}
