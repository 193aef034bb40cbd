/** @file Computes a batch in several runs: per adapter if it cannot vary by row, or per row if its tuner mixes rows. */

import { OnnxLoraError } from '../../errors.ts';
import type { RowsApart } from '../../lora/adapterInputs.ts';
import { arrayOf, type Feeds, sizeOf, type Tensor, type TensorData } from '../../runtime/tensor.ts';
import { labelOf, type ModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import { keyOf, type RowAdapter } from './activeFeeds.ts';

/**
 * Why a batch needs several runs. `different`: the module cannot vary by row, as a convolution's kernel. `mixed`: the
 * tuner makes a row's result depend on other rows, so each row is a run.
 */
export type SeparateRuns =
  | { readonly kind: 'different'; readonly module: string }
  | { readonly kind: 'mixed'; readonly tuning: Pick<ModuleAdapter, 'parameter' | 'path'> };

interface ApartRequest {
  readonly model: string;
  readonly apart: RowsApart;
  readonly choice: readonly RowAdapter[];
  readonly feeds: Feeds;
  readonly outputs: readonly string[];
  /** True if all inputs with rows are feeds, and the batch size is dynamic; otherwise each run gets all rows. */
  readonly isDivisible: boolean;
  readonly run: (adapter: RowAdapter, feeds: Feeds) => Promise<Record<string, Tensor>>;
}

/**
 * Runs each adapter's rows, or each adapted row, separately, and reassembles the results in order.
 * @throws OnnxLoraError `INPUT_INVALID` for outputs without rows, and for row-wise runs of indivisible inputs
 */
export async function runSeparately(request: ApartRequest & SeparateRuns): Promise<Record<string, Tensor>> {
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

function taken(tensor: Tensor, axis: number, total: number, rows: readonly number[]): Tensor {
  const dims = tensor.dims.with(axis, (tensor.dims[axis]! / total) * rows.length);
  const data = new (arrayOf(tensor.type))(sizeOf(dims));
  copyRows({ from: tensor, axis, rows: total, at: rows }, { to: data, rows: rows.length, at: [...rows.keys()] });
  return { type: tensor.type, dims, data };
}

/** Joins parts by rows; undefined if their sizes do not match the rows, or each other. */
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

/** @throws OnnxLoraError `INPUT_INVALID` if a row cannot run alone */
function requireDivisible(request: ApartRequest & SeparateRuns): void {
  const { model, apart, choice, feeds, isDivisible } = request;
  if (!isDivisible) throw mixed(request, `"${model}" takes batches of ${choice.length} rows alone`);
  for (const [name, { dims }] of Object.entries(feeds)) {
    const axis = apart.inputs.get(name);
    if (axis === undefined || dims[axis]! % choice.length === 0) continue;
    throw mixed(request, `"${name}" has ${dims[axis]} rows in a batch of ${choice.length}`);
  }
}

function withoutRows(request: ApartRequest & SeparateRuns, output: string): OnnxLoraError {
  const { model, apart, outputs } = request;
  const others = outputs.filter((each) => typeof apart.outputs.get(each) === 'number');
  const fetch = others.length > 0 ? `, or ask for other outputs alone (fetches: ${JSON.stringify(others)})` : '';
  if (request.kind === 'mixed') return mixed(request, `the output "${output}" has no part for each row`, fetch);
  return new OnnxLoraError(
    'INPUT_INVALID',
    `Rows of one batch cannot have different adapters in "${model}": its layer "${request.module}" cannot have another for each row of one run, and the output "${output}" has no part for each. Run one batch per adapter, with one name for all of its rows${fetch}.`,
  );
}

/** The error for rows that would affect each other. */
function mixed(request: ApartRequest & SeparateRuns, fault: string, fetch = ''): OnnxLoraError {
  const label = request.kind === 'mixed' ? labelOf(request.tuning) : request.module;
  return new OnnxLoraError(
    'INPUT_INVALID',
    `The adapter's tuner mixes the rows of a batch in "${label}" of "${request.model}", so that each row is run by itself, but ${fault}. Run one row at a time${fetch}, or compute the batch as one, as PEFT does (rowsTogether: true).`,
  );
}
