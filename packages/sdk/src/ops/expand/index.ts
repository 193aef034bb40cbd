/** @file Rewrites fused operators into standard ones, so that the layers inside them can be found and adapted. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import type { Value } from '../../graph/builder.ts';
import type { ValueType } from '../../graph/value.ts';
import { type ExpansionContext, ExpansionSite } from './site.ts';
import { rowOf } from './table.ts';

export type { ExpansionContext } from './site.ts';

/** Standard operators that compute what one fused operator does. */
export interface Expansion {
  /** In an order in which each follows those that it reads from. */
  readonly nodes: NodeProto[];
  /** Constants that the nodes read. */
  readonly initializers: TensorProto[];
  /** Types of all values that the nodes make and of the constants, by name. */
  readonly types: ReadonlyMap<string, ValueType>;
}

/** Opsets before it lack what the rules emit, such as Range and BitShift. */
const OLDEST_OPSET = 11;

/** Whether the operator has a rule. A form of it may still be one that the rule does not cover. */
export function isExpandable(node: NodeProto): boolean {
  return rowOf(node) !== undefined;
}

/**
 * The standard operators that compute what `node` does, the last ones under the node's own output names. Weights and
 * biases of the file stay inputs of the products that use them; `table.ts` says where each rule is, and the rule which
 * forms it covers.
 *
 * @returns undefined where this form cannot be expanded: an attribute or a use that the rule does not know, or a size
 *   that it needs and the file does not fix; or at an opset before 11
 */
export function expandNode(node: NodeProto, context: ExpansionContext): Expansion | undefined {
  const row = rowOf(node);
  if (!row || context.opset < OLDEST_OPSET) return undefined;
  if (!(node.attribute ?? []).every(({ name, refAttrName }) => row.attributes.has(name ?? '') && !refAttrName)) {
    return undefined;
  }
  const site = new ExpansionSite(node, context);
  if (!site.floatType) return undefined;
  const expanded = row.expand(site);
  if (!expanded) return undefined;
  const results = Array.isArray(expanded) ? (expanded as readonly (Value | undefined)[]) : [expanded as Value];
  return assemble(site, results);
}

/** Gives the results the node's output names, and what the rule named the names that it chose. */
function assemble(site: ExpansionSite, results: readonly (Value | undefined)[]): Expansion | undefined {
  const { g, node } = site;
  const own = new Set(g.nodes.flatMap(({ output }) => output ?? []));
  const names = new Map(site.valueNames);
  const taken = new Set<string>();
  for (const [i, name] of (node.output ?? []).entries()) {
    if (!name) continue;
    let result = results[i];
    if (!result) return undefined;
    // A value that the rule was given, or that is another output too, has a name already.
    if (!own.has(result.name) || taken.has(result.name)) result = g.Identity(result);
    taken.add(result.name);
    names.set(result.name, name);
  }
  const renamed = (name: string): string => names.get(name) ?? name;
  const nodes = g.nodes.map((each): NodeProto => {
    const name = site.nodeNames.get(each.output?.[0] ?? '') ?? each.name;
    return {
      ...each,
      ...(name === undefined ? {} : { name }),
      input: (each.input ?? []).map(renamed),
      output: (each.output ?? []).map(renamed),
      ...(node.metadataProps ? { metadataProps: node.metadataProps } : {}),
    };
  });
  const types = new Map([...g.types].map(([name, type]) => [renamed(name), type]));
  return { nodes, initializers: g.initializers, types };
}
