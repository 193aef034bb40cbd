/** @file The losses of cases in plain JavaScript and double precision, as torch defines them: no graph, no ONNX operator. */

import { OnnxLoraError } from '../../errors.ts';
import { sizeOf, type Tensor } from '../../runtime/tensor.ts';
import type { CaseLoss } from '../conformance/case.ts';

type Loss = (output: Tensor, labels: Tensor, loss: CaseLoss) => number;

/** torch's label of what does not count. */
const IGNORED = -100;

const losses: Readonly<Record<string, Loss>> = {
  'cross-entropy': ({ data, dims }, labels, { ignoreIndex }) => {
    const classes = dims.at(-1)!;
    return crossEntropy(labels, ignoreIndex, classes, (row, k) => Number(data[row * classes + k]));
  },
  // [batch, classes, h, w]
  'cross-entropy-2d': ({ data, dims }, labels, { ignoreIndex }) => {
    const [, classes, ...image] = dims as [number, number, ...number[]];
    const pixels = sizeOf(image);
    return crossEntropy(labels, ignoreIndex, classes, (row, k) => {
      const at = (Math.floor(row / pixels) * classes + k) * pixels + (row % pixels);
      return Number(data[at]);
    });
  },
  mse: ({ data }, labels) => mean(data.length, (i) => (Number(data[i]) - Number(labels.data[i])) ** 2),
  'bce-with-logits': ({ data }, labels) =>
    mean(data.length, (i) => {
      const x = Number(data[i]);
      return Math.max(x, 0) - x * Number(labels.data[i]) + Math.log1p(Math.exp(-Math.abs(x)));
    }),
};

/**
 * The loss of a batch.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for one that is not here
 */
export function referenceLoss(loss: CaseLoss, output: Tensor, labels: Tensor): number {
  const found = Object.hasOwn(losses, loss.kind) ? losses[loss.kind]! : undefined;
  if (found) return found(output, labels, loss);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no reference for the loss "${loss.kind}", only for ${Object.keys(losses).join(', ')}. Make the case with PEFT, or take another loss.`,
  );
}

/** Means over the rows whose label counts. */
function crossEntropy(
  { data }: Tensor,
  ignoreIndex = IGNORED,
  classes: number,
  logit: (row: number, k: number) => number,
): number {
  let [sum, count] = [0, 0];
  for (let row = 0; row < data.length; row++) {
    const label = Number(data[row]);
    if (label === ignoreIndex) continue;
    const scores = Array.from({ length: classes }, (_, k) => logit(row, k));
    const top = Math.max(...scores);
    sum += top + Math.log(scores.reduce((total, each) => total + Math.exp(each - top), 0)) - scores[label]!;
    count++;
  }
  return sum / count;
}

function mean(count: number, term: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += term(i);
  return sum / count;
}
