/** @file Checks feeds against a graph's inputs. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { GraphProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { declaredType } from '../../ops/inferGraph.ts';
import type { BoundFeeds } from '../../runtime/boundFeeds.ts';
import { type Feeds, sizeOf, type Tensor } from '../../runtime/tensor.ts';

/** A fault of feeds: a missing or unknown input, or a tensor that does not fit. */
export type FeedFault =
  | { readonly kind: 'missing' | 'unknown'; readonly input: string }
  /** Descriptions: `takes` of the declaration, `is` of the given value. */
  | { readonly kind: 'unlike'; readonly input: string; readonly takes: string; readonly is: string };

/** Checks feeds before every run. Built once per graph. */
export class FeedCheck {
  readonly #ports: ReadonlyMap<string, ValueType>;

  /** @param ports types and shapes by input name; unknown ones are not checked */
  constructor(ports: ReadonlyMap<string, ValueType>) {
    this.#ports = ports;
  }

  /** For a graph's inputs without initializers, or only those in `names`. */
  static of(graph: GraphProto, names?: readonly string[]): FeedCheck {
    const ports = new Map((graph.input ?? []).map((info) => [info.name ?? '', declaredType(info)]));
    if (names) return new FeedCheck(new Map(names.map((name) => [name, ports.get(name) ?? {}])));
    for (const { name } of graph.initializer ?? []) ports.delete(name ?? '');
    return new FeedCheck(ports);
  }

  get names(): string[] {
    return [...this.#ports.keys()];
  }

  /**
   * The first fault, missing inputs first; undefined (without allocating) if the feeds fit.
   * @param bound tensors in place of some feeds, checked when bound
   * @param isWhole whether every input is required; true by default
   */
  fault(feeds: Feeds, bound: readonly BoundFeeds[] = none, isWhole: boolean = true): FeedFault | undefined {
    let count = 0;
    for (const name in feeds) {
      const port = this.#ports.get(name);
      if (port === undefined || !fits(port, feeds[name])) return this.#firstFault(feeds, bound, isWhole);
      count++;
    }
    // All given names are inputs, so counting suffices.
    if (!isWhole || count === this.#ports.size || this.#hasAll(feeds, bound)) return undefined;
    return this.#firstFault(feeds, bound, isWhole);
  }

  #hasAll(feeds: Feeds, bound: readonly BoundFeeds[]): boolean {
    if (bound.length === 0) return false;
    for (const name of this.#ports.keys()) if (!isGiven(name, feeds, bound)) return false;
    return true;
  }

  #firstFault(feeds: Feeds, bound: readonly BoundFeeds[], isWhole: boolean): FeedFault | undefined {
    const missing = isWhole ? this.names.find((name) => !isGiven(name, feeds, bound)) : undefined;
    if (missing !== undefined) return { kind: 'missing', input: missing };
    const given = Object.entries<unknown>(feeds ?? {}).filter(([, feed]) => feed !== undefined);
    for (const [input, feed] of given) {
      const port = this.#ports.get(input);
      if (port && !fits(port, feed)) return { kind: 'unlike', input, takes: declared(port), is: described(feed) };
    }
    const unknown = given.find(([name]) => !this.#ports.has(name));
    return unknown && { kind: 'unknown', input: unknown[0] };
  }
}

/** A session's feeds. */
export interface GivenFeeds {
  readonly feeds: Feeds;
  readonly bound?: readonly BoundFeeds[];
}

/** The error `INPUT_INVALID` for a fault. */
export function feedError(
  model: string,
  fault: FeedFault,
  { names }: FeedCheck,
  { feeds, bound = none }: GivenFeeds,
): OnnxLoraError {
  const { kind, input } = fault;
  const taken = names.filter((name) => !isGiven(name, {}, bound)).join(', ') || 'nothing else';
  const message =
    kind === 'unlike'
      ? `"${model}" takes ${input} as ${fault.takes}, but it is ${fault.is}.`
      : kind === 'unknown'
        ? `"${model}" has no input "${input}".${didYouMean(input, names)} It takes ${taken}. Leave out what it does not take.`
        : `"${model}" needs the input "${input}". It takes ${taken}; given were ${Object.keys(feeds ?? {}).join(', ') || 'none'}.`;
  return new OnnxLoraError('INPUT_INVALID', message);
}

/** Describes a value that is not a tensor: `a Float32Array and no tensor`; undefined if it is one. */
export function tensorFault(value: unknown): string | undefined {
  return fits({}, value) ? undefined : described(value);
}

const none: readonly BoundFeeds[] = [];

function isGiven(name: string, feeds: Feeds | undefined, bound: readonly BoundFeeds[]): boolean {
  if (feeds?.[name] !== undefined) return true;
  for (let i = 0; i < bound.length; i++) if (bound[i]!.names.includes(name)) return true;
  return false;
}

function fits({ type, shape }: ValueType, feed: unknown): boolean {
  if (!isTensor(feed)) return false;
  if (type !== undefined && feed.type !== type) return false;
  const { dims } = feed;
  let size = 1;
  for (let i = 0; i < dims.length; i++) {
    if (!Number.isInteger(dims[i]) || dims[i]! < 0) return false;
    size *= dims[i]!;
  }
  if (feed.data.length !== size) return false;
  if (shape === undefined) return true;
  // ONNX Runtime accepts one value of any rank as a scalar, and exporters mix both.
  if (shape.length === 0) return size === 1;
  if (shape.length !== dims.length) return false;
  for (let i = 0; i < dims.length; i++) if (typeof shape[i] === 'number' && shape[i] !== dims[i]) return false;
  return true;
}

function isTensor(value: unknown): value is Tensor {
  if (typeof value !== 'object' || value === null) return false;
  const { type, dims, data } = value as Partial<Tensor>;
  return (
    typeof type === 'string' && Array.isArray(dims) && typeof data === 'object' && typeof data?.length === 'number'
  );
}

/** `float32 [batch, 6, 128]`; unnamed sizes become question marks. */
function declared({ type, shape }: ValueType): string {
  const named = (dim: Dim): Dim => (typeof dim === 'string' && dim.startsWith('?') ? '?' : dim);
  return [type ?? 'a tensor', ...(shape ? [`[${shape.map(named).join(', ')}]`] : [])].join(' ');
}

function described(feed: unknown): string {
  if (isTensor(feed)) {
    const size = sizeOf(feed.dims);
    const length = feed.data.length === size ? '' : ` with ${feed.data.length} values in place of ${size}`;
    return `${feed.type} [${feed.dims.join(', ')}]${length}`;
  }
  if (feed instanceof Promise) return 'a promise: await it';
  return `${nameOf(feed)} and no tensor: make it one, as float32(data, dims), int64 and tensor do`;
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (ArrayBuffer.isView(value))
    return `${/^[FBU]/.test(value.constructor.name) ? 'a' : 'an'} ${value.constructor.name}`;
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
