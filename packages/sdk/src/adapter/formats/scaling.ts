/** @file Ranks and scalings by module, with PEFT's rank and alpha patterns. */

import { compilePattern, type Pattern, PatternWork } from '../../lora/patternMatch.ts';
import type { AdapterConfig } from './peftConfig.ts';

/** The scaling of a module's delta, with rank and alpha. */
export interface Scaling {
  readonly r: number;
  readonly alpha: number;
  /** alpha / r, or alpha / √r with `useRslora`. */
  readonly scaling: number;
}

/**
 * Rank, alpha and scaling of a module, by the first pattern of each table that matches the end of its name.
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid pattern
 */
export function scalingOf(
  config: Pick<AdapterConfig, 'r' | 'loraAlpha' | 'rankPattern' | 'alphaPattern' | 'useRslora'>,
  modulePath: string,
): Scaling {
  const r = numberByPattern(config.rankPattern, 'rankPattern', modulePath) ?? config.r;
  const alpha = numberByPattern(config.alphaPattern, 'alphaPattern', modulePath) ?? config.loraAlpha;
  return { r, alpha, scaling: alpha / (config.useRslora ? Math.sqrt(r) : r) };
}

/** A compiled table with cached answers: an adapter asks for the same hundreds of modules repeatedly. */
interface PatternTable {
  readonly patterns: readonly (readonly [Pattern, number])[];
  readonly answers: Map<string, number | undefined>;
}

const compiled = new WeakMap<object, PatternTable>();

/**
 * The number of the first key that matches the end of the module's path, as in PEFT's `rank_pattern`.
 * @param where name of the table for errors, such as `rank_pattern`
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid pattern
 */
export function numberByPattern(
  table: Readonly<Record<string, number>> | null | undefined,
  where: string,
  modulePath: string,
): number | undefined {
  if (!table) return undefined;
  const { patterns, answers } = readTable(table, where);
  if (!answers.has(modulePath)) {
    answers.set(modulePath, patterns.find(([pattern]) => pattern.endMatch(modulePath))?.[1]);
  }
  return answers.get(modulePath);
}

function readTable(table: Readonly<Record<string, number>>, where: string): PatternTable {
  const known = compiled.get(table);
  if (known) return known;
  // One limit for the whole table: limits per pattern and module would not bound the work.
  const work = new PatternWork();
  const patterns = Object.entries(table).map(([key, value]) => [compilePattern(key, where, work), value] as const);
  const made: PatternTable = { patterns, answers: new Map() };
  compiled.set(table, made);
  return made;
}

/** A module's path as a regular expression. */
export function escaped(path: string): string {
  return path.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** A table of exact paths as patterns, long ones first, since a key matches every path that ends with it. */
export function patternTable(numbers: ReadonlyMap<string, number>): Record<string, number> {
  const byLength = [...numbers].sort(([a], [b]) => b.length - a.length);
  return Object.fromEntries(byLength.map(([path, number]) => [escaped(path), number]));
}
