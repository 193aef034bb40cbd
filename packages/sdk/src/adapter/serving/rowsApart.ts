/**
 * @file A batch that is computed in several runs. Rows with different adapters take a run for each adapter where no single run
 * can give each row its own, as where a layer reads one value for all rows, such as a table of relative positions, or has one
 * kernel for them. Rows of a tuner that mixes rows take a run each.
 */

import { OnnxLoraError } from '../../errors.ts';
import type { RowsApart } from '../../lora/adapterInputs.ts';
import { arrayOf, type Feeds, sizeOf, type Tensor, type TensorData } from '../../runtime/tensor.ts';
import { labelOf, type ModuleTuning } from '../../lora/methods/tuning.ts';
import { keyOf, type RowAdapter } from './activeFeeds.ts';

/**
 * Why a batch is computed in several runs. `different`: the module cannot have another adapter for each row of one run. `mixed`:
 * what the tuning gives a row depends on the other rows, so that each row is a run.
 */
export type Apart =
  | { readonly kind: 'different'; readonly module: string }
  | { readonly kind: 'mixed'; readonly tuning: Pick<ModuleTuning, 'parameter' | 'path'> };

/** What {@link runApart} needs. */
interface ApartRequest {
  /** What the model is called in errors. */
  readonly model: string;
  readonly apart: RowsApart;
  /** One adapter per row. */
  readonly choice: readonly RowAdapter[];
  readonly feeds: Feeds;
  /** The outputs that are asked for. */
  readonly outputs: readonly string[];
  /** Whether all that has rows is among the feeds, and the model takes any number of rows: if not, each run has all of them. */
  readonly isDivisible: boolean;
  /** Runs rows of one adapter. */
  readonly run: (adapter: RowAdapter, feeds: Feeds) => Promise<Record<string, Tensor>>;
}

/**
 * Runs the rows of each adapter by themselves, or each row that has one, and puts the results together in the order of the rows.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for an output that has no part for each row; where each row is a run, for inputs that
 *   cannot be divided
 */
export async function runApart(request: ApartRequest & Apart): Promise<Record<string, Tensor>> {
  const { kind, apart, choice, feeds, outputs, isDivisible, run } = request;
  for (const output of outputs) if (typeof apart.outputs.get(output) !== 'number') throw withoutRows(request, output);
  if (kind === 'mixed') requireDivisible(request);
  const groups = new Map<string, { readonly adapter: RowAdapter; readonly rows: number[] }>();
  choice.forEach((adapter, row) => {
    const key = kind === 'mixed' && adapter !== null ? `row ${row}` : keyOf(adapter);
    if (!groups.has(key)) groups.set(key, { adapter, rows: [] });
    groups.get(key)!.rows.push(row);
  });
  const own = (rows: readonly number[]): Feeds =>
    Object.fromEntries(
      Object.entries(feeds).map(([name, tensor]) => {
        const axis = isDivisible ? apart.inputs.get(name) : undefined;
        return [name, axis === undefined ? tensor : taken(tensor, axis, choice.length, rows)];
      }),
    );
  const done = await Promise.all(
    [...groups.values()].map(async ({ adapter, rows }) => ({ rows, found: await run(adapter, own(rows)) })),
  );
  return Object.fromEntries(
    outputs.map((output) => {
      const parts = done.map(({ rows, found }) => ({ rows, part: found[output]! }));
      const whole = together(parts, apart.outputs.get(output) as number, choice.length, isDivisible);
      if (!whole) throw withoutRows(request, output);
      return [output, whole];
    }),
  );
}

/** The parts of a tensor that belong to some rows. */
function taken(tensor: Tensor, axis: number, total: number, rows: readonly number[]): Tensor {
  const dims = tensor.dims.with(axis, (tensor.dims[axis]! / total) * rows.length);
  const data = new (arrayOf(tensor.type))(sizeOf(dims));
  copyRows({ from: tensor, axis, rows: total, at: rows }, { to: data, rows: rows.length, at: [...rows.keys()] });
  return { type: tensor.type, dims, data };
}

