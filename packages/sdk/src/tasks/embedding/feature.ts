/** @file Chooses the value of a graph that is an example's feature. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { GraphPort, HeadInput, TaskModel } from '../../plugin/taskModel.ts';
import { describedPorts } from '../../data/listed.ts';

const BEFORE_HEAD = 'before-head';

/** A chosen feature. */
export interface Feature {
  /** Name of the value: float32 `[batch, width]`, or a vector per token, frame or position. */
  readonly output: string;
  /** The same name if it is not a graph output and must become one. */
  readonly inner: readonly string[];
  /** Its type and shape. */
  readonly port: GraphPort;
}

/** A domain's rules for features. */
export interface FeatureRules {
  /** Examples in the plural: `images`. */
  readonly noun: string;
  /** Allowed shapes by rank, from two dimensions on: `['[batch, width]', '[batch, frames, width]']`. */
  readonly shapes: readonly string[];
  /** Usual names of feature outputs, the best first. */
  readonly usual: readonly string[];
  /** Whether an output holds answers, such as scores; none does by default. */
  readonly isAnswer?: (output: string) => boolean;
  /** Input of the head, if any. */
  readonly beforeHead: () => HeadInput | undefined;
}

/**
 * Chooses the named output; by default the first usual one, else the head's input, as for `before-head`. @throws
 * OnnxLoraError `CONFIG_INVALID` for an unknown output or one without features; `MODEL_UNSUPPORTED` for a model without
 * features
 */
export function featureOf({ name, outputs }: TaskModel, named: string | undefined, rules: FeatureRules): Feature {
  const { noun, shapes, usual, beforeHead } = rules;
  if (named !== undefined && named !== BEFORE_HEAD) {
    const port = outputs[named];
    if (port && isFeature(named, port, rules)) return { output: named, inner: [], port };
    if (!port) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${name}" has no output "${named}".${didYouMean(named, Object.keys(outputs))} Its outputs are ${describedPorts(outputs)}; "${BEFORE_HEAD}" is what a head reads.`,
      );
    }
    const found = rules.isAnswer?.(named) ? 'holds scores' : `is ${describedPorts({ [named]: port })}`;
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
    `"${name}" gives no features of ${noun}, and no single layer gives one of its outputs, which are ${describedPorts(outputs)}. Export the model with "last_hidden_state", or name an output of ${shapes.join(' or ')}.`,
  );
}

function isFeature(output: string, { type, dims }: GraphPort, { shapes, isAnswer }: FeatureRules): boolean {
  if (type !== 'float32' || isAnswer?.(output)) return false;
  return dims === undefined || (dims.length >= 2 && dims.length < 2 + shapes.length);
}
