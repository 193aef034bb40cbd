/** @file Parses short notations of flags: targets, layers `0-3,7`, tables `query=4,value=8`, tokens `wte=5,7`, names or JSON. */

import type { LoraOptions, ModuleInfo } from '@onnx-lora/sdk';
import { usageError } from '../terminal/errors.ts';
import type { Content } from './setting.ts';

const MAX_LAYERS = 10_000;

/** `0-3,7` → `[0, 1, 2, 3, 7]`. @throws OnnxLoraError `CONFIG_INVALID` */
export function parseLayers(layers: string | number | readonly number[]): number[] {
  if (typeof layers !== 'string') return [layers].flat();
  return layers.split(',').flatMap((part) => {
    const [, from, to = from] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from !== undefined && first <= last && last < MAX_LAYERS)
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    throw usageError(
      `--layers-to-transform must be layer numbers, such as 0-3,7, but it is ${JSON.stringify(layers)}.`,
    );
  });
}

/** `query=4,value=8` → `{ query: 4, value: 8 }`; splits at the last `=`. @throws OnnxLoraError `CONFIG_INVALID` */
export function parseTable(flag: string, table: string | Readonly<Record<string, number>>): Record<string, number> {
  if (typeof table !== 'string') return { ...table };
  const entries = table.split(/[,;]/).map((part): [string, number] => {
    const [, name, number] = /^\s*(.+)=\s*([\d.]+)\s*$/.exec(part) ?? [];
    if (name !== undefined && Number.isFinite(Number(number))) return [name.trim(), Number(number)];
    throw usageError(
      `--${flag} must be names and numbers, such as query=4,value=8, but it is ${JSON.stringify(table)}.`,
    );
  });
  return Object.fromEntries(entries);
}

/** `5,7` → `[5, 7]`; `wte=5,7;wpe=1` → `{ wte: [5, 7], wpe: [1] }`. @throws OnnxLoraError `CONFIG_INVALID` */
export function parseTokens(
  tokens: string | number | readonly number[] | Readonly<Record<string, readonly number[]>>,
): readonly number[] | Readonly<Record<string, readonly number[]>> {
  if (typeof tokens === 'number') return [tokens];
  if (typeof tokens !== 'string') return tokens;
  const ids = (text: string): number[] =>
    text.split(',').map((part) => {
      if (/^\s*\d+\s*$/.test(part)) return Number(part);
      throw usageError(
        `--trainable-token-indices must be token ids, such as 5,7 or wte=5,7, but it is ${JSON.stringify(tokens)}.`,
      );
    });
  if (!tokens.includes('=')) return ids(tokens);
  return Object.fromEntries(
    tokens.split(';').map((part) => {
      const at = part.lastIndexOf('=');
      return [part.slice(0, at).trim(), ids(part.slice(at + 1))];
    }),
  );
}

export interface Named {
  readonly name: string;
  readonly [setting: string]: unknown;
}

/** Parses a name, or JSON with a name and settings. @throws OnnxLoraError `CONFIG_INVALID` without a name */
export function namedOrJson(text: string, flag: string, example: string): string | Named {
  if (!text.startsWith('{')) return text;
  const named = objectIn(text) as Named | undefined;
  if (typeof named?.name === 'string') return named;
  throw usageError(`${flag} must be a name, or JSON such as {"name":"${example}"}, but it is ${text}.`);
}

/** The name in text that may be JSON; undefined without one, which {@link namedOrJson} refuses. */
export function nameIn(text: string): string | undefined {
  if (!text.startsWith('{')) return text;
  const name = objectIn(text)?.['name'];
  return typeof name === 'string' ? name : undefined;
}

/** Parses JSON; undefined where it is invalid. */
export function objectIn(json: string): Content | undefined {
  try {
    return JSON.parse(json) as Content;
  } catch {
    return undefined;
  }
}

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
      `--targets ${JSON.stringify(targets)} has ${JSON.stringify(part)}, but that is not a condition. Conditions are ${Object.keys(
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
