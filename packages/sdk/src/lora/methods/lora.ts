/** @file LoRA and DoRA of a layer: W + s·B·A, with DoRA times a gain per output. */

import { eachDeltaRow, fitsGroups, weightSteps, doraGain } from '../../adapter/merging/delta.ts';
import type { WeightEdit } from '../../adapter/merging/editWeights.ts';
import { biasReaders, byTensor, weightReader } from '../../adapter/merging/weightReaders.ts';
import { floats } from '../../graph/tensorData.ts';
import { type Site, occurrencesOf } from '../../match/sites.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { type FactorValues, graphFactor } from '../kinds/kind.ts';
import { kindOf } from '../kinds/table.ts';
import type { FirstValues, LowRankSite } from './loraSite.ts';
import { factorTensor, type OutputRole, outputTensor } from './loraTensors.ts';
import {
  type Edits,
  type ModuleAdapter,
  type PlacedModuleAdapter,
  type SavedTensors,
  type AdapterTensor,
} from './moduleAdapter.ts';

/**
 * A low-rank adapter of a layer. Graphs have `lora_A` `[in, r]` and `lora_B` `[r, out]`, transposed from PEFT's; those
 * of convolutions as in PEFT. lora_B and `lora_B.bias` `[out]` are fed times the scaling, so that changing it needs no
 * new graph. `lora_magnitude_vector` `[out]` (`[1, out, 1, ...]` of a convolution) is DoRA's magnitude in training;
 * `lora_gain`, magnitude ÷ norm, is computed once per adapter for inference.
 */
export class LowRank implements ModuleAdapter {
  /** The layer, and how it is adapted. */
  readonly product: LowRankSite;
  /** Factor of B·A and of the bias. */
  readonly scaling: number;
  /** Initial values that replace PEFT's. */
  readonly start: FirstValues | undefined;

  /** An adapter of one layer; for inference without rank and scaling. */
  constructor(product: LowRankSite, scaling: number = 1, start?: FirstValues) {
    this.product = product;
    this.scaling = scaling;
    this.start = start;
  }

  get site(): Site {
    return this.product.site;
  }

  get path(): string {
    return this.site.path;
  }

  get slot(): string {
    return this.path;
  }

  get wants(): ModuleAdapter['wants'] {
    const { path } = this;
    const { dora, bias } = this.product;
    return [
      { input: `${path}:lora_A`, label: path, option: `targetModules: ${JSON.stringify([path])}` },
      ...(dora ? [{ input: `${path}:lora_gain`, label: `${path} (DoRA)`, option: 'useDora: true' }] : []),
      ...(bias ? [{ input: `${path}:lora_B.bias`, label: `${path} (lora_B.bias)` }] : []),
    ];
  }

  get form(): string {
    return String(this.scaling);
  }

  get lowRank(): LowRankSite | undefined {
    return this.product;
  }

  get noSum(): string | undefined {
    return this.product.dora ? 'is DoRA' : undefined;
  }

  get noUnmerge(): string | undefined {
    return this.product.dora ? 'is DoRA, whose magnitudes replace those of the weight' : undefined;
  }

  leaving(roles: readonly string[]): LowRank {
    return this.#with({ left: roles });
  }

  withoutTraining(): LowRank {
    return this.#with({ dropout: 0 });
  }

