/** @file Lowering of fully trained parameters: replaced node inputs, and rewritten layers. */

import type { Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { addendInput, lastNode } from '../../match/layers/layer.ts';
import { occurrencesOf, type Site } from '../../match/sites.ts';
import { readsCodes } from '../../match/weights/index.ts';
import type { AdapterInputs } from '../adapterInputs.ts';
import { kindOf } from '../kinds/table.ts';
import type { ModuleAdapter } from '../methods/moduleAdapter.ts';
import type { TrainedParameter } from '../methods/trainedParameter.ts';
import type { Lowering, EmitNode } from './lowering.ts';
import { type GraphScope, withoutInput } from './graphScope.ts';

/** A tuning that replaces a parameter. */
export type WholeParameterAdapter = ModuleAdapter & { readonly parameter: TrainedParameter };

/** Nodes read trained parameters. A layer is rewritten if rows may differ or its node multiplies integers. */
export class WholeLowering implements Lowering {
  readonly replaced: ReadonlyMap<NodeProto, EmitNode>;
  readonly dropped: ReadonlySet<NodeProto>;
  readonly beside: ReadonlyMap<NodeProto, EmitNode> = new Map();
  readonly #scope: GraphScope;
  readonly #tunings: readonly WholeParameterAdapter[];
  /** Trained parameters, cast to the type of this graph's nodes. */
  readonly #cast = new Map<WholeParameterAdapter, Value>();

  constructor(scope: GraphScope, tunings: readonly WholeParameterAdapter[]) {
    this.#scope = scope;
    this.#tunings = tunings;
    const rewritten = tunings
      .flatMap(({ parameter }, i) => (isRewritten(scope.inputs, tunings[i]!) ? occurrencesOf(parameter.site!) : []))
      .filter(({ node }) => scope.own.has(node));
    const byLast = new Map(rewritten.map((site) => [lastNode(site), site]));
    this.replaced = new Map([...byLast].map(([last, site]) => [last, () => this.#layer(site)]));
    this.dropped = new Set([...byLast.values()].flatMap((site) => [...site.nodes, lastNode(site)]));
  }

  *renamed(original: NodeProto): Generator<readonly [string, Value]> {
    for (const tuning of this.#tunings)
      for (const { node, name } of tuning.parameter.readers)
        if (node === original) yield [name, this.#parameterFor(tuning, name)];
  }

  #parameterFor(tuning: WholeParameterAdapter, name: string): Value {
    const known = this.#cast.get(tuning);
    if (known) return known;
    const scope = this.#scope;
    const fed = this.#parameter(tuning);
    // Inference feeds weights as `[in, out]`, which only rewritten layers read without a Transpose.
    const isTransposed = !scope.training && tuning.parameter.layout === 'out-in';
    const value = scope.as(isTransposed ? scope.g.Transpose(fed, [1, 0]) : fed, scope.inputs.types.get(name)?.type);
    this.#cast.set(tuning, value);
    return value;
  }

  /** A trained parameter, picked per row if rows differ. */
  #parameter(tuning: WholeParameterAdapter): Value {
    const { inputs } = this.#scope;
    const value = inputs.input(tuning, 'parameter', undefined);
    return isPerRow(inputs, tuning) ? this.#scope.picked(value) : value;
  }

  /** x·W + b with W `[in, out]` or `[batch, in, out]` and b `[out]` or `[batch, 1, out]`; alike for other kinds. */
  #layer(site: Site): void {
    const scope = this.#scope;
    const { g, inputs } = scope;
    const typeOfLayer = scope.read(site.product).type;
    const trained = (kind: 'weight' | 'bias'): Value | undefined => {
      const name = kind === 'weight' ? site.weight.name : site.bias?.name;
      const tuning = this.#tunings.find(({ parameter: { readers } }) =>
        readers.some(
          (reader) => reader.name === name && (reader.node === site.node || reader.node === site.bias?.node),
        ),
      );
      return tuning && scope.as(this.#parameter(tuning), typeOfLayer);
    };
    const weight = trained('weight');
    const addend = addendInput(site);
    let value: Value;
    // Weights of open size have no inferred shape.
    if (weight) value = { ...this.#product(site, weight), ...inputs.types.get(site.product) };
    else {
      const [first, ...rest] = withoutBiasInside(site) as [NodeProto, ...NodeProto[]];
      const own = addend === undefined ? first : withoutInput(first, addend);
      const renamed = scope.baseName(site.product);
      for (const node of [own, ...rest])
        g.nodes.push({ ...node, output: node.output!.map((each) => (each === site.product ? renamed : each)) });
      value = { name: renamed, ...inputs.types.get(site.product) };
    }
    // Another adapter may have a low-rank product on a layer whose weight this one replaces.
    value = scope.adapted(site, value);
    if (site.bias) {
      const bias = trained('bias');
      const perRow = bias && inputs.differs(site);
      const term = bias ?? scope.read(site.bias.name);
      value = perRow
        ? scope.rows.add(value, term, scope.fold(site))
        : g.Add(value, site.bias.inside ? kindOf(site).outputBias(g, site, term) : term);
    } else if (addend !== undefined) value = g.Add(value, scope.read(site.node.input![addend]!));
    scope.nameLast(value, site.output);
  }

  /** A layer's product with a float weight. */
  #product(site: Site, weight: Value): Value {
    const scope = this.#scope;
    const { g, inputs } = scope;
    const input = scope.read(site.input);
    if (site.kind === 'embedding') return g.Gather(weight, input, 0);
    if (site.kind !== 'linear') {
      const name = scope.baseName(site.product);
      g.nodes.push({ ...site.node, opType: 'Conv', input: [site.input, weight.name], output: [name] });
      return { name, ...inputs.types.get(site.product) };
    }
    if (inputs.differs(site)) return scope.rows.apply(input, scope.fold(site), (rows) => g.MatMul(rows, weight));
    if (!scope.training) return g.MatMul(input, weight);
    return g.MatMul(input, site.weight.layout === 'out-in' ? g.Transpose(weight, [1, 0]) : weight);
  }
}

/** Adds the input of a parameter, which precedes all others. */
export function declareParameter(inputs: AdapterInputs, tuning: WholeParameterAdapter): void {
  const { stored, layout, isOpen } = tuning.parameter;
  const perRow = isPerRow(inputs, tuning);
  const dims = !inputs.training && layout === 'out-in' ? stored.dims.toReversed() : stored.dims;
  inputs.input(tuning, 'parameter', perRow || isOpen ? undefined : dims, perRow);
}

/** Whether rows may differ in a trained parameter, so that its layer is rewritten. */
function isPerRow({ hasBanks }: AdapterInputs, { parameter: { site } }: WholeParameterAdapter): boolean {
  return hasBanks && site?.kind === 'linear' && site.arrange === undefined;
}

/** Whether a trained parameter's layer is rewritten. */
function isRewritten(inputs: AdapterInputs, tuning: WholeParameterAdapter): boolean {
  const { site, stored } = tuning.parameter;
  if (isPerRow(inputs, tuning) || !site) return isPerRow(inputs, tuning);
  return readsCodes(stored) || (site.bias?.inside !== undefined && site.bias.stored.name === stored.name);
}

/** A layer's own nodes, without a bias added between integers. */
function withoutBiasInside({ nodes, bias }: Site): readonly NodeProto[] {
  if (!bias?.inside) return nodes;
  const [added] = bias.inside.output ?? [];
  const [product] = nodes[0]!.output!;
  return nodes
    .filter((node) => node !== bias.inside)
    .map((node) => ({ ...node, input: (node.input ?? []).map((name) => (name === added ? product! : name)) }));
}
