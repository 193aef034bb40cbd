/** @file Requested sizes of a graph's inputs. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { type Dim, formatShape, type ValueType } from '../../graph/value.ts';

/** The first positions of an axis, or those at its ends and some in between. */
export type InputSize = number | EvenPositions;

/** The ends of an axis, and evenly spread positions in between, each standing for its neighbors. */
export interface EvenPositions {
  /** Number of positions at the beginning. */
  readonly first: number;
  /** Number of positions spread over the middle. */
  readonly spread: number;
  /** Number of positions at the end. */
  readonly last: number;
}

/** Sizes by input and axis: `{ input_features: { 2: 600 } }`, `{ input_features: { 2: { first: 550, spread: 96, last: 50 } } }`. */
export type InputSizes = Readonly<Record<string, Readonly<Record<number, InputSize>>>>;

function positionsIn(size: InputSize): number {
  return typeof size === 'number' ? size : size.first + size.spread + size.last;
}

/** Rounds each size. */
export function roundedSizes(sizes: InputSizes, round: (size: number) => number): InputSizes {
  const rounded = (size: InputSize): InputSize =>
    typeof size === 'number' ? round(size) : (mapValues({ ...size }, round) as unknown as EvenPositions);
  return mapValues(sizes, (axes) => mapValues(axes, rounded));
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

/** Sizes as in `{ image: { 2: 512, 3: 512 } }`. */
export function shownSizes(value: unknown): string {
  if (typeof value !== 'object' || !value) return String(value);
  return `{ ${Object.entries(value).map(([key, each]) => `${key}: ${shownSizes(each)}`).join(', ')} }`; // prettier-ignore
}

/**
 * The type of an input with other sizes along static axes; undefined if nothing changes.
 * @throws OnnxLoraError `INPUT_INVALID` for an unknown input or axis, or a larger size, naming `model`
 */
export function resizedInput(
  { input = [] }: GraphProto,
  type: ValueType | undefined,
  name: string,
  axes: Readonly<Record<number, InputSize>>,
  model: string,
): ValueType | undefined {
  const shape = type?.shape;
  if (!shape || !input.some((info) => info.name === name)) {
    const names = input.map((info) => `"${info.name}"`).join(', ');
    throw new OnnxLoraError('INPUT_INVALID', `"${model}" has no input "${name}" of a known shape. It has ${names}.`);
  }
  const resized: Dim[] = [...shape];
  for (const [axis, size] of Object.entries(axes)) {
    const old = shape[Number(axis)];
    const isSpread = typeof size !== 'number';
    const counts = isSpread ? [size.first, size.spread, size.last] : [size];
    const areCounts = counts.every((each) => Number.isSafeInteger(each) && each >= 1);
    const isMore = typeof old === 'number' ? positionsIn(size) > old : isSpread;
    if (old === undefined || !areCounts || isMore) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Input "${name}" of "${model}" is ${formatShape(shape)}, so its axis ${axis} cannot have the size ${shownSizes(size)}. Give a whole number from 1 to what it has${isSpread ? ', or three that are no more together, for an axis of a known size' : ''}.`,
      );
    }
    // Dynamic dimensions accept any size.
    if (typeof old === 'number') resized[Number(axis)] = positionsIn(size);
  }
  return resized.join() === shape.join() ? undefined : { ...type, shape: resized };
}
