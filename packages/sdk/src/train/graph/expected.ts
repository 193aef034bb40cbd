/** @file What a loss expects of its targets, held by value against each batch before anything is computed of it. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';

/** What a loss expects of one target. */
export interface Expectation {
  /** How many classes the scores have that a label is looked up in; of a mask undefined. */
  readonly classes?: number;
  /** Whether a label or an element of the mask takes no part in the loss. */
  readonly isIgnored: (value: number) => boolean;
  /** What those are that take no part, in words. */
  readonly ignored: string;
  /** Whether the loss is a mean over what counts, of which there must be something. */
  readonly isMean: boolean;
}

/** Expectations by the name of the value, of the losses that one builder holds. */
const expectations = new WeakMap<GraphBuilder, Map<string, Expectation[]>>();

/** Operators that hand on every value of their first input, in another form. */
const PRESERVING: ReadonlySet<string> = new Set(['Cast', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose', 'Flatten', 'Identity']); // prettier-ignore

/** Notes what a value must be. Of one that the loss computes, what it is computed from where its values are the same. */
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

/** What is expected of a value of this builder. */
export function expectedOf(g: GraphBuilder, { name }: Value): readonly Expectation[] {
  return expectations.get(g)?.get(name) ?? [];
}

/** The row of the batch, by the error that tells of its target. */
const rowsOfErrors = new WeakMap<object, number>();

/** Which row of the batch has the target that an error of {@link requireExpected} tells of; undefined for any other error. */
export function wrongRow(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null ? rowsOfErrors.get(error) : undefined;
}

/**
 * Checks the targets of a batch.
 *
 * @param rows how many rows the batch has
 * @returns why there is no mean loss, where nothing of a target counts
 * @throws OnnxLoraError `DATA_INVALID` for a label that is none of the classes
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
