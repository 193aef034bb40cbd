/** @file Puts adapters into one graph of a model: the main graph, or a branch or body inside a node. */

import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from '../graph/proto.ts';
import { addendOf, lastNode } from '../match/layers/layer.ts';
import type { Site } from '../match/sites.ts';
import { readsCodes } from '../match/weights/index.ts';
import { inferNode } from '../ops/infer.ts';
import type { Injection } from './injection.ts';
import { kindOf } from './kinds/table.ts';
import { attentionAround, placesOf, type TrainedParameter } from './plan.ts';
import { float32 } from '../runtime/tensor.ts';
import { type Fold, RowFold } from './rows.ts';
import { type AdaptedLayer, TrainingProduct } from './trainingProduct.ts';
import type { ByTensor, ChangeOfLayer, ChangeOfWeight, LayerInGraph } from './tuner.ts';
import type { ByTuner } from './tunings/byTuner.ts';
import type { LowRank } from './tunings/lowRank.ts';
import type { OutputRole } from './tunings/lowRankTensors.ts';
import { rankAxisOf } from './tunings/lowRankTensors.ts';
import { valueInfo } from './valueInfo.ts';

/** The nodes of a graph as the file has them, beside what their subgraphs became. */
type RewrittenNodes = readonly (readonly [original: NodeProto, current: NodeProto])[];

/** One graph of a model while adapters are put into it. */
export class GraphInjection {
  readonly #whole: Injection;
  readonly #graph: GraphProto;
  readonly #g: GraphBuilder;
  readonly #rows: RowFold;
  readonly #holdsBatch: boolean;
  readonly #trainingProduct: TrainingProduct;
  /** The layers of this graph with low-rank adapters, by their own nodes. */
  readonly #adapted = new Map<NodeProto, AdaptedLayer>();
  readonly #valueInfo: ValueInfoProto[] = [];
  /** Trained parameters in the type that this graph's nodes compute in. */
  readonly #cast = new Map<TrainedParameter, Value>();

  constructor(whole: Injection, graph: GraphProto, prefix: string, holdsBatch: boolean) {
    this.#whole = whole;
    this.#graph = graph;
    this.#g = new GraphBuilder({ opset: whole.opset, infer: inferNode, prefix });
    this.#rows = new RowFold(this.#g, whole.batchInput);
    this.#holdsBatch = holdsBatch;
    const own = new Set(graph.node);
    for (const [site] of whole.lowRankPlaces()) {
      if (site.recurrent || !own.has(site.node)) continue;
      const others = this.#adapted.get(site.node);
      this.#adapted.set(site.node, others ? [...others, site] : [site]);
    }
    this.#trainingProduct = new TrainingProduct(
      this.#g,
      [...this.#adapted.values()].filter((layer) => !this.#drops(layer)),
      {
        factor: (role, layer) => this.#layerFactor(role, layer),
        read: (name) => this.#read(name),
      },
    );
  }

  /** Constants that the new nodes read. They belong to the main graph, where every graph sees them. */
  get constants(): readonly TensorProto[] {
    return this.#g.initializers;
  }

  get stopped(): ReadonlySet<string> {
    return this.#g.stopped;
  }

