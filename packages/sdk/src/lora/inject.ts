/** @file Puts adapters into a graph: low-rank products beside layers, graph inputs in place of trained parameters. */

import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeName, dataTypeNumber } from '../graph/dataType.ts';
import type { ModelProto, NodeProto, ValueInfoProto } from '../graph/proto.ts';
import type { Dim, ValueType } from '../graph/value.ts';
import type { Site } from '../match/sites.ts';
import { inferNode } from '../ops/infer.ts';
import { opsetOf } from '../ops/inferGraph.ts';
import { kindOf } from './kinds/table.ts';
import type { AdapterInput, AdapterInputRole, AdapterPlan, LowRankSite } from './plan.ts';
import { RowFold } from './rows.ts';
import { TrainingProduct } from './trainingProduct.ts';

/** How the injected graph will be used. */
export interface InjectOptions {
  /** Types of the base graph's values. */
  readonly types: ReadonlyMap<string, ValueType>;
  /**
   * `training`: ranks are fixed and shapes static, for one adapter. `inference`: every adapter input may be fed one
   * tensor for all rows, or one per row with a leading batch dimension, of any rank r; r = 0 switches it off.
   */
  readonly mode: 'training' | 'inference';
}

/** A graph with adapters, and the inputs through which they come. */
export interface Injected {
  readonly model: ModelProto;
  readonly inputs: readonly AdapterInput[];
  /** Values that gradients do not pass. */
  readonly stopped: ReadonlySet<string>;
}

/**
 * Injects adapters. The base model is not changed; its nodes are shared with the result where they stay the same.
 */
export function injectAdapters(base: ModelProto, plan: AdapterPlan, options: InjectOptions): Injected {
  return new Injection(base, plan, options).result();
}

class Injection {
  readonly #base: ModelProto;
  readonly #plan: AdapterPlan;
  readonly #types: ReadonlyMap<string, ValueType>;
  readonly #training: boolean;
  readonly #g: GraphBuilder;
  readonly #rows: RowFold;
  readonly #inputs: { input: AdapterInput; info: ValueInfoProto }[] = [];
  readonly #valueInfo: ValueInfoProto[] = [];
  readonly #trainingProduct: TrainingProduct;

