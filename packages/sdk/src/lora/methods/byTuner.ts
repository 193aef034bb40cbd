/** @file Layers adapted by a {@link Tuner}. */

import type { WeightEdit } from '../../adapter/merging/editWeights.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import { OnnxLoraError } from '../../errors.ts';
import { floats } from '../../graph/tensorData.ts';
import type { Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import type {
  ByTensor,
  ChangeByFactors,
  ChangeOfLayer,
  ChangeOfWeight,
  LoraFactors,
  TensorNumbers,
  TargetLayer,
  TensorInFile,
  Tuner,
  AdapterLayer,
} from '../tuner.ts';
import { LowRank } from './lora.ts';
import {
  type Edits,
  type InLayout,
  inLayout,
  type ModuleAdapter,
  type SavedTensors,
  type TensorInput,
  type AdapterTensor,
  interpolated,
  type Weighted,
} from './moduleAdapter.ts';
import {
  asTensor,
  type ChosenTuner,
  evaluateFragment,
  editsOf,
  layerOf,
  refused,
  refusedApply,
  refusedFactors,
  refusedKind,
  type AdaptedSite,
  weightOf,
} from './adaptedLayer.ts';

/** A layer adapted by a tuner other than LoRA. Its tensors are in PEFT's layout, shared by all rows of a batch. */
export class ByTuner implements ModuleAdapter {
  readonly mixesRows: boolean;
  readonly site: Site;
  readonly path: string;
  /** The tuner's tensors and mathematics for the layer. */
  readonly math: AdapterLayer;
  /** The tuner's `peft_type`. */
  readonly peftType: string;
  readonly form: string;
  /** The layer as passed to the tuner, with its path in PEFT's file. */
  readonly layer: TargetLayer;

  /** The tuner and its settings. */
  readonly chosen: ChosenTuner;
  readonly #layers: readonly TargetLayer[];
  readonly #inFile: Pick<AdaptedSite, 'read' | 'saved'>;
  readonly isAlone: boolean;
  readonly product: ModuleAdapter['product'];
  readonly factors: ModuleAdapter['factors'];
  readonly sampled: ModuleAdapter['sampled'];
  /** The product as LoRA's. */
  readonly #lowRank: LowRank | undefined;
  /** LoRA that replaces it for inference, unless layers share tensors: each layer would need its own product. */
  readonly #served: LowRank | undefined;

  private constructor(
    { site, saved, read }: AdaptedSite,
    layer: TargetLayer,
    layers: readonly TargetLayer[],
    chosen: ChosenTuner,
  ) {
    const { tuner, settings } = chosen;
    const math = tuner.tune(layer, settings, layers, saved, read);
    const unfit = 'factors' in math ? refusedFactors(site) : 'delta' in math ? undefined : refusedApply(site);
    if (unfit !== undefined) throw refused(site, tuner, unfit);
    this.site = site;
    this.path = site.path;
    this.math = math;
    this.peftType = tuner.peftType;
    this.mixesRows = tuner.mixesRows ?? false;
    this.form = `${tuner.peftType} ${JSON.stringify(settings)}`;
    this.layer = layer;
    this.chosen = chosen;
    this.#layers = layers;
    const isOwn = Object.values(math.tensors).every(({ share = 'site' }) => share === 'site');
    const dropout = site.kind === 'embedding' ? 0 : (math.dropout ?? 0);
    this.#lowRank = 'factors' in math ? new LowRank({ site, dora: false, dropout }) : undefined;
    this.#served = isOwn ? this.#lowRank : undefined;
    this.isAlone = !this.#served;
    this.product = this.#lowRank?.product;
    const { factors, sampled } = math as Partial<ChangeByFactors>;
    this.factors = factors && ((g, input) => factors(g, this.inGraph(input)));
    this.sampled = sampled && ((g, x, input, normal) => sampled(g, x, this.inGraph(input), normal));
    this.#inFile = { ...(saved ? { saved } : {}), ...(read ? { read } : {}) };
  }

  /** All layers of an adapter, which may share tensors. @throws OnnxLoraError `MODEL_UNSUPPORTED` if refused */
  static all(sites: readonly AdaptedSite[], chosen: ChosenTuner): ByTuner[] {
    const { tuner, settings } = chosen;
    const layers = sites.map(({ site, module }) => {
      const layer = layerOf(site, module);
      const refusal = refusedKind(site, tuner) ?? tuner.refuses?.(layer, settings);
      if (refusal !== undefined) throw refused(site, tuner, refusal);
      return layer;
    });
    return sites.map((each, i) => new ByTuner(each, layers[i]!, layers, chosen));
  }

  withoutTraining(): ByTuner {
    const { tuner, settings } = this.chosen;
    const tune: Tuner['tune'] = (...given) => {
      const math = tuner.tune(...given);
      const apply: ChangeOfLayer['apply'] = (g, layer, tensors) => (math as ChangeOfLayer).apply(g, { ...layer, addLoss: () => undefined }, tensors); // prettier-ignore
      const own = { dropout: 0, sampled: undefined, ...('apply' in math ? { apply } : {}) };
      return Object.assign(Object.create(math) as typeof math, own);
    };
    const plain = Object.assign(Object.create(tuner) as Tuner, { tune, training: undefined });
    const place = { site: this.site, module: this.layer.path, ...this.#inFile };
    return new ByTuner(place, this.layer, this.#layers, { tuner: plain, settings });
  }

  get slot(): string {
    return this.path;
  }

  get wants(): ModuleAdapter['wants'] {
    return this.#served?.wants ?? [{ input: `${this.path}:${this.form}`, label: this.path }];
  }

  get noUnmerge(): string | undefined {
    const { math } = this;
    if (math.unmerged ?? (!('apply' in math) && !math.readsWeight)) return undefined;
    return `is ${this.peftType}, whose change of the weight its tuner cannot take back`;
  }

  get noMerge(): boolean {
    return 'apply' in this.math && !this.math.weight;
  }

  get noBlend(): string | undefined {
    return (this.#served ?? this.math.linearIn) ? undefined : this.peftType;
  }

  tensor(role: string): AdapterTensor {
    const own = this.math.tensors[role]!;
    const {
      dims,
      role: use = own.integers ? 'frozen' : 'trained',
      share = 'site',
      saved,
      inFile,
      integers,
      init: first,
      identity: idle,
      ownGradient,
    } = own;
    const { inEach = false, group } =
      typeof share === 'object' ? share : share === 'shape' ? { group: dims.join('x') } : {};
    const ofLayer = tensorName(this.layer.path, 'parameter', role);
    return {
      role,
      // Shared tensors of different shapes are separate inputs of a session.
      name: share === 'site' ? `${this.path}.${role}` : [role, group, dims.join('x')].filter(Boolean).join('.'),
      savedAs:
        share === 'site' || (inEach && group !== undefined)
          ? ofLayer
          : `base_model.${[role, group].filter(Boolean).join('.')}`,
      group: 'tuned',
      scale: 1,
      count: sizeOf(dims),
      ...(integers ? { type: integers.type } : {}),
      ...(use === 'trained' ? {} : { use }),
      ...((saved ?? (use === 'trained' || use === 'frozen')) ? {} : { unsaved: true }),
      ...(share === 'site' ? {} : { shared: true }),
      ...(inEach ? { inEach: ofLayer } : {}),
      ...(ownGradient ? { ownGradient } : {}),
      first: (random, made) => {
        const numbersOf = (other: string): TensorNumbers => {
          const { value, integers: places } = made(this.tensor(other).name);
          return places ? (places.data as TensorNumbers) : value;
        };
        return inLayout(asTensor(own, first(random, numbersOf), dims));
      },
      fromSaved: (saved) => inLayout(saved.get(role)!),
      toSaved: ({ value, dims, integers: kept }) => kept ?? float32(value.slice(), dims),
      ...(inFile && { inFile: ({ value }: InLayout) => this.#inFileOf(inFile, value) }),
      idle: () => asTensor(own, idle(), dims),
      blend: (parts, base) => this.#blended(role, parts, base),
    };
  }

  #inFileOf({ write }: TensorInFile, value: Float32Array): ReadonlyMap<string, Tensor> {
    const named = ([role, own]: [string, Tensor]) => [tensorName(this.layer.path, 'parameter', role), own] as const;
    return new Map(Object.entries(write(value)).map(named));
  }

  #blended(role: string, parts: readonly Weighted[], base: Tensor): Tensor {
    const { linearIn } = this.math;
    const problem = linearIn
      ? `can be blended where they have the same ${role}, and these have others`
      : 'do not add up';
    if (linearIn?.includes(role)) return interpolated(parts, base);
    const [{ tensor: first }] = parts as [Weighted];
    const isOne = parts.every(({ tensor: { data } }) => data.every((value, i) => value === first.data[i]));
    if (linearIn && isOne) return first;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `"${this.path}" is adapted by ${this.peftType}, whose adapters ${problem}. Name one adapter.`,
    );
  }

  trained(): readonly AdapterTensor[] {
    return this.tensors().filter(({ use }) => use === undefined);
  }

  states(): readonly AdapterTensor[] {
    return this.tensors().filter(({ use }) => use === 'state');
  }

  /** Its tensors in a graph by name. States become inputs only when read. */
  inGraph(input: TensorInput): ByTensor<Value> {
    const tensors: Record<string, Value> = {};
    for (const [role, { dims, role: use }] of Object.entries(this.math.tensors)) {
      const get = (): Value => input(role, dims);
      if (use === 'state') Object.defineProperty(tensors, role, { get, enumerable: true });
      else tensors[role] = get();
    }
    return tensors;
  }

  /** All of its tensors. */
  tensors(): AdapterTensor[] {
    return Object.keys(this.math.tensors).map((role) => this.tensor(role));
  }

  join(other: ModuleAdapter = this): ModuleAdapter | undefined {
    if (this.#served) return this.#served.join(other);
    if (other.form !== this.form) return undefined;
    const names = (own: ByTuner): string =>
      own
        .tensors()
        .map(({ name }) => name)
        .join();
    return names(other as ByTuner) === names(this) ? other : undefined;
  }

  feeds(saved: SavedTensors): ReadonlyMap<string, Tensor> {
    if (this.#served) return this.#served.feeds(this.#factorsOf(saved));
    const isInteger = (role: string): boolean => this.math.tensors[role]?.integers !== undefined;
    return new Map([...saved].map(([role, own]) => [role, isInteger(role) ? own : float32(floats(own), own.dims)]));
  }

  edits(saved: SavedTensors, sign: 1 | -1): Edits {
    const { site, math } = this;
    if (this.noMerge) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The adapter of "${this.path}" cannot be merged: what ${this.peftType} computes is no weight. Run it in a session.`,
      );
    }
    if (this.#lowRank && (sign === 1 || !math.unmerged)) return this.#lowRank.edits(this.#factorsOf(saved), sign);
    const ways: Pick<ChangeOfLayer, 'weight' | 'bias'> | undefined =
      sign === -1 ? math.unmerged : 'apply' in math ? math : undefined;
    const weight = (before: Float32Array): ArrayLike<number> =>
      'delta' in math && !ways
        ? this.#delta(math, saved, before).map((change, i) => before[i]! + sign * change)
        : evaluateFragment(saved, (g, tensors, own) => ways!.weight!(g, own!, tensors), [
            before,
            this.layer.weightShape,
          ]);
    const byDelta = 'delta' in math ? math.biasDelta : undefined;
    const added: ChangeOfLayer['bias'] = byDelta && ((g, before, own) => g.Add(before, g.Mul(byDelta(g, own), sign)));
    const bias = ways?.bias ?? added;
    const changeBias = bias && ((before: Float32Array) => evaluateFragment(saved, (g, tensors, own) => bias(g, own!, tensors), [before, [before.length]])); // prettier-ignore
    return editsOf(site, weight, changeBias);
  }

  change(saved: SavedTensors): { readonly weight: Float64Array; readonly changesBias: boolean } {
    const { math, site } = this;
    if ('delta' in math)
      return { weight: this.#delta(math, saved, this.layer.weight), changesBias: math.biasDelta !== undefined };
    const { weight, bias } = this.edits(saved, 1).weights.reduce<Partial<Record<'weight' | 'bias', WeightEdit>>>(
      (found, edit) => (edit.stored === site.weight.stored ? { ...found, weight: edit } : { ...found, bias: edit }),
      {},
    );
    const changeOf = ({ stored, change }: WeightEdit): Float64Array => {
      const before = stored.read();
      return Float64Array.from(change(before.slice()), (value, i) => value - before[i]!);
    };
    const own = changeOf(weight!);
    const [rows, columns] = site.weight.stored.dims as [number, number];
    const isTransposed = site.kind === 'linear' && site.weight.layout === 'in-out';
    const inTorch = isTransposed ? transposed(own, rows, columns) : own;
    return { weight: inTorch, changesBias: bias !== undefined && changeOf(bias).some((each) => each !== 0) };
  }

  toLora(saved: SavedTensors): LoraFactors | undefined {
    const { math } = this;
    if (math.toLora || !('factors' in math)) return math.toLora?.(Object.fromEntries(saved));
    const factor = (name: 'A' | 'B'): Tensor => {
      let dims: readonly number[] = [];
      const numbers = evaluateFragment(saved, (g, tensors) => {
        const value = math.factors(g, tensors)[name];
        dims = value.shape as readonly number[];
        return value;
      });
      return float32(Float32Array.from(numbers), dims);
    };
    return { A: factor('A'), B: factor('B') };
  }

  /** The product's factors, as tensors of LoRA. */
  #factorsOf(saved: SavedTensors): SavedTensors {
    const { A, B } = this.toLora(saved)!;
    return new Map([
      ['lora_A', A],
      ['lora_B', B],
    ]);
  }

  /** ΔW, flat, in torch's layout. */
  #delta(
    { delta, readsWeight = false }: ChangeOfWeight,
    saved: SavedTensors,
    weight: Float32Array | (() => Float32Array),
  ): Float64Array {
    const own = typeof weight === 'function' ? weight : () => weight;
    return evaluateFragment(saved, (g, tensors, value) => delta(g, tensors, () => weightOf(value, this.chosen.tuner)), readsWeight ? [own(), this.layer.weightShape] : undefined); // prettier-ignore
  }
}