/** Undefined where the parts are not as long as their rows, or differ in their other sizes. */
function together(
  parts: readonly { readonly rows: readonly number[]; readonly part: Tensor }[],
  axis: number,
  total: number,
  isDivisible: boolean,
): Tensor | undefined {
  const counts = parts.map(({ rows }) => (isDivisible ? rows.length : total));
  const shapes = parts.map(({ part: { dims } }, i) => dims.with(axis, dims[axis]! / counts[i]!));
  const [first] = shapes as [number[]];
  if (!Number.isInteger(first[axis]) || shapes.some((shape) => shape.join() !== first.join())) return undefined;
  const dims = first.with(axis, first[axis]! * total);
  const { type } = parts[0]!.part;
  const data = new (arrayOf(type))(sizeOf(dims));
  parts.forEach(({ rows, part }, i) => {
    const at = isDivisible ? [...rows.keys()] : rows;
    copyRows({ from: part, axis, rows: counts[i]!, at }, { to: data, rows: total, at: rows });
  });
  return { type, dims, data };
}

/** Copies rows, of which each has a part of an axis, from one tensor into another. */
function copyRows(
  { from, axis, rows, at }: { from: Tensor; axis: number; rows: number; at: readonly number[] },
  target: { readonly to: TensorData; readonly rows: number; readonly at: readonly number[] },
): void {
  const outer = sizeOf(from.dims.slice(0, axis));
  const length = from.data.length / outer / rows;
  for (let o = 0; o < outer; o++) {
    at.forEach((row, i) => {
      const start = (o * rows + row) * length;
      // Same constructor on both sides, which the union of typed arrays cannot express.
      const part = from.data.subarray(start, start + length) as Float32Array;
      (target.to as Float32Array).set(part, (o * target.rows + target.at[i]!) * length);
    });
  }
}

/** @throws OnnxLoraError `INPUT_INVALID` where one row cannot be run by itself */
function requireDivisible(request: ApartRequest & Apart): void {
  const { model, apart, choice, feeds, isDivisible } = request;
  if (!isDivisible) throw mixed(request, `"${model}" takes batches of ${choice.length} rows alone`);
  for (const [name, { dims }] of Object.entries(feeds)) {
    const axis = apart.inputs.get(name);
    if (axis === undefined || dims[axis]! % choice.length === 0) continue;
    throw mixed(request, `"${name}" has ${dims[axis]} rows in a batch of ${choice.length}`);
  }
}

function withoutRows(request: ApartRequest & Apart, output: string): OnnxLoraError {
  const { model, apart, outputs } = request;
  const others = outputs.filter((each) => typeof apart.outputs.get(each) === 'number');
  const fetch = others.length > 0 ? `, or ask for other outputs alone (fetches: ${JSON.stringify(others)})` : '';
  if (request.kind === 'mixed') return mixed(request, `the output "${output}" has no part for each row`, fetch);
  return new OnnxLoraError(
    'INPUT_INVALID',
    `Rows of one batch cannot have different adapters in "${model}": its layer "${request.module}" cannot have another for each row of one run, and the output "${output}" has no part for each. Run one batch per adapter, with one name for all of its rows${fetch}.`,
  );
}

/** The error for rows that would change each other's answers. */
function mixed(request: ApartRequest & Apart, fault: string, fetch = ''): OnnxLoraError {
  const label = request.kind === 'mixed' ? labelOf(request.tuning) : request.module;
  return new OnnxLoraError(
    'INPUT_INVALID',
    `The adapter's tuner mixes the rows of a batch in "${label}" of "${request.model}", so that each row is run by itself, but ${fault}. Run one row at a time${fetch}, or compute the batch as one, as PEFT does (rowsTogether: true).`,
  );
}