  constructor(base: ModelProto, plan: AdapterPlan, { types, mode }: InjectOptions) {
    this.#base = base;
    this.#plan = plan;
    this.#types = types;
    this.#training = mode === 'training';
    this.#g = new GraphBuilder({ opset: opsetOf(base), infer: inferNode, prefix: 'lora/' });
    const [firstInput] = base.graph?.input ?? [];
    this.#trainingProduct = new TrainingProduct(this.#g, plan.lowRank, {
      factor: (role, lowRank) => this.#factor(role, lowRank),
      read: (name) => this.#read(name),
    });
    this.#rows = new RowFold(this.#g, { name: firstInput?.name ?? '', ...types.get(firstInput?.name ?? '') });
  }

  result(): Injected {
    const byLast = new Map<NodeProto, LowRankSite>();
    for (const lowRank of this.#plan.lowRank)
      byLast.set(lowRank.dora ? lowRank.site.node : lastNode(lowRank.site), lowRank);
    const whole = this.#training ? new Map<NodeProto, Site>() : this.#wholeSites();
    for (const parameter of this.#plan.trained) this.#trained(parameter, [...whole.values()].includes(parameter.site!));
    for (const node of this.#base.graph?.node ?? []) {
      const lowRank = byLast.get(node);
      const site = whole.get(node);
      const current = this.#withParameters(node);
      if (site) {
        if (node === lastNode(site)) this.#replaceLayer(site);
      } else if (!lowRank) this.#g.nodes.push(...current);
      else if (lowRank.dora) this.#dora(current, lowRank);
      else this.#lora(current, lowRank);
    }
    return { model: this.#model(), inputs: this.#inputs.map(({ input }) => input), stopped: this.#g.stopped };
  }

  #model(): ModelProto {
    const graph = this.#base.graph ?? {};
    return {
      ...this.#base,
      graph: {
        ...graph,
        node: this.#g.nodes,
        initializer: [...(graph.initializer ?? []), ...this.#g.initializers],
        input: [...(graph.input ?? []), ...this.#inputs.map(({ info }) => info)],
        valueInfo: [...(graph.valueInfo ?? []), ...this.#valueInfo],
      },
    };
  }

  /** y + (x·A)·B, beside a layer whose nodes are `nodes`. */
  #lora(nodes: readonly NodeProto[], lowRank: LowRankSite): void {
    const { site } = lowRank;
    const base = this.#emitRenamed(nodes, site.output);
    this.#nameLast(this.#g.Add(base, this.#lowRankProduct(lowRank)), site.output);
  }

  /**
   * gain·(x·W + (x·A)·B) + bias, and alike for other kinds of layers, with gain = magnitude ÷ ‖W + A·B‖ per output, the
   * norm taken as a constant.
   * @see https://arxiv.org/abs/2402.09353
   */
  #dora(nodes: readonly NodeProto[], lowRank: LowRankSite): void {
    const { site } = lowRank;
    const kind = kindOf(site);
    const [node, ...rest] = nodes as [NodeProto, ...NodeProto[]];
    const ownBias = site.bias?.node === site.node ? node.input![2] : undefined;
    const withoutBias = ownBias ? { ...node, input: node.input!.slice(0, 2) } : node;
    const output = node.output![0]!;
    const product = this.#emitRenamed([withoutBias, ...rest], output);
    const gain = this.#gain(lowRank);
    const lowRankProduct = (): Value => this.#lowRankProduct(lowRank);
    // For inference the lora_B that is fed has the gain multiplied in already.
    const sum = this.#training
      ? this.#g.Mul(this.#g.Add(product, lowRankProduct()), gain)
      : this.#g.Add(this.#scale(product, gain, site), lowRankProduct());
    if (!ownBias) return this.#nameLast(sum, output);
    const bias = kind.outputBias(this.#g, site, this.#read(ownBias));
    this.#nameLast(this.#g.Add(sum, bias), output);
  }

  #gain(lowRank: LowRankSite): Value {
    const { site } = lowRank;
    const g = this.#g;
    const kind = kindOf(site);
    const dims = this.#perOutputDims(site);
    if (!this.#training) return this.#input({ role: 'lora_gain', lowRank }, site, dims);
    const magnitude = this.#input({ role: 'lora_magnitude_vector', lowRank }, site, dims);
    const [A, B] = [this.#factor('lora_A', lowRank), this.#factor('lora_B', lowRank)];
    const norm = kind.adaptedNorm(g, site, this.#read(site.weight.name), A, B);
    return g.Div(magnitude, g.stopGradient(norm));
  }

  /** Shape of one number per output; none where each row may bring its own. */
  #perOutputDims(site: Site): readonly number[] | undefined {
    const kind = kindOf(site);
    return kind.perRow && !this.#training ? undefined : kind.perOutputShape(site);
  }

  /** `value · gain`, for one adapter or one per row. */
  #scale(value: Value, gain: Value, site: Site): Value {
    return kindOf(site).perRow ? this.#rows.scale(value, gain, site) : this.#g.Mul(value, gain);
  }

  /** (x·A)·B, where it is for inference and the kind of layer allows it for one adapter per row too. */
  #lowRankProduct(lowRank: LowRankSite): Value {
    const { site } = lowRank;
    const kind = kindOf(site);
    const own = lowRank.bias
      ? this.#input({ role: 'lora_B.bias', lowRank }, site, this.#perOutputDims(site))
      : undefined;
    const biased = (value: Value): Value => (own ? this.#g.Add(value, own) : value);
    if (this.#training && site.kind === 'linear') return biased(this.#trainingProduct.of(lowRank));
    const A = this.#factor('lora_A', lowRank);
    const B = this.#factor('lora_B', lowRank);
    const product = (x: Value): Value => biased(kind.product(this.#g, site, x, A, B));
    const x = this.#read(site.input);
    return kind.perRow && !this.#training ? this.#rows.apply(x, site, product) : product(x);
  }

  readonly #factors = new Map<string, Value>();

  #factor(role: 'lora_A' | 'lora_B', lowRank: LowRankSite): Value {
    const { site, r } = lowRank;
    const name = adapterInputName(site, role);
    let value = this.#factors.get(name);
    if (!value) {
      const kind = kindOf(site);
      const dims = r === undefined || !this.#training ? undefined : kind.factorShape(site, role, r);
      value = this.#input({ role, lowRank }, site, kind.transposesFactors ? dims?.toReversed() : dims);
      this.#factors.set(name, value);
    }
    return value;
  }

  /** Linear layers with a trained weight or bias, by their nodes: they are rewritten so that rows may differ in them. */
  #wholeSites(): Map<NodeProto, Site> {
    const sites = this.#plan.trained.flatMap(({ site }) => (site?.kind === 'linear' ? [site] : []));
    return new Map(sites.flatMap((site) => [[site.node, site] as const, [lastNode(site), site] as const]));
  }

  /** x·W + b where W is `[in, out]` or `[batch, in, out]` and b `[out]` or `[batch, 1, out]`, as they are fed. */
  #replaceLayer(site: Site): void {
    const trained = (initializer: string): Value | undefined => {
      const parameter = this.#plan.trained.find((each) => each.site === site && each.initializer === initializer);
      return parameter && this.#parameters.get(parameter);
    };
    const weight = trained(site.weight.name);
    let value = weight
      ? this.#rows.apply(this.#read(site.input), site, (rows) => this.#g.MatMul(rows, weight))
      : this.#emitRenamed([{ ...site.node, input: site.node.input!.slice(0, 2) }], site.node.output![0]!);
    // Another adapter may have a low-rank product where this one has a weight.
    const lowRank = this.#plan.lowRank.find((each) => each.site === site);
    if (lowRank?.dora) value = this.#scale(value, this.#gain(lowRank), site);
    if (lowRank) value = this.#g.Add(value, this.#lowRankProduct(lowRank));
    if (site.bias) {
      const bias = trained(site.bias.name);
      value = bias ? this.#rows.add(value, bias, site) : this.#g.Add(value, this.#read(site.bias.name));
    }
    this.#nameLast(value, site.output);
  }

  readonly #parameters = new Map<AdapterPlan['trained'][number], Value>();

  /** Makes a trained parameter a graph input that its readers read instead of the initializer. */
  #trained(parameter: AdapterPlan['trained'][number], perRow: boolean): void {
    const stored = parameter.tensor.dims ?? [];
    const dims = !this.#training && parameter.layout === 'out-in' ? [...stored].reverse() : stored;
    const input: AdapterInput = { role: 'parameter', parameter, name: this.#free(parameter.name), perRow };
    const value = this.#addInput(input, perRow ? undefined : dims, dataTypeName(parameter.tensor.dataType));
    this.#parameters.set(parameter, value);
  }

  /** The node as it stands when trained parameters are read from their inputs. */
  #withParameters(node: NodeProto): NodeProto[] {
    const names = this.#parameterNames(node);
    if (names.size === 0) return [node];
    return [{ ...node, input: (node.input ?? []).map((name) => names.get(name) ?? name) }];
  }

  #parameterNames(node: NodeProto): Map<string, string> {
    const names = new Map<string, string>();
    for (const parameter of this.#plan.trained) {
      if (parameter.readers.includes(node)) names.set(parameter.initializer, this.#parameters.get(parameter)!.name);
    }
    return names;
  }

  #free(name: string): string {
    return this.#types.has(name) ? `${name}.trained` : name;
  }

  #input(input: Omit<AdapterInput, 'name' | 'perRow'>, site: Site, dims: readonly number[] | undefined): Value {
    const name = this.#free(adapterInputName(site, input.role));
    return this.#addInput({ ...input, name, perRow: kindOf(site).perRow }, dims, 'float32');
  }

  #addInput(input: AdapterInput, dims: readonly number[] | undefined, type: ValueType['type']): Value {
    const info = valueInfo(input.name, type, dims);
    this.#inputs.push({ input, info });
    return { name: input.name, type, shape: dims };
  }

  #read(name: string): Value {
    return { name, ...this.#types.get(name) };
  }

  /** Pushes nodes, the value `output` among their outputs under a new name, which is returned. */
  #emitRenamed(nodes: readonly NodeProto[], output: string): Value {
    const name = `lora/base/${output}`;
    for (const node of nodes) {
      this.#g.nodes.push({ ...node, output: node.output!.map((each) => (each === output ? name : each)) });
    }
    return { name, ...this.#types.get(output) };
  }

  /** Gives the value emitted last the name that the rest of the graph reads. */
  #nameLast(value: Value, name: string): void {
    const last = this.#g.nodes.at(-1)!;
    if (last.output?.[0] !== value.name) throw new Error('The value to name must have been emitted last.');
    last.output = [name];
    // Adapter inputs have no declared rank, so the runtime could not infer the rank behind them without help.
    const type = this.#types.get(name);
    if (!this.#training && type?.shape) this.#valueInfo.push(valueInfo(name, type.type, type.shape));
  }
}

/** The name of the graph input that carries part of a module's adapter. */
function adapterInputName(site: Site, role: AdapterInputRole): string {
  if (role !== 'lora_A' && role !== 'lora_B') return `${site.path}.${role}`;
  const name = kindOf(site).names[role];
  return name === role ? `${site.path}.${name}.weight` : `${site.path}.${name}`;
}

function lastNode(site: Site): NodeProto {
  return site.bias?.node ?? site.node;
}

function valueInfo(name: string, type: ValueType['type'], shape: readonly Dim[] | undefined): ValueInfoProto {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : {}));
  return {
    name,
    type: { tensorType: { elemType: dataTypeNumber(type ?? 'float32'), ...(dim ? { shape: { dim } } : {}) } },
  };
}
