/** @file Pads sequences of different lengths to batch them, and cuts the outputs back. */

import type { AdapterSession, Feeds, Model, Tensor } from '@onnx-lora/sdk';
import { arrayOf } from '@onnx-lora/sdk/tasks';

const MASK = 'attention_mask';

/** Outputs of a model whose inputs are sequences `[rows, length]`. */
export interface Padding {
  /** Outputs per position, `[rows, length, …]`. */
  readonly positions: ReadonlySet<string>;
  /** Outputs per sequence. */
  readonly whole: ReadonlySet<string>;
}

/** Tolerance relative to the largest value. */
const TOLERANCE = 1e-4;
/** Lengths of the trial. */
const [SHORT, LONG] = [5, 12];

/**
 * Finds out whether a model's sequences can be padded. A mask input is no guarantee, as the graph may average over all
 * positions, so a trial must give equal outputs.
 */
export async function paddingOf(model: Model, session: Pick<AdapterSession, 'run'>): Promise<Padding | undefined> {
  const padding = paddedAxes(model);
  const feeds = padding && sequence(model);
  if (!feeds) return undefined;
  const fetches = [...padding.positions, ...padding.whole];
  const options = { fetches };
  const both = [feeds, padded(feeds, LONG)].map((each) => session.run(each, options));
  // Failures are reported to the requests.
  const [alone, found] = await Promise.all(both).catch(() => []);
  if (!alone || !found) return undefined;
  const isAlike = fetches.every((name) => {
    const output = padding.positions.has(name) ? withLength(found[name]!, SHORT) : found[name]!;
    return areClose(alone[name]!, output);
  });
  return isAlike ? padding : undefined;
}

/** The sequence length of a request; undefined if it cannot be padded. */
export function lengthOf(feeds: Feeds, fetches: readonly string[], padding: Padding | undefined): number | undefined {
  const length = feeds[MASK]?.dims[1];
  if (!padding || length === undefined) return undefined;
  const isKnown = fetches.every((name) => padding.positions.has(name) || padding.whole.has(name));
  return isKnown && Object.values(feeds).every(({ dims }) => dims[1] === length) ? length : undefined;
}

/** Pads with zeros, which the mask marks as padding. */
export function padded(feeds: Feeds, length: number): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, withLength(tensor, length)]));
}

/** Cuts outputs to a request's own positions. */
export function unpadded(
  outputs: Readonly<Record<string, Tensor>>,
  { positions }: Padding,
  length: number,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, positions.has(name) ? withLength(tensor, length) : tensor]),
  );
}

/** Resizes the second axis by cutting or zero-padding. */
function withLength({ type, dims, data }: Tensor, length: number): Tensor {
  const [rows = 0, old = 0, ...rest] = dims;
  if (old === length) return { type, dims, data };
  const each = rest.reduce((product, dim) => product * dim, 1);
  const to = new (arrayOf(type))(rows * length * each);
  const kept = Math.min(old, length) * each;
  for (let row = 0; row < rows; row++) {
    // Same constructor on both sides, which the union of typed arrays cannot express.
    const part = data.subarray(row * old * each, row * old * each + kept) as Uint8Array;
    (to as Uint8Array).set(part, row * length * each);
  }
  return { type, dims: [rows, length, ...rest], data: to };
}

/** Finds the sequence axis by dimension names. */
function paddedAxes({ inputs, outputs }: Model): Padding | undefined {
  const length = inputs[MASK]?.dims?.[1];
  const isSequence = (dims: readonly unknown[] | undefined): boolean => dims?.length === 2 && dims[1] === length;
  if (typeof length !== 'string' || !Object.values(inputs).every(({ dims }) => isSequence(dims))) return undefined;
  const positions = new Set<string>();
  const whole = new Set<string>();
  for (const [name, { dims }] of Object.entries(outputs)) {
    const named = dims?.filter((dim) => typeof dim === 'string') ?? [];
    if (dims?.[1] === length && named.length === 2) positions.add(name);
    else if (named.length === 1 && dims?.[0] === named[0]) whole.add(name);
  }
  return positions.size + whole.size > 0 ? { positions, whole } : undefined;
}

/** A sequence for the trial; undefined for unknown inputs. */
function sequence({ inputs }: Model): Feeds | undefined {
  const feeds: Record<string, Tensor> = {};
  for (const [name, { type }] of Object.entries(inputs)) {
    if (type !== 'int64' && type !== 'int32') return undefined;
    const at = Array.from({ length: SHORT }, (_, i) => i);
    const values = name === MASK ? at.map(() => 1) : at.map((i) => valueAt(name, i));
    const data = type === 'int64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
    feeds[name] = { type, dims: [1, SHORT], data };
  }
  return feeds;
}

/** Tokens of any vocabulary, positions, and segment 0. */
function valueAt(name: string, i: number): number {
  if (name === 'position_ids') return i;
  return name === 'input_ids' ? 2 + ((i * 3) % 5) : 0;
}

function areClose(a: Tensor, b: Tensor): boolean {
  const [these, those] = [a.data, b.data];
  if (!(these instanceof Float32Array && those instanceof Float32Array) || these.length !== those.length) return false;
  const largest = these.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return these.every((value, i) => Math.abs(value - those[i]!) <= TOLERANCE * largest);
}