  #with(other: Partial<LowRankSite>): LowRank {
    const own = this.constructor as typeof LowRank;
    return new own({ ...this.product, ...other }, this.scaling, this.start);
  }

  tensor(role: string): AdapterTensor {
    const tensor = this.tensorOf(role);
    return this.product.left?.includes(role) ? { ...tensor, use: 'frozen' } : tensor;
  }

  /** The tensor of a role, trained or not. */
  protected tensorOf(role: string): AdapterTensor {
    return role === 'lora_A' || role === 'lora_B' ? factorTensor(this, role) : outputTensor(this, role as OutputRole);
  }

  /** The roles of trained tensors. */
  protected roles(): readonly string[] {
    const { dora, bias, tiedTo, fixed } = this.product;
    const factors = tiedTo ? [] : (['lora_A', 'lora_B'] as const).filter((role) => !fixed?.[role]);
    return [...factors, ...(bias ? ['lora_B.bias'] : []), ...(dora ? ['lora_magnitude_vector'] : [])];
  }

  trained(): readonly AdapterTensor[] {
    return this.roles()
      .map((role) => this.tensor(role))
      .filter(({ use }) => use === undefined);
  }

  join(other: ModuleAdapter = this): ModuleAdapter | undefined {
    if (!other.product || other.isAlone) return undefined;
    const [own, { dora, bias = false }] = [this.product, other.product];
    return new LowRank({ site: this.site, dora: own.dora || dora, bias: (own.bias ?? false) || bias });
  }

  feeds(saved: SavedTensors): ReadonlyMap<string, Tensor> {
    const { site, scaling } = this;
    const { A, B, r } = this.values(saved);
    const [magnitude, bias] = [saved.get('lora_magnitude_vector'), saved.get('lora_B.bias')];
    const gain = magnitude && doraGain(site, { A, B, r, scaling }, floats(magnitude));
    const row = B.length / kindOf(site).matrix(site).out;
    const perOutput = (o: number): number => scaling * (gain?.[o] ?? 1) * (site.foldedScale?.[o] ?? 1);
    const hasOutputs = gain !== undefined || site.foldedScale !== undefined;
    const scaled = hasOutputs ? B.map((value, i) => perOutput(Math.floor(i / row)) * value) : times(B, scaling);
    const dims = kindOf(site).perOutputShape(site);
    const added = bias && floats(bias).map((value, o) => perOutput(o) * value);
    return new Map([
      ['lora_A', graphFactor(kindOf(site), site, 'lora_A', A, r)],
      ['lora_B', graphFactor(kindOf(site), site, 'lora_B', scaled, r)],
      ...(gain ? [['lora_gain', float32(gain, dims)] as const] : []),
      ...(added ? [['lora_B.bias', float32(added, dims)] as const] : []),
    ]);
  }

  /** The factors' values in PEFT's layout. */
  values(saved: SavedTensors): FactorValues {
    const [A, B] = [saved.get('lora_A')!, saved.get('lora_B')!];
    return { A: floats(A), B: floats(B), r: kindOf(this.site).rankOf(this.site, A.dims), scaling: this.scaling };
  }

  isHeldByWeight(saved: SavedTensors): boolean {
    if (this.product.bias && occurrencesOf(this.site).some(({ bias }) => !bias)) return false;
    return fitsGroups(this.site, this.values(saved));
  }

  edits(saved: SavedTensors, sign: 1 | -1): Edits {
    const { site, path: module } = this;
    const kind = kindOf(site);
    const factors = { ...this.values(saved), scaling: sign * this.scaling };
    const [magnitude, bias] = [saved.get('lora_magnitude_vector'), saved.get('lora_B.bias')];
    const changeAt =
      (place: Site) =>
      (before: Float32Array): Float32Array => {
        if (kind.addDelta) return kind.addDelta(place, before, factors);
        const gain = magnitude && doraGain(place, factors, floats(magnitude), before);
        const { out, groups } = kind.matrix(place);
        const steps = weightSteps(place);
        eachDeltaRow(place, factors, (o, row) => {
          const own = row.length / groups;
          const first = Math.floor((o * groups) / out) * own;
          const [scale, folded] = [gain?.[o] ?? 1, site.foldedScale?.[o] ?? 1];
          for (let i = 0; i < own; i++) {
            const at = o * steps.row + i * steps.column;
            before[at] = scale * (before[at]! + folded * row[first + i]!);
          }
        });
        return before;
      };
    const weights = byTensor(occurrencesOf(site), ({ weight }) => weight.stored).map((places): WeightEdit => {
      const { stored } = places[0].weight;
      return { stored, readers: places.map(weightReader), change: changeAt(places[0]), module };
    });
    if (!bias) return { weights, biases: [] };
    const added = floats(bias).map((value, o) => factors.scaling * (site.foldedScale?.[o] ?? 1) * value);
    const change = (before: Float32Array): Float32Array => before.map((value, o) => value + added[o]!);
    return { weights, biases: biasReaders(site).map((own) => ({ ...own, change, module })) };
  }
}

/** A low-rank adapter with its tensors. */
export interface PlacedLowRank extends PlacedModuleAdapter {
  /** The layer's adapter. */
  readonly tuning: LowRank;
}

/** As `values.map`, but much faster: a server does this for each adapter that it loads. */
function times(values: Float32Array, factor: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) result[i] = factor * values[i]!;
  return result;
}
