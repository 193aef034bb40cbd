/** @file Decomposes fused operators into standard ones, so that their layers can be found and adapted. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import type { Value } from '../../graph/builder.ts';
import type { ValueType } from '../../graph/value.ts';
import { type ExpansionContext, ExpansionSite } from './site.ts';
import { rowOf } from './table.ts';

export type { ExpansionContext } from './site.ts';

/** Standard operators equivalent to a fused one. */
export interface Expansion {
  /** Topologically sorted. */
  readonly nodes: NodeProto[];
  readonly initializers: TensorProto[];
  /** Types of the new values and constants, by name. */
  readonly types: ReadonlyMap<string, ValueType>;
}

/** Older opsets lack Range and BitShift. */
const OLDEST_OPSET = 11;

/** Whether the operator has a rule, which may not cover all of its forms. */
export function isExpandable(node: NodeProto): boolean {
  return rowOf(node) !== undefined;
}

/**
 * Decomposes `node`, with its output names; weights and biases of the file stay inputs of their products. Undefined for
 * an uncovered form, a needed size that is unknown, or an opset before 11.
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

/** Renames the results to the node's outputs, and applies the names chosen by the rule. */
function assemble(site: ExpansionSite, results: readonly (Value | undefined)[]): Expansion | undefined {
  const { g, node } = site;
  const own = new Set(g.nodes.flatMap(({ output }) => output ?? []));
  const names = new Map(site.valueNames);
  const taken = new Set<string>();
  for (const [i, name] of (node.output ?? []).entries()) {
    if (!name) continue;
    let result = results[i];
    if (!result) return undefined;
    // Inputs and values of another output already have a name.
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
