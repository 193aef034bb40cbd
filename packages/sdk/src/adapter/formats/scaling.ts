/** @file What a low-rank product is multiplied by: of each module, with PEFT's tables of patterns for ranks and alphas. */

import { compilePattern, type Pattern, PatternWork } from '../../lora/patternMatch.ts';
import type { AdapterConfig } from './peftConfig.ts';

/** What one module's delta is multiplied with, and where that comes from. */
export interface Scaling {
  readonly r: number;
  readonly alpha: number;
  /** alpha / r, or alpha / √r with `useRslora`. */
  readonly scaling: number;
}

/**
 * Rank, alpha and scaling of one module: of each pattern table the first key that matches the end of the module's
 * name counts, rank and alpha independently of each other.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when a key is not a usable pattern.
 */
export function scalingOf(
  config: Pick<AdapterConfig, 'r' | 'loraAlpha' | 'rankPattern' | 'alphaPattern' | 'useRslora'>,
  modulePath: string,
): Scaling {
  const r = numberByPattern(config.rankPattern, 'rankPattern', modulePath) ?? config.r;
  const alpha = numberByPattern(config.alphaPattern, 'alphaPattern', modulePath) ?? config.loraAlpha;
  return { r, alpha, scaling: alpha / (config.useRslora ? Math.sqrt(r) : r) };
}

/** A table of patterns, read once, and what it has answered: an adapter asks for the same hundreds of modules again and again. */
interface PatternTable {
  readonly patterns: readonly (readonly [Pattern, number])[];
  readonly answers: Map<string, number | undefined>;
}

const compiled = new WeakMap<object, PatternTable>();

/**
 * What a table of patterns says of a module, as PEFT's `rank_pattern` does: the number of the first key that matches the end of
 * the module's path; nothing where none does.
 *
 * @param table nothing where the config has none
 * @param where what the table is, for errors, such as `rank_pattern`
 * @throws OnnxLoraError `CONFIG_INVALID` when a key is not a usable pattern
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
  // One for the table: what is bounded for each of many patterns and modules is not bounded.
  const work = new PatternWork();
  const patterns = Object.entries(table).map(([key, value]) => [compilePattern(key, where, work), value] as const);
  const made: PatternTable = { patterns, answers: new Map() };
  compiled.set(table, made);
  return made;
}

/** A module's path as a pattern. */
export function escaped(path: string): string {
  return path.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** Numbers by module as a table of patterns. A key means every module that ends with it, and the first that fits counts: long ones go first. */
export function patternTable(numbers: ReadonlyMap<string, number>): Record<string, number> {
  const byLength = [...numbers].sort(([a], [b]) => b.length - a.length);
  return Object.fromEntries(byLength.map(([path, number]) => [escaped(path), number]));
}