  /** The graph with adapters. */
  rewrite(nodes: RewrittenNodes): GraphProto {
    const own = new Set(this.#graph.node);
    const isDora = (layer: AdaptedLayer): boolean => layer.some((site) => this.#whole.lowRankAt(site)!.layer.dora);
    const byLast = new Map(
      [...this.#adapted.values()].map((layer) => [isDora(layer) ? layer[0].nodes.at(-1)! : lastNode(layer[0]), layer]),
    );
    const recurrent = new Map<NodeProto, Site[]>();
    for (const [site] of this.#whole.lowRankPlaces()) {
      if (site.recurrent && own.has(site.node)) recurrent.set(site.node, [...(recurrent.get(site.node) ?? []), site]);
    }
    const replaced = this.#replacedSites(own);
    const tuned = new Map(
      [...this.#whole.tunedPlaces].map(([site, tuning]) => [lastNode(site), [site, tuning] as const]),
    );
    const applied = [...tuned.values()].flatMap(([site, { math }]) => ('delta' in math ? [] : [site]));
    const skipped = new Set([...replaced.values(), ...applied].flatMap((site) => [...site.nodes, lastNode(site)]));
    for (const [original, current] of nodes) {
      const rebuilt = replaced.get(original);
      const layer = byLast.get(original);
      const byTuner = tuned.get(original);
      const weights = recurrent.get(original);
      if (weights) this.#recurrent(this.#withParameters(original, current), weights);
      else if (byTuner && 'delta' in byTuner[1].math) this.#delta(original, current, byTuner[0], byTuner[1]);
      else if (byTuner) this.#tune(...byTuner);
      else if (rebuilt) this.#replaceLayer(rebuilt);
      else if (skipped.has(original)) continue;
      else if (!layer) this.#g.nodes.push(this.#withParameters(original, current));
      else if (isDora(layer)) this.#dora(original, current, layer);
      else this.#lora(original, current, layer);
    }
    return {
      ...this.#graph,
      node: this.#g.nodes,
      valueInfo: [...(this.#graph.valueInfo ?? []), ...this.#valueInfo],
    };
  }

  /** An LSTM or GRU that reads its weights with the deltas added, `[directions, gates · hidden, in]`. */
  #recurrent(node: NodeProto, sites: readonly Site[]): void {
    const g = this.#g;
    const input = [...(node.input ?? [])];
    for (const at of [1, 2]) {
      const own = sites.filter(({ recurrent }) => recurrent!.input === at);
      const [first] = own;
      if (!first) continue;
      const weight = this.#read(input[at]!);
      const { dims } = first.weight.stored;
      const none = (): Value => g.constant(float32(new Float32Array(dims[1]! * dims[2]!), [1, ...dims.slice(1)]));
      const deltas = Array.from({ length: dims[0]! }, (_, place) => {
        const site = own.find(({ recurrent }) => recurrent!.place === place);
        const lowRank = site && this.#whole.lowRankAt(site)!;
        if (!lowRank) return none();
        return kindOf(site).product(g, site, weight, this.#factor('lora_A', lowRank), this.#factor('lora_B', lowRank));
      });
      const delta = deltas.length === 1 ? deltas[0]! : g.Concat(deltas, 0);
      input[at] = g.Add(weight, this.#as(delta, weight.type)).name;
    }
    g.nodes.push({ ...node, input });
    for (const name of node.output ?? []) this.#declare(name);
  }

  /** What a tuner makes of a layer, computed in float32 and given in the layer's own type. */
  #tune(site: Site, tuned: ByTuner): void {
    const g = this.#g;
    const input = this.#read(site.input);
    const typeOfLayer = this.#read(site.output).type;
    const layer: LayerInGraph = {
      x: this.#as(input, 'float32'),
      forward: (x) => this.#as(this.#forward(site, this.#as(x, input.type)), 'float32'),
      weight: () => {
        const own = this.#weight(site);
        return site.weight.layout === 'in-out' ? g.Transpose(own, [1, 0]) : own;
      },
    };
    const { apply } = tuned.math as ChangeOfLayer;
    const y = this.#as(apply(g, layer, this.#tensorsOf(tuned)), typeOfLayer);
    this.#nameLast(g.nodes.at(-1)?.output?.[0] === y.name ? y : g.Identity(y), site.output);
  }

  /** y + x·ΔWᵀ, and alike for other kinds of layers, behind the last node of one. */
  #delta(original: NodeProto, current: NodeProto, site: Site, tuned: ByTuner): void {
    const g = this.#g;
    const base = this.#emitRenamed(this.#withParameters(original, current), site.output);
    const { delta } = tuned.math as ChangeOfWeight;
    const read = this.#read(site.input);
    const x = site.kind === 'embedding' ? read : this.#as(read, 'float32');
    const { arrange } = site;
    const change = delta(g, this.#tensorsOf(tuned));
    const product = kindOf(site).whole!(g, site, arrange ? g.Transpose(x, [...arrange.input]) : x, change);
    const more = arrange ? g.Transpose(product, [...arrange.output]) : product;
    this.#nameLast(g.Add(base, this.#as(more, this.#read(site.output).type)), site.output);
  }

  /** A tuner's tensors, by its own names of them. */
  #tensorsOf(tuned: ByTuner): ByTensor<Value> {
    const inputs = Object.entries(tuned.math.tensors).map(([role, { dims }]) => [
      role,
      this.#whole.input(tuned, role, dims),
    ]);
    return Object.fromEntries(inputs) as ByTensor<Value>;
  }

  #calls = 0;

  /** The layer's own nodes once more, for another input. */
  #forward(site: Site, x: Value): Value {
    const prefix = `lora/base/${this.#calls++}/`;
    const names = new Map([[site.input, x.name]]);
    for (const node of new Set([...site.nodes, lastNode(site)])) {
      const current = this.#withParameters(node, node);
      const input = (current.input ?? []).map((name) => names.get(name) ?? name);
      for (const name of node.output ?? []) names.set(name, `${prefix}${name}`);
      this.#g.nodes.push({ ...current, input, output: (node.output ?? []).map((name) => names.get(name)!) });
    }
    return { name: names.get(site.output)!, ...this.#whole.types.get(site.output) };
  }

  /** y + (x·A)·B, behind the last node of a layer. */
  #lora(original: NodeProto, current: NodeProto, layer: AdaptedLayer): void {
    const [{ output }] = layer;
    const base = this.#emitRenamed(this.#withParameters(original, current), output);
    this.#nameLast(this.#g.Add(base, this.#lowRankProduct(layer)), output);
  }

  /**
   * gain·(x·W + (x·A)·B) + bias, and alike for other kinds of layers, with gain = magnitude ÷ ‖W + A·B‖ per output, the
   * norm taken as a constant.
   * @see https://arxiv.org/abs/2402.09353
   */
  #dora(original: NodeProto, current: NodeProto, layer: AdaptedLayer): void {
    const [site] = layer;
    const kind = kindOf(site);
    const read = this.#withParameters(original, current);
    const addend = addendOf(site);
    const name = addend === undefined ? site.bias?.inside && site.bias.name : site.node.input![addend];
    const isFirst = original === site.node;
    const bare = isFirst && addend !== undefined ? withoutInput(read, addend) : read;
    let product = this.#emitRenamed(bare, site.product);
    // Nodes behind the layer's own, which round its product, hold the bias already.
    if (!isFirst && name !== undefined)
      product = this.#g.Sub(product, kind.outputBias(this.#g, site, this.#read(name)));
    const gain = this.#layerGain(layer);
    const lowRankProduct = (): Value => this.#lowRankProduct(layer);
    // For inference the lora_B that is fed has the gain multiplied in already.
    const sum = this.#whole.training
      ? this.#scale(this.#g.Add(product, lowRankProduct()), gain, site)
      : this.#g.Add(this.#scale(product, gain, site), lowRankProduct());
    if (name === undefined) return this.#nameLast(sum, site.product);
    const bias = kind.outputBias(this.#g, site, this.#read(isFirst ? read.input![addend!]! : name));
    this.#nameLast(this.#g.Add(sum, bias), site.product);
  }

  /** What each output of a layer is multiplied with: one where no site with DoRA has it. */
  #layerGain(layer: AdaptedLayer): Value {
    const gains = layer.flatMap((site) => (this.#whole.lowRankAt(site)!.layer.dora ? [this.#gain(site)] : []));
    return gains.reduce((product, gain) => this.#g.Mul(product, gain));
  }

  #gain(site: Site): Value {
    const lowRank = this.#whole.lowRankAt(site)!;
    const g = this.#g;
    const kind = kindOf(site);
    const dims = this.#perOutputDims(site);
    const typeOfLayer = this.#read(site.product).type;
    if (!this.#whole.training) return this.#as(this.#input('lora_gain', lowRank, dims), typeOfLayer);
    const magnitude = this.#whole.input(lowRank, 'lora_magnitude_vector', dims);
    const [A, B] = [this.#factor('lora_A', lowRank), this.#factor('lora_B', lowRank)];
    const folded = this.#weight(site);
    const weight = site.foldedScale
      ? g.Div(folded, this.#perOutput(site, [site.foldedScale.length, ...ones(site)]))
      : folded;
    const norm = kind.adaptedNorm(g, site, weight, A, B);
    return this.#as(this.#onOutputs(g.Div(magnitude, g.stopGradient(norm)), site, 1, 1), typeOfLayer);
  }

  /** The base's weight as float32, laid out as the graph has it. */
  #weight({ weight: { name, stored, layout }, part }: Site): Value {
    // Of a quantised weight the layer's node reads codes, so its numbers must be there besides.
    if (readsCodes(stored)) return this.#g.constant(float32(stored.read(), stored.dims));
    const whole = this.#as(this.#read(name), 'float32');
    if (!part) return whole;
    const own = Array.from({ length: part.count * part.size }, (_, i) => part.first + Math.floor(i / part.size) * part.step + (i % part.size)); // prettier-ignore
    return this.#g.Gather(whole, this.#g.ints(own), layout === 'in-out' ? 1 : 0);
  }

  /** Shape of one number per output; none where each row may bring its own. */
  #perOutputDims(site: Site): readonly number[] | undefined {
    const kind = kindOf(site);
    return this.#whole.differs(site) ? undefined : kind.perOutputShape(site);
  }

  /** `value · gain`, for one adapter or one per row. */
  #scale(value: Value, gain: Value, site: Site): Value {
    const g = this.#g;
    const perRow = this.#whole.differs(site);
    const scaled = (rows: Value): Value =>
      perRow ? this.#rows.scale(rows, gain, this.#fold(site)) : g.Mul(rows, gain);
    if (!site.arrange) return scaled(value);
    // The gain of each output broadcasts where outputs are the last dimension.
    const { output } = site.arrange;
    const outputsLast = output.map((_, axis) => output.indexOf(axis));
    return g.Transpose(scaled(g.Transpose(value, outputsLast)), [...output]);
  }

  /**
   * (x·A)·B, where it is for inference and the kind of layer allows it for one adapter per row too. Computed in float32,
   * and given in the layer's own type, as PEFT does.
   */
  #lowRankProduct(layer: AdaptedLayer): Value {
    const [site] = layer;
    const lowRank = this.#whole.lowRankAt(site)!;
    const g = this.#g;
    const kind = kindOf(site);
    const own = layer.flatMap((each) => {
      const adapter = this.#whole.lowRankAt(each)!;
      return adapter.layer.bias ? [this.#input('lora_B.bias', adapter, this.#perOutputDims(each))] : [];
    });
    const scaled = (value: Value): Value =>
      site.foldedScale && this.#whole.training ? g.Mul(value, this.#perOutput(site, kind.perOutputShape(site))) : value;
    const biased = (value: Value): Value => scaled(own.reduce((sum, bias) => g.Add(sum, bias), value));
    const typeOfLayer = this.#read(site.product).type;
    const isId = site.kind === 'embedding';
    const read = this.#read(site.input);
    const whole = isId ? read : this.#as(read, 'float32');
    const source = this.#whole.training && this.#drops(layer) ? this.#dropped(whole, lowRank) : whole;
    if (this.#whole.training && site.kind === 'linear' && source === read && !site.arrange) {
      return this.#as(biased(this.#trainingProduct.of(layer)), typeOfLayer);
    }
    if (this.#whole.training && lowRank.layer.tokens) return this.#tokenRows(read, lowRank);
    const x = site.arrange ? g.Transpose(source, [...site.arrange.input]) : source;
    const [A, B] = [this.#layerFactor('lora_A', layer), this.#layerFactor('lora_B', layer)];
    const product = (rows: Value): Value => biased(kind.product(g, site, rows, A, B));
    const value = this.#whole.differs(site) ? this.#rows.apply(x, this.#fold(site), product) : product(x);
    return this.#as(site.arrange ? g.Transpose(value, [...site.arrange.output]) : value, typeOfLayer);
  }

  /** Whether steps leave out some of what the adapters of a layer read. */
  #drops(layer: AdaptedLayer): boolean {
    return layer.some((site) => this.#whole.lowRankAt(site)!.layer.dropout);
  }

  /** x without what is left out in this step, and what stays so much larger that the sum is the same on average. */
  #dropped(x: Value, lowRank: LowRank): Value {
    const g = this.#g;
    const mask = this.#whole.mask(lowRank, x.shape as readonly number[]);
    const kept = g.Mul(x, g.Cast(mask, dataTypeNumber('float32')));
    return g.Mul(kept, 1 / (1 - lowRank.layer.dropout!));
  }

  /** What trained rows of a table add: the row of each id that is trained, else zero. */
  #tokenRows(ids: Value, lowRank: LowRank): Value {
    const g = this.#g;
    const { tokens = [] } = lowRank.layer;
    const type = ids.type === 'int32' ? 'int32' : 'int64';
    const wanted: Value = g.Cast(g.ints(tokens), dataTypeNumber(type));
    const isToken = g.Equal(g.Unsqueeze(ids, [-1]), wanted);
    return g.MatMul(g.Cast(isToken, dataTypeNumber('float32')), this.#factor('lora_B', lowRank));
  }

  /** The factors of a folded normalisation as a constant. */
  #perOutput(site: Site, dims: readonly number[]): Value {
    return this.#g.constant(float32(site.foldedScale!, dims));
  }

  /** Part of a module's adapter, as the rows of this batch get it; but for lora_A, a number for each output of the layer. */
  #input(role: 'lora_A' | 'lora_B' | OutputRole, lowRank: LowRank, dims: readonly number[] | undefined): Value {
    const { site } = lowRank;
    const [differs, isFactor] = [this.#whole.differs(site), role === 'lora_A' || role === 'lora_B'];
    const value = this.#whole.input(lowRank, role, dims, differs);
    const rank = differs ? 3 : isFactor ? 2 : 1;
    const wide = role === 'lora_A' ? value : this.#onOutputs(value, site, rank, role === 'lora_gain' ? 1 : 0);
    return differs ? this.#picked(wide) : wide;
  }

  readonly #wide = new Map<string, Value>();

  /**
   * What has a number for each output of a site in its last dimension, for those of the whole layer, where the site is a part
   * of one; `fill` for the others.
   */
  #onOutputs(value: Value, { part }: Site, rank: number, fill = 0): Value {
    if (!part) return value;
    const known = this.#wide.get(value.name);
    if (known) return known;
    const g = this.#g;
    const { first, size, step, count, total } = part;
    // Leading dimensions are copied, so that those of banks stay open.
    const before = Array.from({ length: rank - 1 }, () => 0);
    const runs = count === 1 ? value : g.Reshape(value, [...before, count, size]);
    const lead = count === 1 ? before : [...before, 0];
    const padded = g.Pad(runs, [...lead, first, ...lead, step - first - size], fill);
    const wide = count === 1 ? padded : g.Reshape(padded, [...before, total]);
    this.#wide.set(value.name, wide);
    return wide;
  }

  readonly #layerFactors = new Map<string, Value>();

  /** The factors of a layer's sites side by side, so that one product is the sum of theirs. */
  #layerFactor(role: 'lora_A' | 'lora_B', layer: AdaptedLayer): Value {
    const key = `${role} ${layer.map(({ path }) => path).join(' ')}`;
    const known = this.#layerFactors.get(key);
    if (known) return known;
    const factors = layer.map((site) => {
      const factor = this.#factor(role, this.#whole.lowRankAt(site)!);
      return role === 'lora_B' && this.#whole.training ? this.#onOutputs(factor, site, 2) : factor;
    });
    const value = factors.length === 1 ? factors[0]! : this.#g.Concat(factors, role === 'lora_A' ? -1 : -2);
    this.#layerFactors.set(key, value);
    return value;
  }

  /** A trained parameter, as the rows of this batch get it. */
  #parameter(parameter: TrainedParameter): Value {
    const value = this.#whole.parameter(parameter);
    return this.#whole.isPerRow(parameter) ? this.#picked(value) : value;
  }

  readonly #pickedFrom = new Map<string, Value>();

  /** What rows get from a bank: one tensor without the bank's dimension, or `[batch, ...]`. */
  #picked(bank: Value): Value {
    let picked = this.#pickedFrom.get(bank.name);
    if (!picked) this.#pickedFrom.set(bank.name, (picked = this.#g.Gather(bank, this.#whole.rows, 0)));
    return picked;
  }

  readonly #factors = new Map<string, Value>();

  #factor(role: 'lora_A' | 'lora_B', lowRank: LowRank): Value {
    if (!this.#whole.training) return this.#input(role, lowRank, undefined);
    const key = `${role} ${lowRank.site.path}`;
    const known = this.#factors.get(key);
    if (known) return known;
    const { site, r, fixed, constants, tiedTo, tokens, savedAs } = lowRank.layer;
    const kind = kindOf(site);
    const dims = r === undefined ? undefined : kind.graphShape(site, role, r);
    const own = fixed?.[role]
      ? this.#g.constant(fixed[role])
      : tiedTo && tokens
        ? this.#g.Transpose(
            this.#factor(role === 'lora_A' ? 'lora_B' : 'lora_A', this.#whole.lowRankAt(tiedTo.site)!),
            [1, 0],
          )
        : this.#whole.input(lowRank, role, dims);
    const differentiated = attentionAround(savedAs) === undefined ? own : this.#halfConstant(own);
    const value = constants
      ? this.#g.Concat([differentiated, this.#g.constant(constants[role])], rankAxisOf(site, role))
      : differentiated;
    this.#factors.set(key, value);
    return value;
  }

