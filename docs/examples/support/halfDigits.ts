/**
 * @file A task of one's own, with nothing but the SDK: digits with a hidden lower half, as behind the frame of a meter.
 */

import { float32, int64, stack, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  crossEntropy,
  type Dataset,
  meanMeasure,
  type MetricCollector,
  type Task,
} from '@onnx-lora/sdk/tasks';
import type { readDigits } from './digits.ts';

/** The model's input, and its target. */
export interface DigitExample {
  /** `[3, 28, 28]`, from −1 to 1 */
  readonly image: Tensor;
  readonly digit: number;
}

type Digits = Awaited<ReturnType<typeof readDigits>>;

/** The digits as the model takes them: three equal channels, from −1 to 1. */
export function examplesOf(digits: Digits, isHidden: (row: number) => boolean): Dataset<DigitExample> {
  return {
    length: digits.length,
    isDeterministic: true,
    get: (i) => {
      const { pixels, label } = digits[i]!;
      const channel = Array.from(pixels, (value, at) => (isHidden(Math.floor(at / 28)) ? -1 : value / 127.5 - 1));
      return Promise.resolve({ image: float32([...channel, ...channel, ...channel], [3, 28, 28]), digit: label });
    },
  };
}

/** Reading digits; measured on `heldOut`. */
export function digitReading(train: Dataset<DigitExample>, heldOut: Dataset<DigitExample>): Task<DigitExample> {
  return {
    name: 'digit-reading',
    prepare: (model) => {
      const [input = ''] = Object.keys(model.inputs);
      // The graph ends in a softmax; the loss is defined on the scores before it.
      const scores = model.logitsOf!('probabilities')!;
      return Promise.resolve({
        train,
        validation: heldOut,
        outputs: [scores],
        collate: (examples) =>
          Promise.resolve({
            inputs: { [input]: stack(examples.map(({ image }) => image)) },
            targets: {
              digit: int64(
                examples.map(({ digit }) => digit),
                [examples.length],
              ),
            },
          }),
        loss: (g, outputs, { digit }) => crossEntropy(g, outputs[scores]!, digit!),
        lossWeight: ({ digit }) => digit!.data.length,
        metrics: accuracy,
      });
    },
  };
}

/** The share that is read right, with a 95% interval. */
function accuracy(): MetricCollector {
  const isRight: number[] = [];
  return {
    update: (outputs, { digit }) => {
      const found = outputs['class']!.data as BigInt64Array;
      found.forEach((each, i) => isRight.push(each === digit!.data[i] ? 1 : 0));
    },
    result: meanMeasure({ accuracy: isRight }),
    draws: () => bootstrapDraws(meanMeasure({ accuracy: isRight }), isRight.length),
  };
}
