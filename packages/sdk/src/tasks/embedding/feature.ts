/** @file Which value of a graph is the feature of an example. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { GraphPort, HeadInput, TaskModel } from '../../plugin/taskModel.ts';
import { listedPorts } from '../../data/listed.ts';

/** The name that stands for what a head reads. */
const BEFORE_HEAD = 'before-head';

/** The value that is the feature. */
export interface Feature {
  /** Name of the value: float32 `[batch, width]`, or with a vector for each token, frame or place. */
  readonly output: string;
  /** The same, where it is inside the graph and none of its outputs, so that it must become one. */
  readonly inner: readonly string[];
  /** Its type and shape. */
  readonly port: GraphPort;
}

/** What a domain knows of features. */
export interface FeatureRules {
  /** What they are features of, in the plural: `images`. */
  readonly noun: string;
  /** Shapes that they may have, of two dimensions and more: `['[batch, width]', '[batch, frames, width]']`. */
  readonly shapes: readonly string[];
  /** Names of outputs that are features, the best first. */
  readonly usual: readonly string[];
  /** Whether an output holds answers, such as scores, and no features; none does by default. */
  readonly isAnswer?: (output: string) => boolean;
  /** What the head reads, where it has one. */
  readonly beforeHead: () => HeadInput | undefined;
}

/**
 * The output that is named; else the first usual one that there is; else what the head reads, as for `before-head`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that no output has, or one that holds no features; `MODEL_UNSUPPORTED` for a
 *   model without features
 */
export function featureOf({ name, outputs }: TaskModel, named: string | undefined, rules: FeatureRules): Feature {
  const { noun, shapes, usual, beforeHead } = rules;
  if (named !== undefined && named !== BEFORE_HEAD) {
    const port = outputs[named];
    if (port && isFeature(named, port, rules)) return { output: named, inner: [], port };
    if (!port) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${name}" has no output "${named}".${didYouMean(named, Object.keys(outputs))} Its outputs are ${listedPorts(outputs)}; "${BEFORE_HEAD}" is what a head reads.`,
      );
    }
    const found = rules.isAnswer?.(named) ? 'holds scores' : `is ${listedPorts({ [named]: port })}`;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The output "${named}" of "${name}" ${found}, and features of ${noun} are float32 ${shapes.join(' or ')}. Take "${BEFORE_HEAD}", which is what the layer reads that gives scores, or another output.`,
    );
  }
  const output = usual.find((each) => outputs[each] && isFeature(each, outputs[each], rules));
  if (output !== undefined && named === undefined) return { output, inner: [], port: outputs[output]! };
  const head = beforeHead();
  if (head && isFeature(head.name, head, rules))
    return { output: head.name, inner: Object.hasOwn(outputs, head.name) ? [] : [head.name], port: head };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" gives no features of ${noun}, and no single layer gives one of its outputs, which are ${listedPorts(outputs)}. Export the model with "last_hidden_state", or name an output of ${shapes.join(' or ')}.`,
  );
}

/** Whether features may be of its name, type and number of dimensions. */
function isFeature(output: string, { type, dims }: GraphPort, { shapes, isAnswer }: FeatureRules): boolean {
  if (type !== 'float32' || isAnswer?.(output)) return false;
  return dims === undefined || (dims.length >= 2 && dims.length < 2 + shapes.length);
}