  /** A value of which one half counts as a constant when it is differentiated. */
  #halfConstant(value: Value): Value {
    const half = this.#g.Mul(value, 0.5);
    return this.#g.Add(half, this.#g.stopGradient(this.#g.Identity(half)));
  }

  /** Layers with a trained weight or bias that are written anew, by their last nodes. */
  #replacedSites(own: ReadonlySet<NodeProto>): Map<NodeProto, Site> {
    const sites = this.#whole.trained.flatMap((parameter) =>
      this.#whole.isRewritten(parameter) ? placesOf(parameter.site!) : [],
    );
    return new Map(sites.filter(({ node }) => own.has(node)).map((site) => [lastNode(site), site]));
  }

  /**
   * x·W + b where W is `[in, out]` or `[batch, in, out]` and b `[out]` or `[batch, 1, out]`, as they are fed; alike for
   * other kinds of layers, for all rows.
   */
  #replaceLayer(site: Site): void {
    const typeOfLayer = this.#read(site.product).type;
    const trained = (kind: 'weight' | 'bias'): Value | undefined => {
      const name = kind === 'weight' ? site.weight.name : site.bias?.name;
      const parameter = this.#whole.trained.find(({ readers }) =>
        readers.some(
          (reader) => reader.name === name && (reader.node === site.node || reader.node === site.bias?.node),
        ),
      );
      return parameter && this.#as(this.#parameter(parameter), typeOfLayer);
    };
    const weight = trained('weight');
    const addend = addendOf(site);
    let value: Value;
    // Of weights of an open size no shape is known otherwise.
    if (weight) value = { ...this.#product(site, weight), ...this.#whole.types.get(site.product) };
    else {
      const [first, ...rest] = withoutBiasInside(site) as [NodeProto, ...NodeProto[]];
      const own = addend === undefined ? first : withoutInput(first, addend);
      const renamed = `lora/base/${site.product}`;
      for (const node of [own, ...rest]) {
        this.#g.nodes.push({ ...node, output: node.output!.map((each) => (each === site.product ? renamed : each)) });
      }
      value = { name: renamed, ...this.#whole.types.get(site.product) };
    }
    // Another adapter may have a low-rank product where this one has a weight.
    const layer = this.#adapted.get(site.node);
    if (layer?.some((each) => this.#whole.lowRankAt(each)!.layer.dora))
      value = this.#scale(value, this.#layerGain(layer), site);
    if (layer) value = this.#g.Add(value, this.#lowRankProduct(layer));
    if (site.bias) {
      const bias = trained('bias');
      const perRow = bias && this.#whole.differs(site);
      const term = bias ?? this.#read(site.bias.name);
      value = perRow
        ? this.#rows.add(value, term, this.#fold(site))
        : this.#g.Add(value, site.bias.inside ? kindOf(site).outputBias(this.#g, site, term) : term);
    } else if (addend !== undefined) value = this.#g.Add(value, this.#read(site.node.input![addend]!));
    this.#nameLast(value, site.output);
  }

  /** The layer's sizes, of which a head's number of outputs may be open, and where its rows are. */
  #fold(site: Site): Fold {
    const isOpen = this.#whole.trained.some((parameter) => parameter.isOpen && parameter.site === site);
    const { part, weightShape } = site;
    const whole = part ? [part.total, ...weightShape.slice(1)] : weightShape;
    return { weightShape: whole, rowAxis: this.#whole.rowAxis(site, this.#holdsBatch), isOpen };
  }

  /** A layer's product with a weight of floats, as it is fed. */
  #product(site: Site, weight: Value): Value {
    const g = this.#g;
    const input = this.#read(site.input);
    if (site.kind === 'embedding') return g.Gather(weight, input, 0);
    if (site.kind !== 'linear') {
      const name = `lora/base/${site.product}`;
      g.nodes.push({ ...site.node, opType: 'Conv', input: [site.input, weight.name], output: [name] });
      return { name, ...this.#whole.types.get(site.product) };
    }
    if (this.#whole.differs(site)) return this.#rows.apply(input, this.#fold(site), (rows) => g.MatMul(rows, weight));
    if (!this.#whole.training) return g.MatMul(input, weight);
    return g.MatMul(input, site.weight.layout === 'out-in' ? g.Transpose(weight, [1, 0]) : weight);
  }

  /** The node as it stands when trained parameters are read from their inputs. */
  #withParameters(original: NodeProto, current: NodeProto): NodeProto {
    const names = new Map<string, string>();
    for (const parameter of this.#whole.trained) {
      for (const { node, name } of parameter.readers) {
        if (node === original) names.set(name, this.#parameterFor(parameter, name).name);
      }
    }
    if (names.size === 0) return current;
    return { ...current, input: (current.input ?? []).map((name) => names.get(name) ?? name) };
  }

  #parameterFor(parameter: TrainedParameter, name: string): Value {
    const known = this.#cast.get(parameter);
    if (known) return known;
    const fed = this.#parameter(parameter);
    // For inference weights are fed as `[in, out]`, which only layers that are written anew read as it is.
    const isTransposed = !this.#whole.training && parameter.layout === 'out-in';
    const value = this.#as(isTransposed ? this.#g.Transpose(fed, [1, 0]) : fed, this.#whole.types.get(name)?.type);
    this.#cast.set(parameter, value);
    return value;
  }

  /** A value in another float type; itself where it has it. */
  #as(value: Value, type: Value['type']): Value {
    const isOther = type !== undefined && value.type !== undefined && type !== value.type;
    return isOther ? this.#g.Cast(value, dataTypeNumber(type)) : value;
  }

  #read(name: string): Value {
    return { name, ...this.#whole.types.get(name) };
  }

  /** Pushes a node, the value `output` among its outputs under a new name, which is returned. */
  #emitRenamed(node: NodeProto, output: string): Value {
    const name = `lora/base/${output}`;
    this.#g.nodes.push({ ...node, output: node.output!.map((each) => (each === output ? name : each)) });
    return { name, ...this.#whole.types.get(output) };
  }

  /** Gives the value emitted last the name that the rest of the graph reads. */
  #nameLast(value: Value, name: string): void {
    const last = this.#g.nodes.at(-1)!;
    if (last.output?.[0] !== value.name) throw new Error('The value to name must have been emitted last.');
    last.output = [name];
    this.#declare(name);
  }

  /** Adapter inputs have no declared rank, so the runtime could not infer the rank behind them without help. */
  #declare(name: string): void {
    const type = this.#whole.types.get(name);
    if (!this.#whole.training && type?.shape) this.#valueInfo.push(valueInfo(name, type.type, type.shape));
  }
}

/** A one for each dimension of a weight behind the first. */
function ones({ weightShape }: Site): number[] {
  return weightShape.slice(1).map(() => 1);
}

/** A layer's own nodes, without a bias that they add between integers. */
function withoutBiasInside({ nodes, bias }: Site): readonly NodeProto[] {
  if (!bias?.inside) return nodes;
  const [added] = bias.inside.output ?? [];
  const [product] = nodes[0]!.output!;
  return nodes
    .filter((node) => node !== bias.inside)
    .map((node) => ({ ...node, input: (node.input ?? []).map((name) => (name === added ? product! : name)) }));
}

/** A node without one of its inputs. */
function withoutInput(node: NodeProto, at: number): NodeProto {
  const input = (node.input ?? []).map((name, i) => (i === at ? '' : name));
  while (input.at(-1) === '') input.pop();
  return { ...node, input };
}
