/** @file A layer's initial values: as parameters, as graph constants, and in PEFT's form. */

import { tensorName } from '../../adapter/formats/tensorNames.ts';
import type { InitialFactors } from '../../lora/init/initializer.ts';
import { type Factor, graphFactor } from '../../lora/kinds/kind.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { LowRank } from '../../lora/methods/lora.ts';

/** A layer with its initial factors. */
export interface Start {
  readonly lowRank: LowRankSite;
  readonly factors: InitialFactors;
  readonly fixed?: readonly Factor[];
  readonly scaling: number;
}

/** A layer's adapter with its initial values, and frozen ones as constants. */
export function startedLayer(start: Start): LowRank {
  const { lowRank, fixed, scaling } = start;
  const { site, r } = lowRank;
  const tensor = (factor: Factor, sign: 1 | -1): Tensor => {
    const scale = factor === 'lora_B' ? sign * scaling : 1;
    return graphFactor(
      kindOf(site),
      site,
      factor,
      floats(start, factor).map((value) => scale * value),
      r!,
    );
  };
  const layer = {
    ...lowRank,
    ...(isResidual(start) ? { constants: { lora_A: tensor('lora_A', 1), lora_B: tensor('lora_B', -1) } } : {}),
    ...(fixed ? { fixed: Object.fromEntries(fixed.map((factor) => [factor, tensor(factor, 1)])) } : {}),
  };
  const first = { lora_A: floats(start, 'lora_A'), lora_B: floats(start, 'lora_B'), isResidual: isResidual(start) };
  return new LowRank(layer, scaling, first);
}

/** True if the initial values are subtracted from the base. */
export function isResidual({ factors }: Start): boolean {
  return factors.residual === 'subtract';
}

function floats({ factors }: Start, factor: Factor): Float32Array {
  return Float32Array.from((factor === 'lora_A' ? factors.A : factors.B).data);
}

function peftTensor(start: Start, factor: Factor): [string, Tensor] {
  const { site, r, savedAs = site.path } = start.lowRank;
  const kind = kindOf(site);
  return [tensorName(savedAs, kind.names[factor]), float32(floats(start, factor), kind.factorShape(site, factor, r!))];
}

/** Both factors in PEFT's naming and shapes. */
export function peftTensors(start: Start): [string, Tensor][] {
  return (['lora_A', 'lora_B'] as const).map((factor) => peftTensor(start, factor));
}

/** Frozen factors in PEFT's naming and shapes. */
export function fixedTensors(start: Start): [string, Tensor][] {
  return (start.fixed ?? []).map((factor) => peftTensor(start, factor));
}
