/** @file The notation of `--targets`. */

import type { LoraOptions, ModuleInfo } from '@onnx-lora/sdk';
import { usageError } from '../terminal/errors.ts';

const PATTERN = 're:';

type Condition = (module: ModuleInfo) => boolean;

const conditions: Readonly<Record<string, (words: string) => Condition>> = {
  node: (words) => {
    const pattern = regularExpression('node', words);
    return ({ node }) => pattern.test(node);
  },
  weight: (words) => {
    const pattern = regularExpression('weight', words);
    return ({ weight }) => pattern.test(weight);
  },
  kind: (words) => {
    const kinds = splitList(words);
    return ({ kind }) => kinds.includes(kind);
  },
  shape: (words) => {
    const sizes = words.split(/[x×]/);
    return ({ weightShape }) => fits(weightShape, sizes);
  },
};

/**
 * Parses `--targets`.
 * - `query,value`: names; `all-linear`: itself; `none`: no names
 * - `re:.*\\.(query|value)`: a pattern for whole paths. Not in slashes: ONNX node names and shells use them.
 * - `node:/query/ kind:linear shape:768x*`: modules that meet all conditions on node name, weight name, kind or shape
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for anything else
 */
export function parseTargets(targets: string | readonly string[]): NonNullable<LoraOptions['targetModules']> {
  if (typeof targets !== 'string') return targets;
  if (targets.startsWith(PATTERN)) {
    if (targets.length > PATTERN.length) return targets.slice(PATTERN.length);
    throw usageError('--targets re: needs a pattern after it, such as re:.*\\.(query|value).');
  }
  if (targets.length > 2 && targets.startsWith('/') && targets.endsWith('/')) {
    throw usageError(
      `--targets ${targets} is not understood. Write a pattern for whole paths as re:${targets.slice(1, -1)}, and one for names of nodes as node:${targets}`,
    );
  }
  if (/^(node|weight|kind|shape):/.test(targets)) return allOf(targets);
  if (targets.toLowerCase() === 'all-linear') return targets;
  if (targets.toLowerCase() === 'none') return [];
  const names = splitList(targets);
  if (names.length > 0) return names;
  throw usageError(`--targets names nothing, but it is ${JSON.stringify(targets)}. Give names such as query,value.`);
}

function allOf(targets: string): Condition {
  const all = targets.split(/\s+(?=\S)/).map((part) => {
    const [, name = '', words = ''] = /^(\w+):(.+)$/.exec(part.trim()) ?? [];
    const make = Object.hasOwn(conditions, name) ? conditions[name] : undefined;
    if (make) return make(words);
    throw usageError(
      `--targets ${JSON.stringify(targets)} has ${JSON.stringify(part)}, which is no condition. Conditions are ${Object.keys(
        conditions,
      )
        .map((each) => `${each}:…`)
        .join(', ')}, with spaces between.`,
    );
  });
  return (module) => all.every((holds) => holds(module));
}

function regularExpression(name: string, source: string): RegExp {
  try {
    return new RegExp(source);
  } catch (cause) {
    throw usageError(`--targets ${name}:${source} is no pattern: ${(cause as Error).message}. Correct it.`);
  }
}

function fits(shape: readonly number[], sizes: readonly string[]): boolean {
  return shape.length === sizes.length && sizes.every((size, i) => size === '*' || Number(size) === shape[i]);
}

/** `a, b` → `['a', 'b']`. */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
