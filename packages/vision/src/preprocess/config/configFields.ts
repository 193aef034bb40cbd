/** @file Typed fields of an image processor's file. */

import { ConfigFields } from '@onnx-lora/sdk/data';
import type { Size } from '../imagePlan.ts';
import type { Channels } from './processorTypes.ts';
import { type Resample, resampleByNumber } from '../resize/resampleFilters.ts';

/** An upper bound, so that a file cannot ask for gigabytes. */
const largestEdge = 16_384;

/** Typed fields of an image processor's file. */
export class ImageFields extends ConfigFields {
  /** A whole number of pixels. */
  edge(name: string): number | undefined {
    return this.only(name, `a whole number of pixels from 1 to ${largestEdge}`, isEdge);
  }

  /** `count` whole numbers of pixels; a single number is a list of one. */
  edges(name: string, count: number): number[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const list: unknown[] = Array.isArray(value) ? value : [value];
    if (list.length === count && list.every(isEdge)) return list;
    throw this.expected(
      name,
      `${count === 1 ? 'a whole number' : `${count} whole numbers`} of pixels from 1 to ${largestEdge}`,
    );
  }

  /** A finite number above 0. */
  positive(name: string): number | undefined {
    const isPositive = (value: unknown): value is number => Number.isFinite(value) && Number(value) > 0;
    return this.only(name, 'a number above 0', isPositive);
  }

  /** Three finite numbers, or one for all. */
  channels(name: string): Channels | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isFinite(value)) return [value, value, value];
    if (Array.isArray(value) && value.length === 3 && value.every((each) => Number.isFinite(each))) {
      return value as unknown as Channels;
    }
    throw this.expected(name, 'three numbers, for red, green and blue');
  }

  resample(name: string): Resample | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const resample = typeof value === 'number' ? resampleByNumber[value] : undefined;
    if (resample) return resample;
    throw this.expected(name, `a number from 0 to 5 (${resampleByNumber.map((each, i) => `${i} ${each}`).join(', ')})`);
  }

  /** A number of pixels, or an object of them such as `{ "height": 224, "width": 224 }`. */
  size(name: string): number | ReadonlyMap<string, number> | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (isEdge(value)) return value;
    if (typeof value === 'object' && !Array.isArray(value)) {
      const edges = Object.entries(value as object).filter(([, edge]) => edge !== null);
      if (edges.length > 0 && edges.every(([, edge]) => isEdge(edge))) return new Map<string, number>(edges);
    }
    throw this.expected(name, `a whole number of pixels from 1 to ${largestEdge}, or an object of such numbers`);
  }

  /** A height and width; one number is a square's side. */
  heightAndWidth(name: string): Size | undefined {
    const size = this.size(name);
    if (size === undefined) return undefined;
    if (typeof size === 'number') return { height: size, width: size };
    const height = size.get('height');
    const width = size.get('width');
    if (height !== undefined && width !== undefined && size.size === 2) return { height, width };
    throw this.expected(name, '{ "height": …, "width": … }');
  }
}

function isEdge(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= largestEdge;
}
