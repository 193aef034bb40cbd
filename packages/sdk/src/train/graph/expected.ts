/** @file Expected target values of a loss, checked before each batch is computed. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';

/** Expected values of a target. */
export interface Expectation {
  /** Number of classes that labels index; undefined for a mask. */
  readonly classes?: number;
  /** Whether a label or mask element is ignored by the loss. */
  readonly isIgnored: (value: number) => boolean;
  /** The ignored values, in words. */
  readonly ignored: string;
  /** Whether the loss is a mean, so that some value must count. */
  readonly isMean: boolean;
}

/** Expectations by value name, per builder of a loss. */
const expectations = new WeakMap<GraphBuilder, Map<string, Expectation[]>>();

/** Operators that only change the form of their first input. */
const PRESERVING: ReadonlySet<string> = new Set(['Cast', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose', 'Flatten', 'Identity']); // prettier-ignore

/** Notes the expected values of a target, or of one that it reshapes or casts. */
export function expectOf(g: GraphBuilder, value: Value, expectation: Expectation): void {
  const own = expectations.get(g) ?? new Map<string, Expectation[]>();
  expectations.set(g, own);
  let { name } = value;
  for (;;) {
    const node = g.nodes.findLast(({ output }) => output?.[0] === name);
    if (!node || !PRESERVING.has(node.opType ?? '')) break;
    name = node.input![0]!;
  }
  own.set(name, [...(own.get(name) ?? []), expectation]);
}

export function expectedOf(g: GraphBuilder, { name }: Value): readonly Expectation[] {
  return expectations.get(g)?.get(name) ?? [];
}

/** Row of the batch with the wrong target, by error. */
const rowsOfErrors = new WeakMap<object, number>();

/** The row of the wrong target, for an error of {@link requireExpected}; otherwise undefined. */
export function wrongRow(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null ? rowsOfErrors.get(error) : undefined;
}

/**
 * Checks a batch's targets. Returns why there is no mean loss if all values of a target are ignored.
 * @param rows number of rows of the batch
 * @throws OnnxLoraError `DATA_INVALID` for a label outside the classes
 */
export function requireExpected(
  expected: ReadonlyMap<string, readonly Expectation[]>,
  targets: Feeds,
  rows: number | undefined,
): string | undefined {
  const all = [...expected].flatMap(([name, own]) => own.map((expectation) => ({ name, expectation })));
  const empty = all.map(({ name, expectation }) => requireTarget(name, targets[name]!, expectation, rows));
  return empty.find((why) => why !== undefined);
}

function requireTarget(
  name: string,
  { data }: Tensor,
  { classes, isIgnored, ignored, isMean }: Expectation,
  rows: number | undefined,
): string | undefined {
  let counted = 0;
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i]);
    if (isIgnored(value)) continue;
    counted++;
    if (classes === undefined || (Number.isInteger(value) && value >= 0 && value < classes)) continue;
    const row = rows === undefined ? 0 : Math.floor((i * rows) / data.length);
    const error = new OnnxLoraError(
      'DATA_INVALID',
      `The label ${String(data[i])} in the target "${name}" is no class: the scores are of ${classes} classes, so that labels go from 0 to ${classes - 1}${ignored === '' ? '' : `, and ${ignored}`}. Correct it, or give the model as many outputs as there are classes.`,
    );
    rowsOfErrors.set(error, row);
    throw error;
  }
  if (counted > 0 || data.length === 0 || !isMean) return undefined;
  return `Nothing of the batch counts, so that there is no mean loss: ${data.length === 1 ? 'the one value' : `all ${data.length} values`} of the target "${name}" ${classes === undefined ? (data.length === 1 ? 'is 0' : 'are 0') : `${data.length === 1 ? 'is' : 'are'} left out (${ignored})`}. Leave such examples out of the data, take larger batches, or skip such steps (onBadLoss: 'skip', --on-bad-loss skip).`;
}
