/** @file The two layouts in which PEFT has saved adapters of stacked parameters. */

import { permute } from '../../match/weights/index.ts';
import type { Site } from '../../match/sites.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { floats } from '../../graph/tensorData.ts';
import type { AdapterConfig } from './peftConfig.ts';

/**
 * Whether the factors of a parameter `[experts, d1, d2]` are A `[r·experts, d1]` and B `[d2, r·experts]`: so PEFT had it
 * until 0.18, and has it in modules that say `is_transposed`. Where d1 and d2 are equal, the version decides.
 */
export function hasEarlierLayout(site: Site, A: Tensor, B: Tensor, { extra }: AdapterConfig): boolean {
  if (site.kind !== 'parameter') return false;
  const [, first, second] = site.weightShape;
  if (A.dims[1] !== first || B.dims[0] !== second) return false;
  return first !== second || isBefore19(extra.peft_version);
}

/** A config without a version has been made here: PEFT writes it, and reading a file adds what it left out. */
function isBefore19(version: unknown): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(typeof version === 'string' ? version : '') ?? [];
  return Number(major) === 0 && Number(minor) < 19;
}

/** The same delta as A `[r·experts, d2]` and B `[d1, r·experts]`: the factors change places. */
export function fromEarlierLayout(site: Site, A: Tensor, B: Tensor): [Tensor, Tensor] {
  const [experts, first, second] = site.weightShape as [number, number, number];
  const r = A.dims[0]! / experts;
  return [
    float32(permute(floats(B), [second, r, experts], [2, 1, 0]), [r * experts, second]),
    float32(permute(floats(A), [experts, r, first], [2, 1, 0]), [first, r * experts]),
  ];
}
