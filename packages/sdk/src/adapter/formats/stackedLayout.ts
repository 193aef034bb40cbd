/** @file The two layouts of PEFT's adapters of stacked parameters. */

import { permute } from '../../match/weights/index.ts';
import type { Site } from '../../match/sites.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { floats } from '../../graph/tensorData.ts';
import type { AdapterConfig } from './peftConfig.ts';

/**
 * True for A `[r·experts, d1]` and B `[d2, r·experts]` of a parameter `[experts, d1, d2]`, as in PEFT before 0.19 and
 * in modules with `is_transposed`. If d1 equals d2, the version decides.
 */
export function hasEarlierLayout(site: Site, A: Tensor, B: Tensor, { extra }: AdapterConfig): boolean {
  if (site.kind !== 'parameter') return false;
  const [, first, second] = site.weightShape;
  if (A.dims[1] !== first || B.dims[0] !== second) return false;
  return first !== second || isBefore19(extra.peft_version);
}

/** Configs without a version were created here: PEFT's have one, or get one when read. */
function isBefore19(version: unknown): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(typeof version === 'string' ? version : '') ?? [];
  return Number(major) === 0 && Number(minor) < 19;
}

/** Converts to A `[r·experts, d2]` and B `[d1, r·experts]`, by swapping the factors. */
export function fromEarlierLayout(site: Site, A: Tensor, B: Tensor): [Tensor, Tensor] {
  const [experts, first, second] = site.weightShape as [number, number, number];
  const r = A.dims[0]! / experts;
  return [
    float32(permute(floats(B), [second, r, experts], [2, 1, 0]), [r * experts, second]),
    float32(permute(floats(A), [experts, r, first], [2, 1, 0]), [first, r * experts]),
  ];
}
